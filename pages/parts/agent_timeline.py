"""Where an agent's time went: the model, the tools, and waiting for the person, on one clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from engine.agent import AgentHandler
from pages.parts.agent_cells import seconds
from pages.parts.agent_story import Call, Cell, Choice, story
from pages.parts.charts import AXIS, ink, lane, plot, show, words
from pages.parts.charts import seconds as clock

ROW, BAR = 48, 12  # pixels: a line of text, and a bar under it, so that any width will do
# By lightness and label, not by hue: blue and orange mean streaming and not, everywhere.
SHADES = {"model": 0.85, "tools": 0.5, "you": 0.22}


@dataclass(frozen=True, slots=True)
class Piece:
    """Somebody was busy from `start` to `end`, in seconds since the run began."""

    who: str
    what: str
    start: float
    end: float


def pieces(cells: Sequence[Cell], end: float) -> list[Piece]:
    """Who was busy when, in order; what was cut off lasts to the end."""
    found: list[Piece] = []
    for cell in cells:
        if isinstance(cell, Call):
            found += _pieces_of_call(cell, end)
        else:
            what = "choosing" if isinstance(cell, Choice) else "writing"
            found.append(Piece("model", what, cell.began, _or(cell.ended, end)))
    return found


def _pieces_of_call(call: Call, end: float) -> list[Piece]:
    found = []
    if call.asked:
        found.append(Piece("you", "deciding", call.asked.at, call.given.at if call.given else end))
    if call.began is not None:
        ended = call.result.at if call.result else end
        found.append(Piece("tools", call.tool, call.began, ended))
    return found


def _or(time: float | None, otherwise: float) -> float:
    return otherwise if time is None else time


def show_agent_timeline(handler: AgentHandler) -> None:
    end = handler.run.trace.ended or handler.run.trace.now()
    found = pieces(story(handler.so_far), end)
    if not found:
        return
    st.markdown(f"**{_said(found, end)}**")
    x = clock("x", "seconds since the task was given", end, room=1.02)
    y = lane("y", len(found))
    rows = [_row(piece, place) for place, piece in enumerate(found)]
    bars = [
        plot([row for row in rows if row["who"] == who])
        .mark_bar(size=BAR, color=ink(), opacity=shade)
        .encode(x=x, x2="to", y=y, tooltip=["who:N", "what:N", "took:N"])
        for who, shade in SHADES.items()
    ]
    labels = [{"x": 0.0, "y": row["y"] - 0.33, "text": row["label"]} for row in rows]
    described = ", ".join(str(row["label"]) for row in rows)
    show(len(rows) * ROW + AXIS, f"Who was busy when: {described}", *bars, words(labels, x, y))


def _said(found: Sequence[Piece], end: float) -> str:
    spent = {who: sum(p.end - p.start for p in found if p.who == who) for who in SHADES}
    names = {"model": "the model", "tools": "tools", "you": "waiting for you"}
    parts = [f"{names[who]} {seconds(time)}" for who, time in spent.items() if time]
    return f"{seconds(end)} in all: {', '.join(parts)}"


def _row(piece: Piece, place: int) -> dict[str, Any]:
    took = seconds(piece.end - piece.start)
    name = {"model": "The model", "tools": "The tool", "you": "You"}[piece.who]
    return {
        "who": piece.who,
        "what": piece.what,
        "took": took,
        "x": piece.start,
        "to": piece.end,
        "y": place + 0.75,
        "label": f"{name}, {piece.what.replace('_', ' ')}: {took}",
    }
