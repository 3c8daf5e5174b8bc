"""Where an agent's time went: the model, the tools, and waiting for the user, on one clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from engine.agent import AgentHandler
from pages.parts.agent_story import Call, Cell, Choice, story
from pages.parts.charts import AXIS, ink, lane, plot, show, words
from pages.parts.charts import seconds as clock

ROW, BAR = 48, 12  # pixels: a line of text, and a bar below it, which fits any width
# Lightness and labels, not hues, because blue and orange mean streaming and non-streaming.
SHADES = {"model": 0.85, "tools": 0.5, "you": 0.22}


@dataclass(frozen=True, slots=True)
class Interval:
    """Who was busy with what from `start` to `end`, in seconds since the run began."""

    who: str
    what: str
    start: float
    end: float


def intervals(cells: Sequence[Cell], end: float) -> list[Interval]:
    """Who was busy when, in order. Interrupted work lasts until the end."""
    found: list[Interval] = []
    for cell in cells:
        if isinstance(cell, Call):
            if cell.asked:
                decided = cell.given.at if cell.given else end
                found.append(Interval("you", "deciding", cell.asked.at, decided))
            if cell.began is not None:
                ended = cell.result.at if cell.result else end
                found.append(Interval("tools", cell.tool, cell.began, ended))
        else:
            what = "choosing" if isinstance(cell, Choice) else "writing"
            ended = end if cell.ended is None else cell.ended
            found.append(Interval("model", what, cell.began, ended))
    return found


def seconds(duration: float) -> str:
    """A duration to two figures: "12 ms", "0.42 s", "3.1 s"."""
    if duration < 0.095:
        return f"{max(1, round(duration * 1000))} ms"
    return f"{duration:.2f} s" if duration < 1 else f"{duration:.1f} s"


def show_agent_timeline(handler: AgentHandler) -> None:
    end = handler.run.trace.ended or handler.run.trace.now()
    found = intervals(story(handler.so_far), end)
    if not found:
        return
    st.markdown(f"**{_summary(found, end)}**")
    x = clock("x", "seconds since the task was given", end, room=1.02)
    y = lane("y", len(found))
    rows = [_row(interval, place) for place, interval in enumerate(found)]
    bars = [
        plot([row for row in rows if row["who"] == who])
        .mark_bar(size=BAR, color=ink(), opacity=shade)
        .encode(x=x, x2="to", y=y, tooltip=["who:N", "what:N", "took:N"])
        for who, shade in SHADES.items()
    ]
    labels = [{"x": 0.0, "y": row["y"] - 0.33, "text": row["label"]} for row in rows]
    described = ", ".join(str(row["label"]) for row in rows)
    show(len(rows) * ROW + AXIS, f"Who was busy when: {described}", *bars, words(labels, x, y))


def _summary(found: Sequence[Interval], end: float) -> str:
    spent = {who: sum(p.end - p.start for p in found if p.who == who) for who in SHADES}
    names = {"model": "the model", "tools": "tools", "you": "waiting for you"}
    parts = [f"{names[who]} {seconds(time)}" for who, time in spent.items() if time]
    return f"{seconds(end)} in all: {', '.join(parts)}"


def _row(interval: Interval, place: int) -> dict[str, Any]:
    took = seconds(interval.end - interval.start)
    name = {"model": "The model", "tools": "The tool", "you": "You"}[interval.who]
    return {
        "who": interval.who,
        "what": interval.what,
        "took": took,
        "x": interval.start,
        "to": interval.end,
        "y": place + 0.75,
        "label": f"{name}, {interval.what.replace('_', ' ')}: {took}",
    }
