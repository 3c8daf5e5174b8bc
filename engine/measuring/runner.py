"""Runs one trial of a schedule: asks the question and records what the readers receive.

Each reader asks on its own thread and reads the chunks outside the engine.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from engine.errors import FirstTokenError
from engine.index import VectorStoreIndex
from engine.llm.base import LLM, GenerationOptions
from engine.measuring.record import Chunk, Measurement, Outcome
from engine.measuring.schedule import Mode, Setup, Trial
from engine.query_engine import RetrieverQueryEngine
from engine.response import StreamingResponse
from engine.retrieving import is_relevant
from engine.run import Phase
from engine.synthesis import ResponseSynthesizer

log = logging.getLogger(__name__)

EngineFor = Callable[[Setup, Trial], RetrieverQueryEngine]


def measured_engine(
    index_of: Callable[[str], VectorStoreIndex], llm: LLM, setup: Setup, trial: Trial
) -> RetrieverQueryEngine:
    """The engine of the Ask page, with greedy sampling, so that both modes write the same text."""
    options = GenerationOptions(max_tokens=trial.length, temperature=0.0, reuse=setup.warm)
    retriever = index_of(setup.collection).as_retriever(similarity_top_k=trial.passages)
    synthesizer = ResponseSynthesizer(
        llm,
        options=options,
        context_format=setup.context_format,
        first_token_budget=setup.first_token_budget or None,
    )
    return RetrieverQueryEngine(retriever, synthesizer, is_relevant=is_relevant)


class Runner:
    """Runs the trials of one session, one after the other, until it is stopped."""

    def __init__(self, engine_for: EngineFor, setup: Setup) -> None:
        self._engine_for, self._setup = engine_for, setup
        self._asked: list[StreamingResponse] = []
        self._stopped = False
        self._lock = threading.Lock()

    def take(self, run: int, trial: Trial) -> list[Measurement]:
        """Ask `trial.readers` times at once, and wait for every answer.

        Raises:
            NotImplementedError: the model cannot stream.
            ValueError: the question is empty.
            FirstTokenError: the collection cannot be opened.
        """
        engine = self._engine_for(self._setup, trial)
        self._asked = []
        with ThreadPoolExecutor(trial.readers, thread_name_prefix="reader") as pool:
            asked = [
                pool.submit(self._ask, engine, run, trial, reader)
                for reader in range(trial.readers)
            ]
            return [each.result() for each in asked]

    def stop(self) -> None:
        """Stop the running answers, and ask no more."""
        with self._lock:
            self._stopped = True
            for response in self._asked:
                response.cancel()

    @property
    def progress(self) -> str:
        """The phase of the answer that is being measured, in words."""
        return str(self._asked[-1].progress) if self._asked else ""

    def _ask(
        self, engine: RetrieverQueryEngine, run: int, trial: Trial, reader: int
    ) -> Measurement:
        with self._lock:
            response = engine.start(self._setup.question, stream=trial.mode is Mode.STREAMING)
            self._asked.append(response)
            if self._stopped:
                response.cancel()
        seen: list[tuple[str, float]] = []
        error = ""
        try:
            seen.extend((text, response.trace.now()) for text in response.response_gen)
        except FirstTokenError as fault:
            log.exception("A measured answer failed")
            error = str(fault)
        outcome = {Phase.DONE: Outcome.DONE, Phase.STOPPED: Outcome.STOPPED}.get(
            response.phase, Outcome.FAILED
        )
        chunks = tuple(
            Chunk(text, handed, received)
            for (text, received), handed in zip(seen, response.trace.chunk_times, strict=True)
        )
        return Measurement(run, trial, response.trace, chunks, reader, outcome, error)
