"""Session ↔ JSONL: everything that was measured, one object a line.

`session` comes first; then for each run a `run`, its `token`s and its `chunk`s, times in seconds
since that run's submit; `end` last, unless First Token ended before it. Read again, anywhere, it
gives the same figures. A file may come from a stranger, so whatever it holds, reading ends in a
Session or a MeasuringError.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from engine.errors import MeasuringError
from engine.llm.base import Packing
from engine.measuring.record import Chunk, Measurement, Outcome, Session, figures_of
from engine.measuring.schedule import Kind, Mode, Role, Setup, Step
from engine.timing import CallRecord, Span, Trace

FORMAT = 1
MOST_RUNS = 2_000
MOST = 1e11  # seconds or tokens: no file of ours comes near
# What reading a file that is not as it should be raises, and no more than that.
DAMAGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError)
FINISH_REASONS = ("stop", "length", "cancelled", "error")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Line = dict[str, Any]


def session_line(session: Session) -> Line:
    return {
        "kind": "session",
        "format": FORMAT,
        "id": session.id,
        "what": session.kind,
        "started": session.started,
        "planned": session.planned,
        "imported": session.imported,
        "setup": asdict(session.setup),
        "fingerprint": session.fingerprint,
    }


def end_line(session: Session) -> Line:
    return {"kind": "end", "outcome": session.outcome, "problem": session.problem}


def run_lines(measurement: Measurement) -> list[Line]:
    """A measurement that has its trace: the run, its tokens, its chunks."""
    trace = measurement.trace or Trace()
    record = trace.to_dict()
    times = [call.pop("token_times") for call in record["calls"]]
    del record["chunk_times"]
    of: Line = {"run": measurement.run, "reader": measurement.reader}
    tokens = [
        {"kind": "token", **of, "call": call, "token": number, "time_s": time}
        for call, each in enumerate(times)
        for number, time in enumerate(each)
    ]
    chunks = [
        {
            "kind": "chunk",
            **of,
            "chunk": number,
            "handed_s": chunk.handed,
            "received_s": chunk.received,
            "text": chunk.text,
        }
        for number, chunk in enumerate(measurement.chunks)
    ]
    head = {
        "kind": "run",
        **of,
        "step": asdict(measurement.step),
        "outcome": measurement.outcome,
        "error": measurement.error,
        "trace": record,
        "follow": len(tokens) + len(chunks),
    }
    return [head, *tokens, *chunks]


def to_jsonl(session: Session) -> str:
    """The whole session; runs that came from a table have no trace and are left out."""
    runs = (line for each in session.measurements if each.trace for line in run_lines(each))
    lines = [session_line(session), *runs, end_line(session)]
    return "".join(json.dumps(line) + "\n" for line in lines)


def from_jsonl(text: str) -> Session:
    """A session, without a last run that is cut off: a crash may have done that.

    Raises:
        MeasuringError: the text is no such file, or a damaged one.
    """
    try:
        return _read_lines(_parsed(text))
    except (*DAMAGE, RecursionError) as fault:
        raise not_ours("JSONL") from fault


def header(line: str) -> Session:
    """The session of a file's first line, without its runs; raises one of DAMAGE."""
    return _session(json.loads(line))


def _parsed(text: str) -> Iterator[Line]:
    lines = text.split("\n")[:-1]  # each line ends in one: what follows the last was cut off
    for line in lines:
        yield json.loads(line)


def _read_lines(lines: Iterator[Line]) -> Session:
    session = _session(next(lines, {}))
    parts: dict[tuple[int, int], list[Line]] = {}
    for line in lines:
        if line["kind"] == "end":
            session.outcome = Outcome(line["outcome"])
            session.problem = str(line["problem"])
        else:
            parts.setdefault((whole(line["run"]), whole(line["reader"])), []).append(line)
    if len(parts) > MOST_RUNS:
        raise MeasuringError(f"It has {len(parts)} runs; {MOST_RUNS} are the most shown.")
    there = [part for part in parts.values() if len(part) == 1 + whole(part[0]["follow"])]
    session.measurements = [_measurement(part) for part in there]
    return session


def _session(line: Line) -> Session:
    if line["kind"] != "session" or line["format"] != FORMAT or not is_session_id(line["id"]):
        raise not_ours("JSONL")
    return Session(
        id=line["id"],
        kind=Kind(line["what"]),
        started=seconds(line["started"]),
        setup=_setup(line["setup"]),
        fingerprint={str(name): str(value) for name, value in line["fingerprint"].items()},
        planned=whole(line["planned"]),
        outcome=Outcome.INTERRUPTED,
        imported=bool(line["imported"]),
    )


def _measurement(lines: list[Line]) -> Measurement:
    head, *rest = lines
    trace = _trace(head["trace"], [line for line in rest if line["kind"] == "token"])
    chunks = tuple(
        Chunk(str(line["text"]), seconds(line["handed_s"]), seconds(line["received_s"]))
        for line in rest
        if line["kind"] == "chunk"
    )
    trace.chunk_times = [chunk.handed for chunk in chunks]
    return Measurement(
        head["run"],
        step_of(head["step"]),
        figures_of(trace, chunks),
        head["reader"],
        Outcome(head["outcome"]),
        str(head["error"]),
        trace,
        chunks,
    )


def _trace(record: Line, tokens: Iterable[Line]) -> Trace:
    trace = Trace()
    trace.submitted_at = seconds(record["submitted_at"])
    trace.ended = None if record["ended"] is None else seconds(record["ended"])
    trace.spans = [_span(span) for span in record["spans"]]
    trace.calls = [_call(call) for call in record["calls"]]
    for token in tokens:
        times = trace.calls[whole(token["call"])].token_times
        times.append(seconds(token["time_s"]))
        if times[-2:] != sorted(times[-2:]):
            raise ValueError("A token came before the one before it.")
    return trace


def _span(values: Line) -> Span:
    end, call = values["end"], values["call"]
    return Span(
        str(values["name"]),
        seconds(values["start"]),
        None if end is None else seconds(end),
        None if call is None else whole(call),
    )


def _call(values: Line) -> CallRecord:
    reason = values["finish_reason"]
    return CallRecord(
        str(values["purpose"]),
        prompt_tokens=whole(values["prompt_tokens"]),
        reused_tokens=whole(values["reused_tokens"]),
        output_tokens=whole(values["output_tokens"]),
        finish_reason=reason if reason in FINISH_REASONS else None,
    )


def step_of(values: Mapping[str, Any]) -> Step:
    return Step(
        Mode(values["mode"]),
        whole(values["passages"]),
        whole(values["length"]),
        whole(values["readers"]),
        None if values["pair"] is None else whole(values["pair"]),
        Role(values["role"]),
        bool(values["exact"]),
    )


def _setup(values: Mapping[str, Any]) -> Setup:
    return Setup(
        str(values["question"]),
        str(values["collection"]),
        whole(values["passages"]),
        Packing(values["packing"]) if values["packing"] else None,
        whole(values["length"]),
        bool(values["warm"]),
    )


def seconds(value: Any) -> float:
    """A time since submit, or since 1970, that a chart can take."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST:
        raise ValueError(f"{value!r} is no number of seconds.")
    return float(value)


def whole(value: Any) -> int:
    """A count."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MOST:
        raise ValueError(f"{value!r} is no count.")
    return value


def is_session_id(text: str) -> bool:
    """It becomes the name of a file."""
    return bool(_ID.fullmatch(text))


def not_ours(kind: str) -> MeasuringError:
    return MeasuringError(
        f"This is no {kind} file of measurements, or it is damaged. Choose one that a Compare page "
        "exported."
    )
