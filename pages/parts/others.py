"""What other processes do, where several share documents: pages are drawn again."""

import streamlit as st

from engine.workspace import Workspace
from pages.parts.markdown import plain_markdown

_TICK = 2.0  # seconds between two looks


def follow_others(workspace: Workspace, conversation_id: str = "") -> None:
    """Draw the page again when another process has changed documents, or the open conversation.

    A question that another process is answering is shown without its answer.
    """
    if workspace.sharing.folder is None:
        return
    if conversation_id and (turn := workspace.elsewhere(conversation_id)):
        st.markdown(f"**{plain_markdown(turn.question)}**")
        st.caption(
            ":material/edit: This is being answered in another window. The answer appears here too."
        )
    st.fragment(_look, run_every=_TICK)(
        workspace, conversation_id, _state(workspace, conversation_id)
    )


def _look(workspace: Workspace, conversation_id: str, drawn: tuple[int, float, bool]) -> None:
    if _state(workspace, conversation_id) != drawn:
        st.rerun()


def _state(workspace: Workspace, conversation_id: str) -> tuple[int, float, bool]:
    conversation = workspace.conversations.find(conversation_id)
    return (
        workspace.changes,
        conversation.updated if conversation else 0.0,
        bool(conversation and workspace.elsewhere(conversation_id)),
    )
