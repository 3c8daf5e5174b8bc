"""One step of a schedule → measurements, by really asking, as any reader would.

Each reader asks on a thread of its own and reads the chunks outside the engine, with a clock of
its own. It does not know why it is asked, nor what becomes of the figures.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from engine.errors import FirstTokenError
from engine.index import VectorStoreIndex
from engine.llm.base import LLM, GenerationOptions
from engine.measuring.record import Chunk, Measurement, Outcome, figures_of
from engine.measuring.schedule import Mode, Setup, Step
from engine.query_engine import RetrieverQueryEngine
from engine.response import StreamingResponse
from engine.retrieving import is_relevant
from engine.run import Phase
from engine.synthesis import ResponseSynthesizer

EngineFor = Callable[[Setup, Step], RetrieverQueryEngine]

_OUTCOMES = {Phase.DONE: Outcome.DONE, Phase.STOPPED: Outcome.STOPPED}


def measured_engine(
    index_of: Callable[[str], VectorStoreIndex], llm: LLM, setup: Setup, step: Step
) -> RetrieverQueryEngine:
    """The engine that Ask uses, writing greedily, so that both modes write the same."""
    options = GenerationOptions(
        max_tokens=step.length, temperature=0.0, reuse=setup.warm, ignore_eos=step.exact
    )
    retriever = index_of(setup.collection).as_retriever(similarity_top_k=step.passages)
    synthesizer = ResponseSynthesizer(llm, options=options, packing=setup.packing)
    return RetrieverQueryEngine(retriever, synthesizer, is_relevant=is_relevant)


class Runner:
    """Takes steps of one session, one after the other, until it is stopped."""

    def __init__(self, engine_for: EngineFor, setup: Setup) -> None:
        self._engine_for, self._setup = engine_for, setup
        self._asked: list[StreamingResponse] = []
        self._stopped = False
        self._lock = threading.Lock()

    def take(self, run: int, step: Step) -> list[Measurement]:
        """Ask, `step.readers` times at once, and wait for every answer.

        Raises:
            NotImplementedError: the model cannot stream.
            ValueError: the question is empty.
            FirstTokenError: the collection cannot be opened.
        """
        engine = self._engine_for(self._setup, step)
        self._asked = []
        with ThreadPoolExecutor(step.readers, thread_name_prefix="reader") as pool:
            asked = [pool.submit(self._ask, engine, step) for _ in range(step.readers)]
            readings = [each.result() for each in asked]
        return [each.measurement(run, step, reader) for reader, each in enumerate(readings)]

    def stop(self) -> None:
        """Stop what is being answered, and ask no more."""
        with self._lock:
            self._stopped = True
            for response in self._asked:
                response.cancel()

    @property
    def progress(self) -> str:
        """What the answer that is being measured is doing, in words."""
        return str(self._asked[-1].progress) if self._asked else ""

    def _ask(self, engine: RetrieverQueryEngine, step: Step) -> "_Reading":
        with self._lock:
            response = engine.start(self._setup.question, stream=step.mode is Mode.STREAMING)
            self._asked.append(response)
            if self._stopped:
                response.cancel()
        reading = _Reading(response)
        try:
            for text in response.response_gen:
                reading.seen.append((text, response.trace.now()))
        except FirstTokenError as error:
            reading.error = str(error)
        return reading


@dataclass(slots=True)
class _Reading:
    """What one reader saw: pieces of text, and when, in seconds since submit."""

    response: StreamingResponse
    seen: list[tuple[str, float]] = field(default_factory=list)
    error: str = ""

    def measurement(self, run: int, step: Step, reader: int) -> Measurement:
        trace = self.response.trace
        chunks = tuple(
            Chunk(text, handed, received)
            for (text, received), handed in zip(self.seen, trace.chunk_times, strict=True)
        )
        outcome = _OUTCOMES.get(self.response.phase, Outcome.FAILED)
        figures = figures_of(trace, chunks)
        return Measurement(run, step, figures, reader, outcome, self.error, trace, chunks)
