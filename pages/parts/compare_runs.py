"""Every run as a dot: first words and whole answer in both modes, and the pairs' differences."""

from collections.abc import Sequence
from statistics import median
from typing import Any

import altair as alt
import streamlit as st

from engine.measuring import Measurement, Mode, Session
from engine.measuring.findings import Comparison, compare, same_text, two, verdict
from engine.measuring.statistics import Estimate
from pages.parts.charts import AXIS, BAR, LANE, hue, ink, lane, plot, seconds, show, words
from pages.parts.compare_cells import about, behind, finding

# (lane's name, mode, figure)
LANES = (
    ("Streaming, first words", Mode.STREAMING, "ttft"),
    ("Streaming, whole answer", Mode.STREAMING, "e2el"),
    ("Non-streaming, all at once", Mode.BLOCKING, "e2el"),
)
MIDDLE = 0.66  # of a lane: its name stands above, its bar and dots here

NO_PAIR = "Too few runs to tell: there is no pair of a streaming and a non-streaming one."

Lane = tuple[str, Mode, list[float]]
Difference = tuple[str, Estimate, list[float]]


def show_runs(session: Session) -> None:
    comparison = compare(session)
    if not session.counted:
        st.info("No run was finished, so there is nothing to compare.")
        return
    finding(verdict(comparison) if comparison else NO_PAIR)
    _show_dots([(name, mode, _times(session.of(mode), figure)) for name, mode, figure in LANES])
    about(session, session.counted)
    if comparison:
        _show_differences(session, comparison)
    if not same_text(session):
        st.caption(":material/info: The two modes did not write the same text in every run.")
    behind([_row(each) for each in session.measurements], "Every run with its figures", "runs")


def _times(runs: Sequence[Measurement], figure: str) -> list[float]:
    found = (getattr(each.figures, figure) for each in runs)
    return [time for time in found if time is not None]


def _show_dots(lanes: Sequence[Lane]) -> None:
    """A bar from zero to each lane's median, and a dot for every run."""
    count = len(lanes)
    longest = max(max(times, default=0.0) for _, _, times in lanes)
    x = seconds("x", "seconds since the question was sent", longest)
    y = lane("y", count)
    names = [{"x": 0, "y": at + 0.2, "text": _named(each)} for at, each in enumerate(lanes)]
    bars = [
        {"x": median(times), "y": at + MIDDLE, "mode": mode}
        for at, (_, mode, times) in enumerate(lanes)
        if times
    ]
    dots = [
        {"x": time, "y": at + MIDDLE + jitter(number), "mode": mode, "run": number + 1}
        for at, (_, mode, times) in enumerate(lanes)
        for number, time in enumerate(times)
    ]
    tip = [alt.Tooltip("run:Q"), alt.Tooltip("x:Q", title="seconds", format=".3f")]
    show(
        count * LANE + AXIS,
        f"Dots for every run. {'; '.join(map(_named, lanes))}.",
        plot(bars).mark_bar(size=BAR, opacity=0.3).encode(x=x, x2=alt.X2Datum(0), y=y, color=hue()),
        plot(dots).mark_circle(size=46, opacity=0.9).encode(x=x, y=y, color=hue(), tooltip=tip),
        plot(bars).mark_tick(thickness=3, size=BAR + 6).encode(x=x, y=y, color=hue()),
        words(names, x, y),
    )


def _named(one: Lane) -> str:
    name, _, times = one
    return f"{name}: {two(median(times))} s (n = {len(times)})" if times else f"{name}: no run"


def jitter(number: int) -> float:
    """How far from its lane's middle a dot lies: by turns, so that equal runs stay apart."""
    return ((number * 2) % 5 - 2) * 0.06


