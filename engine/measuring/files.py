"""Sessions as files: JSONL with everything, which can be read again; CSV with one row per run.

A JSONL file has one object per line. A `session` line comes first; then for each run a `run`
line, its `token` lines and its `chunk` lines, with times in seconds since that run's submit. The
last line is an `end` line, unless First Token ended before the session did. A file may come from
another computer, so every line is validated: reading returns a Session or raises MeasuringError.

Files of format 1, of version 0.1.0, had one question, and streaming and non-streaming as the only
lanes; they are read as well.
"""

import csv
import io
import json
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel, ValidationError

from engine.errors import MeasuringError
from engine.measuring.record import Chunk, Measurement, Outcome, Session
from engine.measuring.schedule import Count, Experiment, Mode, Setup, Trial
from engine.timing import CallRecord, FinishReason, Metrics, PlanRecord, Span, Trace

FORMAT: Literal[2] = 2
MOST_RUNS = 2_000
NOT_OURS = (
    "This is not a file of measurements, or it is damaged. Choose a JSONL file that was exported "
    "on a Compare page."
)

Seconds = Annotated[float, Field(ge=0, lt=1e11, allow_inf_nan=False)]
SessionId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
"""The pattern is strict, because the id becomes the name of a file."""


class _SessionLine(BaseModel, strict=True):
    kind: Literal["session"] = "session"
    format: Literal[2] = FORMAT
    id: SessionId
    what: Experiment | Literal["map"]
    started: Seconds
    planned: Count
    imported: bool
    setup: Setup
    fingerprint: dict[str, str]


class _Span(BaseModel, strict=True):
    name: str
    start: Seconds
    end: Seconds | None
    call: Count | None


class _Call(BaseModel, strict=True):
    purpose: str
    prompt_tokens: Count
    reused_tokens: Count
    output_tokens: Count
    finish_reason: FinishReason | None
    settings: dict[str, Any] = {}


class _Plan(BaseModel, strict=True):
    budget: Seconds | None
    predicted: Seconds
    all_predicted: Seconds
    tokens: Count
    all_tokens: Count
    sentences: Count
    passages: Count
    left_out: list[tuple[Count, Count]]


class _Trace(BaseModel, strict=True):
    submitted_at: Seconds
    spans: list[_Span]
    calls: list[_Call]
    plan: _Plan | None = None  # not in files of the first version
    ended: Seconds | None


class _RunLine(BaseModel, strict=True):
    """`follow` is the number of token and chunk lines of this run."""

    kind: Literal["run"] = "run"
    run: Count
    reader: Count
    question: Count = 0
    useful: Count = 0
    step: Trial
    outcome: Outcome
    error: str
    trace: _Trace
    follow: Count


class _TokenLine(BaseModel, strict=True):
    kind: Literal["token"] = "token"
    run: Count
    reader: Count
    call: Count
    token: Count
    time_s: Seconds


class _ChunkLine(BaseModel, strict=True):
    kind: Literal["chunk"] = "chunk"
    run: Count
    reader: Count
    chunk: Count
    handed_s: Seconds
    received_s: Seconds
    text: str


class _EndLine(BaseModel, strict=True):
    kind: Literal["end"] = "end"
    outcome: Outcome
    problem: str


_PartLine = _RunLine | _TokenLine | _ChunkLine
_Line = RootModel[Annotated[_PartLine | _EndLine, Field(discriminator="kind")]]


def to_jsonl(session: Session) -> str:
    runs = "".join(run_lines(each) for each in session.measurements)
    return session_line(session) + runs + end_line(session.outcome, session.problem)


def session_line(session: Session) -> str:
    line = _SessionLine(
        id=session.id,
        what=session.experiment,
        started=session.started,
        planned=session.planned,
        imported=session.imported,
        setup=session.setup,
        fingerprint=session.fingerprint,
    )
    return _written(line)


def end_line(outcome: Outcome, problem: str) -> str:
    return _written(_EndLine(outcome=outcome, problem=problem))


def run_lines(measurement: Measurement) -> str:
    """The lines of one measurement: the run, its tokens, its chunks."""
    trace, run, reader = measurement.trace, measurement.run, measurement.reader
    tokens = [
        _TokenLine(run=run, reader=reader, call=number, token=token, time_s=time)
        for number, call in enumerate(trace.calls)
        for token, time in enumerate(call.token_times)
    ]
    chunks = [
        _ChunkLine(
            run=run,
            reader=reader,
            chunk=number,
            handed_s=chunk.handed,
            received_s=chunk.received,
            text=chunk.text,
        )
        for number, chunk in enumerate(measurement.chunks)
    ]
    head = _RunLine(
        run=run,
        reader=reader,
        question=measurement.question,
        useful=measurement.useful,
        step=measurement.trial,
        outcome=measurement.outcome,
        error=measurement.error,
        trace=_Trace.model_validate(trace, from_attributes=True),
        follow=len(tokens) + len(chunks),
    )
    return "".join(_written(line) for line in (head, *tokens, *chunks))


def _written(line: BaseModel) -> str:
    return line.model_dump_json(ensure_ascii=True, by_alias=True) + "\n"


