"""Re-embedding: every document of a collection into an index for another embedding model.

    kept originals (else the old index's passages) → new index → it answers, the old one is deleted

The old index answers until the new one has every document. What is done is in the new index
itself, so a restart goes on with what is missing. An interrupted document is not in it.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engine.errors import Cancelled, FirstTokenError
from engine.index import VectorStoreIndex
from engine.run import Run
from engine.schema import Document

log = logging.getLogger(__name__)

_AGAIN = 30.0  # seconds until a collection that could not be finished is tried again


@dataclass(frozen=True, slots=True)
class Progress:
    """Of one collection: how many of its documents are in the new index."""

    collection: str
    done: int
    total: int


class Reembedder:
    """One thread that works through collections. Safe to use from any thread.

    `read` gives a document's text from its original; `indexes` a collection's old and new index;
    `finish` lets the new one answer, or returns False if documents have come since.
    """

    def __init__(
        self,
        read: Callable[[str, str, Run], Sequence[Document]],
        indexes: Callable[[str], tuple[VectorStoreIndex, VectorStoreIndex]],
        finish: Callable[[str], bool],
    ) -> None:
        self._read, self._indexes, self._finish = read, indexes, finish
        self._run = Run()
        self._pending: list[str] = []
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self.progress: Progress | None = None
        self.problem = ""

    @property
    def pending(self) -> list[str]:
        """The collections that are not finished."""
        with self._wake:
            return list(self._pending)

    def start(self, collections: Sequence[str]) -> None:
        """Work on these, and on no others any more."""
        self.close()
        with self._wake:
            self._run, self._pending, self.problem = Run(), list(collections), ""
            if self._pending:
                self._thread = threading.Thread(
                    target=self._work, args=(self._run,), name="re-embedding", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Stop. The next start goes on with what is missing."""
        with self._wake:
            self._run.cancel()
            self._wake.notify_all()
            thread, self._thread = self._thread, None
        if thread and thread is not threading.current_thread():
            thread.join(30)
        self.progress = None

    def _work(self, run: Run) -> None:
        while not run.cancelled and (pending := self.pending):
            try:
                for collection in pending:
                    self._collection(collection, run)
                    with self._wake:
                        self._pending.remove(collection)
            except Cancelled:
                return
            except FirstTokenError as error:
                log.exception("Documents could not be embedded again")
                self.problem = str(error)
            except Exception as error:
                log.exception("Documents could not be embedded again")
                self.problem = f"Documents could not be embedded again ({type(error).__name__})."
            else:
                self.problem, self.progress = "", None
                continue
            with self._wake:
                self._wake.wait_for(lambda: run.cancelled, _AGAIN)

    def _collection(self, collection: str, run: Run) -> None:
        while True:
            run.check()
            old, new = self._indexes(collection)
            there = {each.source_id for each in new.sources()}
            sources = old.sources()
            missing = [each for each in sources if each.source_id not in there]
            self.progress = Progress(collection, len(sources) - len(missing), len(sources))
            if not missing:
                if self._finish(collection):
                    return
                continue
            source = missing[-1]  # the oldest first: the list begins with the latest
            try:
                documents = self._read(collection, source.source_id, run)
            except FirstTokenError as error:  # such as a file that needs its password
                log.info("A document is embedded again from its passages: %s", error)
                documents = [
                    Document(node.text, node.metadata, source_id=node.source_id)
                    for node in old.collection.nodes_of(source.source_id)
                ]
            place = {"file_name": source.file_name, "directory": source.directory}
            placed = [replace(each, metadata={**each.metadata, **place}) for each in documents]
            if placed:
                new.insert(placed, run=run, added_at=source.added_at, tags=source.tags)
