"""Ask: a question to your documents, with its sources at once and its answer as it is written."""

import logging
from dataclasses import replace
from functools import partial

import streamlit as st
from streamlit.runtime.scriptrunner import StopException

from engine.api.asking import filters_json
from engine.english import counted
from engine.errors import FirstTokenError, StoreError
from engine.llm import ContextFormat
from engine.response import StreamingResponse
from engine.synthesis import ResponseMode, seconds_for_a_passage
from engine.workspace import AskSettings, Conversation, Turn, Workspace
from pages.cells.behind import code_of_turn
from pages.parts.announce import announce
from pages.parts.answer import Actions, follow_turn, outcome, show_turn
from pages.parts.ask_view import attend
from pages.parts.code_cell import show_code_behind
from pages.parts.connect_code import curl_of_turn, target_of
from pages.parts.conversations import (
    current_conversation,
    open_conversation,
    show_actions,
    show_conversations,
)
from pages.parts.markdown import plain_markdown
from pages.parts.only import began, behind_filters, choose_filters, chosen_filters
from pages.parts.others import follow_others
from pages.parts.privacy import privacy
from pages.parts.report import offer_report
from pages.parts.resources import safely
from pages.parts.resources import workspace as the_workspace
from pages.parts.samples import suggested_questions
from pages.parts.session import choose_collection, current_collection, pick_collection
from pages.parts.sources import show_evidence, show_passage, source_id
from pages.parts.summarising import summarise_source
from pages.parts.uploads import (
    add_documents,
    are_added,
    forget_ready,
    offer_samples,
    show_repairs,
    show_unsettled,
)
from pages.parts.waits import NO_LIMIT, choose_wait

log = logging.getLogger(__name__)

Live = tuple[Turn, StreamingResponse]


# ---- Asking


def ask(
    workspace: Workspace,
    collection: str,
    question: str,
    instead_of: Turn | None = None,
    settings: AskSettings | None = None,
) -> bool:
    """Ask in the open conversation, or in a new one. Returns whether the question was accepted."""
    try:
        conversation = current_conversation(workspace, collection)
        if conversation is None:
            conversation = workspace.conversations.create(collection)
            open_conversation(conversation.id)
            began(conversation)
        filters = instead_of.filters if instead_of else chosen_filters(workspace, conversation)
        workspace.ask(conversation, question, instead_of, settings, filters)
    except (ValueError, NotImplementedError, FirstTokenError) as error:
        log.info("A question was not accepted", exc_info=True)
        st.session_state.ask_problem = str(error)
        return False
    st.session_state.open_source = ""
    forget_ready()
    return True


def ask_what(workspace: Workspace, collection: str, key: str) -> None:
    """Ask the text of a field, as its callback, so the model begins before the page is drawn again.

    A question that is not accepted returns to the box, with the reason above it.
    """
    question = st.session_state[key]
    if question and not ask(workspace, collection, question):
        st.session_state.draft = question


def open_source(source: str) -> None:
    """Show this source beside the answer; empty closes it."""
    st.session_state.open_source = source


# ---- The head: collection, documents, settings


def show_head(workspace: Workspace, conversation: Conversation | None, collection: str) -> None:
    """The title with the settings, and below it the picker of the collection."""
    with st.container(
        horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"
    ):
        st.title("Ask", anchor=False)
        with st.container(horizontal=True, width="content"):
            if conversation:
                show_actions(workspace, conversation)
            with st.popover("Settings", icon=":material/tune:"):
                show_settings(workspace)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="ask-head"):
        pick_collection(workspace, collection, "ask")
        documents = workspace.library.documents(collection)
        if documents:
            passages = sum(document.passages for document in documents)
            with st.popover(
                counted(len(documents), "document"), icon=":material/add:", type="tertiary"
            ):
                st.caption(
                    f"{counted(len(documents), 'document')} · {counted(passages, 'passage')}"
                )
                add_documents(workspace, collection)
            choose_filters(workspace, collection, conversation)
        if st.button(
            "Library", icon=":material/folder_open:", type="tertiary", shortcut="Ctrl+Shift+L"
        ):
            st.switch_page("pages/library.py")


def show_way_back(workspace: Workspace, collection: str) -> None:
    """After a change of collection: where the open conversation is, and a way back to it."""
    left = workspace.conversations.find(st.session_state.get("open_conversation", ""))
    if left is None or left.collection == collection:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="way-back"):
        st.caption(
            f"Questions now go to the collection {plain_markdown(collection)}. The conversation "
            f"“{plain_markdown(left.title)}” is kept with {plain_markdown(left.collection)}.",
            width="stretch",
        )
        if st.button("Go back to it", icon=":material/undo:", type="tertiary"):
            choose_collection(left.collection)
            open_conversation(left.id)
            st.rerun()


