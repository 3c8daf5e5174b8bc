"""Trace: when each stage of one answer began and ended, and the metrics computed from that.

The clock is `time.perf_counter`, in seconds; zero is the moment when the question was submitted.
Every metric of an answer on a page or in a benchmark is computed here, from a Trace. definitions.py
has the meaning and the source of each metric.
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Literal

FinishReason = Literal["stop", "length", "cancelled", "error"]

UNACCOUNTED = "unaccounted"  # the name of a segment in which no stage was running


@dataclass(slots=True)
class Span:
    """One stage. Times in seconds since submit; `end` is None while it runs."""

    name: str
    start: float
    end: float | None = None
    call: int | None = None

    @property
    def duration(self) -> float:
        return 0.0 if self.end is None else self.end - self.start


@dataclass(frozen=True, slots=True)
class Segment:
    """A bar of a waterfall, in seconds since submit. `call` is the number of its LLM call."""

    name: str
    start: float
    end: float
    call: int | None = None

    @property
    def duration(self) -> float:
        return self.end - self.start


@dataclass(slots=True)
class CallRecord:
    """One LLM call. Counts are tokens; `token_times` are seconds since submit.

    `prompt_tokens` counts the whole prompt, `reused_tokens` the part whose state was cached.
    `settings` describes how the call ran: threads, slice, flash attention, model.
    """

    purpose: str
    prompt_tokens: int = 0
    reused_tokens: int = 0
    output_tokens: int = 0
    finish_reason: FinishReason | None = None
    token_times: list[float] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class PlanRecord:
    """The part of the passages in the prompt of an answer, and the expected time of the first
    token.

    Seconds since submit: `budget` (None: no limit), `predicted` for the part that was read, and
    `all_predicted` for all passages. The tokens are those that were in no kept state. `sentences`
    of `passages` were read. `left_out`: (number of a passage, its sentences that were not read)
    where the budget did not allow more.
    """

    budget: float | None
    predicted: float
    all_predicted: float
    tokens: int
    all_tokens: int
    sentences: int
    passages: int
    left_out: list[tuple[int, int]] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """A sentence for the user about what was left out; empty if everything was read."""
        if not self.left_out:
            return ""
        seconds = self.all_predicted
        about = f"{seconds:.1f}" if seconds < 3 else f"{seconds:.0f}"
        return (
            f"To keep the time limit, the model read {self.sentences} "
            f"sentence{'s' * (self.sentences != 1)} of {self.passages} "
            f"passage{'s' * (self.passages != 1)}. Reading all of it would have taken about "
            f"{about} s."
        )


@dataclass(frozen=True, slots=True)
class KindRecord:
    """How a question of a special kind was treated (engine/kinds/). `did`: what was done, in a few
    words for the user. `by_code`: the text consists of quotations and computed values; the model
    wrote none of it."""

    kind: str
    did: str
    by_code: bool


@dataclass(frozen=True, slots=True)
class Metrics:
    """Seconds, tokens, and tokens per second; definitions.py defines each.

    None where the record has too few tokens to compute the metric.
    """

    ttft: float | None
    e2el: float | None
    tpot: float | None
    itl: tuple[float, ...]
    longest_stall: float | None
    prefill_rate: float | None
    decode_rate: float | None
    prompt_tokens: int
    reused_tokens: int
    output_tokens: int
    predicted_ttft: float | None = None

    @property
    def itl_median(self) -> float | None:
        """The median gap between two tokens, in seconds."""
        return median(self.itl) if self.itl else None


class Trace:
    """The record of one answer. The working threads write it; any thread may read it at any
    time."""

    def __init__(self) -> None:
        self.origin = time.perf_counter()
        self.submitted_at = time.time()
        self.spans: list[Span] = []
        self.calls: list[CallRecord] = []
        self.plan: PlanRecord | None = None
        self.kind: KindRecord | None = None
        self.chunk_times: list[float] = []
        self.ended: float | None = None

    def submitted(self, at: float) -> None:
        """Begin earlier: the question was submitted at `at`, a value of `time.perf_counter`."""
        self.submitted_at -= self.origin - at
        self.origin = at

    def now(self) -> float:
        return time.perf_counter() - self.origin

    @contextmanager
    def span(self, name: str) -> Iterator[Span]:
        """Time a block. Inside an LLM call the span carries that call's number."""
        span = Span(name, self.now(), call=len(self.calls) - 1 if self.calls else None)
        self.spans.append(span)
        try:
            yield span
        finally:
            span.end = self.now()

    def begin_call(self, purpose: str) -> CallRecord:
        self.calls.append(CallRecord(purpose))
        return self.calls[-1]

    def chunk(self) -> None:
        """Record that readers got a non-empty chunk of the answer."""
        self.chunk_times.append(self.now())

    def finish(self) -> None:
        self.ended = self.now()

    def total(self, name: str) -> float:
        """Seconds spent in all spans of that name."""
        return sum(span.duration for span in self.spans if span.name == name)

    @property
    def metrics(self) -> Metrics:
        return compute_metrics(self)

    def to_dict(self) -> dict[str, Any]:
        """JSON values, from which `from_dict` makes a trace with the same metrics."""
        return {
            "submitted_at": self.submitted_at,
            "spans": [asdict(span) for span in self.spans],
            "calls": [asdict(call) for call in self.calls],
            "plan": asdict(self.plan) if self.plan else None,
            "kind": asdict(self.kind) if self.kind else None,
            "chunk_times": list(self.chunk_times),
            "ended": self.ended,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Trace":
        trace = cls()
        trace.submitted_at = record["submitted_at"]
        trace.spans = [Span(**span) for span in record["spans"]]
        trace.calls = [CallRecord(**call) for call in record["calls"]]
        plan = record.get("plan")  # not in records of the first version
        trace.plan = PlanRecord(**plan) if plan else None
        kind = record.get("kind")  # not in records before version 0.2
        trace.kind = KindRecord(**kind) if kind else None
        trace.chunk_times = list(record["chunk_times"])
        trace.ended = record["ended"]
        return trace


def compute_metrics(trace: Trace) -> Metrics:
    """The metrics of the last LLM call, which writes the answer; times count from the submit."""
    call = trace.calls[-1] if trace.calls else CallRecord("none")
    times = call.token_times
    gaps = tuple(b - a for a, b in itertools.pairwise(times))
    ttft = trace.chunk_times[0] if trace.chunk_times else None
    e2el = max(times[-1], trace.chunk_times[-1]) if times and trace.chunk_times else trace.ended
    decoding = times[-1] - times[0] if len(times) > 1 else 0.0
    evaluated = call.prompt_tokens - call.reused_tokens
    prefill = sum(
        s.duration for s in trace.spans if s.name == "prefill" and s.call == len(trace.calls) - 1
    )
    several = ttft is not None and e2el is not None and call.output_tokens > 1
    return Metrics(
        ttft=ttft,
        e2el=e2el,
        tpot=(e2el - ttft) / (call.output_tokens - 1) if several else None,  # type: ignore[operator]
        itl=gaps,
        longest_stall=max(gaps, default=None),
        prefill_rate=evaluated / prefill if prefill > 0 and evaluated > 0 else None,
        decode_rate=len(gaps) / decoding if decoding > 0 else None,
        prompt_tokens=call.prompt_tokens,
        reused_tokens=call.reused_tokens,
        output_tokens=call.output_tokens,
        predicted_ttft=trace.plan.predicted if trace.plan else None,
    )


def waterfall(trace: Trace, received: float | None = None) -> list[Segment]:
    """The stages from submit to the last text, in order of time and without gaps.

    These are the spans of the trace, with three changes. In each call, "first token" lasts from the
    end of the prefill until the first token is computed, and "decode" from there until the last
    token. "hand-over" lasts from the end of the last call until the reader has the last text, at
    `received` seconds since submit if that was measured. UNACCOUNTED fills the gaps.
    """
    end = received or trace.metrics.e2el or 0.0
    named = [
        Segment(span.name, span.start, end if span.end is None else span.end, span.call)
        for span in trace.spans
        if span.name != "decode"
    ]
    for number, call in enumerate(trace.calls):
        if not call.token_times:
            continue
        first, last = call.token_times[0], call.token_times[-1]
        decoding = (s.start for s in trace.spans if s.name == "decode" and s.call == number)
        named.append(Segment("first token", min(next(decoding, first), first), first, number))
        named.append(Segment("decode", first, last, number))
        if number == len(trace.calls) - 1:
            named.append(Segment("hand-over", last, end, number))
    within = [Segment(s.name, s.start, min(s.end, end), s.call) for s in named if s.start < end]
    within.sort(key=lambda segment: segment.start)
    gaps, covered = [], 0.0
    for segment in within:
        if segment.start > covered:
            gaps.append(Segment(UNACCOUNTED, covered, segment.start))
        covered = max(covered, segment.end)
    if covered < end:
        gaps.append(Segment(UNACCOUNTED, covered, end))
    return sorted([*within, *gaps], key=lambda segment: (segment.start, segment.end))


def unaccounted(segments: Iterable[Segment]) -> float:
    """Seconds of a waterfall in which no named stage was running."""
    return sum(segment.duration for segment in segments if segment.name == UNACCOUNTED)


def streaming_tax(streaming: float, blocking: float) -> float:
    """How much longer the whole answer takes when streamed: 0.01 is 1 % longer."""
    return streaming / blocking - 1


def time_waiting(arrivals: Iterable[float], seconds_each: float) -> float:
    """The seconds that a reader waits for text, if reading one token takes `seconds_each`.

    `arrivals` are seconds since submit. The reader begins with the first token, and waits again
    whenever the next token has not arrived yet.
    """
    now = waiting = 0.0
    for arrival in arrivals:
        waiting += max(0.0, arrival - now)
        now = max(now, arrival) + seconds_each
    return waiting
