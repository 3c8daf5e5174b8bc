"""A session as one HTML file: it opens offline in any browser, and needs nothing from elsewhere."""

import html
from datetime import datetime
from typing import Any

from engine.measuring.feeling import ADULT
from engine.measuring.findings import capital, settings_of
from engine.measuring.goodput import WaitingBudget, described, kept, percent, verdict_on
from engine.measuring.record import Session
from engine.measuring.report import drawing, race
from engine.measuring.report.captions import which_run
from engine.measuring.report.felt import felt
from engine.measuring.report.loads import load
from engine.measuring.report.metrics import metrics
from engine.measuring.report.result import result
from engine.measuring.report.runs import every_run, questions
from engine.measuring.report.section import Chart, Finding, Note, Rows, Section, Table
from engine.measuring.report.spread import spread
from engine.measuring.report.stages import stages
from engine.measuring.report.tokens import tokens
from engine.measuring.schedule import Experiment, Mode

STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 46rem; line-height: 1.5;
  font-family: system-ui, sans-serif; color: light-dark(#0C151C, #E3E9ED);
  background: light-dark(#FFFFFF, #0E1317); }
h1 { font-size: 2rem; margin: 0 0 0.25rem; } h2 { font-size: 1.375rem; margin: 2.5rem 0 0.25rem; }
.finding { font-weight: 600; margin: 1rem 0 0; }
.verdict { font-size: 1.375rem; line-height: 1.35; }
.note { font-size: 0.875rem; color: light-dark(#52606B, #A9B4BC); margin: 0.25rem 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.875rem; }
th, td { text-align: left; padding: 0.25rem 0.75rem 0.25rem 0; vertical-align: top;
  border-bottom: 1px solid light-dark(#D8DFE3, #2E3942); font-variant-numeric: tabular-nums; }
.long { min-width: 16rem; }
summary { cursor: pointer; margin: 0.5rem 0; }
details.section > summary { margin: 0.75rem 0; }
button { font: inherit; padding: 0.375rem 0.875rem; margin: 0 0.5rem 0.75rem 0; cursor: pointer;
  border-radius: 0.375rem; border: 1px solid light-dark(#A9B4BC, #52606B); background: none;
  color: inherit; }
"""
# The replay begins when somebody asks for it: the panels are taken out of the page and put back,
# which makes the browser start their animations again. Without scripts they play once, at loading.
SCRIPT = """
const race = document.querySelector(".ft-race");
for (const button of document.querySelectorAll("button[data-speed]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    race.style.setProperty("--ft-speed", button.dataset.speed);
    race.replaceChildren(...[...race.children].map((panel) => panel.cloneNode(true)));
  });
}
"""
LONG = 30  # characters of a cell whose column stays wide on a phone
SPEEDS = (("Replay in real time", 1.0), ("Half speed", 0.5))


def to_html(session: Session, budget: WaitingBudget, words_a_minute: float = ADULT) -> str:
    """The file. budget, words_a_minute: as the person chose them on the page."""
    if session.experiment is Experiment.LOAD:
        main, folded = [_html(load(session))], [questions(session)]
        title = "Load"
    else:
        main = [_html(result(session), verdict=True), _race(session)]
        folded = _sections(session, budget, words_a_minute)
        title = capital(" against ".join(session.setup.names))
    when = datetime.fromtimestamp(session.started).strftime("%-d %B %Y, %H:%M")
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="note">Measured with First Token on {when}. '
        "This file is complete: it needs no network.</p>",
        *main,
        "<h2>In detail</h2>",
        *(_folded(section) for section in folded),
        _folded(_settings(session)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
        f"<title>{html.escape(title)} · First Token</title>"
        f"<style>{STYLE}{drawing.STYLE}{race.STYLE}</style></head>"
        f"<body>{''.join(parts)}<script>{SCRIPT}</script></body></html>\n"
    )


def _sections(session: Session, budget: WaitingBudget, words_a_minute: float) -> list[Section]:
    """The details of a comparison, in the order of the page."""
    found = [felt(session, words_a_minute), questions(session), every_run(session), spread(session)]
    lanes = range(len(session.setup.lanes))
    runs = [run for lane in lanes if (run := session.typical_run(lane))]
    for run in runs:
        section = stages(session, run)
        name = session.setup.names[run.lane]
        found.append(Section(f"{section.title}: {name}", section.prose, section.blocks))
    for run in runs:
        if session.setup.lanes[run.lane].mode is Mode.STREAMING and len(run.chunks) > 1:
            found.append(tokens(session, run, words_a_minute))
            break
    return [*found, _budget(session, budget), metrics(session)]


def _race(session: Session) -> str:
    runs = race.racers(session)
    if not runs:
        return ""
    buttons = "".join(
        f'<button hidden data-speed="{speed}">{label}</button>' for label, speed in SPEEDS
    )
    shown = " and of ".join(which_run(session, run) for run in runs)
    return (
        f"<h2>The race</h2><p>One question, as two readers see its answer: "
        f"“{html.escape(session.setup.questions[runs[0].question])}”</p>{buttons}"
        f'{race.race(session, runs)}<p class="note">A replay of {html.escape(shown)}.</p>'
    )


def _budget(session: Session, budget: WaitingBudget) -> Section:
    section = Section("A waiting budget", f"In time: {described(budget)}.")
    found = kept([session], budget)
    rows = [
        {"lane": name, "answers in time": percent(share) if share else "–"}
        for name, share in zip(session.setup.names, found.shares, strict=True)
    ]
    section.blocks += [
        Finding(verdict_on(found, session.setup.names)),
        Table(rows, "The share of answers in time", open=True),
    ]
    return section


def _settings(session: Session) -> Section:
    section = Section("Settings and machine", "What was measured, with what, and on what.")
    facts = {
        **settings_of(session),
        "collection": session.setup.collection,
        **session.fingerprint,
        "runs": str(len(session.measurements)),
        "ended": str(session.outcome),
    }
    rows = [{"what": name, "value": value} for name, value in facts.items()]
    section.blocks.append(Table(rows, "Settings and machine", open=True))
    return section


def _folded(section: Section) -> str:
    said = f" {html.escape(section.finding)}." if section.finding else ""
    return (
        f'<details class="section"><summary><b>{html.escape(section.title)}.</b>{said}</summary>'
        f"<p>{html.escape(section.prose)}</p>{_blocks(section, section.finding)}</details>"
    )


def _html(section: Section, verdict: bool = False) -> str:
    head = f"<h2>{html.escape(section.title)}</h2><p>{html.escape(section.prose)}</p>"
    return head + _blocks(section, kind="finding verdict" if verdict else "finding")


def _blocks(section: Section, said: str = "", kind: str = "finding") -> str:
    drawn = []
    for block in section.blocks:
        match block:
            case Finding(text):
                drawn.append(f'<p class="{kind}">{html.escape(text)}.</p>' if text != said else "")
            case Chart(chart):
                drawn.append(chart)
            case Note(text):
                drawn.append(f'<p class="note">{_strong(text)}</p>')
            case Table(rows, describes, open_):
                table = _table(rows, describes)
                drawn.append(
                    table if open_ else f"<details><summary>The values</summary>{table}</details>"
                )
    return "".join(drawn)


def _strong(text: str) -> str:
    """A note's strong words, between two pairs of asterisks."""
    parts = text.split("**")
    return "".join(
        f"<b>{html.escape(part)}</b>" if place % 2 else html.escape(part)
        for place, part in enumerate(parts)
    )


def _table(rows: Rows, describes: str) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    long = [any(len(_cell(row.get(name))) > LONG for row in rows) for name in names]
    head = "".join(
        f"<th{' class=long' * is_long}>{html.escape(name)}</th>"
        for name, is_long in zip(names, long, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td>{html.escape(_cell(row.get(name)))}</td>" for name in names)
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{html.escape(describes)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
