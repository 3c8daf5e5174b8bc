"""All runs of a session: dots, the differences within pairs, the metrics, several readers."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import altair as alt
import streamlit as st

from engine.definitions import DEFINITIONS
from engine.measuring import Experiment, Measurement, Mode, Session, Setup
from engine.measuring.findings import (
    Comparison,
    compare,
    first_words_differ,
    first_words_of,
    likely_range,
    same_text,
    two,
    verdict,
    whole_answer_differs,
)
from engine.measuring.schedule import READERS, readers_trials
from engine.measuring.statistics import Estimate
from engine.workspace import Workspace
from pages.parts.charts import AXIS, BAR, LANE, hue, ink, lane, plot, seconds, show, words
from pages.parts.compare_cells import about, behind, finding
from pages.parts.compare_setup import run_button, show_measuring, shown_session
from pages.parts.facts import counted

# (the lane's name, mode, metric)
LANES = (
    ("Streaming, first words", Mode.STREAMING, "ttft"),
    ("Streaming, whole answer", Mode.STREAMING, "e2el"),
    ("Non-streaming, all at once", Mode.BLOCKING, "e2el"),
)
NAME, MIDDLE = 0.2, 0.66  # heights in a lane: of its name, of its bar and dots
NO_PAIR = "Too few runs for a finding: there is no pair of a streaming and a non-streaming run"

COLUMNS = (4, 7)  # shares of the width: a metric's name, its values
WIDTHS = (96, 112)  # pixels: streaming, non-streaming; a third column would not fit on a phone


@dataclass(frozen=True, slots=True)
class Shown:
    """A metric in the table: its key in DEFINITIONS, its field in Metrics, its unit."""

    key: str
    field: str
    unit: str
    factor: float = 1.0


SHOWN = (
    Shown("ttft", "ttft", "s"),
    Shown("predicted_ttft", "predicted_ttft", "s"),
    Shown("e2el", "e2el", "s"),
    Shown("tpot", "tpot", "ms", 1000),
    Shown("itl", "itl_median", "ms", 1000),
    Shown("longest_stall", "longest_stall", "ms", 1000),
    Shown("prefill_rate", "prefill_rate", "tokens/s"),
    Shown("decode_rate", "decode_rate", "tokens/s"),
    Shown("reused_tokens", "reused_tokens", "tokens"),
)

Lane = tuple[str, Mode, list[float]]
Difference = tuple[str, Estimate, list[float]]


def show_result(session: Session) -> None:
    """What was compared and by how much the modes differ: the finding, and a table of medians."""
    comparison = compare(session)
    finding(verdict(comparison) if comparison else NO_PAIR)
    if comparison is None:
        return
    first, whole = comparison.first, comparison.whole
    chance = "no clear difference" if comparison.enough_pairs else "too few runs"
    rows = [
        ("First words", first, first_words_differ(comparison)),
        ("Whole answer", whole, whole_answer_differs(comparison)),
    ]
    lines = ["| Median | Streaming | Non-streaming | Difference |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {two(times.streaming)} s | {two(times.blocking)} s "
        f"| {(comparison.enough_pairs and said) or chance} |"
        for name, times, said in rows
    ]
    st.markdown("\n".join(lines))
    counts = {mode: len(session.of(mode)) for mode in Mode}
    runs = " and ".join(f"{counted(count, 'run')} {mode}" for mode, count in counts.items())
    notes = [f"{runs}."]
    if comparison.enough_pairs and not whole_answer_differs(comparison):
        notes.append(
            "For the whole answer, streaming takes "
            f"{likely_range(comparison.tax)} (95 % confidence), so the difference may be chance. "
            "More pairs of runs, or fewer other programs on this computer, make it clearer."
        )
    st.caption(" ".join(notes))


def show_runs(session: Session) -> None:
    """A dot for each run, and the differences between the runs of each pair."""
    comparison = compare(session)
    lanes = []
    for name, mode, metric in LANES:
        times = (getattr(each.metrics, metric) for each in session.of(mode))
        lanes.append((name, mode, [time for time in times if time is not None]))
    _show_dots(lanes)
    about(session, session.counted)
    if comparison:
        _show_differences(session, comparison)
    if not same_text(session):
        st.caption(":material/info: The two modes did not write the same text in every run.")
    rows = [
        {
            "run": each.run,
            "mode": str(each.mode),
            "role": str(each.trial.role),
            "pair": None if each.trial.pair is None else each.trial.pair + 1,
            "first words, s": each.metrics.ttft,
            "first words predicted, s": each.metrics.predicted_ttft,
            "sentences read": each.trace.plan and each.trace.plan.sentences,
            "whole answer, s": each.metrics.e2el,
            "prompt tokens": each.metrics.prompt_tokens,
            "reused tokens": each.metrics.reused_tokens,
            "answer tokens": each.metrics.output_tokens,
            "tokens per second": each.metrics.decode_rate,
            "ended": str(each.outcome),
        }
        for each in session.measurements
    ]
    behind(rows, "Every run with its metrics", "runs")


def _show_dots(lanes: Sequence[Lane]) -> None:
    """A bar from zero to each lane's median, and a dot for every run."""
    count = len(lanes)
    longest = max(max(times, default=0.0) for _, _, times in lanes)
    x = seconds("x", "seconds since the question was sent", longest)
    y = lane("y", count)
    names = [{"x": 0, "y": at + NAME, "text": _named(each)} for at, each in enumerate(lanes)]
    bars = [
        {"x": median(times), "y": at + MIDDLE, "mode": mode}
        for at, (_, mode, times) in enumerate(lanes)
        if times
    ]
    dots = [
        {"x": time, "y": at + MIDDLE + _jitter(number), "mode": mode, "run": number + 1}
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


def _jitter(number: int) -> float:
    """The distance of a dot from the middle of its lane, so that equal runs stay visible."""
    return ((number * 2) % 5 - 2) * 0.06


def _show_differences(session: Session, comparison: Comparison) -> None:
    """Non-streaming minus streaming for each pair, and the estimate with its interval."""

    def gaps(metric: str) -> list[float]:
        both = [[getattr(each.metrics, metric) or 0.0 for each in pair] for pair in session.pairs]
        return [float(blocking - streaming) for streaming, blocking in both]

    rows: list[Difference] = [
        ("First words", comparison.first.difference, gaps("ttft")),
        ("Whole answer", comparison.whole.difference, gaps("e2el")),
    ]
    said = "; ".join(_ahead(name.lower(), estimate) for name, estimate, _ in rows)
    finding(f"Within the pairs, streaming is ahead: {said}")
    _plot_differences(rows, f"Dots for each pair of runs. Streaming is ahead: {said}.")
    interval = (
        "The bar is the 95 % confidence interval (Hodges–Lehmann estimate, Wilcoxon's signed-rank "
        "test)."
        if comparison.enough_pairs
        else "A 95 % confidence interval needs six pairs."
    )
    st.caption(
        f"Each dot is a pair: a streaming and a non-streaming run, one directly after the other "
        f"(n = {comparison.pairs}). {interval}"
    )


def _ahead(name: str, difference: Estimate) -> str:
    if difference.low is None or difference.high is None:
        return f"{name} by {_seconds(difference.value)} s"
    likely = f"({_seconds(difference.low)} to {_seconds(difference.high)} s)"
    if not difference.excludes(0):
        return f"{name} with no clear difference {likely}"
    return f"{name} by {_seconds(difference.value)} s {likely}"


def _seconds(value: float) -> str:
    return f"{'−' if value < 0 else ''}{two(abs(value))}"


def _plot_differences(rows: Sequence[Difference], describes: str) -> None:
    known = [v for _, middle, gaps in rows for v in (*gaps, middle.low or 0.0, middle.high or 0.0)]
    low, high = min(0.0, *known), max(0.0, *known)
    room = 0.08 * (high - low or 1.0)
    scale = alt.Scale(domain=[low - room, high + room], nice=False)
    axis = alt.Axis(title="seconds that streaming is ahead", grid=False, tickCount=5, format="~f")
    x = alt.X("x", type="quantitative", scale=scale, axis=axis)
    y = lane("y", len(rows))
    names = [{"x": low - room, "y": at + NAME, "text": name} for at, (name, *_) in enumerate(rows)]
    zero = [{"x": 0, "y": at + 0.4, "to": at + 0.92} for at in range(len(rows))]  # below the names
    middles = [
        {"y": at + MIDDLE, "x": middle.value, "low": middle.low, "high": middle.high}
        for at, (_, middle, _) in enumerate(rows)
    ]
    intervals = [{**each, "x": each["low"]} for each in middles if each["low"] is not None]
    dots = [
        {"x": gap, "y": at + MIDDLE + _jitter(number)}
        for at, (*_, gaps) in enumerate(rows)
        for number, gap in enumerate(gaps)
    ]
    tip = [alt.Tooltip("x:Q", title="seconds", format="+.3f")]
    show(
        len(rows) * LANE + AXIS,
        describes,
        plot(zero).mark_rule(color=ink(), opacity=0.5).encode(x=x, y=y, y2=alt.Y2("to")),
        plot(intervals)
        .mark_bar(size=BAR, opacity=0.18, color=ink())
        .encode(x=x, x2=alt.X2("high"), y=y),
        plot(dots).mark_circle(size=46, opacity=0.75, color=ink()).encode(x=x, y=y, tooltip=tip),
        plot(middles).mark_tick(thickness=3, size=BAR + 6, color=ink()).encode(x=x, y=y),
        words(names, x, y),
    )


def show_metrics(session: Session) -> None:
    """The medians of both modes, each metric with its definition."""
    with st.container(gap="xsmall", key="metrics"):
        _row("", "**Streaming**", "**Non-streaming**")
        for shown in SHOWN:
            values = []
            for mode in Mode:
                value = session.median(mode, shown.field)
                # All text at once has no time per token.
                if value is None or (shown.key == "tpot" and not value):
                    values.append("–")
                else:
                    values.append(f"{two(value * shown.factor)} {shown.unit}")
            _row(shown.key, *values)
        if comparison := compare(session):
            said = (comparison.enough_pairs and whole_answer_differs(comparison)) or "not clear"
            likely = likely_range(comparison.tax)
            _row("streaming_tax", f"{said}: {likely}" if likely else "too few runs")
    about(session, session.counted)
    late = [
        each.seen_first - each.metrics.ttft
        for each in session.counted
        if each.seen_first is not None and each.metrics.ttft is not None
    ]
    if late:
        st.caption(
            ":material/visibility: A reader outside the engine received the first words "
            f"{two(median(late) * 1000)} ms after the time given above (median of {len(late)} "
            "runs)."
        )
    with st.expander("Definitions and sources", type="compact", key="definitions"):
        for definition in DEFINITIONS.values():
            st.markdown(f"**{definition.name}**: {definition.meaning} *{definition.source}.*")


def _row(key: str, *values: str) -> None:
    """A metric with its values side by side, or with one value for both modes."""
    left, right = st.columns(COLUMNS, wrap=False, gap="xsmall")
    if key:
        definition = DEFINITIONS[key]
        name = definition.name[:1].upper() + definition.name[1:]
        left.markdown(name, help=f"{definition.meaning}\n\nSource: {definition.source}.")
    if len(values) == 1:
        right.markdown(values[0])
        return
    with right.container(horizontal=True, gap="xsmall"):
        for value, width in zip(values, WIDTHS, strict=True):
            st.markdown(value, width=width)


def show_readers(workspace: Workspace, collection: str, setup: Setup) -> None:
    """When each of 1, 2 and 4 readers at once sees the first words, in both modes."""
    if workspace.library.documents(collection):
        run_button(
            workspace,
            "Test with 1, 2 and 4 readers",
            Experiment.READERS,
            setup,
            lambda: readers_trials(setup),
        )
    show_measuring(workspace.measurements, Experiment.READERS)
    session = shown_session(workspace, Experiment.READERS, collection)
    if session is None:
        return
    said = "No streaming run has finished"
    for readers in READERS:  # the largest number that was measured
        if (streamed := first_words_of(session, readers, Mode.STREAMING)) is not None:
            blocked = first_words_of(session, readers, Mode.BLOCKING)
            against = f", and after {two(blocked)} s when not" if blocked else ""
            said = (
                f"With {counted(readers, 'reader')} at once, the slowest sees words after "
                f"{two(streamed)} s when streaming{against}"
            )
    finding(said)
    _plot_readers(session, said)
    about(session, session.counted)
    rows = [
        {
            "readers at once": each.trial.readers,
            "mode": str(each.mode),
            "reader": each.reader + 1,
            "first words, s": each.metrics.ttft,
            "whole answer, s": each.metrics.e2el,
            "tokens per second": each.metrics.decode_rate,
            "longest stall, s": each.metrics.longest_stall,
            "reused tokens": each.metrics.reused_tokens,
        }
        for each in session.counted
    ]
    behind(rows, "The metrics of every reader", "readers")


def _plot_readers(session: Session, said: str) -> None:
    """Two lanes for each number of readers, with a mark for the first words of each reader."""
    lanes = [(readers, mode) for readers in READERS for mode in Mode]
    names: list[dict[str, Any]] = []
    marks: list[dict[str, Any]] = []
    for at, (readers, mode) in enumerate(lanes):
        runs: list[Measurement] = [e for e in session.of(mode) if e.trial.readers == readers]
        times = [each.metrics.ttft for each in runs if each.metrics.ttft]
        middle = f"{two(median(times))} s (n = {len(times)})" if times else "no run"
        text = f"{counted(readers, 'reader')}, {mode}: {middle}"
        names.append({"x": 0, "y": at + NAME, "text": text})
        marks += [{"x": time, "y": at + MIDDLE, "mode": mode} for time in times]
    x = seconds("x", "seconds until the first words", max((m["x"] for m in marks), default=1.0))
    y = lane("y", len(lanes))
    tip = [alt.Tooltip("x:Q", title="seconds", format=".3f")]
    ticks = plot(marks).mark_tick(thickness=3, size=BAR)
    show(
        len(lanes) * LANE + AXIS,
        f"When each of several readers saw the first words. {said}.",
        ticks.encode(x=x, y=y, color=hue(), tooltip=tip),
        words(names, x, y),
    )
