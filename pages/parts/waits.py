"""The longest wait for the first word of an answer, as a control."""

from typing import Literal

import streamlit as st

SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
NO_LIMIT = 0.0


def choose_wait(
    now: float, key: str | None = None, persist_state: Literal["session"] | None = None
) -> float:
    """A slider from a quarter of a second to NO_LIMIT. `now` may be any other value, from .env."""
    options = [*sorted({*SECONDS, now} - {NO_LIMIT}), NO_LIMIT]
    return float(
        st.select_slider(
            "Longest wait for the first word",
            options,
            now,
            format_func=lambda seconds: f"{seconds:g} s" if seconds else "no limit",
            key=key,
            persist_state=persist_state,
            help="The model reads as many of the passages as it can in this time, the best ones "
            "first. A small model always reads one sentence.",
        )
    )
