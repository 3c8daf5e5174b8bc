"""Preparing: while the model is idle, it reads the passages that prompts may begin with.

A prompt that has whole passages begins with the best one. If the model has already read that
passage, the first token waits only for the rest of the prompt. Prompts that have single sentences
need no preparing. Questions have priority over preparing.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Sequence

from engine.errors import Cancelled, FirstTokenError
from engine.llm.base import LLM, ContextFormat
from engine.prompting import passage_prompt
from engine.run import Run
from engine.schema import ChatMessage, Node

log = logging.getLogger(__name__)

Place = tuple[str, str]
"""A collection's name and a source's id."""


class Preparer:
    """A queue of documents, and one thread that has the model read their passages.

    `passages` returns the passages of a document, in order. `everything` returns all documents,
    the latest first.
    """

    def __init__(
        self,
        llm: LLM,
        passages: Callable[[str, str], list[Node]],
        everything: Callable[[], Sequence[Place]],
    ) -> None:
        self._llm, self._passages, self._everything = llm, passages, everything
        self._queue: queue.SimpleQueue[Callable[[], Sequence[Place]] | None] = queue.SimpleQueue()
        self._read: dict[Place, list[list[ChatMessage]]] = {}
        self._run = Run()
        self._thread: threading.Thread | None = None
        if self.useful:
            self._thread = threading.Thread(target=self._work, name="preparing", daemon=True)
            self._thread.start()
            self._queue.put(everything)

    @property
    def useful(self) -> bool:
        """Whether this model's prompts begin with whole passages."""
        return self._llm.metadata.context_format is ContextFormat.PASSAGES

    def add(self, collection: str, source_id: str) -> None:
        """Prepare a new document, in the background."""
        if self.useful:
            self._queue.put(lambda: [(collection, source_id)])

    def forget(self) -> None:
        """Drop all prepared passages, and start again with the present documents."""
        self._run.cancel()
        self._run = Run()
        self._read = {}
        self._llm.forget()
        if self.useful:
            self._queue.put(self._everything)

    def prepared(self, collection: str, source_id: str) -> int:
        """How many of a document's passages are prepared now."""
        beginnings = list(self._read.get((collection, source_id), ()))
        return sum(self._llm.prepared(each) == 1.0 for each in beginnings)

    def close(self) -> None:
        self._queue.put(None)
        self._run.cancel()
        if self._thread:
            self._thread.join(30)

    def _work(self) -> None:
        while (places := self._queue.get()) is not None:
            run = self._run
            try:
                self._prepare(places(), run)
            except Cancelled:
                continue
            except FirstTokenError as error:  # such as a collection that was deleted
                log.info("Preparing stopped: %s", error)
            except Exception:  # questions work without preparing, so the thread continues
                log.exception("Preparing failed")

    def _prepare(self, places: Iterable[Place], run: Run) -> None:
        """Prepare passages until the model drops the first one because its memory is full."""
        first: list[ChatMessage] | None = None
        for place in places:
            read = self._read.setdefault(place, [])
            for node in self._passages(*place):
                beginning = passage_prompt(node.text)
                self._llm.prepare(beginning, run)
                run.check()
                read.append(beginning)
                first = first or beginning
                if self._llm.prepared(first) < 1.0:
                    return
