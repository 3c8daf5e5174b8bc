"""Load as one chart: tokens a second of all readers together against how long each waits."""

from collections.abc import Sequence
from typing import Any

from engine.measuring.findings import two
from engine.measuring.load import Level, finding, levels, queue_finding
from engine.measuring.record import Session
from engine.measuring.report.captions import about
from engine.measuring.report.drawing import HUES, from_zero, key, line, point, stem, word_at, xy
from engine.measuring.report.section import Chart, Finding, Note, Section, Table

HEIGHT = 300  # pixels
COLOURS = ("first words, seen when streaming", "whole answer, seen when not")
TITLES = ("tokens a second, all readers together", "seconds")


def load(session: Session) -> Section:
    section = Section(
        "Several readers",
        "Readers share this computer. How many tokens a second do they get together, and how long "
        "does each of them wait?",
    )
    found = levels(session)
    said = finding(found)
    section.blocks += [Finding(said), Chart(key(COLOURS) + _plot(found, said))]
    section.blocks.append(
        Note(
            "Medians. A thin line joins the two times of one load. Further right is more work "
            "done, further up is a longer wait. A dot is labelled with the number of readers at "
            "once. Each of them asks again when an answer has ended (closed loop). A ring is "
            "labelled with its rate, in percent of the highest rate. Its questions come at random "
            "moments (open loop, Poisson, the same moments each time)."
        )
    )
    if queue := queue_finding(found):
        section.blocks.append(Finding(queue))
    section.blocks += [
        Note(about(session, [run for level in found for run in level.runs])),
        Table(rows(found), "The loads with their rates and times"),
    ]
    return section


def rows(found: Sequence[Level]) -> list[dict[str, Any]]:
    return [
        {
            "load": level.name,
            "share of the highest rate": f"{level.load:.0%}" if level.load else "closed loop",
            "answers": len(level.runs),
            "tokens a second together": level.tokens,
            "answers a second": level.answers,
            "first words, median, s": level.first,
            "first words, p90, s": two(level.first_90.value) if level.first_90 else "needs 29",
            "whole answer, median, s": level.whole,
        }
        for level in found
    ]


def _plot(found: Sequence[Level], said: str) -> str:
    x = from_zero([level.tokens for level in found], 1.12)
    y = from_zero([level.whole for level in found], 1.12)
    closed = sorted((level for level in found if not level.load), key=lambda level: level.readers)
    marks = []
    for hue, times in ((HUES[0], "first"), (HUES[1], "whole")):
        places = [(x.at(level.tokens), y.at(getattr(level, times))) for level in closed]
        marks.append(line(places, hue))
        for level in found:
            at, height = x.at(level.tokens), y.at(getattr(level, times))
            title = f"{level.name}: {two(level.tokens)} tokens/s, {getattr(level, times):.2f} s"
            marks.append(point(at, height, hue, title, "ft-ring" if level.load else "ft-dot"))
    for level in found:  # one label for the two marks of a load, above the upper one
        at, top = x.at(level.tokens), y.at(level.whole)
        marks.insert(0, stem(at, y.at(level.first), top))
        marks.append(word_at(at, top, f"{level.load:.0%}" if level.load else str(level.readers)))
    return xy(marks, x, y, TITLES, HEIGHT, f"Tokens a second against waiting. {said}.")
