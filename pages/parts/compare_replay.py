"""The race on the Compare page, at a speed of choice."""

import streamlit as st

from engine.measuring import Session
from engine.measuring.report.captions import which_run
from engine.measuring.report.race import race, racers
from pages.parts.markdown import plain_markdown

SPEEDS = {"Half speed": 0.5, "Real time": 1.0, "Double speed": 2.0}
IN_WORDS = {0.5: "at half speed", 1.0: "in real time", 2.0: "at double speed"}


@st.fragment
def show_race(session: Session) -> None:
    """The answers as two readers see them."""
    runs = racers(session)
    if not runs:
        st.info("There is no run to replay: the server did not report when each token was written.")
        return
    question = plain_markdown(session.setup.questions[runs[0].question])
    st.markdown(f"“{question}”, as two readers see the answer.")
    with st.container(horizontal=True, vertical_alignment="center"):
        chosen = st.segmented_control(
            "Speed",
            list(SPEEDS),
            default="Real time",
            required=True,
            label_visibility="collapsed",
            key="race_speed",
            persist_state="session",
        )
        turn = st.session_state.setdefault("race_turn", 0)
        if st.button("Replay", icon=":material/replay:"):
            turn = st.session_state.race_turn = turn + 1
    speed = SPEEDS[chosen or "Real time"]
    st.html(race(session, runs, speed, turn))
    shown = " and of ".join(which_run(session, run) for run in runs)
    same = (
        " Both panels show the same tokens; only the moment at which you see them differs."
        if len(runs) == 1
        else ""
    )
    st.caption(f":material/replay: A replay {IN_WORDS[speed]} of {plain_markdown(shown)}.{same}")
