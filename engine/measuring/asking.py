"""The ways of asking a question that a session compares: in this process, over HTTP, in a browser.

An asker asks one question and reads the whole answer, as a program outside the engine does. What it
returns is the trace of the answer, whose zero is the moment of asking, and the chunks of text as
the reader received them.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from engine.errors import Cancelled, FirstTokenError
from engine.index import VectorStoreIndex
from engine.kinds import KeptSummaries
from engine.llm.base import LLM, GenerationOptions
from engine.measuring.feeling import FindUseful
from engine.measuring.fingerprint import fingerprint
from engine.measuring.record import Chunk, Outcome
from engine.measuring.schedule import Lane, Mode, Setup
from engine.query_engine import RetrieverQueryEngine
from engine.response import StreamingResponse
from engine.retrieving import is_relevant, may_be_relevant
from engine.run import Phase, Run
from engine.synthesis import ResponseSynthesizer
from engine.timing import Span, Trace

log = logging.getLogger(__name__)

REQUEST, RESPONSE = "request", "response"
"""Stages over HTTP: until the app begins the answer; from its first text until it has arrived."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a session asks with.

    open_model: the model of this name, for as long as the context lasts; an empty name stands for
    the one that answers in the app. asker: what asks in a lane, with the lane's model. find_useful:
    where the sentence with the answer ends. describe: facts about a model and this machine.
    """

    open_model: Callable[[str, Run], AbstractContextManager[LLM]]
    asker: Callable[[Setup, Lane, LLM], "Asker"]
    find_useful: FindUseful = lambda _question, _text: 0
    describe: Callable[[LLM], dict[str, str]] = fingerprint


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer as its reader got it. error: why it failed."""

    trace: Trace
    chunks: tuple[Chunk, ...]
    outcome: Outcome = Outcome.DONE
    error: str = ""

    def counted_from(self, seconds: float, stage: str) -> "Asked":
        """The same answer with a clock that begins `seconds` earlier, in this stage."""
        count_from(self.trace, seconds, stage)
        chunks = (
            Chunk(each.text, each.handed + seconds, each.received + seconds) for each in self.chunks
        )
        return replace(self, chunks=tuple(chunks))


class Asker(Protocol):
    """Asks the questions of one lane. Safe to use from many threads at once."""

    @property
    def progress(self) -> str:
        """How far the answer is that was begun last, in words."""

    def ask(self, question: str, run: Run) -> Asked:
        """Ask, and read to the end. `run.cancel()` stops the answer.

        Raises:
            NotImplementedError: the model cannot stream.
            ValueError: the question is empty.
            FirstTokenError: the collection cannot be opened, or the app not be reached.
        """

    def close(self) -> None: ...


def measured_engine(
    index_of: Callable[[str], VectorStoreIndex],
    llm: LLM,
    setup: Setup,
    lane: Lane,
    summaries: KeptSummaries | None = None,
) -> RetrieverQueryEngine:
    """The engine of the Ask page, with greedy sampling, so that all lanes write the same text.

    summaries: those that are kept; used in a lane with kept states only.
    """
    options = GenerationOptions(max_tokens=setup.length, temperature=0.0, reuse=lane.warm)
    index = index_of(setup.collection)
    retriever = index.as_retriever(similarity_top_k=setup.passages)
    synthesizer = ResponseSynthesizer(
        llm,
        options=options,
        context_format=setup.context_format,
        first_token_budget=setup.first_token_budget or None,
    )
    kinds = index.as_kinds(setup.passages, kept=summaries if lane.warm else None)
    return RetrieverQueryEngine(retriever, synthesizer, is_relevant, kinds, may_be_relevant)


class InProcess:
    """Asks an engine of this process."""

    def __init__(self, engine: RetrieverQueryEngine, mode: Mode) -> None:
        self._engine, self._mode = engine, mode
        self._latest: StreamingResponse | None = None

    @property
    def progress(self) -> str:
        return str(self._latest.progress) if self._latest else ""

    def ask(self, question: str, run: Run) -> Asked:
        response = self._latest = self._engine.start(question, stream=self._mode is Mode.STREAMING)
        forget = run.on_cancel(response.cancel)
        seen: list[tuple[str, float]] = []
        error = ""
        try:
            seen.extend((text, response.trace.now()) for text in response.response_gen)
        except FirstTokenError as fault:
            log.exception("A measured answer failed")
            error = str(fault)
        finally:
            forget()
        outcome = {Phase.DONE: Outcome.DONE, Phase.STOPPED: Outcome.STOPPED}.get(
            response.phase, Outcome.FAILED
        )
        chunks = tuple(
            Chunk(text, handed, received)
            for (text, received), handed in zip(seen, response.trace.chunk_times, strict=True)
        )
        return Asked(response.trace, chunks, outcome, error)

    def close(self) -> None:
        pass