def show_settings(workspace: Workspace) -> None:
    """The settings of the next question, saved as they change."""
    now = workspace.settings
    chosen = replace(
        now,
        streaming=st.toggle(
            "Stream the answer", now.streaming, help="Off: the answer appears when it is complete."
        ),
        passages=st.slider("Passages to answer from", 1, 10, now.passages),
        response_mode=ResponseMode(
            st.selectbox(
                "Response mode",
                [str(mode) for mode in ResponseMode],
                index=list(ResponseMode).index(ResponseMode(now.response_mode)),
                help="How the model answers from several passages. compact: in as few calls of the "
                "model as possible. refine: one passage after another, each improving the answer. "
                "tree_summarize: answers from parts are combined. simple_summarize: one call, with "
                "the beginnings of the passages.",
            )
        ),
        length=st.slider(
            "Longest answer, in tokens",
            16,
            1024,
            now.length,
            step=16,
            help="A token is a word or a part of a word. 100 tokens are about 75 English words.",
        ),
        temperature=st.slider(
            "Temperature",
            0.0,
            1.5,
            now.temperature,
            step=0.1,
            help="0: the model always takes the most likely word. Higher values vary the words.",
        ),
        first_token_budget=choose_wait(now.first_token_budget),
    )
    needed = seconds_for_a_passage(workspace.llm)
    small = workspace.llm.metadata.context_format is ContextFormat.SENTENCES
    if needed and not small and chosen.first_token_budget and chosen.first_token_budget < needed:
        st.caption(
            f"The model in use needs about {needed:.1f} s to read a whole passage here. With a "
            "shorter wait it gets only a sentence or two, and its answers are less good."
        )
    if chosen != now:
        try:
            workspace.settings = chosen
        except StoreError as error:
            log.exception("The settings could not be saved")
            st.warning(str(error))


def invite_documents(workspace: Workspace, collection: str) -> None:
    """The page of an empty collection: fields for adding documents."""
    st.markdown(
        "Add your files and ask. A model answers from them, and the page shows the passages that "
        "it used. " + plain_markdown(privacy(workspace))
    )
    if workspace.llm.metadata.context_format is ContextFormat.SENTENCES:
        st.caption(
            "The model in use is small and knows only English. If an answer and the quotation "
            "above it disagree, trust the quotation. The Models page explains how to use a larger "
            "model."
        )
    add_documents(workspace, collection)
    offer_samples(workspace, collection)


# ---- The conversation


def show_turns(
    workspace: Workspace, conversation: Conversation, live: Live | None, cut_off: list[str]
) -> None:
    """`live` as the whole page has taken it: an answer that ends now is followed to its end.

    If this run of the script is ended before the answer is, `cut_off` gets the conversation's id.
    """
    collection = conversation.collection
    find_original = partial(workspace.library.copy_of, collection)
    show_sources = partial(
        show_evidence,
        find_original,
        open_source=open_source,
        summarise=None if live else partial(_summarise, workspace, conversation),
    )
    versions = workspace.conversations.versions(conversation.id)
    actions = Actions(
        ask_instead=lambda turn, question: ask(workspace, collection, question, turn),
        ask_unlimited=lambda turn: _ask_unlimited(workspace, collection, turn),
        versions=lambda turn: versions.get(turn.id, [turn.id]),
        show_version=partial(workspace.conversations.show_version, conversation.id),
        report=partial(offer_report, workspace, conversation),
        show_code=partial(_show_code, workspace, collection),
        busy=live is not None,
    )
    for turn in workspace.turns(conversation.id):
        if live and turn.id == live[0].id:
            continue  # it has just ended, and is followed below
        show_turn(turn, show_sources, actions)
    if live:
        st.session_state.following = conversation.id
        st.session_state.answered = live[0].id
        try:
            follow_turn(*live, show_sources, actions)
        except StopException:  # the toolbar's Stop, another run of the page, or a tab that is gone
            cut_off.append(conversation.id)
            raise
        st.rerun()


def _summarise(workspace: Workspace, conversation: Conversation, source_id: str) -> None:
    """Ask for the summary of the document of a source, as the next question."""
    try:
        summarise_source(workspace, conversation, source_id)
    except (ValueError, NotImplementedError, FirstTokenError) as error:
        log.info("A summary was not accepted", exc_info=True)
        st.session_state.ask_problem = str(error)


def _show_code(workspace: Workspace, collection: str, turn: Turn) -> None:
    """The code behind an answer, and the same question to the API."""
    folders, only = behind_filters(workspace, collection, turn.filters)
    filters = filters_json(workspace, collection, turn.filters)
    asked = curl_of_turn(target_of(collection), turn, filters)
    show_code_behind(code_of_turn(turn, *(folders or [""]), only=only), turn.id, asked)


def _ask_unlimited(workspace: Workspace, collection: str, turn: Turn) -> None:
    """Ask the same question again without a budget, so that all found passages are read."""
    settings = replace(workspace.settings, first_token_budget=NO_LIMIT)
    ask(workspace, collection, turn.question, turn, settings)


