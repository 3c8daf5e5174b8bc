"""Collection: add, delete and search the passages of sources.

A source exists if its record exists. Records are in a second, small collection. A record is written
after the last point of its source, and deleted before the first. Points without a record are not
found, and are deleted when the collection is opened the next time.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models

from engine.errors import DuplicateDocumentError, StoreError
from engine.languages import ENGLISH
from engine.lexical import Terms
from engine.schema import Filters, Node
from engine.store import points
from engine.store.connection import Connection, gc_paused
from engine.store.disk import SOURCES
from engine.store.embedded import EmbeddedPoints
from engine.store.points import DENSE, TERMS, WRITTEN_AT, Hit, Source

log = logging.getLogger(__name__)

# Points written or deleted during one hold of the lock. A search waits for them, about 15 ms.
SLICE = 16
# The embedded collection was measured up to this many passages: beside other programs, a search
# then takes 12 to 21 ms and opening 4 s, with 0.5 GB of memory (benchmarks/README.md). All three
# grow with the number.
EMBEDDED_LIMIT = 100_000
# On a server, younger points without a record may belong to a source that another process is
# writing.
ABANDONED_AFTER = timedelta(hours=1)


class Collection:
    """Safe to use from many threads at once. Made by `Store.collection`.

    `title` is its name; `name` is that of its index in Qdrant.
    """

    def __init__(self, connection: Connection, title: str, name: str, store: object) -> None:
        self.title, self.name = title, name
        self.deleted = False  # set by the store
        self.incomplete: list[Source] = []
        """Sources that had lost points when the collection was opened; they are not found."""
        self._connection = connection
        self._store = store  # keeps the store alive as long as its collections
        self._sources: dict[str, Source] = {}
        self._writing: set[str] = set()
        self._hidden: dict[str, list[str]] = {}  # source id → points whose record is deleted
        self._undeleted: set[str] = set()  # sources whose record could not be deleted
        self._deleting = threading.Lock()  # taken before the connection's lock, never after
        self.embedded: EmbeddedPoints | None = None  # None on a server
        self._read_records()
        with gc_paused():
            self._read_points()
        if not connection.read_only:
            for source_id in list(self._hidden):
                try:
                    self.purge(source_id)
                except StoreError:  # a full disk: they stay hidden until the next opening
                    log.exception("Passages left of an unfinished source could not be deleted")
                    break

    @property
    def passages(self) -> int:
        return sum(source.passages for source in self._sources.copy().values())

    @property
    def languages(self) -> set[str]:
        """Those of the sources, as ISO 639-1."""
        return {source.language or ENGLISH for source in self._sources.copy().values()}

    @property
    def crowded(self) -> bool:
        """Whether a Qdrant server would be faster for this number of passages."""
        return self._connection.embedded and self.passages > EMBEDDED_LIMIT

    def sources(self) -> list[Source]:
        """The complete sources, the latest first."""
        with self._guarded():
            if not self._connection.embedded:
                self._read_records()  # another process may have changed them
            return sorted(self._sources.values(), key=lambda each: each.added_at, reverse=True)

    def find(self, source_id: str) -> Source | None:
        """The record of a source; None if there is no such source."""
        with self._guarded():
            self._refresh_records({source_id})
            return self._sources.get(source_id)

    @contextmanager
    def adding(self, source: Source) -> Iterator["Writer"]:
        """Write one source. After the block it is complete; if the block raises, nothing is added.

        `source.passages` is the number of nodes that will be added.

        Raises:
            DuplicateDocumentError: a source with this id exists already.
            StoreError: it could not be written. The other sources are unchanged.
        """
        self.purge(source.source_id)  # points that an earlier deletion has left
        with self._guarded():
            self._refresh_records({source.source_id})
            if source.source_id in self._sources or source.source_id in self._writing:
                raise DuplicateDocumentError(
                    f"{source.file_name} is in the collection already. Delete it first to add "
                    "it again."
                )
            self._writing.add(source.source_id)
        try:
            writer = Writer(self, self._connection, source)
            yield writer
            with self._changing() as client:
                if not self._connection.embedded:
                    self._check_complete(client, source)
                client.upsert(self.name + SOURCES, [points.record(source)])
                self._sources[source.source_id] = source
                if self.embedded:
                    self.embedded.add(source.source_id, writer.terms)
        except BaseException:
            with self._connection.lock:
                self._hidden[source.source_id] = source.point_ids
            with suppress(StoreError):  # on a full disk, the next opening does it
                self.purge(source.source_id)
            raise
        finally:
            self._writing.discard(source.source_id)

    def delete(self, source_id: str) -> bool:
        """Delete a source with all its passages. False if there is no such source."""
        if not self.hide(source_id):
            return False
        self.purge(source_id)
        return True

    def hide(self, source_id: str) -> bool:
        """Delete a source's record, so that it is not found. Its passages stay until `purge`.

        Raises:
            StoreError: the record could not be deleted. This process hides the source anyway,
                and `purge` tries again.
        """
        with self._changing() as client:
            self._refresh_records({source_id})
            source = self._sources.pop(source_id, None)
            if source is None:
                return False
            self._hidden[source_id] = source.point_ids
            if self.embedded:
                self.embedded.hide(source_id)
            self._undeleted.add(source_id)
            self._delete_record(client, source_id)
            return True

    def change(self, source: Source) -> None:
        """Give a source that is there another file name, directory or tags.

        Raises:
            StoreError: it is not there, or could not be written.
        """
        with self._changing() as client:
            before = self.find(source.source_id)
            if before is None:
                raise StoreError(f"{source.file_name} is not in the collection any more.")
            if before.path != source.path:
                facts = {"file_name": source.file_name, "directory": source.directory}
                for start in range(0, source.passages, SLICE):
                    ids = source.point_ids[start : start + SLICE]
                    if self.embedded:
                        self.embedded.change(ids, lambda each: _with_metadata(each, facts))
                    else:
                        client.set_payload(self.name, facts, [*ids], key="metadata")
            client.upsert(self.name + SOURCES, [points.record(source)])
            self._sources[source.source_id] = source

    def unhide(self, source: Source) -> bool:
        """Undo `hide`. False if passages have been deleted already."""
        with self._deleting, self._changing() as client:
            ids = self._hidden.get(source.source_id)
            if ids is None:
                return False
            if self.embedded:
                whole = self.embedded.unhide(source)
            else:
                found = client.retrieve(self.name, ids, with_payload=False)
                whole = len(found) == source.passages
            if not whole:
                return False
            client.upsert(self.name + SOURCES, [points.record(source)])
            del self._hidden[source.source_id]
            self._undeleted.discard(source.source_id)
            self._sources[source.source_id] = source
            return True

    def purge(self, source_id: str) -> None:
        """Delete the passages that `hide` has left. Searches can run between the slices."""
        with self._deleting:
            ids = self._hidden.get(source_id, [])
            if source_id in self._undeleted:
                with self._changing() as client:
                    self._delete_record(client, source_id)
            for start in range(0, len(ids), SLICE):
                with self._changing() as client:
                    client.delete(self.name, list(ids[start : start + SLICE]))
            with self._connection.lock:
                self._hidden.pop(source_id, None)

    def matching(self, filters: Filters) -> frozenset[str] | None:
        """The ids of the sources that match. None stands for all."""
        if filters.collections and self.title not in filters.collections:
            return frozenset()
        if not filters.narrow:
            return None
        if not self._connection.embedded:
            with self._guarded():
                self._read_records()  # another process may have changed them
        named = frozenset(filters.source_ids)
        others = replace(filters, source_ids=())
        return frozenset(
            each.source_id
            for each in list(self._sources.values())
            if each.source_id in named
            or (
                others.narrow
                and others.match(each.source_id, each.file_name, each.directory, each.tags)
            )
        )

    def search_dense(
        self, vector: NDArray[np.float32], limit: int, within: AbstractSet[str] | None = None
    ) -> list[Hit]:
        """The nearest passages by cosine similarity, best first; with `within`, of these
        sources.
        """
        if self.embedded is None:
            return self._query(vector.tolist(), DENSE, limit, within)
        with self._guarded():
            return self.embedded.search_dense(vector, limit, within)

    def search_terms(
        self, terms: Terms, limit: int, within: AbstractSet[str] | None = None
    ) -> list[Hit]:
        """The best passages by BM25 that share a term, best first; with `within`, of these
        sources.
        """
        if not terms:
            return []
        if self.embedded is None:
            return self._query(points.sparse(terms), TERMS, limit, within)
        with self._guarded():
            return self.embedded.search_terms(terms, limit, within)

    def nodes(self, point_ids: Sequence[str]) -> list[Node | None]:
        """The passages of hits, in their order; None for a passage that has been deleted since."""
        with self._guarded() as client:
            if self.embedded:
                payloads = self.embedded.payloads(point_ids)
            else:
                records = client.retrieve(self.name, list(point_ids), with_payload=True)
                payloads = {str(each.id): each.payload or {} for each in records}
            found = {
                point_id: points.node(payload)
                for point_id, payload in payloads.items()
                if payload["source_id"] not in self._hidden
            }
        return [found.get(point_id) for point_id in point_ids]

    def nodes_of(self, source_id: str) -> list[Node]:
        """All passages of a source, in order. Empty if there is no such source."""
        source = self.find(source_id)
        nodes = self.nodes(source.point_ids) if source else []
        return [node for node in nodes if node is not None]

    def _query(
        self, query: Any, using: str, limit: int, within: AbstractSet[str] | None = None
    ) -> list[Hit]:
        """On a server: search, drop hits of incomplete sources, and search with a larger limit if
        few remain.
        """
        wanted = limit
        chosen = None
        if within is not None:
            condition = models.FieldCondition(
                key="source_id", match=models.MatchAny(any=sorted(within))
            )
            chosen = models.Filter(must=[condition])
        while True:
            with self._guarded() as client:
                found = client.query_points(
                    self.name,
                    query=query,
                    using=using,
                    query_filter=chosen,
                    limit=wanted,
                    with_payload=["source_id"],
                ).points
                self._refresh_records({points.source_id(each) for each in found})
                whole = [each for each in found if points.source_id(each) in self._sources]
            if len(whole) >= limit or len(found) < wanted:
                return [Hit(str(each.id), each.score) for each in whole[:limit]]
            wanted *= 4

    def _delete_record(self, client: QdrantClient, source_id: str) -> None:
        client.delete(self.name + SOURCES, [Source(source_id, "").record_id])
        self._undeleted.discard(source_id)

    @contextmanager
    def _guarded(self) -> Iterator[QdrantClient]:
        with self._connection.guarded() as client:
            if self.deleted:
                raise StoreError(
                    f"The collection {self.name!r} was deleted. Choose another collection."
                )
            yield client

    @contextmanager
    def _changing(self) -> Iterator[QdrantClient]:
        with self._connection.changing(), self._guarded() as client:
            yield client

    def _refresh_records(self, source_ids: set[str]) -> None:
        """On a server, read the records of sources that another process has added."""
        unknown = source_ids - self._sources.keys() - self._writing - self._hidden.keys()
        if unknown and not self._connection.embedded:
            ids = [Source(each, "").record_id for each in unknown]
            for each in self._connection.client.retrieve(self.name + SOURCES, ids):
                if source := points.from_record(each):
                    self._sources[source.source_id] = source

    def _read_records(self) -> None:
        found = [points.from_record(each) for each in self._scroll(self.name + SOURCES)]
        self._sources = {
            source.source_id: source
            for source in found
            if source and source.source_id not in self._hidden
        }

    def _read_points(self) -> None:
        """At opening, find sources that have lost points, and points to delete."""
        if self._connection.embedded:
            with self._guarded() as client:
                self.embedded = EmbeddedPoints(client, self.name)
                self.incomplete, lost = self.embedded.open(self._sources.values())
            for source in self.incomplete:
                del self._sources[source.source_id]
                lost.pop(source.source_id, None)
            self._hidden = lost
            return
        known = models.MatchAny(any=list(self._sources))
        condition = models.FieldCondition(key="source_id", match=known)
        others = models.Filter(must_not=[condition] if self._sources else [])
        newest = (datetime.now(UTC) - ABANDONED_AFTER).isoformat()
        for point in self._scroll(self.name, chosen=others):
            if (point.payload or {}).get(WRITTEN_AT, "") <= newest:
                self._hidden.setdefault(points.source_id(point), []).append(str(point.id))

    def _check_complete(self, client: QdrantClient, source: Source) -> None:
        """Raise if points are missing: another process may have deleted them as abandoned."""
        written = len(client.retrieve(self.name, source.point_ids, with_payload=False))
        if written != source.passages:
            raise StoreError(f"{source.file_name} was not stored completely. Add it again.")

    def _scroll(self, name: str, chosen: models.Filter | None = None) -> Iterator[models.Record]:
        """All points, or those that match the filter `chosen`. Records have their whole payload."""
        payload = True if name.endswith(SOURCES) else ["source_id", WRITTEN_AT]
        place: Any = None
        while True:
            with self._connection.guarded() as client:
                found, place = client.scroll(
                    name,
                    scroll_filter=chosen,
                    limit=10_000,
                    offset=place,
                    with_payload=payload,
                )
            yield from found
            if place is None:
                return


class Writer:
    """Adds the nodes of one source, in their order. Made by `Collection.adding`."""

    def __init__(self, collection: Collection, connection: Connection, source: Source) -> None:
        self._collection, self._connection = collection, connection
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
            with self._connection.changing() as client:
                client.upsert(
                    self._collection.name,
                    points.points(ids, nodes[part], vectors[part], terms[part]),
                )
                if self._collection.embedded:
                    self._collection.embedded.stored(ids)
            self.terms.update(zip(ids, terms[part], strict=True))
            on_progress(self.written)


def _with_metadata(payload: dict[str, Any], facts: dict[str, str]) -> dict[str, Any]:
    return {**payload, "metadata": {**payload["metadata"], **facts}}
