"""Ask: a question to your documents; its sources at once, its answer as it is written."""

from dataclasses import replace
from functools import partial

import streamlit as st

from engine.errors import FirstTokenError, StoreError
from engine.llm import ContextFormat
from engine.response import StreamingResponse
from engine.synthesis import ResponseMode
from engine.workspace import Conversation, Turn, Workspace
from pages.cells.behind import code_of_turn
from pages.parts.answer import follow_turn, show_turn
from pages.parts.code_cell import show_code_behind
from pages.parts.conversations import (
    current_conversation,
    open_conversation,
    show_actions,
    show_conversations,
)
from pages.parts.folders import folder_of
from pages.parts.resources import workspace as the_workspace
from pages.parts.samples import suggested_questions
from pages.parts.session import current_collection
from pages.parts.sources import show_evidence
from pages.parts.uploads import add_documents, counted, offer_samples, show_uploads


def ask(workspace: Workspace, collection: str, question: str) -> None:
    try:
        conversation = current_conversation(workspace)
        if conversation is None:
            conversation = workspace.conversations.create(collection)
            open_conversation(conversation.id)
        workspace.ask(conversation, question)
    except (ValueError, NotImplementedError, FirstTokenError) as error:
        st.session_state.ask_problem = str(error)


def ask_what(workspace: Workspace, collection: str, key: str) -> None:
    """Ask what a field holds. As its callback: the model begins before the page is drawn again,
    which then happens once."""
    if question := st.session_state[key]:
        ask(workspace, collection, question)


def show_head(workspace: Workspace, conversation: Conversation | None) -> None:
    with st.container(
        horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"
    ):
        st.title("Ask", anchor=False)
        with st.container(horizontal=True, width="content"):
            if conversation:
                show_actions(workspace, conversation)
            with st.popover("Settings", icon=":material/tune:"):
                show_settings(workspace)


def show_settings(workspace: Workspace) -> None:
    """The settings of the next question, saved as they change."""
    now = workspace.settings
    chosen = replace(
        now,
        streaming=st.toggle("Stream the answer", now.streaming, help="Off: wait for the whole."),
        passages=st.slider("Passages to answer from", 1, 10, now.passages),
        response_mode=ResponseMode(
            st.selectbox(
                "Response mode",
                [str(mode) for mode in ResponseMode],
                index=list(ResponseMode).index(ResponseMode(now.response_mode)),
                help="How passages become one answer: in as few model calls as fit (compact), one "
                "after another (refine), as a tree, or in a single call.",
            )
        ),
        length=st.slider("Longest answer, in tokens", 16, 1024, now.length, step=16),
        temperature=st.slider("Temperature", 0.0, 1.5, now.temperature, step=0.1),
    )
    if chosen != now:
        try:
            workspace.settings = chosen
        except StoreError as error:
            st.warning(str(error))


def show_documents(workspace: Workspace, collection: str) -> None:
    """Where documents come in: the whole page while there are none, folded afterwards."""
    documents = workspace.library.documents(collection)
    if documents or workspace.ingestor.uploads(collection):
        passages = sum(document.passages for document in documents)
        count = f"{counted(len(documents), 'document')} · {counted(passages, 'passage')}"
        with st.expander(
            count if documents else "Add documents", icon=":material/folder_open:", key="documents"
        ):
            add_documents(workspace, collection)
    else:
        st.markdown(
            "Drop in your files and ask. A model on this computer answers from them, and shows "
            "the passages it read. Nothing leaves the machine."
        )
        if workspace.llm.metadata.context_format is ContextFormat.SENTENCES:
            st.caption(
                "The model in use is small and English: trust the quotation above an answer more "
                "than the answer. The Models page says how to use a larger one."
            )
        add_documents(workspace, collection)
        offer_samples(workspace, collection)
    show_uploads(workspace, collection)


def show_conversation(
    workspace: Workspace, conversation: Conversation, live: tuple[Turn, StreamingResponse] | None
) -> None:
    """`live` as the whole page has taken it: what ends meanwhile is followed to its end."""
    collection = conversation.collection
    show_sources = partial(show_evidence, partial(workspace.library.original, collection))
    ask_here = partial(ask, workspace, collection)
    folder = folder_of(workspace, collection)

    def show_code(turn: Turn) -> None:
        show_code_behind(code_of_turn(turn, folder), turn.id)

    for turn in workspace.turns(conversation.id):
        if live and turn.id == live[0].id:
            continue  # it has ended since: followed below, to its end
        show_turn(turn, show_sources, ask_here, busy=live is not None, show_more=show_code)
    if live:
        st.session_state.following = conversation.id
        follow_turn(*live, show_sources)
        st.rerun()


def suggest(workspace: Workspace, collection: str) -> None:
    questions = suggested_questions(workspace, collection)
    if questions:
        st.pills(
            "Try one of these",
            questions,
            key="suggested",
            on_change=ask_what,
            args=(workspace, collection, "suggested"),
        )


def main() -> None:
    workspace = the_workspace()
    conversation = current_conversation(workspace)
    collection = conversation.collection if conversation else current_collection(workspace)
    live = workspace.running(conversation.id) if conversation else None
    show_conversations(workspace, collection)
    show_head(workspace, conversation)
    show_documents(workspace, collection)
    if problem := st.session_state.pop("ask_problem", ""):
        st.warning(problem)
    st.chat_input(
        "Ask your documents",
        disabled=live is not None,
        key="question",
        on_submit=ask_what,
        args=(workspace, collection, "question"),
    )
    if conversation:
        show_conversation(workspace, conversation, live)
    else:
        suggest(workspace, collection)


main()
