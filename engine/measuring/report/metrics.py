"""The medians of all runs, metric by metric, with the definitions."""

from dataclasses import dataclass
from statistics import median
from typing import Any

from engine.definitions import DEFINITIONS
from engine.english import counted
from engine.measuring.findings import (
    capital,
    compare,
    likely_range,
    two,
    whole_answer_differs,
)
from engine.measuring.record import Session
from engine.measuring.report.captions import about
from engine.measuring.report.section import Note, Section, Table


@dataclass(frozen=True, slots=True)
class Shown:
    """A metric in the table: its key in DEFINITIONS, its field in Metrics, its unit."""

    key: str
    field: str
    unit: str
    factor: float = 1.0


SHOWN = (
    Shown("ttft", "ttft", "s"),
    Shown("predicted_ttft", "predicted_ttft", "s"),
    Shown("e2el", "e2el", "s"),
    Shown("tpot", "tpot", "ms", 1000),
    Shown("itl", "itl_median", "ms", 1000),
    Shown("longest_stall", "longest_stall", "ms", 1000),
    Shown("prefill_rate", "prefill_rate", "tokens/s"),
    Shown("decode_rate", "decode_rate", "tokens/s"),
    Shown("reused_tokens", "reused_tokens", "tokens"),
)


def metrics(session: Session) -> Section:
    section = Section("The metrics", "The median of all runs, for each metric.")
    rows = [_row(session, shown) for shown in SHOWN]
    if comparison := compare(session):
        said = (comparison.enough_pairs and whole_answer_differs(comparison)) or "not clear"
        likely = likely_range(comparison.extra)
        definition = DEFINITIONS["streaming_tax"]
        names = session.setup.names
        rows.append(
            {
                "metric": capital(definition.name),
                capital(names[0]): f"{said}: {likely}" if likely else "too few runs",
                **{capital(name): "" for name in names[1:]},
                "meaning": definition.meaning,
                "source": definition.source,
            }
        )
    section.blocks += [
        Table(rows, "The median of each metric, with its definition", open=True),
        Note(about(session, session.counted)),
    ]
    late = [
        each.seen_first - each.metrics.ttft
        for each in session.counted
        if each.seen_first is not None and each.metrics.ttft is not None
    ]
    if late:
        section.blocks.append(
            Note(
                "A reader outside the engine received the first words "
                f"{two(median(late) * 1000)} ms after the time given above (median of "
                f"{counted(len(late), 'run')})."
            )
        )
    return section


def _row(session: Session, shown: Shown) -> dict[str, Any]:
    definition = DEFINITIONS[shown.key]
    row: dict[str, Any] = {"metric": capital(definition.name)}
    for lane, name in enumerate(session.setup.names):
        value = session.median(lane, shown.field)
        # All text at once has no time per token.
        known = value is not None and not (shown.key == "tpot" and not value)
        row[capital(name)] = f"{two((value or 0) * shown.factor)} {shown.unit}" if known else "–"
    return row | {"meaning": definition.meaning, "source": definition.source}
