"""The head of the Compare page: what is asked, how, and how often."""

from collections.abc import Sequence

import streamlit as st

from engine.llm.base import Packing
from engine.measuring import Kind, Setup
from engine.measuring.schedule import comparison_steps
from engine.workspace import Workspace
from pages.parts.compare_measuring import run_button
from pages.parts.samples import suggested_questions

# Pairs of runs on offer. Six are the fewest from which an interval of 95 % can be had.
PAIRS = (2, 4, 6, 10, 20)
SUGGESTED = 3
# With an answer of a few words there is hardly anything to stream. This one is worth watching.
LONG_ANSWER = ("tide-mill.md", "Describe how the tide mill works.")
PACKINGS = {
    "What Ask puts in": None,
    "The best sentences": Packing.SENTENCES,
    "Whole passages": Packing.PASSAGES,
}


def choose_setup(workspace: Workspace, collection: str) -> Setup:
    """What is asked, and the button that begins; the settings stand beside it, folded."""
    offered = _questions(workspace, collection)
    _prefill(offered[0] if offered else "")
    question = st.text_input(
        "Question",
        key="compare_question",
        max_chars=2000,
        placeholder="Ask for a paragraph: of a one-word answer, there is nothing to stream",
        persist_state="session",
    )
    if len(offered) > 1:
        _offer(offered)
    with st.container(horizontal=True):
        button = st.container(width="content")
        with st.popover("Settings", icon=":material/tune:"):
            setup, pairs = _settings(workspace, collection, question or "")
    with button:
        _run_comparison_button(workspace, setup, pairs)
    return setup


def _prefill(first: str) -> None:
    """Offer the first question, as long as nobody has written another."""
    state = st.session_state
    if state.get("compare_question", "") == state.get("compare_prefilled", ""):
        state.compare_question = first
    state.compare_prefilled = first


def _questions(workspace: Workspace, collection: str) -> list[str]:
    there = {document.file_name for document in workspace.library.documents(collection)}
    long_one = [LONG_ANSWER[1]] if LONG_ANSWER[0] in there else []
    return [*long_one, *suggested_questions(workspace, collection)[:SUGGESTED]]


def _offer(questions: Sequence[str]) -> None:
    def take() -> None:
        if picked := st.session_state.compare_offer:
            st.session_state.compare_question = picked
            st.session_state.compare_offer = None

    st.pills("A long answer, or short ones", questions, key="compare_offer", on_change=take)


def _settings(workspace: Workspace, collection: str, question: str) -> tuple[Setup, int]:
    pairs = st.select_slider(
        "Pairs of runs",
        PAIRS,
        6,
        key="compare_pairs",
        persist_state="session",
        help="Each pair is one streaming and one non-streaming run. Their order turns from pair "
        "to pair (ABBA), so that a machine that slows down favours neither.",
    )
    cache = st.segmented_control(
        "Cache",
        ["Cold", "Warm"],
        default="Cold",
        required=True,
        key="compare_cache",
        persist_state="session",
        help="Cold: every run reads the whole prompt again. Warm: what the model has read before "
        "is kept, as it is when you ask the same again. Never mixed.",
    )
    passages, packing, length = _sizes(workspace)
    warm = cache == "Warm"
    return Setup(question, collection, passages, packing, length, warm), pairs


def _sizes(workspace: Workspace) -> tuple[int, Packing | None, int]:
    """How much is found, what of it goes into the prompt, and how much is written."""
    length = st.select_slider(
        "Longest answer, in tokens",
        (16, 32, 64, 128, 256, 512),
        128,
        key="compare_length",
        persist_state="session",
    )
    passages = st.slider(
        "Passages found",
        1,
        10,
        workspace.settings.passages,
        key="compare_passages",
        persist_state="session",
    )
    packing = st.selectbox(
        "In the prompt",
        list(PACKINGS),
        key="compare_packing",
        persist_state="session",
        help="A small model answers best from a sentence or two; a large one from whole passages. "
        "More to read means a later first word.",
    )
    return passages, PACKINGS[packing], length


def _run_comparison_button(workspace: Workspace, setup: Setup, pairs: int) -> None:
    run_button(
        workspace,
        "Run the comparison",
        Kind.COMPARISON,
        setup,
        lambda: comparison_steps(setup, pairs),
        primary=True,
    )
