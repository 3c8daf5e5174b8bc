"""Preparing: while nobody asks, the model reads how prompts to come begin.

Where a prompt carries whole passages, the best one comes first, so once that has been read, a
question waits for its own words alone. In go documents; what is kept of them is the model's.
Where a prompt carries a sentence or two there is nothing to prepare. It does not know who asks:
the model itself lets people go first.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Sequence

from engine.errors import Cancelled, FirstTokenError
from engine.llm.base import LLM, Packing
from engine.prompting import passage_prompt
from engine.run import Run
from engine.schema import ChatMessage, Node

Place = tuple[str, str]
"""A collection's name and a source's id."""


class Preparer:
    """A queue of documents, and the one thread that has the model read their passages.

    `passages` gives those of a document, in order; `everything` all documents, the latest first.
    """

    def __init__(
        self,
        llm: LLM,
        passages: Callable[[str, str], list[Node]],
        everything: Callable[[], Sequence[Place]],
    ) -> None:
        self._llm, self._passages, self._everything = llm, passages, everything
        self._queue: queue.SimpleQueue[Sequence[Place] | None] = queue.SimpleQueue()
        self._read: dict[Place, list[list[ChatMessage]]] = {}
        self._run = Run()
        self._thread: threading.Thread | None = None
        if self.of_use:
            self._thread = threading.Thread(target=self._work, name="preparing", daemon=True)
            self._thread.start()
            self._queue.put(everything())

    @property
    def of_use(self) -> bool:
        """Whether this model's prompts begin with whole passages."""
        return self._llm.metadata.packing is Packing.PASSAGES

    def add(self, collection: str, source_id: str) -> None:
        """Prepare a new document, in the background."""
        if self.of_use:
            self._queue.put([(collection, source_id)])

    def forget(self) -> None:
        """Drop what was kept, a deleted document's with it, and begin anew with those left."""
        self._run.cancel()
        self._run = Run()
        self._read = {}
        self._llm.forget()
        if self.of_use:
            self._queue.put(self._everything())

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
                self._prepare(places, run)
            except (Cancelled, FirstTokenError):
                continue  # stopped, or a collection that is gone: questions work without

    def _prepare(self, places: Iterable[Place], run: Run) -> None:
        """As much as the model has room for: until the first has been pushed out again."""
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
