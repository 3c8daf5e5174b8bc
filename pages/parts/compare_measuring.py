"""A measurement from a page: the button that begins it, how far it is, and which one is shown."""

from collections.abc import Callable, Sequence

import streamlit as st

from engine.errors import MeasuringError
from engine.measuring import Job, Kind, Measurements, Session, Setup, Step
from engine.measuring.record import Outcome
from engine.workspace import Workspace
from pages.parts.uploads import counted

# Seconds between looks. Each holds up the model that is measured: of the time of writing, gaps of
# twice the usual length took 6 and 7 % with a look a second, 3 % with one in three, 1 and 2 % with
# no page at all (twelve runs each, the browser on the same two cores).
TICK = 3.0


def run_button(
    workspace: Workspace,
    label: str,
    kind: Kind,
    setup: Setup,
    steps: Callable[[], Sequence[Step]],
    primary: bool = False,
) -> None:
    """Begins a measurement; while one is running, none can be begun."""

    def begin() -> None:
        try:
            workspace.measurements.start(kind, setup, steps())
        except MeasuringError as error:
            st.session_state.compare_problem = (kind, str(error))

    busy = workspace.measurements.busy
    st.button(
        label,
        icon=":material/play_arrow:",
        type="primary" if primary else "secondary",
        on_click=begin,
        disabled=busy,
        help="Something is being measured: two at once would disturb each other." if busy else None,
        key=f"run-{kind}",
    )


def show_measuring(measurements: Measurements, kind: Kind) -> None:
    """The measurement of this kind that is running, or why the last one ended early."""
    refused = st.session_state.get("compare_problem")
    if refused and refused[0] is kind:
        st.warning(refused[1])
        del st.session_state.compare_problem
    job = measurements.job
    with st.container(key=f"measuring-{kind}"):
        if job is None or job.session.kind is not kind:
            return
        if job.running:
            st.fragment(_follow, run_every=TICK)(job)
        elif job.session.problem:
            st.error(job.session.problem, icon=":material/error:")
        elif job.session.outcome is Outcome.STOPPED:
            st.info(_stopped(len(job.session.counted)), icon=":material/stop_circle:")


def _stopped(runs: int) -> str:
    if not runs:
        return "Stopped before a run had ended: nothing was measured."
    return f"Stopped. What was measured is kept: {counted(runs, 'run')}."


def _follow(job: Job) -> None:
    """How far it is; at its end the page shows what came out, and this stops ticking."""
    if not job.running:
        st.session_state[shown_key(job.session.kind)] = job.session.id
        st.session_state.pop("history_one", None)  # the list of the kept begins with this one
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        left = job.seconds_left
        time_left = "" if left is None else f" · about {max(1, left):.0f} s left"
        st.progress(min(1.0, job.done), text=f":material/timer: {job.progress}{time_left}")
        st.button("Stop", icon=":material/stop:", on_click=job.stop, key="stop-measuring")


def shown_key(kind: Kind) -> str:
    return f"compare_shown_{kind}"


def shown_session(workspace: Workspace, kind: Kind, collection: str) -> Session | None:
    """The session of this kind that was chosen, else the latest of this collection.

    One that is being measured, or in which nothing was, is not shown.
    """
    measurements = workspace.measurements
    chosen = measurements.session(st.session_state.get(shown_key(kind), ""))
    if chosen and chosen.counted and chosen.outcome is not Outcome.RUNNING:
        return chosen
    for known in measurements.sessions(kind):
        own = known.setup.collection == collection and not known.imported
        whole = measurements.session(known.id) if own else None
        if whole and whole.counted and whole.outcome is not Outcome.RUNNING:
            return whole
    return None
