"""Collection: add, delete and search the passages of sources.

A source exists if its record exists. Records are in a second, small collection. A record is written
after the last point of its source, and deleted before the first. Points without a record are not
found, and are deleted when the collection is opened the next time.

In an embedded collection, the connection's lock is held during each operation. On a server, no lock
is held while a request is under way.
"""

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient

from engine.errors import DuplicateDocumentError, StoreError
from engine.languages import ENGLISH
from engine.lexical import Terms
from engine.schema import Filters, Node
from engine.store import points
from engine.store.connection import Connection, gc_paused, is_missing
from engine.store.disk import SOURCES
from engine.store.embedded import EmbeddedPoints
from engine.store.points import DENSE, TERMS, Exported, Hit, Source
from engine.store.records import Records
from engine.store.server_points import ServerPoints

log = logging.getLogger(__name__)

# Points written or deleted during one hold of the lock. A search waits for them, about 15 ms.
SLICE = 16
# Points of one request to a server, about 1 MB of JSON
BATCH = 128
# Terms that a server is asked for one after the other
FEW_TERMS = 4
# The embedded collection was measured up to this many passages: beside other programs, a search
# then takes 12 to 21 ms and opening 4 s, with 0.5 GB of memory (benchmarks/README.md). All three
# grow with the number.
EMBEDDED_LIMIT = 100_000


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
        self._records = Records()
        self.step = SLICE if connection.embedded else BATCH
        self._points = ServerPoints(name, self._guarded, connection.search_params)
        self.embedded: EmbeddedPoints | None = None  # None on a server
        self._read_records()
        with gc_paused():
            if connection.embedded:
                self._open_embedded()
            else:
                self._open_on_server()
        if not connection.read_only:
            for source_id in self._records.hidden():
                try:
                    self.purge(source_id)
                except StoreError:  # a full disk: they stay hidden until the next opening
                    log.exception("Passages left of an unfinished source could not be deleted")
                    break

    @property
    def key(self) -> str:
        """The index's name among all that this process has open, also in other folders."""
        connection = self._connection
        place = connection.path or (connection.server.url if connection.server else id(connection))
        return f"{place}\n{self.name}"

    def titled(self, title: str) -> "Collection":
        """The same collection, by another name for its readers."""
        other = copy.copy(self)
        other.title = title
        return other

    @property
    def passages(self) -> int:
        return sum(source.passages for source in self._records.all())

    @property
    def languages(self) -> set[str]:
        """Those of the sources, as ISO 639-1."""
        return {source.language or ENGLISH for source in self._records.all()}

    @property
    def crowded(self) -> bool:
        """Whether a Qdrant server would be faster for this number of passages."""
        return self._connection.embedded and self.passages > EMBEDDED_LIMIT

    def sources(self) -> list[Source]:
        """The complete sources, the latest first."""
        with self._unless_deleted():
            self._catch_up()
            return sorted(self._records.all(), key=lambda each: each.added_at, reverse=True)

    def find(self, source_id: str) -> Source | None:
        """The record of a source; None if there is no such source."""
        with self._unless_deleted():
            self._include({source_id})
            return self._records.get(source_id)

    @contextmanager
    def adding(self, source: Source) -> Iterator["Writer"]:
        """Write one source. After the block it is complete; if the block raises, nothing is added.

        `source.passages` is the number of nodes that will be added.

        Raises:
            DuplicateDocumentError: a source with this id exists already.
            StoreError: it could not be written. The other sources are unchanged.
        """
        self.purge(source.source_id)  # points that an earlier deletion has left
        with self._unless_deleted():
            self._include({source.source_id})
        if not self._records.begin(source.source_id):
            raise DuplicateDocumentError(
                f"{source.file_name} is in the collection already. Delete it first to add it again."
            )
        recorded = False
        try:
            writer = Writer(self, self._connection, source)
            yield writer
            if not self._connection.embedded:
                self._points.drop_others(source)
                self._check_complete(source)
            with self._changing() as client:
                recorded = True  # also if no answer to the request comes
                client.upsert(self.name + SOURCES, [points.record(source)])
                self._records.put(source)
                if self.embedded:
                    self.embedded.add(source.source_id, writer.terms)
        except BaseException:
            self._records.drop(source.source_id, source.point_ids, recorded)
            with suppress(StoreError):  # on a full disk, the next opening does it
                self.purge(source.source_id)
            raise
        finally:
            self._records.end(source.source_id)

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
        with self._records.alone(source_id), self._unless_deleted(changing=True):
            self._include({source_id})
            source = self._records.get(source_id)
            if source is None:
                return False
            self._records.drop(source_id, source.point_ids, recorded=True)
            if self.embedded:
                self.embedded.hide(source_id)
            self._delete_record(source_id)
            return True

    def change(self, source: Source) -> None:
        """Give a source that is there another file name, directory or tags.

        Raises:
            StoreError: it is not there, or could not be written.
        """
        with self._records.alone(source.source_id), self._unless_deleted(changing=True):
            before = self.find(source.source_id)
            if before is None:
                raise StoreError(f"{source.file_name} is not in the collection any more.")
            if before.path != source.path:
                facts = {"file_name": source.file_name, "directory": source.directory}
                for start in range(0, source.passages, self.step):
                    ids = source.point_ids[start : start + self.step]
                    with self._changing() as client:
                        if self.embedded:
                            self.embedded.change(ids, lambda each: _with_metadata(each, facts))
                        else:
                            client.set_payload(self.name, facts, [*ids], key="metadata")
            with self._changing() as client:
                client.upsert(self.name + SOURCES, [points.record(source)])
            self._records.put(source)

    def unhide(self, source: Source) -> bool:
        """Undo `hide`. False if passages have been deleted already."""
        with self._records.alone(source.source_id), self._unless_deleted(changing=True):
            if not self._records.is_hidden(source.source_id):
                return False
            unhide = self.embedded.unhide if self.embedded else self._points.is_whole
            if not unhide(source):
                return False
            with self._changing() as client:
                client.upsert(self.name + SOURCES, [points.record(source)])
            self._records.put(source)
            return True

    def purge(self, source_id: str) -> None:
        """Delete the passages that `hide` has left. Searches can run between the slices."""
        if not self._records.is_hidden(source_id):
            return
        with self._records.alone(source_id):
            if self._records.is_recorded(source_id):
                with self._changing():
                    self._delete_record(source_id)
            ids = self._records.hidden_points(source_id)
            if not self._connection.embedded and self._read_again({source_id}):
                ids = []  # they belong to this source again: another process has written it
            for start in range(0, len(ids), self.step):
                with self._changing() as client:
                    client.delete(self.name, [*ids[start : start + self.step]])
            self._records.purged(source_id)

    def matching(self, filters: Filters) -> frozenset[str] | None:
        """The ids of the sources that match. None stands for all."""
        if filters.collections and self.title not in filters.collections:
            return frozenset()
        if not filters.narrow:
            return None
        with self._unless_deleted():
            self._catch_up()
        named = frozenset(filters.source_ids)
        others = replace(filters, source_ids=())
        return frozenset(
            each.source_id
            for each in self._records.all()
            if each.source_id in named
            or (
                others.narrow
                and others.match(each.source_id, each.file_name, each.directory, each.tags)
            )
        )

    def search(
        self,
        vector: NDArray[np.float32],
        terms: Terms,
        limit: int,
        within: AbstractSet[str] | None = None,
    ) -> tuple[list[Hit], list[Hit]]:
        """`search_dense` and `search_terms`; of a server, both are asked at once."""
        if self.embedded or not terms:
            return self.search_dense(vector, limit, within), self.search_terms(terms, limit, within)
        queries = [(vector.tolist(), DENSE), (points.sparse(terms), TERMS)]
        dense, lexical = self._query(queries, limit, within)
        return dense, lexical

    def search_dense(
        self, vector: NDArray[np.float32], limit: int, within: AbstractSet[str] | None = None
    ) -> list[Hit]:
        """The nearest passages by cosine similarity, best first; with `within`, of these
        sources.
        """
        if self.embedded is None:
            return self._query([(vector.tolist(), DENSE)], limit, within)[0]
        with self._guarded():
            return self.embedded.search_dense(vector, limit, within)

    def known_terms(self, terms: Sequence[int]) -> set[int]:
        """Those of the terms that a passage has. On a server, of a few terms only."""
        if self.embedded is not None:
            with self._guarded():
                return self.embedded.known_terms(terms)
        if len(terms) > FEW_TERMS:
            return set()
        return {each for each in terms if self.search_terms({each: 1.0}, 1)}

    def search_terms(
        self, terms: Terms, limit: int, within: AbstractSet[str] | None = None
    ) -> list[Hit]:
        """The best passages by BM25 that share a term, best first; with `within`, of these
        sources.
        """
        if not terms:
            return []
        if self.embedded is None:
            return self._query([(points.sparse(terms), TERMS)], limit, within)[0]
        with self._guarded():
            return self.embedded.search_terms(terms, limit, within)

    def nodes(self, point_ids: Sequence[str]) -> list[Node | None]:
        """The passages of hits, in their order; None for a passage that has been deleted since."""
        with self._unless_deleted():
            payloads = (self.embedded or self._points).payloads(point_ids)
            found = {
                point_id: points.node(payload)
                for point_id, payload in payloads.items()
                if not self._records.is_hidden(payload["source_id"])
            }
        return [found.get(point_id) for point_id in point_ids]

    def nodes_of(self, source_id: str) -> list[Node]:
        """All passages of a source, in order. Empty if there is no such source."""
        source = self.find(source_id)
        nodes = self.nodes(source.point_ids) if source else []
        return [node for node in nodes if node is not None]

    def export(self, source: Source) -> Iterator[Exported]:
        """Its passages, in order, with all that is stored of them.

        Raises:
            StoreError: a passage is missing.
        """
        ids = source.point_ids
        for start in range(0, len(ids), BATCH):
            part = ids[start : start + BATCH]
            if self.embedded:
                with self._guarded():
                    found = self.embedded.export(part)
            else:
                found = self._points.export(part)
            if len(found) != len(part):
                raise StoreError(f"{source.file_name} has lost passages. Add it again.")
            yield from (found[each] for each in part)

    def _query(
        self, queries: Sequence[tuple[Any, str]], limit: int, within: AbstractSet[str] | None
    ) -> list[list[Hit]]:
        """On a server: search, drop hits of incomplete sources, and search with a larger limit if
        few remain.
        """
        if within is not None and not within:
            return [[] for _ in queries]
        wanted = limit
        while True:
            found = self._points.search(queries, wanted, within)
            self._include({source_id for hits in found for source_id, _ in hits})
            whole = [
                [hit for source_id, hit in hits if self._records.get(source_id)] for hits in found
            ]
            if all(
                len(kept) >= limit or len(hits) < wanted
                for kept, hits in zip(whole, found, strict=True)
            ):
                return [kept[:limit] for kept in whole]
            wanted *= 4

    def _delete_record(self, source_id: str) -> None:
        with self._changing() as client:
            client.delete(self.name + SOURCES, [Source(source_id, "").record_id])
        self._records.unrecorded(source_id)

    @contextmanager
    def _guarded(self) -> Iterator[QdrantClient]:
        if self.deleted:
            raise self._was_deleted()
        try:
            with self._connection.guarded() as client:
                yield client
        except StoreError as error:
            if not is_missing(error):
                raise
            self.deleted = True  # by another process
            raise self._was_deleted() from error

    @contextmanager
    def _changing(self) -> Iterator[QdrantClient]:
        with self._connection.changing(), self._guarded() as client:
            yield client

    @contextmanager
    def _unless_deleted(self, changing: bool = False) -> Iterator[None]:
        """Embedded: nothing else happens in the block. On a server, that would be a lock over the
        network."""
        if self._connection.embedded:
            with self._changing() if changing else self._guarded():
                yield
        elif self.deleted:
            raise self._was_deleted()
        else:
            yield

    def _was_deleted(self) -> StoreError:
        return StoreError(f"The collection {self.title!r} was deleted. Choose another collection.")

    # What other processes have changed, on a server

    def _catch_up(self) -> None:
        if self._connection.embedded:
            return
        self._read_records()
        for source in self._read_again(set(self._records.incomplete())):
            if self._points.is_whole(source):
                self._records.found_whole(source.source_id)
                self._include({source.source_id})

    def _include(self, source_ids: set[str]) -> None:
        """Read the records of sources that another process may have added."""
        unknown = self._records.unknown(source_ids)
        if unknown and not self._connection.embedded:
            self._records.include(lambda: self._read_again(unknown))

    def _read_again(self, source_ids: set[str]) -> list[Source]:
        if not source_ids:
            return []
        ids = [Source(each, "").record_id for each in source_ids]
        with self._guarded() as client:
            found = client.retrieve(self.name + SOURCES, ids)
        return [source for each in found if (source := points.from_record(each))]

    def _read_records(self) -> None:
        records = self._points.scroll(None, True, self.name + SOURCES)
        self._records.replace(
            lambda: [source for each in records if (source := points.from_record(each))]
        )

    # At opening: sources that have lost points, and points to delete

    def _open_embedded(self) -> None:
        with self._guarded() as client:
            self.embedded = EmbeddedPoints(client, self.name)
            self.incomplete, lost = self.embedded.open(self._records.all())
        for source in self.incomplete:
            self._records.lose(source.source_id)
            lost.pop(source.source_id, None)
        for source_id, point_ids in lost.items():
            self._records.drop(source_id, point_ids, recorded=False)

    def _open_on_server(self) -> None:
        wrong, strangers = self._points.check(self._records.all())
        for source in wrong:
            # unless another process has just deleted it
            if self._read_again({source.source_id}) and not self._points.is_whole(source):
                self.incomplete.append(source)
                self._records.lose(source.source_id)
        self._include(strangers)  # what another process has just completed is none
        for source_id in self._records.unknown(strangers):
            if abandoned := self._points.abandoned(source_id):
                self._records.drop(source_id, abandoned, recorded=False)

    def _check_complete(self, source: Source) -> None:
        """Raise if points are missing: another process may have deleted them as abandoned."""
        if not self._points.is_whole(source):
            raise StoreError(f"{source.file_name} was not stored completely. Add it again.")


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
        step = self._collection.step
        for start in range(0, len(nodes), step):
            part = slice(start, start + step)
            ids = self._ids[self.written : self.written + len(nodes[part])]
            made = points.points(ids, nodes[part], vectors[part], terms[part])
            with self._connection.room_to_write, self._connection.changing() as client:
                client.upsert(self._collection.name, made)
                if self._collection.embedded:
                    self._collection.embedded.stored(ids)
            self.terms.update(zip(ids, terms[part], strict=True))
            on_progress(self.written)


def _with_metadata(payload: dict[str, Any], facts: dict[str, str]) -> dict[str, Any]:
    return {**payload, "metadata": {**payload["metadata"], **facts}}
