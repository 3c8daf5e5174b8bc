"""The collection that this session has chosen."""

import streamlit as st

from engine.workspace import Workspace
from engine.workspace.library import DEFAULT_COLLECTION
from pages.parts.resources import safely


def current_collection(workspace: Workspace) -> str:
    """The one chosen in this session, or the default one."""
    chosen = str(st.session_state.get("collection", DEFAULT_COLLECTION))
    return chosen if chosen in workspace.library.collections() else DEFAULT_COLLECTION


def choose_collection(name: str) -> None:
    """Choose a collection, and leave the open conversation, which belongs to another one."""
    st.session_state.collection = name
    st.query_params.clear()


def pick_collection(workspace: Workspace, collection: str, page: str) -> None:
    """The name of the collection in the head of a page, and the choice of another one."""
    names = workspace.library.collections()
    key = f"{page}-collection-{collection}"
    choose = safely(lambda: choose_collection(st.session_state[key]))
    st.selectbox(
        "Collection",
        names,
        index=names.index(collection),
        key=key,
        label_visibility="collapsed",
        format_func=lambda name: f"Collection: {name}",
        width=240,
        on_change=choose,
    )
