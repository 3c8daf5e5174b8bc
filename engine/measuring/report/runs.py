"""Every run as a dot, the differences within the pairs, and the questions with their lengths."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from engine.measuring.findings import Comparison, capital, compare, two
from engine.measuring.record import Measurement, Session
from engine.measuring.report.captions import about, span, what_was_warm
from engine.measuring.report.drawing import (
    HUES,
    INK,
    Scale,
    Strip,
    around,
    bar,
    dot,
    from_zero,
    jitter,
    rule,
    strips,
    tick,
)
from engine.measuring.report.section import Chart, Finding, Note, Section, Table
from engine.measuring.schedule import Mode
from engine.measuring.statistics import Estimate

HEIGHT, BAR = 26, 20  # pixels: a strip, and a bar in it

Difference = tuple[str, Estimate, list[float]]


def every_run(session: Session) -> Section:
    section = Section("Every run", "A dot is a run, a bar ends at the median.")
    section.blocks += [Chart(_dots(session)), Note(about(session, session.counted))]
    if comparison := compare(session):
        rows = _differences(session, comparison)
        said = "; ".join(_ahead(name.lower(), estimate) for name, estimate, _ in rows)
        first = session.setup.names[0]
        text = f"Within the pairs, {first} is ahead: {said}"
        section.blocks += [
            Finding(text),
            Chart(_plot_differences(rows, first, f"Dots for each pair of runs. {text}.")),
            Note(_how_differences(comparison)),
        ]
    section.blocks.append(Table(rows_of(session), "Every run with its metrics"))
    return section


def rows_of(session: Session) -> list[dict[str, Any]]:
    return [
        {
            "run": each.run,
            "lane": session.setup.names[each.lane],
            "role": str(each.trial.role),
            "question": each.question + 1,
            "pair": None if each.trial.pair is None else each.trial.pair + 1,
            "first words, s": each.metrics.ttft,
            "first words predicted, s": each.metrics.predicted_ttft,
            "sentences read": each.trace.plan and each.trace.plan.sentences,
            "whole answer, s": each.metrics.e2el,
            "prompt tokens": each.metrics.prompt_tokens,
            "answer tokens": each.metrics.output_tokens,
            "tokens per second": each.metrics.decode_rate,
            "what was warm": what_was_warm(session, each),
            "ended": str(each.outcome),
        }
        for each in session.measurements
    ]


def _dots(session: Session) -> str:
    """A bar from zero to the median of each metric, and a dot for every run."""
    lanes: list[tuple[str, int, list[float]]] = []
    for place, (lane, name) in enumerate(
        zip(session.setup.lanes, session.setup.names, strict=True)
    ):
        firsts = [run.metrics.ttft for run in session.of(place)]
        wholes = [run.metrics.e2el for run in session.of(place)]
        if lane.mode is Mode.STREAMING:
            lanes.append((f"{capital(name)}, first words", place, [t for t in firsts if t]))
            lanes.append((f"{capital(name)}, whole answer", place, [t for t in wholes if t]))
        else:
            lanes.append((f"{capital(name)}, all at once", place, [t for t in wholes if t]))
    scale = from_zero([time for _, _, times in lanes for time in times])
    rows = [
        Strip(_named(name, times), _strip(times, scale, HUES[place]), HEIGHT)
        for name, place, times in lanes
    ]
    names = "; ".join(row.name for row in rows)
    title = "seconds since the question was sent"
    return strips(rows, scale, title, f"Dots for every run. {names}.")


def _named(name: str, times: Sequence[float]) -> str:
    return f"{name}: {two(median(times))} s (n = {len(times)})" if times else f"{name}: no run"


def _strip(times: Sequence[float], scale: Scale, hue: str) -> list[str]:
    if not times:
        return []
    middle = scale.at(median(times))
    dots = [
        dot(scale.at(time), HEIGHT / 2 + jitter(place), hue, f"run {place + 1}: {time:.3f} s")
        for place, time in enumerate(times)
    ]
    top = (HEIGHT - BAR) / 2
    return [bar(0, middle, top, BAR, hue, 0.3), *dots, tick(middle, top - 3, BAR + 6, hue)]


def _differences(session: Session, comparison: Comparison) -> list[Difference]:
    """Second minus first lane for each pair, and the estimate."""

    def gaps(metric: str) -> list[float]:
        both = [[getattr(each.metrics, metric) or 0.0 for each in pair] for pair in session.pairs]
        return [float(second - first) for first, second in both]

    return [
        ("First words", comparison.words.difference, gaps("ttft")),
        ("Whole answer", comparison.whole.difference, gaps("e2el")),
    ]


def _ahead(name: str, difference: Estimate) -> str:
    if difference.low is None or difference.high is None:
        return f"{name} by {_seconds(difference.value)} s"
    likely = f"({_seconds(difference.low)} to {_seconds(difference.high)} s)"
    if not difference.excludes(0):
        return f"{name} with no clear difference {likely}"
    return f"{name} by {_seconds(difference.value)} s {likely}"


def _seconds(value: float) -> str:
    return f"{'−' if value < 0 else ''}{two(abs(value))}"


def _plot_differences(rows: Sequence[Difference], first: str, describes: str) -> str:
    scale = around(
        [v for _, middle, gaps in rows for v in (*gaps, middle.low or 0.0, middle.high or 0.0)]
    )
    drawn = []
    for name, middle, gaps in rows:
        marks = [rule(scale.at(0))]
        if middle.low is not None and middle.high is not None:
            low, high = scale.at(middle.low), scale.at(middle.high)
            marks.append(bar(low, high, 3, BAR, INK, 0.18))
        marks += [
            dot(scale.at(gap), HEIGHT / 2 + jitter(place), INK, f"pair {place + 1}: {gap:+.3f} s")
            for place, gap in enumerate(gaps)
        ]
        marks.append(tick(scale.at(middle.value), 0, HEIGHT))
        drawn.append(Strip(name, marks, HEIGHT))
    return strips(drawn, scale, f"seconds by which {first} is ahead", describes)


def _how_differences(comparison: Comparison) -> str:
    interval = (
        "The bar is the 95 % confidence interval (Hodges–Lehmann estimate, Wilcoxon's signed-rank "
        "test)."
        if comparison.enough_pairs
        else "A 95 % confidence interval needs six pairs."
    )
    return (
        "Each dot is a pair: one run in each lane, one directly after the other "
        f"(n = {comparison.pairs}). {interval}"
    )


# ---- Questions


def questions(session: Session) -> Section:
    """The questions with the lengths of their prompts and answers, which explain the times."""
    section = Section(
        "The questions",
        "A longer prompt delays the first words, and a longer answer takes longer to write.",
    )
    asked = [
        _row(session, place, [run for run in session.counted if run.question == place])
        for place in range(len(session.setup.questions))
    ]
    section.blocks.append(Table(asked, "The questions with their lengths and times", open=True))
    return section


def _row(session: Session, place: int, runs: Sequence[Measurement]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "question": session.setup.questions[place],
        "prompt tokens": span(run.metrics.prompt_tokens for run in runs) if runs else "–",
        "answer tokens": span(run.metrics.output_tokens for run in runs) if runs else "–",
    }
    for lane, name in enumerate(session.setup.names):
        for what, metric in (("first words", "ttft"), ("whole answer", "e2el")):
            times = [getattr(run.metrics, metric) for run in runs if run.lane == lane]
            row[f"{name}: {what}, s"] = two(median(times)) if times else "–"
    return row
