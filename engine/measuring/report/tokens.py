"""When each token of one streaming run came, the gaps between them, and the reader's pace."""

from collections.abc import Sequence

from engine.measuring.feeling import ADULT
from engine.measuring.findings import two
from engine.measuring.record import Measurement, Session
from engine.measuring.report.captions import about, which_run
from engine.measuring.report.drawing import (
    HUES,
    INK,
    column,
    from_zero,
    line,
    point,
    rule,
    word,
    xy,
)
from engine.measuring.report.section import Chart, Finding, Note, Section, Table
from engine.timing import time_waiting

HEIGHT, GAPS_HEIGHT = 220, 120  # pixels
SECONDS = "seconds since the question was sent"


def tokens(session: Session, run: Measurement, words_a_minute: float = ADULT) -> Section:
    """`run`: a streaming run with at least two tokens."""
    section = Section(
        "Token by token",
        "Once the model writes faster than you read, only the wait before the first word matters "
        "to you.",
    )
    arrivals = run.trace.calls[-1].token_times
    each = seconds_a_token(run, words_a_minute)
    said = waits(arrivals, each)
    metrics = run.metrics
    stall = (
        f"The median time between two tokens is {two((metrics.itl_median or 0) * 1000)} ms, the "
        f"longest {two((metrics.longest_stall or 0) * 1000)} ms"
    )
    gaps = list(zip(arrivals[1:], metrics.itl, strict=True))
    rows = [{"token": 1, "computed after, s": arrivals[0], "gap, ms": None}]
    rows += [
        {"token": number, "computed after, s": when, "gap, ms": gap * 1000}
        for number, (when, gap) in enumerate(gaps, start=2)
    ]
    section.blocks += [
        Finding(said),
        Chart(_plot_arrivals(arrivals, each, f"Tokens over time. {said}.")),
        Finding(stall),
        Chart(_plot_gaps(gaps, arrivals[-1], stall)),
        Note(f"This is {which_run(session, run)}."),
        Note(about(session, [run])),
        Table(rows, "When each token was computed"),
    ]
    return section


def seconds_a_token(run: Measurement, words_a_minute: float) -> float:
    """How long a reader needs for one token, because of the words in this answer."""
    count = len(run.trace.calls[-1].token_times)
    return len(run.text.split()) / max(count, 1) * 60 / words_a_minute


def waits(arrivals: list[float], each: float) -> str:
    """How long a reader waits in all, and whether the model writes faster than the reader reads."""
    end = arrivals[-1]
    streaming, blocking = time_waiting(arrivals, each), time_waiting([end] * len(arrivals), each)
    said = f"You wait {two(streaming)} s in all when streaming and {two(blocking)} s when not"
    if end <= arrivals[0] or not each:
        return said
    faster = (len(arrivals) - 1) / (end - arrivals[0]) * each
    if faster >= 1:
        return f"{said}: the model writes {two(faster)} times faster than you read"
    return f"{said}: you read {two(1 / faster)} times faster than the model writes"


def _plot_arrivals(arrivals: list[float], each: float, describes: str) -> str:
    """Tokens over time in both modes, and a reader who begins with the first token."""
    first, end, count = arrivals[0], arrivals[-1], len(arrivals)
    x, y = from_zero([end], 1.2), from_zero([count], 1.15)
    read = min(count, (x.high - first) / each) if each else count
    blocked = [(0.0, 0.0), (end, 0.0), (end, float(count)), (x.high, float(count))]
    reading = [(first, 0.0), (x.high if read < count else first + count * each, float(read))]

    def places(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x.at(when), y.at(height)) for when, height in points]

    left = first > 0.5 * end
    marks = [
        rule(x.at(first)),
        line(places(blocked), HUES[1]),
        line(places(reading), INK),
        *(
            point(x.at(when), y.at(number), HUES[0], f"token {number}: {when:.3f} s", "ft-small")
            for number, when in enumerate(arrivals, start=1)
        ),
        word(x.at(first), 4, f"first token {two(first)} s", right=not left),
        word(x.at(end), 24, f"last token {two(end)} s", right=False),
    ]
    title = "tokens: blue as they come, orange all at once, the line as you read"
    return xy(marks, x, y, (SECONDS, title), HEIGHT, describes)


def _plot_gaps(gaps: Sequence[tuple[float, float]], end: float, said: str) -> str:
    """A bar for each gap, given as (seconds until the later token, seconds of the gap)."""
    x, y = from_zero([end], 1.2), from_zero([gap * 1000 for _, gap in gaps], 1.15)
    marks = [
        column(x.at(when), x.at(when) + 0.4, y.at(gap * 1000), HUES[0], f"{gap * 1000:.1f} ms")
        for when, gap in gaps
    ]
    return xy(
        marks, x, y, (SECONDS, "gap, ms"), GAPS_HEIGHT, f"The time before each token. {said}."
    )
