"""Details of one run on the Compare page that somebody can look at in several ways."""

import streamlit as st

from engine.measuring import Measurement, Mode, Session
from engine.measuring.feeling import ADULT
from engine.measuring.findings import capital
from engine.measuring.report.felt import felt
from engine.measuring.report.stages import stages
from engine.measuring.report.tokens import tokens
from pages.parts.compare_cells import fold, folded, show_blocks
from pages.parts.compare_reading import choose_reading_speed
from pages.parts.markdown import plain_markdown


def show_stages(session: Session) -> None:
    """The stages of the typical run of a lane."""
    lanes = range(len(session.setup.lanes))
    recorded = {lane: run for lane in lanes if (run := session.typical_run(lane))}
    if not recorded:
        st.info("The server did not report when each token was written.")
        return
    chosen = st.session_state.get("waterfall_lane")
    run = recorded.get(chosen if chosen is not None else 0) or next(iter(recorded.values()))
    section = stages(session, run)
    with folded(section.title, section.finding):
        st.markdown(plain_markdown(section.prose))
        st.segmented_control(
            "Run",
            list(recorded),
            default=next(iter(recorded)),
            required=True,
            format_func=lambda lane: capital(session.setup.names[lane]),
            label_visibility="collapsed",
            key="waterfall_lane",
        )
        show_blocks(section, section.finding)


def show_felt(session: Session) -> None:
    """What a reader notices, at a reading speed of choice, and when each token came."""
    speed = float(st.session_state.get("words_a_minute", ADULT))
    section = felt(session, speed)
    with folded(section.title, section.finding):
        st.markdown(plain_markdown(section.prose))
        choose_reading_speed()
        show_blocks(section, section.finding)
    run = _streaming_run(session)
    if run:
        fold(tokens(session, run, speed))
    else:
        with folded("Token by token"):
            st.info("The answer has a single token, so there are no gaps between tokens.")


def _streaming_run(session: Session) -> Measurement | None:
    """The typical run of the first lane that streams, if it has several tokens."""
    for lane, each in enumerate(session.setup.lanes):
        if each.mode is Mode.STREAMING:
            run = session.typical_run(lane)
            return run if run and len(run.chunks) > 1 else None
    return None
