"""How fast the person in front of the Compare page reads."""

import time

import streamlit as st

from engine.definitions import DEFINITIONS
from engine.measuring.feeling import ADULT
from pages.parts.markdown import plain_markdown

SLOWEST, FASTEST = 60, 1000  # a result outside this range is not reading; skimming reaches 700
CALIBRATION = (
    "The lighthouse stood at the end of a long, low spit of sand, and for most of the year only "
    "the keeper and the gulls knew how loud the sea could be. Each evening she climbed the spiral "
    "stairs, counted them without noticing, and lit the lamp a few minutes before the sun had "
    "quite gone. Ships too far away to have names turned a little when they saw it, and went on. "
    "She wrote the weather into a book with a green cover, the wind first, then the height of the "
    "water, then whatever had happened that day that nobody would ever ask about. Most days the "
    "last column was the longest."
)


def choose_reading_speed() -> None:
    """Words per minute, in the session's state: the average adult's, or one's own."""
    st.session_state.setdefault("words_a_minute", ADULT)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.slider(
            "Your reading speed, in words per minute",
            SLOWEST,
            FASTEST,
            key="words_a_minute",
            persist_state="session",
            help=f"{DEFINITIONS['waiting'].meaning} {DEFINITIONS['waiting'].source}.",
        )
        with st.popover("Time yourself", icon=":material/timer:"):
            _calibrate()


def _calibrate() -> None:
    """Time how long the user takes to read a text of known length."""
    if "reading_since" not in st.session_state:
        st.markdown("Press Begin, read the text at your usual pace, then press Finished.")
        if timed := st.session_state.get("reading_timed"):
            st.caption(timed)
        st.button("Begin", type="primary", on_click=_begin_reading)
        return
    st.markdown(plain_markdown(CALIBRATION))
    st.button("Finished", type="primary", on_click=_finish_reading)


def _begin_reading() -> None:
    st.session_state.reading_since = time.monotonic()


def _finish_reading() -> None:
    minutes = (time.monotonic() - st.session_state.pop("reading_since")) / 60
    speed = round(len(CALIBRATION.split()) / max(minutes, 1e-6))
    if SLOWEST <= speed <= FASTEST:
        st.session_state.words_a_minute = speed
        st.session_state.reading_timed = f"You read {speed} words per minute."
    else:
        st.session_state.reading_timed = (
            f"That would be {speed} words per minute, which is not a reading speed. Try again."
        )
