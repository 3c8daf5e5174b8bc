"""The head of the Compare page: the questions, what is compared, the settings, the button."""

import math

import streamlit as st

from engine.english import counted
from engine.llm.base import ContextFormat
from engine.measuring import Experiment, Lane, Setup
from engine.measuring.schedule import comparison_trials
from engine.workspace import Workspace
from pages.parts.compare_lanes import choose_lanes, states_are_compared, with_states
from pages.parts.compare_questions import choose_questions
from pages.parts.compare_running import run_button
from pages.parts.waits import NO_LIMIT, choose_wait

# Pairs of runs to choose from. A 95 % interval needs at least 6, a 90th percentile 29, a 95th 59.
PAIRS = (2, 4, 6, 10, 20, 30, 60)
CONTEXT_FORMATS = {
    "Like the Ask page": None,
    "The best sentences": ContextFormat.SENTENCES,
    "Whole passages": ContextFormat.PASSAGES,
}


def choose_setup(workspace: Workspace, collection: str) -> Setup:
    """The questions, the settings behind a button, and the button that runs the comparison."""
    questions = choose_questions(workspace, collection)
    with st.container(horizontal=True, vertical_alignment="center"):
        button = st.container(width="content")
        with st.popover("Settings", icon=":material/tune:"):
            setup, pairs = _settings(workspace, collection, questions or ("",))
        rounds = math.ceil(pairs / len(setup.questions))
        runs = rounds * len(setup.questions) * len(setup.lanes)
        st.caption(
            f"{counted(len(questions), 'question')}, {counted(runs, 'run')}: "
            f"{' against '.join(setup.names)}"
        )
    with button:
        run_button(
            workspace,
            "Run the comparison",
            Experiment.COMPARISON,
            setup,
            lambda: comparison_trials(setup, pairs),
            primary=True,
        )
    return setup


def _settings(
    workspace: Workspace, collection: str, questions: tuple[str, ...]
) -> tuple[Setup, int]:
    lanes = choose_lanes(workspace)
    pairs = st.select_slider(
        "Pairs of runs",
        PAIRS,
        6,
        key="compare_pairs",
        persist_state="session",
        help="A pair is one run in each way. With several questions, each is asked equally often. "
        "Every other pair is in reverse order (ABBA), so that a computer that becomes slower "
        "favours neither way.",
    )
    lanes = _choose_states(lanes)
    length = st.select_slider(
        "Longest answer, in tokens",
        (16, 32, 64, 128, 256, 512),
        128,
        key="compare_length",
        persist_state="session",
        help="A token is a word or a part of a word. 100 tokens are about 75 English words.",
    )
    passages = st.slider(
        "Passages to answer from",
        1,
        10,
        workspace.settings.passages,
        key="compare_passages",
        persist_state="session",
    )
    shown_format = st.selectbox(
        "In the prompt",
        list(CONTEXT_FORMATS),
        key="compare_context_format",
        persist_state="session",
        help="A small model answers best from a few sentences, a large one from whole passages. "
        "A longer prompt delays the first word.",
    )
    wait = choose_wait(NO_LIMIT, "compare_wait", "session")
    setup = Setup(
        questions, collection, passages, CONTEXT_FORMATS[shown_format], length, wait, lanes
    )
    return setup, pairs


def _choose_states(lanes: tuple[Lane, Lane]) -> tuple[Lane, Lane]:
    if states_are_compared():
        return lanes
    cache = st.segmented_control(
        "Cache",
        ["Cold", "Warm"],
        default="Cold",
        required=True,
        key="compare_cache",
        persist_state="session",
        help="Cold: every run reads the whole prompt. Warm: runs reuse what the model has read "
        "before, as when you ask the same question again.",
    )
    return with_states(lanes, cache == "Warm")