@st.fragment(run_every=1.0)
def notice_stop(workspace: Workspace, cut_off: list[str]) -> None:
    """Make the Stop in Streamlit's toolbar stop the answer, and draw the page again.

    That Stop only ends the script that follows the answer. A click elsewhere and a lost connection
    end the script too, but then the page's script runs again first, with another `cut_off`.
    """
    if cut_off:
        for conversation_id in cut_off:
            if live := workspace.running(conversation_id):
                live[1].cancel()
        cut_off.clear()
        st.rerun()


def show_open_source(
    workspace: Workspace, conversation: Conversation, live: Live | None, source: str
) -> None:
    """The panel beside the conversation: the passage and, of a PDF, its page."""
    turns = [*workspace.turns(conversation.id), *([live[0].answered(live[1])] if live else [])]
    for turn in turns:
        for number, found in enumerate(turn.sources, start=1):
            if source_id(turn.id, number) == source:
                with st.container(key="source-panel"):
                    with st.container(
                        horizontal=True,
                        vertical_alignment="center",
                        horizontal_alignment="distribute",
                        wrap=False,
                        key="source-head",
                    ):
                        st.markdown(f"**{number}** {plain_markdown(found.node.label)}")
                        with st.container(key="close-source", width="content"):
                            st.button(
                                "Close",
                                icon=":material/close:",
                                type="tertiary",
                                shortcut=None if live else "Esc",
                                on_click=open_source,
                                args=("",),
                            )
                    find_original = partial(workspace.library.copy_of, conversation.collection)
                    show_passage(find_original, found, f"panel-{source}", page_shown=True)
                return


def find_source(workspace: Workspace, conversation: Conversation | None, live: Live | None) -> str:
    """The open source, if its turn is still shown; otherwise empty."""
    source = str(st.session_state.get("open_source", ""))
    if not source or conversation is None:
        return ""
    ids = [turn.id for turn in workspace.turns(conversation.id)] + ([live[0].id] if live else [])
    return source if any(source.startswith(turn_id) for turn_id in ids) else ""


def what_to_say(
    workspace: Workspace, conversation: Conversation | None, live: Live | None
) -> tuple[str, str]:
    """The sentence for a screen reader, and the id of its subject."""
    if live:
        return "The answer is being written.", live[0].id
    if conversation:
        for turn in workspace.turns(conversation.id):
            if turn.id == st.session_state.get("answered"):
                return outcome(turn), turn.id
    return "", ""


def show_box(workspace: Workspace, collection: str, live: Live | None) -> None:
    """The box for the question, at the bottom of the window, and Stop beside it."""
    if draft := st.session_state.pop("draft", ""):
        st.session_state.question = draft
    with st.bottom:
        if problem := st.session_state.pop("ask_problem", ""):
            st.warning(problem)
        with st.container(horizontal=True, vertical_alignment="center", key="ask-box"):
            st.chat_input(
                f"Ask {collection}" if collection != "default" else "Ask your documents",
                key="question",
                on_submit=safely(ask_what),
                args=(workspace, collection, "question"),
            )
            if live:
                with st.container(key="stop", width="content"):
                    st.button(
                        "Stop",
                        icon=":material/stop:",
                        shortcut="Esc",
                        on_click=live[1].cancel,
                        key=f"stop-{live[0].id}",
                    )


def suggest(workspace: Workspace, collection: str) -> None:
    questions = suggested_questions(workspace, collection)
    if questions:
        st.pills(
            "Try one of these",
            questions,
            key="suggested",
            on_change=safely(ask_what),
            args=(workspace, collection, "suggested"),
        )


def main() -> None:
    workspace = the_workspace()
    cut_off: list[str] = []  # of this run alone: a later run of the page also ends this one
    conversation = current_conversation(workspace, current_collection(workspace))
    collection = conversation.collection if conversation else current_collection(workspace)
    live = workspace.running(conversation.id) if conversation else None
    source = find_source(workspace, conversation, live)
    show_conversations(workspace, collection, conversation)
    show_head(workspace, conversation, collection)
    with st.sidebar:
        announce(*what_to_say(workspace, conversation, live))
        attend(
            conversation.id if conversation else "", live[0].id if live else "", source, open_source
        )
    show_unsettled(workspace, collection)
    show_repairs(workspace, collection)
    show_box(workspace, collection, live)
    show_way_back(workspace, collection)
    with st.container():  # always there, so that the turns below keep their place
        if live:  # under load, Streamlit can drop the end of a run in which a timer runs out
            notice_stop(workspace, cut_off)
    if conversation:
        turns = st.container(key="turns")
        if source:  # drawn before the turns, which are followed while an answer is written
            show_open_source(workspace, conversation, live, source)
        with turns:
            show_turns(workspace, conversation, live, cut_off)
    elif workspace.library.documents(collection):
        if not chosen_filters(workspace, None):  # the questions are about all documents
            suggest(workspace, collection)
    elif not are_added(workspace, collection):  # else the line above says how far they are
        invite_documents(workspace, collection)
    if not live:
        follow_others(workspace, conversation.id if conversation else "")


main()
