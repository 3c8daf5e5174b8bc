"""Token by token: when each arrived, the gaps between them, and whether a reader had to wait."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import altair as alt
import streamlit as st

from engine.measuring import Measurement, Session
from engine.measuring.findings import two
from engine.timing import time_waiting
from pages.parts.charts import BLOCKING, STREAMING, ink, plot, seconds, show, words
from pages.parts.compare_cells import about, behind, finding
from pages.parts.compare_reading import reading_speed

ROOM = 1.2  # times the generation: what the reader's line needs to be seen
HEIGHT, GAPS_HEIGHT = 300, 170  # pixels


def show_timeline(session: Session) -> None:
    streamed = [each for each in session.recorded if len(each.chunks) > 1]
    if not streamed:
        st.info("No streamed run with more than one token was recorded.")
        return
    record = streamed[0]
    each = _seconds_each(record, reading_speed())
    arrivals = _arrivals(record)
    said = _said(arrivals, each)
    finding(said)
    _show_arrivals(arrivals, each, f"Tokens over time. {said}.")
    finding(_stall(arrivals))
    _show_gaps(arrivals)
    about(session, [record])
    behind(_rows(arrivals), "When each token was computed", "timeline")


def _arrivals(record: Measurement) -> list[float]:
    return record.trace.calls[-1].token_times if record.trace else []


def _seconds_each(record: Measurement, words_a_minute: float) -> float:
    """How long a reader needs for one token of this answer, by how many words it has."""
    tokens = max(1, record.figures.output_tokens)
    return len(record.text.split()) / tokens * 60 / words_a_minute


def _said(arrivals: list[float], each: float) -> str:
    end = arrivals[-1]
    streaming, blocking = time_waiting(arrivals, each), time_waiting([end] * len(arrivals), each)
    pace = (len(arrivals) - 1) / (end - arrivals[0]) if end > arrivals[0] else 0.0
    faster = pace * each
    who = (
        f"the model writes {two(faster)} times faster than you read"
        if faster >= 1
        else f"you read {two(1 / faster)} times faster than the model writes"
        if faster
        else "there is no pace to see"
    )
    return (
        f"You spend {two(streaming)} s waiting when streaming and {two(blocking)} s when not: {who}"
    )


def _show_arrivals(arrivals: list[float], each: float, describes: str) -> None:
    """Tokens over time in both modes, and a reader who begins at the first."""
    first, end, count = arrivals[0], arrivals[-1], len(arrivals)
    edge = end * ROOM
    read = min(count, (edge - first) / each) if each else count
    x = seconds("x", "seconds since the question was sent", end, ROOM)
    y = alt.Y(
        "y",
        type="quantitative",
        title="tokens",
        scale=alt.Scale(domain=[0, count * 1.3]),
        axis=alt.Axis(tickCount=4, grid=False),
    )
    streamed = [{"x": when, "y": number + 1} for number, when in enumerate(arrivals)]
    blocked: list[dict[str, float]] = [{"x": 0, "y": 0}, {"x": end, "y": 0}, {"x": end, "y": count}]
    reading: list[dict[str, float]] = [{"x": first, "y": 0}, {"x": edge, "y": read}]
    begins = [{"x": first, "y": 0, "to": count * 1.2}]
    left = first > 0.5 * end
    show(
        HEIGHT,
        describes,
        plot(begins).mark_rule(color=ink(), opacity=0.4).encode(x=x, y=y, y2=alt.Y2("to")),
        _line(blocked, BLOCKING, "linear").encode(x=x, y=y, order=alt.Order("y:Q")),
        _line(streamed, STREAMING, "step-after").encode(x=x, y=y),
        _line(reading, ink(), "linear", [5, 4]).encode(x=x, y=y),
        words(
            [{"x": first, "y": count * 1.2, "text": f"first token {two(first)} s"}],
            x,
            y,
            "right" if left else "left",
            dx=-6 if left else 6,
        ),
        words([{"x": end, "y": count * 1.07, "text": f"last token {two(end)} s"}], x, y, "right"),
        words([_named_in_the_middle(first, end, read / (edge - first), count)], x, y),
    )


def _named_in_the_middle(first: float, end: float, slope: float, count: int) -> dict[str, Any]:
    """The name of the reader's line: above it where it is flat, below where it is steep."""
    middle = (first + end) / 2
    height = slope * (middle - first)
    beside = 0.07 if height < count / 4 else -0.07
    return {"x": middle, "y": height + beside * count, "text": "as you read"}


def _line(
    rows: Sequence[Mapping[str, float]],
    colour: str,
    steps: Literal["linear", "step-after"],
    dash: Sequence[float] = (),
) -> alt.Chart:
    line: alt.Chart = plot(rows).mark_line(
        color=colour, interpolate=steps, strokeWidth=2.5, strokeDash=list(dash)
    )
    return line


def _gaps(arrivals: list[float]) -> list[tuple[float, float]]:
    """(when a token came, seconds since the one before)."""
    return [(late, late - early) for early, late in itertools.pairwise(arrivals)]


def _stall(arrivals: list[float]) -> str:
    gaps = sorted(gap for _, gap in _gaps(arrivals))
    if not gaps:
        return "One token: there is no gap."
    middle, longest = gaps[len(gaps) // 2], gaps[-1]
    return (
        f"A token every {two(middle * 1000)} ms in the middle; the longest stall is "
        f"{two(longest * 1000)} ms"
    )


def _show_gaps(arrivals: list[float]) -> None:
    rows = [{"x": late, "y": gap * 1000} for late, gap in _gaps(arrivals)]
    highest = max((row["y"] for row in rows), default=1.0)
    x = seconds("x", "seconds since the question was sent", arrivals[-1], ROOM)
    y = alt.Y(
        "y",
        type="quantitative",
        title="gap, ms",
        scale=alt.Scale(domain=[0, highest * 1.35]),
        axis=alt.Axis(tickCount=3, grid=False),
    )
    tip = [alt.Tooltip("y:Q", title="gap, ms", format=".1f")]
    longest = [row for row in rows if row["y"] == highest][:1]
    named = [{**row, "y": highest * 1.18, "text": f"{two(highest)} ms"} for row in longest]
    show(
        GAPS_HEIGHT,
        f"The gap before each token. {_stall(arrivals)}",
        plot(rows).mark_bar(color=STREAMING, width=2).encode(x=x, y=y, tooltip=tip),
        words(named, x, y, "center"),
    )


def _rows(arrivals: list[float]) -> list[dict[str, Any]]:
    gaps: list[float | None] = [None, *(gap * 1000 for _, gap in _gaps(arrivals))]
    return [
        {"token": number + 1, "computed after, s": when, "gap, ms": gap}
        for number, (when, gap) in enumerate(zip(arrivals, gaps, strict=True))
    ]
