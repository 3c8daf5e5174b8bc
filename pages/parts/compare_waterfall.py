"""Where the time goes: one run as a waterfall, from the question sent to the last text read."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import streamlit as st

from engine.measuring import Measurement, Mode, Session
from engine.measuring.findings import two
from engine.timing import UNACCOUNTED, Stage, waterfall
from pages.parts.charts import AXIS, HUES, ink, lane, plot, seconds, show, words
from pages.parts.compare_cells import about, behind, finding

# What each stage does, in words. A stage that is not listed shows by its own name.
MEANINGS = {
    "condense": "A follow-up is made into a question that stands alone.",
    "embed": "The question becomes a vector.",
    "search": "Passages are searched, by meaning and by words.",
    "rerank": "Each sentence of the best passages is scored.",
    "prompt": "The best of them and the question become a prompt.",
    "tokenise": "The prompt becomes tokens.",
    "queue": "Waiting for the model to be free.",
    "reuse": "What the model has read before is looked up.",
    "prefill": "The model reads the prompt.",
    "server": "A server queues the question, reads the prompt, and sends its first text.",
    "first token": "The first token is chosen.",
    "decode": "The model writes, token by token.",
    "hand-over": "The last text goes to its reader.",
    UNACCOUNTED: "Between the stages: no name for it yet.",
}
# The same in the title's few words, for the stages that take longest.
IN_WORDS = {
    "decode": "writing the answer (decode)",
    "prefill": "reading the prompt (prefill)",
    "rerank": "scoring sentences (rerank)",
    "queue": "waiting for the model (queue)",
    "server": "the server, up to its first text",
}
ROW = 26  # pixels
LABELS = 1.55  # room at the ends of bars, as wide as a phone needs for the longest label
STRIPES = 6

Rows = Mapping[str, list[Stage]]  # by name, in order of time


def show_waterfall(session: Session) -> None:
    recorded = {mode: run for mode in Mode if (run := _middle(session, mode))}
    if not recorded:
        st.info("These runs came from a table, without the times of their stages.")
        return
    chosen = st.segmented_control(
        "Run",
        list(recorded),
        default=next(iter(recorded)),
        required=True,
        format_func=lambda mode: str(mode).capitalize(),
        label_visibility="collapsed",
        key="waterfall_mode",
    )
    run = recorded.get(chosen or Mode.STREAMING) or next(iter(recorded.values()))
    assert run.trace  # a recorded run has one
    rows = named_rows(waterfall(run.trace, run.figures.seen_last))
    total = max(stage.end for stages in rows.values() for stage in stages)
    finding(_said(rows, total))
    _plot(run, rows, total)
    about(session, [run])
    behind(_table(rows, total), "The stages with their times", "waterfall")


def _middle(session: Session, mode: Mode) -> Measurement | None:
    """The recorded run whose total is the median: the lower of two."""
    runs = [each for each in session.recorded if each.mode is mode and each.figures.e2el]
    ranked = sorted(runs, key=lambda each: each.figures.e2el or 0.0)
    return ranked[(len(ranked) - 1) // 2] if ranked else None


def named_rows(stages: Sequence[Stage]) -> dict[str, list[Stage]]:
    """The pieces of each row, rows in order of time; the unaccounted time comes last.

    With several LLM calls, those before the last are numbered.
    """
    last = max((stage.call for stage in stages if stage.call is not None), default=0)
    rows: dict[str, list[Stage]] = {}
    for stage in stages:
        earlier = stage.call is not None and stage.call < last
        name = f"{stage.name}, call {(stage.call or 0) + 1}" if earlier else stage.name
        rows.setdefault(name, []).append(stage)
    gaps = rows.pop(UNACCOUNTED, [])
    return {**rows, UNACCOUNTED: gaps}


def _spent(stages: Sequence[Stage]) -> float:
    return sum(stage.duration for stage in stages)


def _said(rows: Rows, total: float) -> str:
    named = sorted(rows.keys() - {UNACCOUNTED}, key=lambda name: -_spent(rows[name]))[:2]
    parts = [f"{_spent(rows[name]) / total * 100:.0f} % {_in_words(name)}" for name in named]
    missing = _spent(rows[UNACCOUNTED]) / total * 100
    nameless = "less than 0.1 %" if missing < 0.1 else f"{two(missing)} %"
    return f"Of the time, {', '.join([*parts, nameless])} has no name"


def _in_words(name: str) -> str:
    """A stage, of one of several calls perhaps."""
    stage, _, call = name.partition(",")
    return f"is {IN_WORDS.get(stage, stage)}{',' if call else ''}{call}"


def _ms(duration: float) -> str:
    """Below a tenth of a millisecond a clock in Python says little."""
    return "< 0.1 ms" if duration < 1e-4 else f"{two(duration * 1000)} ms"


def _plot(run: Measurement, rows: Rows, total: float) -> None:
    count = len(rows)
    x = seconds("x", "milliseconds since the question was sent", total * 1000, LABELS)
    y = lane("y", count)
    pieces = [_piece(stage, place) for place, name in enumerate(rows) for stage in rows[name]]
    named = [piece for piece in pieces if piece["stage"] != UNACCOUNTED]
    gaps = [piece for piece in pieces if piece["stage"] == UNACCOUNTED]
    labels = [_label(name, rows[name], place) for place, name in enumerate(rows)]
    first = [{"x": (run.figures.ttft or 0.0) * 1000, "y": _row_of_first(rows), "to": count}]
    rule = plot(first).mark_rule(color=ink(), strokeDash=[4, 3], opacity=0.7)
    show(
        count * ROW + AXIS,
        "A waterfall of stages: " + ", ".join(f"{n} {_ms(_spent(s))}" for n, s in rows.items()),
        rule.encode(x=x, y=y, y2=alt.Y2("to")),
        _bars(named, x, y, HUES[run.mode]),
        _bars(gaps, x, y, _hatching(ink())),
        words(labels, x, y, dx=6),
    )


def _row_of_first(rows: Rows) -> int:
    """Where the line of the first words begins: below the labels that it would cross."""
    return list(rows).index("first token") if "first token" in rows else 0


def _piece(stage: Stage, place: int) -> dict[str, Any]:
    return {
        "stage": stage.name,
        "y": place + 0.5,
        "x": stage.start * 1000,
        "to": stage.end * 1000,
        "took": _ms(stage.duration),
        "meaning": MEANINGS.get(stage.name, ""),
    }


def _bars(
    pieces: Sequence[dict[str, Any]], x: alt.X, y: alt.Y, colour: str | alt.Gradient
) -> alt.Chart:
    mark = plot(pieces).mark_bar(size=ROW - 9, color=colour)
    drawn: alt.Chart = mark.encode(
        x=x,
        x2=alt.X2("to"),
        y=y,
        tooltip=[alt.Tooltip(f"{name}:N") for name in ("stage", "took", "meaning")],
    )
    return drawn


def _hatching(colour: str) -> alt.Gradient:
    """Stripes: a gradient whose colours change at once."""
    stops = []
    for stripe in range(STRIPES):
        for part, shade in ((0, colour), (0.5, colour), (0.5, "transparent"), (1, "transparent")):
            stops.append(alt.GradientStop(offset=(stripe + part) / STRIPES, color=shade))
    return alt.LinearGradient(gradient="linear", stops=stops, x1=0, y1=0, x2=1, y2=1)


def _label(name: str, stages: Sequence[Stage], place: int) -> dict[str, Any]:
    """At the end of the last bar."""
    end = stages[-1].end if stages else 0.0
    return {"x": end * 1000, "y": place + 0.5, "text": f"{name} {_ms(_spent(stages))}"}


def _table(rows: Rows, total: float) -> list[dict[str, Any]]:
    return [
        {
            "stage": name,
            "begins, ms": stages[0].start * 1000 if stages else None,
            "takes, ms": _spent(stages) * 1000,
            "share, %": _spent(stages) / total * 100,
            "what happens": MEANINGS.get(name.split(",")[0], ""),
        }
        for name, stages in rows.items()
    ]
