"""How far the runs spread: percentiles, the gaps between tokens, first words against prompt length.

A percentile is given only if there are enough runs for it (engine/measuring/statistics.py).
"""

import math
from collections.abc import Sequence
from typing import Any

from engine.english import counted
from engine.measuring.findings import capital, two
from engine.measuring.record import Measurement, Session
from engine.measuring.report.captions import about
from engine.measuring.report.drawing import (
    HUES,
    Scale,
    column,
    from_zero,
    key,
    number,
    point,
    rule,
    word,
    xy,
)
from engine.measuring.report.section import Chart, Finding, Note, Section, Table
from engine.measuring.schedule import Mode
from engine.measuring.statistics import percentile, values_needed

PERCENTILES = (50, 90, 95)
BINS = 40  # of a histogram
SHOWN = 0.98  # the share of gaps that a histogram shows; the longest would squeeze all others
HEIGHT = 200  # pixels


def spread(session: Session) -> Section:
    section = Section(
        "How far the runs spread",
        "Nine of ten runs are below the 90th percentile. A percentile is shown only if there are "
        "enough runs to know it.",
    )
    section.blocks += [
        Finding(_finding(session)),
        Table(percentiles(session), "Percentiles of the times of all runs", open=True),
        Note(
            "In brackets the 95 % interval. "
            + ", ".join(f"p{each} needs {values_needed(each)} runs" for each in PERCENTILES)
            + "."
        ),
    ]
    for lane in range(len(session.setup.lanes)):
        section.blocks += _gaps(session, lane)
    section.blocks += _against_length(session)
    return section


def percentiles(session: Session) -> list[dict[str, Any]]:
    """A row for each lane and metric."""
    rows = []
    for lane, name in enumerate(session.setup.names):
        runs = session.of(lane)
        for what, metric in (("first words, s", "ttft"), ("whole answer, s", "e2el")):
            times = [value for run in runs if (value := getattr(run.metrics, metric)) is not None]
            row = {"lane": name, "time": what, "runs": len(times)}
            rows.append(row | {f"p{each}": _shown(times, each) for each in PERCENTILES})
    return rows


def _shown(times: Sequence[float], percent: int) -> str:
    found = percentile(times, percent)
    if found is None or found.low is None or found.high is None:
        return f"needs {values_needed(percent)} runs"
    return f"{two(found.value)} ({two(found.low)} to {two(found.high)})"


def _finding(session: Session) -> str:
    """The highest percentile of the first words that is known in every lane."""
    times = [
        [value for run in session.of(lane) if (value := run.metrics.ttft) is not None]
        for lane in range(len(session.setup.lanes))
    ]
    for percent in reversed(PERCENTILES):
        found = [percentile(each, percent) for each in times]
        if all(found):
            said = ", ".join(
                f"{two(each.value)} s {name}"
                for each, name in zip(found, session.setup.names, strict=True)
                if each
            )
            share = "Half" if percent == 50 else f"{percent} %"
            return f"{share} of the first words come within {said}"
    return f"Too few runs for percentiles: they need {values_needed(50)}"


# ---- The gaps between tokens


def _gaps(session: Session, lane: int) -> list[Finding | Chart | Note]:
    """A histogram of the inter-token latencies of a streaming lane, of all runs together."""
    runs = [run for run in session.of(lane) if run.has_token_times]
    gaps = sorted(gap * 1000 for run in runs for gap in run.metrics.itl)
    if session.setup.lanes[lane].mode is not Mode.STREAMING or len(gaps) < 2:
        return []
    known = {each: percentile(gaps, each) for each in PERCENTILES}
    parts = [f"{each} % below {two(at.value)} ms" for each, at in known.items() if at]
    said = (
        f"{capital(session.setup.names[lane])}, gaps between tokens: {', '.join(parts)}"
        if parts
        else f"{counted(len(gaps), 'gap')} between tokens"
    )
    end = gaps[max(0, math.ceil(len(gaps) * SHOWN) - 1)] or 1.0
    scale = Scale(0.0, end)
    counts = [0] * BINS
    for gap in gaps:
        if gap <= end:
            counts[min(BINS - 1, int(gap / end * BINS))] += 1
    height = from_zero([float(count) for count in counts], 1.12)
    marks = [
        column(
            place / BINS * 100,
            (place + 1) / BINS * 100,
            height.at(count),
            HUES[lane],
            f"{place * end / BINS:.1f} to {(place + 1) * end / BINS:.1f} ms: {count}",
        )
        for place, count in enumerate(counts)
        if count
    ]
    if middle := known[50]:
        at = scale.at(middle.value)
        marks += [rule(at, dashed=True), word(at, 2, f"median {two(middle.value)} ms", at < 60)]
    titles = ("milliseconds between two tokens", "gaps")
    beyond = sum(gap > end for gap in gaps)
    left_out = (
        f" {counted(beyond, 'gap')} of more than {two(end)} ms, up to {two(gaps[-1])} ms, "
        f"{'is' if beyond == 1 else 'are'} outside the chart."
        if beyond
        else ""
    )
    return [
        Finding(said),
        Chart(xy(marks, scale, height, titles, HEIGHT, f"A histogram. {said}.")),
        Note(f"{counted(len(gaps), 'gap')} of {counted(len(runs), 'run')} together.{left_out}"),
    ]


# ---- The length of the prompt


def _against_length(session: Session) -> list[Finding | Chart | Note]:
    """The time to the first words against the tokens that the model had to read."""
    runs = [run for run in session.counted if run.metrics.ttft is not None]
    lengths = {_read(run) for run in runs}
    if len(lengths) < 2:
        alike = f"All prompts have {number(next(iter(lengths), 0))} tokens to read. Several "
        return [Note(alike + "questions show how the length of the prompt matters.")]
    firsts = [run.metrics.ttft or 0.0 for run in runs]
    said = (
        f"Prompts of {min(lengths)} to {max(lengths)} tokens: the first words come after "
        f"{two(min(firsts))} to {two(max(firsts))} s"
    )
    x, y = from_zero([float(length) for length in lengths], 1.06), from_zero(firsts, 1.12)
    marks = [
        point(
            x.at(_read(run)),
            y.at(run.metrics.ttft or 0.0),
            HUES[run.lane],
            f"{session.setup.questions[run.question]} {_read(run)} tokens, "
            f"{run.metrics.ttft or 0.0:.3f} s",
        )
        for run in runs
    ]
    titles = ("prompt tokens that the model had to read", "seconds until the first words")
    drawn = xy(marks, x, y, titles, HEIGHT, f"Dots for every run. {said}.")
    return [Finding(said), Chart(key(session.setup.names) + drawn), Note(about(session, runs))]


def _read(run: Measurement) -> int:
    """The prompt tokens that were in no kept state."""
    return run.metrics.prompt_tokens - run.metrics.reused_tokens
