"""Session ↔ CSV: a row a run, for spreadsheets.

What is the same for all of a session is repeated in each row, so that rows of several sessions
can stand in one table. Read again, it gives the same figures; the times of single tokens are in
the JSONL alone.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from engine.errors import MeasuringError
from engine.llm.base import Packing
from engine.measuring.jsonl import (
    DAMAGE,
    MOST_RUNS,
    is_session_id,
    not_ours,
    seconds,
    step_of,
    whole,
)
from engine.measuring.record import Figures, Measurement, Outcome, Session
from engine.measuring.schedule import Kind, Setup, Step

_STEP = ("mode", "passages", "length", "readers", "pair", "role", "exact")
_SETUP = ("question", "collection", "packing", "warm")
_FIGURES = tuple(field.name for field in fields(Figures))
_WHOLE = ("prompt_tokens", "reused_tokens", "output_tokens")


def to_csv(session: Session) -> str:
    rows = [_row(session, each) for each in session.measurements]
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]) if rows else ["session"])
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue()


def _row(session: Session, each: Measurement) -> dict[str, Any]:
    step, setup = asdict(each.step), asdict(session.setup)
    return {
        "session": session.id,
        "what": session.kind,
        "started": session.started,
        "run": each.run,
        "reader": each.reader,
        "outcome": each.outcome,
        **{name: step[name] for name in _STEP},
        **{name: getattr(each.figures, name) for name in _FIGURES},
        **{name: setup[name] for name in _SETUP},
        **{f"on {name}": value for name, value in session.fingerprint.items()},
    }


def from_csv(text: str) -> Session:
    """Raises MeasuringError where the text is no such table, or of several sessions."""
    try:
        rows = list(csv.DictReader(io.StringIO(text)))
        if not 0 < len(rows) <= MOST_RUNS or len({row["session"] for row in rows}) != 1:
            raise MeasuringError(
                f"A table of one session is wanted, with 1 to {MOST_RUNS} runs. Export one again."
            )
        return _from_rows(rows)
    except (*DAMAGE, csv.Error) as fault:
        raise not_ours("CSV") from fault


def _from_rows(rows: list[dict[str, str]]) -> Session:
    first = rows[0]
    if not is_session_id(first["session"]):
        raise not_ours("CSV")
    steps = [_step_of_row(row) for row in rows]
    return Session(
        id=first["session"],
        kind=Kind(first["what"]),
        started=seconds(float(first["started"])),
        setup=Setup(
            first["question"],
            first["collection"],
            steps[0].passages,
            Packing(first["packing"]) if first["packing"] else None,
            steps[0].length,
            first["warm"] == "True",
        ),
        fingerprint={n.removeprefix("on "): v for n, v in first.items() if n.startswith("on ")},
        planned=len(rows),
        measurements=[
            Measurement(
                whole(int(row["run"])),
                step,
                _figures(row),
                whole(int(row["reader"])),
                Outcome(row["outcome"]),
            )
            for row, step in zip(rows, steps, strict=True)
        ],
        outcome=Outcome.DONE,
        imported=True,
    )


def _figures(row: Mapping[str, str]) -> Figures:
    values: dict[str, Any] = {}
    for name in _FIGURES:
        if row[name]:
            number = row[name]
            values[name] = whole(int(number)) if name in _WHOLE else seconds(float(number))
    return Figures(**values)


def _step_of_row(row: Mapping[str, str]) -> Step:
    counts: dict[str, Any] = {name: int(row[name]) for name in ("passages", "length", "readers")}
    pair = int(row["pair"]) if row["pair"] else None
    return step_of({**row, **counts, "pair": pair, "exact": row["exact"] == "True"})