def _show_differences(session: Session, comparison: Comparison) -> None:
    """Non-streaming minus streaming, pair by pair, and where their middle lies."""
    pairs = session.pairs
    rows = [
        ("First words", comparison.first.difference, [_gap(pair, "ttft") for pair in pairs]),
        ("Whole answer", comparison.whole.difference, [_gap(pair, "e2el") for pair in pairs]),
    ]
    said = "; ".join(_said(name.lower(), middle) for name, middle, _ in rows)
    finding(f"Pair by pair, streaming is ahead: {said}")
    _plot_differences(rows, f"Dots for each pair of runs. Streaming is ahead: {said}.")
    st.caption(
        f"Each dot is a pair of runs, side by side in time (n = {comparison.pairs}). "
        + (
            "The bar is the 95 % interval of their middle: Hodges–Lehmann, exact by Wilcoxon's "
            "signed ranks."
            if comparison.enough
            else "An interval of 95 % takes six pairs."
        )
    )


def _gap(pair: tuple[Measurement, Measurement], figure: str) -> float:
    streamed, blocked = (getattr(each.figures, figure) or 0.0 for each in pair)
    return float(blocked - streamed)


def _said(name: str, middle: Estimate) -> str:
    if middle.low is None or middle.high is None:
        return f"{name} by {_signed(middle.value)} s"
    likely = f"({_signed(middle.low)} to {_signed(middle.high)} s)"
    if not middle.excludes(0):
        return f"{name} too close to call {likely}"
    return f"{name} by {_signed(middle.value)} s {likely}"


def _signed(value: float) -> str:
    return f"{'−' if value < 0 else ''}{two(abs(value))}"


def _plot_differences(rows: Sequence[Difference], describes: str) -> None:
    known = [v for _, middle, gaps in rows for v in (*gaps, middle.low or 0.0, middle.high or 0.0)]
    low, high = min(0.0, *known), max(0.0, *known)
    room = 0.08 * (high - low or 1.0)
    scale = alt.Scale(domain=[low - room, high + room], nice=False)
    axis = alt.Axis(title="seconds that streaming is ahead", grid=False, tickCount=5, format="~f")
    x = alt.X("x", type="quantitative", scale=scale, axis=axis)
    y = lane("y", len(rows))
    names = [{"x": low - room, "y": at + 0.2, "text": name} for at, (name, *_) in enumerate(rows)]
    middles = [
        {"y": at + MIDDLE, "x": middle.value, "low": middle.low, "high": middle.high}
        for at, (_, middle, _) in enumerate(rows)
    ]
    intervals = [{**each, "x": each["low"]} for each in middles if each["low"] is not None]
    dots = [
        {"x": gap, "y": at + MIDDLE + jitter(number)}
        for at, (*_, gaps) in enumerate(rows)
        for number, gap in enumerate(gaps)
    ]
    tip = [alt.Tooltip("x:Q", title="seconds", format="+.3f")]
    show(
        len(rows) * LANE + AXIS,
        describes,
        plot([{"x": 0}]).mark_rule(color=ink(), opacity=0.5).encode(x=x),
        plot(intervals)
        .mark_bar(size=BAR, opacity=0.18, color=ink())
        .encode(x=x, x2=alt.X2("high"), y=y),
        plot(dots).mark_circle(size=46, opacity=0.75, color=ink()).encode(x=x, y=y, tooltip=tip),
        plot(middles).mark_tick(thickness=3, size=BAR + 6, color=ink()).encode(x=x, y=y),
        words(names, x, y),
    )


def _row(each: Measurement) -> dict[str, Any]:
    figures = each.figures
    return {
        "run": each.run,
        "mode": str(each.mode),
        "role": str(each.step.role),
        "pair": None if each.step.pair is None else each.step.pair + 1,
        "first words, s": figures.ttft,
        "whole answer, s": figures.e2el,
        "prompt tokens": figures.prompt_tokens,
        "reused tokens": figures.reused_tokens,
        "answer tokens": figures.output_tokens,
        "tokens a second": figures.decode_rate,
        "ended": str(each.outcome),
    }
