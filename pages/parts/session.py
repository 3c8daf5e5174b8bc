"""What this session has chosen."""

import streamlit as st

from engine.workspace import Workspace

DEFAULT = "default"


def current_collection(workspace: Workspace) -> str:
    """The one chosen in this session, or the default one."""
    chosen = str(st.session_state.get("collection", DEFAULT))
    return chosen if chosen in workspace.library.collections() else DEFAULT
