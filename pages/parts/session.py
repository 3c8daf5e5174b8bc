"""The collection that this session has chosen."""

import streamlit as st

from engine.workspace import Workspace
from engine.workspace.library import DEFAULT_COLLECTION


def current_collection(workspace: Workspace) -> str:
    """The one chosen in this session, or the default one."""
    chosen = str(st.session_state.get("collection", DEFAULT_COLLECTION))
    return chosen if chosen in workspace.library.collections() else DEFAULT_COLLECTION


def choose_collection(name: str) -> None:
    """Choose it from now on, and leave the open conversation, which is of another collection."""
    st.session_state.collection = name
    st.query_params.clear()
