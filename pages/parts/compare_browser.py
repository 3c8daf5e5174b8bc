"""Measuring in the browser: from the press of a button to the text that somebody can see.

The answers come to the page as on the Ask page: a callback asks, the page's script follows the
answer, and the browser draws it. compare_browser.js notes when the button was pressed and when each
piece was drawn. Each answer is measured twice, as the engine reports it and as it is seen: the two
lanes of the session. The difference has three stages, which the waterfall shows.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from engine.errors import MeasuringError
from engine.measuring import (
    Experiment,
    Lane,
    Measurement,
    Role,
    Session,
    Setup,
    Transport,
    Trial,
)
from engine.measuring.asking import Asked, Drawn, as_drawn
from engine.measuring.fingerprint import fingerprint
from engine.measuring.record import Chunk, Outcome
from engine.response import StreamingResponse
from engine.schema import new_id
from engine.workspace import Workspace
from pages.parts.answer import INTERVAL, paced
from pages.parts.compare_cells import cell
from pages.parts.compare_running import shown_key
from pages.parts.resources import safely

TURNS = 7  # a warm-up, and the six pairs that a finding needs
LABEL = f"Measure {TURNS} answers in this browser"
KEY = "browser-stage"
_HTML = f'<button type="button">{LABEL}</button>'
_CSS = """
button { font: inherit; font-family: var(--st-font); min-height: 2.5rem; padding: 0 0.875rem;
  border-radius: 0.375rem; border: 1px solid var(--st-border-color); cursor: pointer;
  background: var(--st-background-color); color: var(--st-text-color); }
button:hover { border-color: var(--st-text-color); }
button:disabled { cursor: default; opacity: 0.6; }
button:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
"""
_stage = st.components.v2.component(
    "browser_stage",
    html=_HTML,
    css=_CSS,
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
)


@dataclass(slots=True)
class Series:
    """The answers that are measured in this tab. ended, recorded: turns, counted from 1.

    live: the answer that the page shows now. latest: the last one, with the moment at which the
    page's script had its first text, in seconds since 1970.
    """

    number: int = 0
    setup: Setup | None = None
    ended: int = 0
    recorded: int = 0
    live: StreamingResponse | None = None
    latest: tuple[StreamingResponse, float] | None = None
    runs: list[Measurement] = field(default_factory=list)


def show_browser(workspace: Workspace, setup: Setup) -> None:
    """The button, and the answers while they are measured."""
    cell(
        "In your browser",
        "The times above end when the app has the text. Here the whole way is measured: from the "
        "press of a button until you can see the words, with the page and the browser.",
    )
    lanes = (Lane(warm=setup.lanes[0].warm), Lane(transport=Transport.BROWSER))
    st.fragment(_measure)(workspace, replace(setup, lanes=lanes))


def _measure(workspace: Workspace, setup: Setup) -> None:
    series: Series = st.session_state.setdefault("browser_series", Series())
    with st.container(key="browser-answer"):
        text = st.empty()
        if series.live:
            text.write_stream(_pieces(series, series.live))
            series.ended, series.live = series.recorded + 1, None
    running = series.setup is not None
    _stage(
        key=KEY,
        data={
            "label": f"Answer {series.recorded + 1} of {TURNS}" if running else LABEL,
            "busy": running or workspace.measurements.busy or not any(setup.questions),
            "series": series.number,
            "turns": TURNS,
            "ended": series.ended,
            "recorded": series.recorded,
        },
        on_asked_change=partial(safely(_ask), workspace, setup, series),
        on_drawn_change=partial(safely(_record), workspace, series),
        height="content",
    )
    if running and series.recorded == TURNS:
        series.setup = None
        st.rerun()


def _ask(workspace: Workspace, setup: Setup, series: Series) -> None:
    """Ask the next question, before the page's script runs, as the Ask page does."""
    if st.session_state[KEY].asked["turn"] == 1:
        series.number, series.setup, series.runs = series.number + 1, setup, []
        series.ended = series.recorded = 0
    chosen = series.setup or setup
    engine = workspace.measured_engine(chosen, chosen.lanes[0], workspace.llm)
    series.live = engine.start(_question(chosen, series.recorded)[1], stream=True)


def _question(setup: Setup, turn: int) -> tuple[int, str]:
    """The question of a turn and its index; the warm-up asks the first one."""
    place = max(0, turn - 1) % len(setup.questions)
    return place, setup.questions[place]


def _pieces(series: Series, response: StreamingResponse) -> Iterator[str]:
    """The text at the pace of the Ask page."""
    while not response.text and not response.phase.ended:
        response.wait_for(INTERVAL)
    series.latest = response, time.time()
    yield from paced(response)


def _record(workspace: Workspace, series: Series) -> None:
    """The browser has drawn an answer: keep it as the engine reports it, and as it was seen."""
    seen: dict[str, Any] = st.session_state[KEY].drawn
    if series.setup is None or series.latest is None:
        return
    response, given = series.latest
    turn, setup = series.recorded, series.setup
    place, _ = _question(setup, turn)
    times = zip(response.response_gen, response.trace.chunk_times, strict=True)
    inside = Asked(response.trace, tuple(Chunk(text, at, at) for text, at in times))
    pieces = [(int(length), float(when)) for length, when in seen["drawn"]]
    try:
        outside = as_drawn(inside, Drawn(float(seen["pressed"]), given, pieces))
    except ValueError:
        series.setup = None
        raise MeasuringError(
            "Nothing was drawn: nothing was found for this question in your documents, or the "
            "page was left. Ask about something that they contain."
        ) from None
    role, pair = (Role.WARM_UP, None) if turn == 0 else (Role.MEASURED, turn - 1)
    for lane, asked in enumerate((inside, outside)):
        trial = Trial(lane, place, pair, role)
        series.runs.append(
            Measurement(2 * turn + lane, trial, asked.trace, asked.chunks, question=place)
        )
    series.recorded = turn + 1
    if series.recorded == TURNS:
        _keep(workspace, series, setup)


def _keep(workspace: Workspace, series: Series, setup: Setup) -> None:
    """Save the series as a session, which the page then shows."""
    began = series.runs[0].trace.submitted_at
    session = Session(new_id(), Experiment.COMPARISON, began, setup, fingerprint(workspace.llm))
    session.measurements, session.planned = series.runs, len(series.runs)
    session.outcome = Outcome.DONE
    workspace.measurements.keep(session)
    st.session_state[shown_key(Experiment.COMPARISON)] = session.id
    st.session_state.pop("history_one", None)
