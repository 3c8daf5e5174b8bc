"""Where the time of one run goes: its stages as a waterfall."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.measuring.asking import REQUEST, RESPONSE, TO_APP, TO_PAGE, TO_SCREEN
from engine.measuring.findings import two
from engine.measuring.record import Measurement, Session
from engine.measuring.report.captions import about, which_run
from engine.measuring.report.drawing import (
    HUES,
    Scale,
    Strip,
    bar,
    from_zero,
    hatched,
    labelled_rows,
    rule,
)
from engine.measuring.report.section import Chart, Finding, Note, Section, Table
from engine.measuring.runner import LATE
from engine.timing import UNACCOUNTED, Segment, waterfall

# What each stage does. A stage that is not listed is shown by its name alone.
MEANINGS = {
    LATE: "The question was due, and its reader had not begun yet.",
    REQUEST: "The question travels to the app, and the app begins the answer.",
    TO_APP: "The browser sends the question, and the page's callback asks the engine.",
    "follow-up": "The earlier questions that a follow-up refers to are found.",
    "embed": "The question becomes a vector.",
    "search": "Passages are searched by meaning and by words.",
    "rerank": "Each sentence of the best passages is scored.",
    "prompt": "The best sentences and the question become a prompt.",
    "tokenise": "The prompt becomes tokens.",
    "queue": "The question waits until the model is free.",
    "reuse": "The part of the prompt that is in the cache is looked up.",
    "prefill": "The model reads the prompt.",
    "server": "The server queues the question, reads the prompt and sends its first text.",
    "first token": "The first token is chosen.",
    RESPONSE: "The first text travels to the reader.",
    TO_PAGE: "The page's script notices the first text.",
    TO_SCREEN: "The first text travels to the browser, which draws it.",
    "decode": "The model writes, token by token.",
    "hand-over": "The reader receives the last text.",
    UNACCOUNTED: "Time between the stages, in none of them.",
}
# The names that the finding uses, for the stages that take longest.
TITLES = {
    "decode": "writing the answer (decode)",
    "prefill": "reading the prompt (prefill)",
    "rerank": "scoring sentences (rerank)",
    "queue": "waiting for the model (queue)",
    "server": "waiting for the server's first text",
    REQUEST: "travelling to the app (request)",
    RESPONSE: "travelling to the reader (response)",
}
ROW, BAR = 24, 16  # pixels

Rows = Mapping[str, Sequence[Segment]]  # by name, in order of time


def stages(session: Session, run: Measurement) -> Section:
    section = Section(
        "Where the time goes",
        "The stages of one run, from the question to the last word. The first words appear at the "
        "dashed line.",
    )
    rows = named_rows(waterfall(run.trace, run.seen_last))
    total = max(segment.end for segments in rows.values() for segment in segments)
    longest = sorted(rows.keys() - {UNACCOUNTED}, key=lambda name: -_spent(rows[name]))[:2]
    shares = [f"{_spent(rows[name]) / total * 100:.0f} % is {_title(name)}" for name in longest]
    missing = _spent(rows[UNACCOUNTED]) / total * 100
    unknown = "less than 0.1 %" if missing < 0.1 else f"{two(missing)} %"
    section.blocks += [
        Finding(f"Of the time, {', '.join([*shares, f'{unknown} is unaccounted for'])}"),
        Chart(_plot(run, rows, total)),
        Note(f"This is {which_run(session, run)}."),
        Note(about(session, [run])),
        Table(table_of(rows, total), "The stages with their times"),
    ]
    return section


def table_of(rows: Rows, total: float) -> list[dict[str, Any]]:
    return [
        {
            "stage": name,
            "begins, ms": segments[0].start * 1000 if segments else None,
            "takes, ms": _spent(segments) * 1000,
            "share, %": _spent(segments) / total * 100,
            "what happens": MEANINGS.get(name.split(",")[0], ""),
        }
        for name, segments in rows.items()
    ]


def named_rows(segments: Sequence[Segment]) -> dict[str, list[Segment]]:
    """The segments of each row, in order of time; the unaccounted time comes last.

    With several LLM calls, the rows of all but the last are numbered.
    """
    last = max((segment.call for segment in segments if segment.call is not None), default=0)
    rows: dict[str, list[Segment]] = {}
    for segment in segments:
        earlier = segment.call is not None and segment.call < last
        name = f"{segment.name}, call {(segment.call or 0) + 1}" if earlier else segment.name
        rows.setdefault(name, []).append(segment)
    gaps = rows.pop(UNACCOUNTED, [])
    return {**rows, UNACCOUNTED: gaps}


def _spent(segments: Sequence[Segment]) -> float:
    return sum(segment.duration for segment in segments)


def _title(name: str) -> str:
    """The finding's words for a row, such as "prefill, call 1"."""
    stage, comma, call = name.partition(",")
    return f"{TITLES.get(stage, stage)}{comma}{call}"


def _ms(duration: float) -> str:
    """Milliseconds. Python's clock is not exact to less than a tenth of one."""
    return "< 0.1 ms" if duration < 1e-4 else f"{two(duration * 1000)} ms"


def _plot(run: Measurement, rows: Rows, total: float) -> str:
    scale = from_zero([total * 1000], 1.02)
    first = rule(scale.at((run.metrics.ttft or 0.0) * 1000), dashed=True)
    drawn = [
        Strip(
            f"{name} {_ms(_spent(segments))}",
            [first, *_bars(name, segments, scale, HUES[run.lane])],
            ROW,
        )
        for name, segments in rows.items()
    ]
    return labelled_rows(
        drawn,
        scale,
        "milliseconds since the question was sent",
        "A waterfall of stages: " + ", ".join(strip.name for strip in drawn),
    )


def _bars(name: str, segments: Sequence[Segment], scale: Scale, hue: str) -> list[str]:
    meaning, top = MEANINGS.get(name.split(",")[0], ""), (ROW - BAR) / 2
    drawn = []
    for each in segments:
        low, high = scale.at(each.start * 1000), scale.at(each.end * 1000)
        title = f"{name}, {_ms(each.duration)}: {meaning}"
        if name == UNACCOUNTED:
            drawn.append(hatched(low, high, top, BAR, title))
        else:
            drawn.append(bar(low, high, top, BAR, hue, title=title))
    return drawn
