"""What a measurement compares: one of the usual pairs of lanes, or any two."""

from dataclasses import replace

import streamlit as st

from engine.measuring import Lane, Mode, Transport
from engine.measuring.schedule import BOTH_MODES
from engine.workspace import Workspace

MODES, TRANSPORTS, STATES, MODELS, ANY = (
    "Streaming and non-streaming",
    "In process and over HTTP",
    "With and without kept states",
    "Two models",
    "Any two ways",
)
KEPT, NOTHING = "Kept states", "Nothing kept"
THE_APPS = "The model in use"


def choose_lanes(workspace: Workspace) -> tuple[Lane, Lane]:
    """Two lanes. Where only one of them streams, it is the first one, which is blue."""
    chosen = st.selectbox(
        "What to compare",
        (MODES, TRANSPORTS, STATES, MODELS, ANY),
        key="compare_what",
        persist_state="session",
        help="In process: the page asks the engine directly. Over HTTP: it asks the app's own API, "
        "as another program would. Kept states: what the model has read before is not read again.",
    )
    models = list(workspace.model_choices())
    if chosen == MODELS:
        if len(models) < 2:
            st.caption("There is one model. Add another one, or a server, on the Models page.")
            return BOTH_MODES
        with st.container(horizontal=True):
            first, second = (_choose_model(models, place) for place in (0, 1))
        return Lane(model=first), Lane(model=second)
    if chosen == TRANSPORTS:
        return Lane(), Lane(transport=Transport.HTTP)
    if chosen == STATES:
        return Lane(warm=True), Lane()
    if chosen == ANY:
        with st.container(horizontal=True):
            first_lane, second_lane = (_choose_lane(models, place) for place in (0, 1))
        if first_lane.mode is Mode.BLOCKING and second_lane.mode is Mode.STREAMING:
            return second_lane, first_lane
        return first_lane, second_lane
    return BOTH_MODES


def with_states(lanes: tuple[Lane, Lane], warm: bool) -> tuple[Lane, Lane]:
    """The same lanes, both with kept states or both without."""
    return replace(lanes[0], warm=warm), replace(lanes[1], warm=warm)


def states_are_compared() -> bool:
    """Whether the choice of lanes says which states are kept."""
    return st.session_state.get("compare_what") in (STATES, ANY)


def _choose_lane(models: list[str], place: int) -> Lane:
    with st.container(border=True, width="stretch"):
        st.markdown(f"**{('First', 'Second')[place]} way**")
        mode = st.selectbox(
            "Mode", list(Mode), index=place, key=f"compare_mode_{place}", persist_state="session"
        )
        transport = st.selectbox(
            "Where the reader is",
            [Transport.PROCESS, Transport.HTTP],
            key=f"compare_transport_{place}",
            persist_state="session",
        )
        states = st.selectbox(
            "States", [NOTHING, KEPT], key=f"compare_states_{place}", persist_state="session"
        )
        model = st.selectbox(
            "Model",
            [THE_APPS, *models],
            key=f"compare_any_model_{place}",
            persist_state="session",
            disabled=transport == Transport.HTTP,
            help="Over HTTP, the app answers with the model in use.",
        )
    other = "" if model == THE_APPS or transport == Transport.HTTP else str(model)
    return Lane(mode or Mode.STREAMING, transport or Transport.PROCESS, states == KEPT, other)


def _choose_model(models: list[str], place: int) -> str:
    label = ("One model", "Another model")[place]
    return str(
        st.selectbox(
            label, models, index=place, key=f"compare_model_{place}", persist_state="session"
        )
    )
