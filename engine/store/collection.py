"""Collection: add, delete and search the passages of sources.

A source is whole or not there. Its record, in a second, small collection, is written twice:
before its first point as unfinished, and after its last as whole. What is unfinished is never
found, and is removed when the collection is next opened.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from engine.errors import DuplicateDocumentError, StoreError
from engine.lexical import Terms
from engine.schema import Node
from engine.store import points
from engine.store.connection import Connection, collector_paused
from engine.store.points import DENSE, TERMS, Hit, Source
from engine.store.terms import EmbeddedTerms

# Points written or deleted while the lock is held: a search waits for these, some 15 ms.
SLICE = 16
# The embedded collection holds this many passages well (benchmarks/README.md).
EMBEDDED_LIMIT = 20_000
# On a server, another process may still be writing an unfinished source that is younger.
ABANDONED_AFTER = timedelta(hours=1)

SOURCES = ".sources"  # the second collection's name ends so


class Collection:
    """Safe to use from many threads at once. Made by `Store.collection`."""

    def __init__(self, connection: Connection, name: str, store: object) -> None:
        self.name = name
        self._connection = connection
        self._store = store  # kept, so that nobody opens the folder a second time meanwhile
        self._whole: dict[str, Source] = {}
        self._unfinished: dict[str, Source] = {}  # being written or deleted at the moment
        self._abandoned: dict[str, Source] = {}  # to be removed as soon as that is possible
        self._removing = threading.Lock()  # taken before the connection's lock, never after
        self._read_sources()
        self._remove_abandoned()
        with collector_paused():
            self._terms = EmbeddedTerms(self._scroll(name, TERMS)) if connection.embedded else None

    @property
    def passages(self) -> int:
        return sum(source.passages for source in self._whole.copy().values())

    @property
    def crowded(self) -> bool:
        """More passages than the embedded collection holds well: time for a Qdrant server."""
        return self._connection.embedded and self.passages > EMBEDDED_LIMIT

    def sources(self) -> list[Source]:
        """What is whole, the latest first."""
        with self._connection.guarded():
            if not self._connection.embedded:
                self._read_sources()
            return sorted(self._whole.values(), key=lambda each: each.added_at, reverse=True)

    @contextmanager
    def adding(self, source: Source) -> Iterator["Writer"]:
        """Write one source: whole after the block, or, where the block raises, not at all.

        `source.passages` is the number of nodes that will be added.

        Raises:
            DuplicateDocumentError: a source of this id is there already.
            StoreError: it could not be written; what was there before is safe.
        """
        self._begin(source)
        try:
            writer = Writer(self._connection, self.name, source)
            yield writer
            self._commit(source, writer.terms)
        except BaseException:
            with self._connection.lock:
                self._abandoned[source.source_id] = self._unfinished.pop(source.source_id)
            with suppress(StoreError):  # a full disk may refuse this too: then later
                self._remove_abandoned()
            raise

    def delete(self, source_id: str) -> bool:
        """Delete a source with all its passages. False where it is not there."""
        with self._connection.guarded() as client:
            source = self._whole.get(source_id)
            if source is None:
                return False
            # from here on it is gone, whatever happens
            client.upsert(self.name + SOURCES, [points.record(source, whole=False)])
            self._abandoned[source_id] = self._whole.pop(source_id)
            if self._terms:
                self._terms.remove(source_id)
        self._remove_abandoned()
        return True

    def search_dense(self, vector: NDArray[np.float32], limit: int) -> list[Hit]:
        """The nearest passages by cosine similarity, best first."""
        return self._query(vector.tolist(), DENSE, limit)

    def search_terms(self, terms: Terms, limit: int) -> list[Hit]:
        """The best passages by BM25, best first; only those that share a term."""
        if not terms:
            return []
        if self._terms:
            with self._connection.guarded():
                return self._terms.search(terms, limit)
        return self._query(points.sparse(terms), TERMS, limit)

    def nodes(self, point_ids: Sequence[str]) -> list[Node | None]:
        """The passages of hits, in their order; None for one deleted meanwhile."""
        with self._connection.guarded() as client:
            records = client.retrieve(self.name, list(point_ids), with_payload=True)
        found = {str(record.id): points.node(record) for record in records}
        return [found.get(point_id) for point_id in point_ids]

    def nodes_of(self, source_id: str) -> list[Node]:
        """All passages of a source, in order. Empty where it is not there."""
        source = next((each for each in self.sources() if each.source_id == source_id), None)
        nodes = self.nodes(source.point_ids) if source else []
        return [node for node in nodes if node is not None]

    def _query(self, query: Any, using: str, limit: int) -> list[Hit]:
        with self._connection.guarded() as client:
            hidden = [*self._unfinished.values(), *self._abandoned.values()]
            found = client.query_points(
                self.name,
                query=query,
                using=using,
                limit=limit + sum(source.passages for source in hidden),
                with_payload=["source_id"],
            ).points
            whole = [each for each in found if self._is_whole(points.source_id(each))]
        return [Hit(str(each.id), each.score) for each in whole[:limit]]

    def _is_whole(self, source_id: str) -> bool:
        if source_id not in self._whole and not self._connection.embedded:
            self._read_sources()  # another process may have added it
        return source_id in self._whole

    def _begin(self, source: Source) -> None:
        if source.source_id in self._abandoned:
            self._remove_abandoned()
        with self._connection.guarded() as client:
            if source.source_id in self._abandoned:
                raise StoreError(f"{source.file_name} is being deleted. Add it again in a moment.")
            if source.source_id in self._whole or source.source_id in self._unfinished:
                raise DuplicateDocumentError(
                    f"{source.file_name} is in the collection already. Delete it first to add "
                    "it again."
                )
            client.upsert(self.name + SOURCES, [points.record(source, whole=False)])
            self._unfinished[source.source_id] = source

    def _commit(self, source: Source, terms: dict[str, Terms]) -> None:
        with self._connection.guarded() as client:
            client.upsert(self.name + SOURCES, [points.record(source, whole=True)])
            self._whole[source.source_id] = self._unfinished.pop(source.source_id)
            if self._terms:
                self._terms.add(source.source_id, terms)

    def _remove_abandoned(self) -> None:
        """Delete their points, then their records, letting searches in between.

        One thread at a time: a second could delete the points of a source added anew meanwhile.
        """
        with self._removing:
            for source in list(self._abandoned.values()):
                ids = source.point_ids
                for start in range(0, len(ids), SLICE):
                    with self._connection.guarded() as client:
                        client.delete(self.name, list(ids[start : start + SLICE]))
                with self._connection.guarded() as client:
                    client.delete(self.name + SOURCES, [source.record_id])
                    del self._abandoned[source.source_id]

    def _read_sources(self) -> None:
        """What is whole, from the records; at first opening also what was abandoned."""
        found = [points.from_record(each) for each in self._scroll(self.name + SOURCES)]
        self._whole = {source.source_id: source for source, whole in found if whole}
        newest = datetime.now(UTC)
        if not self._connection.embedded:
            newest -= ABANDONED_AFTER
        for source, whole in found:
            ours = source.source_id in self._unfinished
            if not (whole or ours) and datetime.fromisoformat(source.added_at) <= newest:
                self._abandoned[source.source_id] = source

    def _scroll(self, name: str, vector: str | None = None) -> Iterator[models.Record]:
        place: Any = None
        while True:
            with self._connection.guarded() as client:
                found, place = client.scroll(
                    name,
                    limit=10_000,
                    offset=place,
                    with_payload=["source_id"] if vector else True,
                    with_vectors=[vector] if vector else False,
                )
            yield from found
            if place is None:
                return


class Writer:
    """Adds the nodes of one source, in their order. Made by `Collection.adding`."""

    def __init__(self, connection: Connection, collection: str, source: Source) -> None:
        self._connection, self._collection = connection, collection
        self._ids = source.point_ids
        self.terms: dict[str, Terms] = {}

    @property
    def written(self) -> int:
        return len(self.terms)

    def add(
        self,
        nodes: Sequence[Node],
        vectors: NDArray[np.float32],
        terms: Sequence[Terms],
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`on_progress` gets the number of nodes of this source that are stored."""
        for start in range(0, len(nodes), SLICE):
            part = slice(start, start + SLICE)
            ids = self._ids[self.written : self.written + len(nodes[part])]
            with self._connection.guarded() as client:
                client.upsert(
                    self._collection, points.points(ids, nodes[part], vectors[part], terms[part])
                )
            self.terms.update(zip(ids, terms[part], strict=True))
            on_progress(self.written)
