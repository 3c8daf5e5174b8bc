"""The list of conversations in the sidebar: go to one, rename, delete, take it with you."""

import streamlit as st

from engine.workspace import Conversation, Workspace
from engine.workspace.export import as_json, as_markdown
from pages.parts.answer import forget_answers
from pages.parts.markdown import plain_markdown

SHOWN = 12  # what a sidebar holds without scrolling; older ones are a click away


def current_conversation(workspace: Workspace) -> Conversation | None:
    """The one that the address names, so that a reload finds it again."""
    return workspace.conversations.find(st.query_params.get("conversation", ""))


def open_conversation(conversation_id: str) -> None:
    st.query_params["conversation"] = conversation_id


def show_conversations(workspace: Workspace, collection: str) -> None:
    current = current_conversation(workspace)
    listed = workspace.conversations.list(collection)
    with st.sidebar.container(key="conversations", gap="xsmall"):
        st.button(
            "New conversation",
            icon=":material/add:",
            type="tertiary",
            disabled=current is None,
            on_click=st.query_params.clear,
        )
        for conversation in listed[:SHOWN]:
            _entry(conversation, is_open=bool(current and conversation.id == current.id))
        if len(listed) > SHOWN:
            with st.expander(f"{len(listed) - SHOWN} older", type="compact"):
                for conversation in listed[SHOWN:]:
                    _entry(conversation, is_open=False)


def _entry(conversation: Conversation, is_open: bool) -> None:
    title = plain_markdown(conversation.title)
    st.button(
        f"**{title}**" if is_open else title,
        key=f"conversation-{conversation.id}",
        icon=":material/arrow_right:" if is_open else ":material/chat_bubble:",
        type="tertiary",
        on_click=open_conversation,
        args=(conversation.id,),
        wrap=False,
    )


def show_actions(workspace: Workspace, conversation: Conversation) -> None:
    """Rename, export and delete, folded behind one button."""
    with st.popover("Conversation", icon=":material/more_horiz:"):
        title = st.text_input("Name", conversation.title, key=f"title-{conversation.id}")
        if title.strip() and title.strip() != conversation.title:
            workspace.conversations.rename(conversation.id, title)
            st.rerun()
        name = f"conversation-{conversation.id[:8]}"
        st.download_button(
            "As Markdown",
            data=lambda: as_markdown(conversation, workspace.turns(conversation.id)),
            file_name=f"{name}.md",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "As JSON, with sources and timings",
            data=lambda: as_json(conversation, workspace.turns(conversation.id)),
            file_name=f"{name}.json",
            icon=":material/download:",
            on_click="ignore",
        )
        if st.button("Delete", icon=":material/delete:"):
            st.session_state.deleting = conversation.id
    if st.session_state.pop("deleting", None) == conversation.id:
        _confirm_delete(workspace, conversation)


@st.dialog("Delete this conversation?")
def _confirm_delete(workspace: Workspace, conversation: Conversation) -> None:
    st.markdown("Its questions and answers go for good. The documents stay.")
    with st.container(horizontal=True):
        if st.button("Delete it", type="primary"):
            workspace.delete_conversation(conversation.id)
            forget_answers()
            st.query_params.clear()
            st.rerun()
        if st.button("Keep it"):
            st.rerun()
