"""The collection that this session has chosen."""

import logging
from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from engine.errors import StoreError
from engine.workspace import Workspace
from engine.workspace.library import DEFAULT_COLLECTION
from pages.parts.resources import safely
from pages.parts.resources import workspace as the_workspace

log = logging.getLogger(__name__)


def current_collection(workspace: Workspace) -> str:
    """The one chosen in this session; in a new session, the one chosen last in any."""
    chosen = str(st.session_state.setdefault("collection", workspace.settings.collection))
    return chosen if chosen in workspace.library.collections() else DEFAULT_COLLECTION


def choose_collection(name: str) -> None:
    """Choose a collection, and leave the open conversation, which belongs to another one."""
    st.session_state.collection = name
    st.query_params.clear()
    workspace = the_workspace()
    try:
        workspace.settings = replace(workspace.settings, collection=name)
    except StoreError:  # this session has its choice; only the next one begins elsewhere
        log.warning("The chosen collection could not be saved", exc_info=True)


def pick_collection(
    workspace: Workspace, collection: str, page: str, leave: Callable[[], None] = lambda: None
) -> None:
    """The name of the collection in the head of a page, and the choice of another one.

    `leave` is called before another one is chosen.
    """
    names = workspace.library.collections()
    key = f"{page}-collection-{collection}"

    def choose() -> None:
        leave()
        choose_collection(st.session_state[key])

    st.selectbox(
        "Collection",
        names,
        index=names.index(collection),
        key=key,
        label_visibility="collapsed",
        format_func=lambda name: f"Collection: {name}",
        width=240,
        on_change=safely(choose),
    )
