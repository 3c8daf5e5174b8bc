"""Running a measurement on the Compare page: its button, its progress, and the session to show."""

from collections.abc import Callable, Sequence

import streamlit as st

from engine.api.client import Client
from engine.config import default_config
from engine.english import counted
from engine.errors import MeasuringError
from engine.measuring import Experiment, Measurements, MeasuringJob, Session, Setup, Trial
from engine.measuring.findings import compare, verdict
from engine.measuring.record import Outcome
from engine.workspace import Workspace
from pages.parts import signing_in
from pages.parts.api import own_address
from pages.parts.markdown import plain_markdown
from pages.parts.resources import people, safely

# Seconds between two updates of the progress. An update slows the measured model down: gaps of
# twice the usual length took 6 to 7 % of the writing time with an update each second, 3 % with one
# every three seconds, 1 to 2 % without a page (12 runs each, the browser on the same two cores).
TICK = 3.0


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
            workspace.measure(experiment, setup, trials(), connection_to(workspace))
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


def connection_to(workspace: Workspace) -> Callable[[], Client]:
    """Opens a connection to this app's own API, for the documents of this workspace."""
    signed_in = signing_in.required()
    key = people().passing_key(workspace) if signed_in else default_config().api_key
    return lambda: Client(own_address(), key)


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
    found = f" {verdict(job.session.setup, comparison)}." if comparison else ""
    return f"The measurement has {job.session.outcome}.{found}"


def shown_key(experiment: Experiment) -> str:
    """The key of the session state that holds the id of the session to show."""
    return f"compare_shown_{experiment}"


def shown_session(workspace: Workspace, experiment: Experiment, collection: str) -> Session | None:
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
