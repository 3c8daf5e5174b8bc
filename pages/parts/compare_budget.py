"""A waiting budget: the share of answers that came in time, in this and in kept measurements."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from engine.english import counted
from engine.measuring import Experiment, Measurements, Session
from engine.measuring.findings import settings_of
from engine.measuring.goodput import WaitingBudget, described, kept, percent, verdict_on
from pages.parts.compare_cells import folded

FIRST, WHOLE = 1.0, 5.0  # seconds; a second keeps the train of thought (Nielsen 1993)


def show_budget(measurements: Measurements, session: Session) -> None:
    """Two limits, and the answers that kept them."""
    budget = chosen_budget()
    said = verdict_on(kept([session], budget), session.setup.names)
    with folded("A waiting budget", said):
        st.markdown(
            "How long may an answer take? The share of the answers that come in time is what "
            "somebody notices who waits for them."
        )
        with st.container(horizontal=True):
            _limit("First words within, in seconds", FIRST, "budget_first")
            _limit("Whole answer within, in seconds", WHOLE, "budget_whole")
        st.caption(
            f"In time: {described(budget)}. 0 stands for no limit. Without streaming, the first "
            "words come with the whole answer."
        )
        if st.toggle("For each setting that was measured", key="budgets"):
            _show_every_setting(measurements, budget)


def chosen_budget() -> WaitingBudget:
    """What somebody chose on the page, or the default."""
    state = st.session_state
    first, whole = state.get("budget_first"), state.get("budget_whole")
    return WaitingBudget(FIRST if first is None else first, WHOLE if whole is None else whole)


def _limit(label: str, default: float, key: str) -> None:
    st.number_input(
        label, 0.0, 3600.0, default, step=0.1, format="%g", key=key, persist_state="session"
    )


def _show_every_setting(measurements: Measurements, budget: WaitingBudget) -> None:
    """A table of all kept comparisons; those with the same settings share a row."""
    by_settings: dict[tuple[tuple[str, str], ...], list[Session]] = {}
    for known in measurements.sessions(Experiment.COMPARISON):
        session = measurements.session(known.id)
        if session and session.counted:
            described_so = tuple(settings_of(session).items())
            by_settings.setdefault(described_so, []).append(session)
    rows = [_row(dict(settings), sessions, budget) for settings, sessions in by_settings.items()]
    st.dataframe(
        _without_equal_columns(rows),
        hide_index=True,
        alt="The share of answers in time, for each setting that was measured",
    )
    st.caption(
        f"{counted(len(rows), 'setting')}, from all kept comparisons. In brackets the 95 % "
        "interval of the share. Columns in which all settings agree are left out."
    )


def _row(
    settings: dict[str, str], sessions: Sequence[Session], budget: WaitingBudget
) -> dict[str, Any]:
    shares = kept(sessions, budget).shares
    first, second = ([percent(share) if share else "–" for share in shares] + ["–"])[:2]
    answers = sum(share.count for share in shares if share)
    return {"first in time": first, "second in time": second, "answers": answers, **settings}


def _without_equal_columns(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    shown = {
        name
        for name in rows[0]
        if name in ("answers", "compared")
        or name.endswith("in time")
        or len({str(row.get(name)) for row in rows}) > 1
    }
    return [{name: value for name, value in row.items() if name in shown} for row in rows]