def from_jsonl(data: bytes) -> Session:
    """A session. A last run that is cut off is left out: a crash may have caused it.

    Raises:
        MeasuringError: the data is not such a file, is damaged, or has too many runs.
    """
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")[:-1]  # the last one is cut off or ""
    session = header(lines[0] if lines else b"")
    if session is None:
        raise MeasuringError("This is a latency map, which this version cannot show.")
    of_format_1 = _format_of(lines[0]) == 1
    parts: dict[tuple[int, int], list[_PartLine]] = {}
    try:
        for line in lines[1:]:
            part = _Line.model_validate_json(_upgraded(line) if of_format_1 else line).root
            if isinstance(part, _EndLine):
                session.outcome, session.problem = part.outcome, part.problem
            else:
                parts.setdefault((part.run, part.reader), []).append(part)
        if len(parts) > MOST_RUNS:
            raise MeasuringError(f"It has {len(parts)} runs; at most {MOST_RUNS} can be shown.")
        measurements = (_measurement(part) for part in parts.values())
        session.measurements = [each for each in measurements if each]
    except (ValidationError, ValueError, IndexError) as fault:
        raise MeasuringError(NOT_OURS) from fault
    for each in session.measurements:
        lanes, questions = len(session.setup.lanes), len(session.setup.questions)
        if each.lane >= lanes or each.question >= questions:
            raise MeasuringError(NOT_OURS)
    return session


def header(line: bytes) -> Session | None:
    """The session of a file's first line, without its runs.

    None for a map, an experiment of an earlier version. Its file is kept, but not shown.

    Raises:
        MeasuringError: it is not a session line.
    """
    try:
        read = _SessionLine.model_validate_json(_upgraded(line) if _format_of(line) == 1 else line)
    except ValueError as fault:  # ValidationError is one, too
        raise MeasuringError(NOT_OURS) from fault
    if not isinstance(read.what, Experiment):
        return None
    return Session(
        id=read.id,
        experiment=read.what,
        started=read.started,
        setup=read.setup,
        fingerprint=read.fingerprint,
        planned=read.planned,
        outcome=Outcome.INTERRUPTED,  # until an end line says otherwise
        imported=read.imported,
    )


def _format_of(line: bytes) -> object:
    """The format that a session line says; None if it is no JSON object."""
    try:
        read = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return read.get("format") if isinstance(read, dict) else None


def _upgraded(line: bytes) -> bytes:
    """A line of format 1 in the present format.

    A session had one question and no lanes. A step had a mode instead of a lane, and its readers
    asked once, all together.
    """
    read = json.loads(line)
    if not isinstance(read, dict):
        return line
    setup, step = read.get("setup"), read.get("step")
    if isinstance(setup, dict):
        setup["questions"] = [setup.get("question")]
        setup["lanes"] = [{"mode": str(mode), "warm": setup.get("warm")} for mode in Mode]
        setup["context_format"] = setup.get("packing")
        read["format"] = FORMAT
        if read.get("what") == "readers":
            read["what"] = str(Experiment.LOAD)
    if isinstance(step, dict):
        together = step.get("readers", 1)
        step["lane"] = [str(mode) for mode in Mode].index(str(step.get("mode")))
        step["requests"] = together
        step["pair"] = step.get("pair") if together == 1 else None
    return json.dumps(read).encode()


def _measurement(lines: list[_PartLine]) -> Measurement | None:
    """None if lines are missing. Raises ValueError or IndexError if they contradict each other."""
    head, *rest = lines
    if not isinstance(head, _RunLine):
        raise ValueError("The lines of a run do not begin with its run line.")
    if len(rest) != head.follow:
        return None
    trace = Trace()
    trace.submitted_at, trace.ended = head.trace.submitted_at, head.trace.ended
    trace.spans = [Span(**span.model_dump()) for span in head.trace.spans]
    trace.calls = [CallRecord(**call.model_dump()) for call in head.trace.calls]
    if head.trace.plan:
        trace.plan = PlanRecord(**head.trace.plan.model_dump())
    chunks = []
    for line in rest:
        if isinstance(line, _TokenLine):
            times = trace.calls[line.call].token_times
            if times and line.time_s < times[-1]:
                raise ValueError("A token has an earlier time than the token before it.")
            times.append(line.time_s)
        elif isinstance(line, _ChunkLine):
            chunks.append(Chunk(line.text, line.handed_s, line.received_s))
    trace.chunk_times = [chunk.handed for chunk in chunks]
    return Measurement(
        head.run,
        head.step,
        trace,
        tuple(chunks),
        head.reader,
        head.outcome,
        head.error,
        head.question,
        head.useful,
    )


_SETUP = ("collection", "passages", "context_format", "length", "first_token_budget")


def is_session_id(text: str) -> bool:
    try:
        return bool(RootModel[SessionId](text))
    except ValidationError:
        return False


def to_csv(session: Session) -> str:
    """One row per run, for spreadsheets. Each row repeats the values that all runs share."""
    table = io.StringIO()
    rows = [_row(session, each) for each in session.measurements]
    writer = csv.DictWriter(table, list(rows[0]) if rows else ["session"])
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue()


def _row(session: Session, each: Measurement) -> dict[str, Any]:
    setup = asdict(session.setup)
    figures = {name: getattr(each.metrics, name) for name in Metrics.__dataclass_fields__}
    figures["itl_median"] = each.metrics.itl_median
    del figures["itl"]
    return {
        "session": session.id,
        "what": session.experiment,
        "started": session.started,
        "run": each.run,
        "reader": each.reader,
        "outcome": each.outcome,
        **asdict(session.setup.lanes[each.lane]),
        **asdict(each.trial),
        "lane": session.setup.names[each.lane],
        "question": session.setup.questions[each.question],
        **figures,
        "seen_first": each.seen_first,
        "seen_last": each.seen_last,
        "unaccounted": each.unaccounted,
        **{name: setup[name] for name in _SETUP},
        **{f"on {name}": value for name, value in session.fingerprint.items()},
    }
