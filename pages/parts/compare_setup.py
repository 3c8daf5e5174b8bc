"""The head of the Compare page, and running a measurement: the question, the settings, progress."""

import re
from collections.abc import Callable, Sequence

import streamlit as st

from engine.errors import MeasuringError
from engine.llm.base import ContextFormat
from engine.measuring import Experiment, Measurements, MeasuringJob, Session, Setup, Trial
from engine.measuring.findings import compare, verdict
from engine.measuring.record import Outcome
from engine.measuring.schedule import comparison_trials
from engine.workspace import Workspace
from pages.parts.facts import counted
from pages.parts.markdown import plain_markdown
from pages.parts.resources import safely
from pages.parts.samples import suggested_questions
from pages.parts.waits import NO_LIMIT, choose_wait

# Pairs of runs to choose from. A 95 % interval needs at least six.
PAIRS = (2, 4, 6, 10, 20)
SUGGESTED = 3
# A file, and a question about it whose answer with the default model is right and long enough to
# watch. test_compare_page asks it.
DEFAULT_QUESTION = ("tide-mill.md", "What does the miller do when the tide turns?")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
CONTEXT_FORMATS = {
    "Like the Ask page": None,
    "The best sentences": ContextFormat.SENTENCES,
    "Whole passages": ContextFormat.PASSAGES,
}
# Seconds between two updates of the progress. An update slows the measured model down: gaps of
# twice the usual length took 6 to 7 % of the writing time with an update each second, 3 % with one
# every three seconds, 1 to 2 % without a page (12 runs each, the browser on the same two cores).
TICK = 3.0


def choose_setup(workspace: Workspace, collection: str) -> Setup:
    """The question, the settings behind a button, and the button that runs the comparison."""
    offered = questions(workspace, collection)
    state = st.session_state
    if state.get("compare_question", "") == state.get("compare_prefilled", ""):
        state.compare_question = offered[0] if offered else ""  # the user has written no other one
    state.compare_prefilled = offered[0] if offered else ""
    question = st.text_input(
        "Question",
        key="compare_question",
        max_chars=2000,
        placeholder="Ask for a sentence or more: an answer of one word cannot stream",
        persist_state="session",
    )
    if len(offered) > 1:

        def take() -> None:
            if picked := state.compare_offer:
                state.compare_question = picked
                state.compare_offer = None

        st.pills("Suggestions", offered, key="compare_offer", on_change=take)
    with st.container(horizontal=True):
        button = st.container(width="content")
        with st.popover("Settings", icon=":material/tune:"):
            setup, pairs = _settings(workspace, collection, question or "")
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


def questions(workspace: Workspace, collection: str) -> list[str]:
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
        passages = workspace.library.passages(collection, latest.source_id)
        text = "\n".join(each.text for each in passages)
        proposed[latest.source_id] = question_about(text) or f"What is {latest.file_name} about?"
    return [proposed[latest.source_id]]


def question_about(text: str) -> str:
    """A question about the first sentence of 8 to 30 words; empty if there is none.

    With the default model, a question for the meaning of a quoted sentence finds its passage and
    gets the right answer for prose in English and German. Other forms of the question did not.
    """
    for line in text.splitlines():
        for sentence in SENTENCE_END.split(line):
            if 8 <= len(sentence.split()) <= 30 and sentence[:1].isupper():
                return f"What is meant by “{sentence.rstrip(' .!?')}”?"
    return ""


def _settings(workspace: Workspace, collection: str, question: str) -> tuple[Setup, int]:
    pairs = st.select_slider(
        "Pairs of runs",
        PAIRS,
        6,
        key="compare_pairs",
        persist_state="session",
        help="A pair is one streaming and one non-streaming run. Every other pair is in reverse "
        "order (ABBA), so that a computer that becomes slower favours neither mode.",
    )
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
    context_format = CONTEXT_FORMATS[shown_format]
    wait = choose_wait(NO_LIMIT, "compare_wait", "session")
    setup = Setup(question, collection, passages, context_format, length, cache == "Warm", wait)
    return setup, pairs


def run_button(
    workspace: Workspace,
    label: str,
    experiment: Experiment,
    setup: Setup,
    trials: Callable[[], Sequence[Trial]],
    primary: bool = False,
) -> None:
    """Starts a measurement, and stops it while it runs. Disabled while another one runs."""

    def begin() -> None:
        try:
            workspace.measurements.start(experiment, setup, trials())
        except MeasuringError as error:
            st.session_state.compare_problem = (experiment, str(error))

    job = workspace.measurements.job
    own = job if job and job.running and job.session.experiment is experiment else None
    other = workspace.measurements.busy and own is None
    st.button(  # one button, so that the keyboard's focus stays on it
        "Stop" if own else label,
        icon=":material/stop:" if own else ":material/play_arrow:",
        type="primary" if primary else "secondary",
        on_click=safely(own.stop if own else begin),
        disabled=other,
        help="A measurement is running; two at once would slow each other down." if other else None,
        key=f"run-{experiment}",
    )


def show_measuring(measurements: Measurements, experiment: Experiment) -> None:
    """The progress of the running measurement, or why the last one ended early."""
    refused = st.session_state.get("compare_problem")
    if refused and refused[0] is experiment:
        st.warning(plain_markdown(refused[1]))
        del st.session_state.compare_problem
    job = measurements.job
    with st.container(key=f"measuring-{experiment}"):
        if job is None or job.session.experiment is not experiment:
            return
        runs = len(job.session.counted)
        if job.running:
            st.fragment(_follow, run_every=TICK)(job)
        elif job.session.problem:
            st.error(plain_markdown(job.session.problem), icon=":material/error:")
        elif job.session.outcome is Outcome.STOPPED:
            text = (
                f"Stopped. The results so far are kept: {counted(runs, 'run')}."
                if runs
                else "Stopped before the first run ended, so there are no results."
            )
            st.info(text, icon=":material/stop_circle:")


def _follow(job: MeasuringJob) -> None:
    """The progress; when the job ends, the page is drawn with the results."""
    if not job.running:
        st.session_state[shown_key(job.session.experiment)] = job.session.id
        st.session_state.pop("history_one", None)  # the list of kept sessions begins with this one
        st.rerun()
    left = job.seconds_left
    time_left = "" if left is None else f" · about {max(1, left):.0f} s left"
    st.progress(min(1.0, job.done), text=f":material/timer: {job.progress}{time_left}")


def spoken(workspace: Workspace) -> str:
    """The sentence for a screen reader when a measurement begins or has ended."""
    job = workspace.measurements.job
    if job is None:
        return ""
    if job.running:
        return "The measurement is running."
    if job.session.problem:
        return job.session.problem
    comparison = compare(job.session)
    found = f" {verdict(comparison)}." if comparison else ""
    return f"The measurement has {job.session.outcome}.{found}"


def shown_key(experiment: Experiment) -> str:
    """The key of the session state that holds the id of the session to show."""
    return f"compare_shown_{experiment}"


def shown_session(
    workspace: Workspace, experiment: Experiment, collection: str
) -> Session | None:
    """The session that the user chose, or the latest one of this collection with results."""
    measurements = workspace.measurements

    def has_results(session: Session | None) -> bool:
        return bool(session and session.counted and session.outcome is not Outcome.RUNNING)

    chosen = measurements.session(st.session_state.get(shown_key(experiment), ""))
    if has_results(chosen):
        return chosen
    for known in measurements.sessions(experiment):
        own = known.setup.collection == collection and not known.imported
        session = measurements.session(known.id) if own else None
        if has_results(session):
            return session
    return None
