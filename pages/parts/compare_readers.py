"""Several readers at once: what each of 1, 2 and 4 sees, in both modes."""

from statistics import median
from typing import Any

import altair as alt

from engine.measuring import Kind, Measurement, Mode, Session, Setup
from engine.measuring.findings import first_words_of, two
from engine.measuring.schedule import READERS, readers_steps
from engine.workspace import Workspace
from pages.parts.charts import AXIS, BAR, LANE, hue, lane, plot, seconds, show, words
from pages.parts.compare_cells import about, behind, finding
from pages.parts.compare_measuring import run_button, show_measuring, shown_session

MIDDLE = 0.66  # of a lane: its name above, its dots here


def show_readers(workspace: Workspace, collection: str, setup: Setup) -> None:
    if workspace.library.documents(collection):
        run_button(
            workspace, "Let 1, 2 and 4 ask", Kind.READERS, setup, lambda: readers_steps(setup)
        )
    show_measuring(workspace.measurements, Kind.READERS)
    session = shown_session(workspace, Kind.READERS, collection)
    if session is None:
        return
    finding(_said(session))
    _plot(session)
    about(session, session.counted)
    behind([_row(each) for each in session.counted], "Every reader's figures", "readers")


def _said(session: Session) -> str:
    there = [n for n in READERS if first_words_of(session, n, Mode.STREAMING)]
    if not there:
        return "No streaming run was finished."
    times = {n: first_words_of(session, n, Mode.STREAMING) or 0.0 for n in there}
    last = there[-1]
    blocked = first_words_of(session, last, Mode.BLOCKING)
    against = f", and after {two(blocked)} s when not" if blocked else ""
    return (
        f"With {_people(last)} at once, the slowest sees words after {two(times[last])} s when "
        f"streaming{against}"
    )


def _people(count: int) -> str:
    return f"{count} reader{'s' * (count != 1)}"


def _plot(session: Session) -> None:
    """Two lanes for each number of readers: a mark for when each of them saw the first words."""
    lanes = [(readers, mode) for readers in READERS for mode in Mode]
    names: list[dict[str, Any]] = []
    marks: list[dict[str, Any]] = []
    for at, (readers, mode) in enumerate(lanes):
        runs = [each for each in session.of(mode) if each.step.readers == readers]
        times = [each.figures.ttft for each in runs if each.figures.ttft]
        middle = f": {two(median(times))} s (n = {len(times)})" if times else ": no run"
        names.append({"x": 0, "y": at + 0.2, "text": f"{_people(readers)}, {mode}{middle}"})
        marks += [{"x": time, "y": at + MIDDLE, "mode": mode} for time in times]
    x = seconds("x", "seconds until the first words", max((m["x"] for m in marks), default=1.0))
    y = lane("y", len(lanes))
    tip = [alt.Tooltip("x:Q", title="seconds", format=".3f")]
    ticks = plot(marks).mark_tick(thickness=3, size=BAR)
    show(
        len(lanes) * LANE + AXIS,
        f"When each of several readers saw the first words. {_said(session)}.",
        ticks.encode(x=x, y=y, color=hue(), tooltip=tip),
        words(names, x, y),
    )


def _row(each: Measurement) -> dict[str, Any]:
    return {
        "readers at once": each.step.readers,
        "mode": str(each.mode),
        "reader": each.reader + 1,
        "first words, s": each.figures.ttft,
        "whole answer, s": each.figures.e2el,
        "tokens a second": each.figures.decode_rate,
        "longest stall, s": each.figures.longest_stall,
        "reused tokens": each.figures.reused_tokens,
    }
