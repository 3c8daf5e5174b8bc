"""The questions of a measurement: written, suggested, from a file, or from the documents."""

from collections.abc import Iterator, Sequence

import streamlit as st

from engine.errors import MeasuringError
from engine.measuring.schedule import MOST_QUESTIONS
from engine.query_engine import LONGEST_QUESTION
from engine.splitting import sentence_spans
from engine.workspace import Workspace
from pages.parts.resources import safely
from pages.parts.samples import suggested_questions

SUGGESTED = 3
# A file, and a question about it whose answer with the default model is right and long enough to
# watch. test_compare_page asks it.
DEFAULT_QUESTION = ("tide-mill.md", "What does the miller do when the tide turns?")
GENERATED = 10  # questions about the documents, at first
MOST_DOCUMENTS = 50  # that are read for questions
MOST_BYTES = 1_000_000  # of a file of questions


def choose_questions(workspace: Workspace, collection: str) -> tuple[str, ...]:
    """A field with a question on each line, and ways to fill it."""
    offered = suggestions(workspace, collection)
    state = st.session_state
    if state.get("compare_questions", "") == state.get("compare_prefilled", ""):
        state.compare_questions = offered[0] if offered else ""  # nobody has written others
    state.compare_prefilled = offered[0] if offered else ""
    text = st.text_area(
        "Questions, one on each line",
        key="compare_questions",
        height="content",
        max_chars=MOST_QUESTIONS * LONGEST_QUESTION,
        placeholder="Ask for a sentence or more: an answer of one word cannot stream",
        persist_state="session",
    )
    asked = questions_in(text or "")
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(offered) > 1:
            state.compare_offer = [each for each in offered if each in asked]
            st.pills(
                "Suggestions",
                offered,
                selection_mode="multi",
                key="compare_offer",
                label_visibility="collapsed",
                wrap=True,
                on_change=_take_suggestions,
                args=(offered,),
            )
        with st.popover("More questions", icon=":material/playlist_add:", type="tertiary"):
            _offer_more(workspace, collection)
    if len(asked) > MOST_QUESTIONS:
        st.warning(f"At most {MOST_QUESTIONS} questions are asked: the first ones.")
    return asked[:MOST_QUESTIONS]


def questions_in(text: str) -> tuple[str, ...]:
    """The lines of a text without empty ones and repetitions."""
    lines = (" ".join(line.split())[:LONGEST_QUESTION] for line in text.splitlines())
    return tuple(dict.fromkeys(line for line in lines if line))


def _take_suggestions(offered: Sequence[str]) -> None:
    """The suggestions that are chosen now, in the field; what else is there stays.

    The first one that somebody chooses replaces the question that was there at the beginning.
    """
    state = st.session_state
    lines, chosen = questions_in(state.compare_questions), state.compare_offer or []
    untouched = lines == (state.compare_prefilled,) and len(chosen) == 2
    kept = [] if untouched else [line for line in lines if line not in offered or line in chosen]
    added = [each for each in chosen if each not in lines]
    state.compare_questions = "\n".join([*kept, *added])


def _offer_more(workspace: Workspace, collection: str) -> None:
    how_many = st.number_input(
        "How many from the documents", 1, MOST_QUESTIONS, GENERATED, key="compare_how_many"
    )

    def generate() -> None:
        found = generated_questions(workspace, collection, int(how_many))
        if not found:
            raise MeasuringError("The documents have no sentence to ask about. Write questions.")
        st.session_state.compare_questions = "\n".join(found)

    st.button(
        "Ask about the documents",
        icon=":material/description:",
        on_click=safely(generate),
        help="Each question asks for the meaning of a sentence; the documents take turns.",
    )
    turn = st.session_state.setdefault("question_files", 0)

    def take_file() -> None:
        state = st.session_state
        file = state.get(f"compare-questions-{turn}")
        state.question_files = turn + 1
        found = questions_in(file.getvalue().decode("utf-8-sig", "replace")) if file else ()
        if not found:
            raise MeasuringError("The file has no questions. It needs one on each line.")
        state.compare_questions = "\n".join(found)

    st.file_uploader(
        "A file with a question on each line",
        ["txt", "md", "csv"],
        key=f"compare-questions-{turn}",
        max_upload_size=MOST_BYTES // 1_000_000,
        on_change=safely(take_file),
    )


def suggestions(workspace: Workspace, collection: str) -> list[str]:
    """Questions to suggest, the default first: those of the samples, or one about the documents."""
    documents = workspace.library.documents(collection)
    file, question = DEFAULT_QUESTION
    samples = suggested_questions(workspace, collection)[: SUGGESTED + 1]
    if any(document.file_name == file for document in documents):
        samples = [question, *samples]
    if samples or not documents:
        return list(dict.fromkeys(samples))[: SUGGESTED + 1]
    latest = documents[0]
    proposed: dict[str, str] = st.session_state.setdefault("compare_proposed", {})
    if latest.source_id not in proposed:
        found = generated_questions(workspace, collection, 1)
        proposed[latest.source_id] = found[0] if found else f"What is {latest.file_name} about?"
    return [proposed[latest.source_id]]


def generated_questions(workspace: Workspace, collection: str, count: int) -> list[str]:
    """Questions about the documents, one from each in turn, the latest document first."""
    documents = workspace.library.documents(collection)[:MOST_DOCUMENTS]
    sources = [_asked_about(workspace, collection, each.source_id) for each in documents]
    found: dict[str, None] = {}
    while sources and len(found) < count:
        for source in list(sources):
            question = next(source, "")
            if not question:
                sources.remove(source)
            elif len(found) < count:
                found[question] = None
    return list(found)


def _asked_about(workspace: Workspace, collection: str, source_id: str) -> Iterator[str]:
    asked = 0
    for passage in workspace.library.passages(collection, source_id):
        if question := question_about(passage.text, asked):
            asked += 1
            yield question


# Questions for the meaning of a sentence, in turn
_FORMS = ("What is meant by “{}”?", "What does “{}” mean?", "Explain this: “{}”.")


def question_about(text: str, number: int = 0) -> str:
    """A question about the first sentence of 8 to 30 words that is no heading and no row of a
    table; empty if there is none. `number` chooses among its forms.

    With the default model, a question for the meaning of a quoted sentence finds its passage and
    gets the right answer for prose in English and German. Other kinds of question did not.
    """
    for start, end in sentence_spans(text):
        sentence = " ".join(text[start:end].split())
        whole = sentence[:1].isupper() and sentence[-1:] in ".!?" and " | " not in sentence
        if whole and 8 <= len(sentence.split()) <= 30:
            return _FORMS[number % len(_FORMS)].format(sentence.rstrip(" .!?"))
    return ""
