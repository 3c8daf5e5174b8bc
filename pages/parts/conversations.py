"""The conversations: the open one, the list in the sidebar, and the actions on them."""

from datetime import datetime, timedelta

import streamlit as st

from engine.workspace import Conversation, Workspace
from engine.workspace.export import as_json, as_markdown
from pages.parts.answer import forget_answers
from pages.parts.markdown import plain_markdown
from pages.parts.resources import safely

SHOWN = 20  # older ones are a click away, or found by the search
SEARCH_FROM = 8  # conversations: fewer are seen at a glance


def current_conversation(workspace: Workspace, collection: str) -> Conversation | None:
    """The conversation that the address names, so that a reload finds it again.

    Without one in the address, it is the one that this session had open, if it is of `collection`.
    """
    named = st.query_params.get("conversation", "")
    conversation = workspace.conversations.find(named)
    if conversation is None:
        conversation = workspace.conversations.find(st.session_state.get("open_conversation", ""))
        if conversation is None or conversation.collection != collection:
            return None
    if conversation.collection not in workspace.library.collections():  # shared no longer
        return None
    open_conversation(conversation.id)
    return conversation


def open_conversation(conversation_id: str) -> None:
    """Open a conversation; with an empty id, a new one."""
    if st.session_state.get("open_conversation", "") != conversation_id:
        st.session_state.open_conversation = conversation_id
        st.session_state.open_source = ""
    if conversation_id:
        if st.query_params.get("conversation") != conversation_id:
            st.query_params["conversation"] = conversation_id
    else:
        st.query_params.clear()


def show_conversations(workspace: Workspace, collection: str, current: Conversation | None) -> None:
    listed = workspace.conversations.list(collection)
    with st.sidebar:
        st.button(
            "New conversation",
            icon=":material/add:",
            shortcut="Ctrl+Shift+O",
            type="tertiary",
            disabled=current is None,
            on_click=open_conversation,
            args=("",),
        )
        if len(listed) >= SEARCH_FROM:
            wanted = st.text_input(
                "Search conversations",
                placeholder="Search conversations",
                label_visibility="collapsed",
                icon=":material/search:",
            )
            if wanted.strip():
                listed = workspace.conversations.list(collection, containing=wanted)
                if not listed:
                    st.caption("No match.")
        with st.container(key="conversations", gap=None):
            _show_list(listed[:SHOWN], current)
            if len(listed) > SHOWN:
                with st.expander(f"{len(listed) - SHOWN} older", type="compact"):
                    _show_list(listed[SHOWN:], current)


def _show_list(listed: list[Conversation], current: Conversation | None) -> None:
    """The conversations under headings by date. If names are equal, the times are shown too."""
    titles = [each.title for each in listed]
    heading = ""
    for conversation in listed:
        updated = datetime.fromtimestamp(conversation.updated)
        group = _group(updated)
        if group != heading:
            heading = group
            st.caption(group)
        label = plain_markdown(conversation.title)
        if current and conversation.id == current.id:
            label = f"**{label}**"
        if titles.count(conversation.title) > 1:
            form = "%H:%M" if group in ("Today", "Yesterday") else "%-d %b, %H:%M"
            label = f":gray[{updated.strftime(form)}] {label}"
        st.button(
            label,
            key=f"conversation-{conversation.id}",
            type="tertiary",
            on_click=open_conversation,
            args=(conversation.id,),
            wrap=False,
        )


def _group(day: datetime) -> str:
    ago = datetime.now().date() - day.date()
    if ago <= timedelta(0):
        return "Today"
    if ago == timedelta(1):
        return "Yesterday"
    return "Last 7 days" if ago <= timedelta(7) else day.strftime("%B %Y")


def show_actions(workspace: Workspace, conversation: Conversation) -> None:
    """Rename, export and delete, folded behind one button."""
    with st.popover("Conversation", icon=":material/more_horiz:"):
        # A field keeps what it has. Another one is needed when another tab has renamed it.
        key = f"title-{conversation.id}-{conversation.title}"
        title = st.text_input("Name", conversation.title, key=key)
        if title.strip() and title.strip() != conversation.title:
            workspace.conversations.rename(conversation.id, title)
            st.rerun()
        name = f"conversation-{conversation.id[:8]}"
        st.download_button(
            "Export as Markdown",
            data=lambda: as_markdown(conversation, workspace.turns(conversation.id)),
            file_name=f"{name}.md",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "Export as JSON, with sources and timings",
            data=lambda: as_json(conversation, workspace.turns(conversation.id)),
            file_name=f"{name}.json",
            icon=":material/download:",
            on_click="ignore",
        )
        # Confirmed here and not in a dialog, which would open over this pop-over.
        confirm = f"confirm-{conversation.id}"
        if not st.session_state.get(confirm):
            st.button(
                "Delete",
                icon=":material/delete:",
                on_click=lambda: st.session_state.update({confirm: True}),
            )
            return
        st.markdown("Delete its questions and answers permanently? The documents are kept.")
        with st.container(horizontal=True):
            st.button(
                "Delete it",
                type="primary",
                on_click=safely(_delete),
                args=(workspace, conversation),
            )
            st.button("Keep it", on_click=lambda: st.session_state.pop(confirm, None))


def _delete(workspace: Workspace, conversation: Conversation) -> None:
    workspace.delete_conversation(conversation.id)
    forget_answers()
    open_conversation("")