class Connection(Protocol):
    """What asks the API: engine/api/client.py."""

    def ask(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The frames of a stream, or the one answer. Raises FirstTokenError."""

    def abort(self) -> None:
        """End every request at once, from any thread."""

    def close(self) -> None: ...


class OverHttp:
    """Asks the app's own API, as another program on this machine does."""

    def __init__(self, connection: Connection, setup: Setup, lane: Lane) -> None:
        self._connection = connection
        self._body: dict[str, Any] = {
            "model": f"first-token/{setup.collection}",
            "stream": lane.mode is Mode.STREAMING,
            "max_tokens": setup.length,
            "temperature": 0,
            "passages": setup.passages,
            "first_token_budget": setup.first_token_budget,
            "context_format": setup.context_format,
            "cache_prompt": lane.warm,
            "trace": True,
        }
        self.progress = ""

    def ask(self, question: str, run: Run) -> Asked:
        body = self._body | {"messages": [{"role": "user", "content": question}]}
        self.progress = "asked over HTTP"
        chunks: list[Chunk] = []
        inside: dict[str, Any] | None = None
        outcome, error = Outcome.DONE, ""
        forget = run.on_cancel(self._connection.abort)
        trace = Trace()
        try:
            for frame in self._connection.ask(body):
                received = trace.now()
                run.check()
                for choice in frame["choices"]:
                    text = (choice.get("delta") or choice.get("message") or {}).get("content")
                    if text:
                        chunks.append(Chunk(text, received, received))
                        self.progress = "receiving the answer"
                inside = frame.get("trace", inside)
        except (Cancelled, FirstTokenError) as fault:
            outcome = Outcome.STOPPED if run.cancelled else Outcome.FAILED
            error = "" if run.cancelled else str(fault)
            if error:
                log.exception("A measured answer failed over HTTP")
        finally:
            forget()
        trace.finish()
        return Asked(_seen_outside(trace, inside, chunks), tuple(chunks), outcome, error)

    def close(self) -> None:
        self._connection.close()


def _seen_outside(outside: Trace, inside: dict[str, Any] | None, chunks: list[Chunk]) -> Trace:
    """The trace of an answer as its reader measured it, with the stages that the app reported."""
    if inside is None:
        return outside
    trace = Trace.from_dict(inside)
    handed = trace.chunk_times[:1]
    request = max(0.0, trace.submitted_at - outside.submitted_at)
    count_from(trace, request, REQUEST)
    if handed and chunks:
        trace.spans.append(Span(RESPONSE, handed[0] + request, chunks[0].received))
    trace.chunk_times = [chunk.received for chunk in chunks]
    trace.ended = outside.ended
    return trace


TO_APP, TO_PAGE, TO_SCREEN = "to the app", "to the page", "to the screen"
"""Stages in a browser: until the engine is asked; from its first text until the page's script has
it; from there until it is drawn."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a browser saw of an answer, in seconds since 1970.

    pressed: when it was asked for. given: when the page's script had the first text. pieces:
    (characters, when they were drawn) for each change.
    """

    pressed: float
    given: float
    pieces: Sequence[tuple[int, float]]


def as_drawn(asked: Asked, drawn: Drawn) -> Asked:
    """The answer as somebody in front of the browser saw it, who asked when the button was pressed.

    The browser and the app run on one computer, so they have one clock.

    Raises:
        ValueError: nothing was drawn.
    """
    if not drawn.pieces:
        raise ValueError("Nothing was drawn.")
    trace = Trace.from_dict(asked.trace.to_dict())
    handed = trace.chunk_times[0] if trace.chunk_times else 0.0
    to_app = max(0.0, trace.submitted_at - drawn.pressed)
    given = max(handed, drawn.given - trace.submitted_at) + to_app
    first = max(given, drawn.pieces[0][1] - drawn.pressed)
    count_from(trace, to_app, TO_APP)
    trace.spans += [Span(TO_PAGE, handed + to_app, given), Span(TO_SCREEN, given, first)]
    text, length = "".join(chunk.text for chunk in asked.chunks), drawn.pieces[-1][0]
    chunks, done = [], 0
    for characters, when in drawn.pieces:
        end = round(
            len(text) * min(1.0, characters / length)
        )  # Markdown is drawn without its marks
        if end > done:
            at = max(first, when - drawn.pressed)
            chunks.append(Chunk(text[done:end], at, at))
            done = end
    trace.chunk_times = [chunk.received for chunk in chunks]
    trace.ended = chunks[-1].received
    return replace(asked, trace=trace, chunks=tuple(chunks))


def count_from(trace: Trace, seconds: float, stage: str) -> None:
    """Move the zero of a trace to an earlier moment, and record the time from there as a stage."""
    for span in trace.spans:
        span.start += seconds
        span.end = None if span.end is None else span.end + seconds
    for call in trace.calls:
        call.token_times = [time + seconds for time in call.token_times]
    if trace.plan:
        trace.plan.predicted += seconds
        trace.plan.all_predicted += seconds
    trace.chunk_times = [time + seconds for time in trace.chunk_times]
    trace.ended = None if trace.ended is None else trace.ended + seconds
    trace.submitted_at -= seconds
    trace.spans.insert(0, Span(stage, 0.0, seconds))
