"""Nodes ↔ points of a Qdrant collection. The only importer of qdrant_client.

Nodes with their vectors go in, one source (a file) at a time; hits and nodes come out. A source
is atomic: a record in a second, small collection says whether it is whole, and it is written
last. What is not whole is never found, and is removed when the collection is next opened.

The collection is in memory, in a folder, or on a Qdrant server, by the same calls. One client,
one lock, reads included: the embedded client holds no locks of its own. It scores sparse
vectors in a loop over all points (100 ms at 10,000), so there an index of terms in memory,
kept in step with the points, answers instead.

It does not know how texts become vectors, nor how hits are ranked.
"""

import re
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary, finalize

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models

from engine.errors import Cancelled, DuplicateDocumentError, StoreError, StoreInUseError
from engine.lexical import TermIndex, Terms
from engine.schema import Node

# Written into each collection; raised when points change in a way old code cannot read.
SCHEMA = 1
# Points written while the lock is held: a search waits at most for these (about 15 ms).
SLICE = 16
# The embedded collection holds this many passages well (benchmarks/README.md).
EMBEDDED_LIMIT = 20_000
# On a server another process may be writing: a half-written source is its own for this long.
ABANDONED_AFTER = timedelta(hours=1)

_SOURCES = ".sources"
_NAME = re.compile(r"[\w][\w .-]{0,99}")
_NAMESPACE = uuid.UUID("6f7a3c1e-52a5-4f0b-9f0e-0a1d0c7f5b11")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is in the collection. `size`: bytes. `added_at`: seconds since 1970, UTC."""

    source_id: str
    file_name: str
    pages: int = 0
    passages: int = 0
    size: int = 0
    content_hash: str = ""
    added_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())


@dataclass(frozen=True, slots=True)
class Hit:
    """A point found: a cosine similarity, or a BM25 score."""

    point_id: str
    score: float


class Store:
    """The collections of one folder, one server, or of memory. Safe to use from many threads.

    Use `open_store`, which makes one Store for a folder and not two.
    """

    def __init__(self, path: Path | None = None, url: str = "", api_key: str = "") -> None:
        self.path, self.url = path, url
        self.lock = threading.RLock()
        self._collections: dict[str, Collection] = {}
        self.client = _connect(path, url, api_key)
        self._closed = finalize(self, self.client.close)  # at exit, too

    @property
    def embedded(self) -> bool:
        return not self.url

    def collection(self, name: str, embedding: str, dimension: int) -> "Collection":
        """Open the collection, made where it is not there. `embedding` names the model.

        Raises:
            StoreError: the name cannot be used, or another embedding model filled it.
        """
        if not _NAME.fullmatch(name) or name.endswith(_SOURCES):
            raise StoreError(
                f"{name!r} cannot name a collection. Use letters, digits, spaces, dots and dashes."
            )
        with self.guarded():
            if name not in self._collections:
                self._make_or_check(name, embedding, dimension)
                self._collections[name] = Collection(self, name)
            else:
                self._check(name, embedding, dimension)
            return self._collections[name]

    def collections(self) -> list[str]:
        with self.guarded():
            names = {each.name for each in self.client.get_collections().collections}
        return sorted(name for name in names if name + _SOURCES in names)

    def delete_collection(self, name: str) -> None:
        """Delete it with all its sources. One that is not there is no error."""
        with self.guarded():
            self._collections.pop(name, None)
            self.client.delete_collection(name)
            self.client.delete_collection(name + _SOURCES)

    def close(self) -> None:
        """Let the folder go. Collections of this store cannot be used after."""
        with self.lock:
            self._closed()
            if self.path is not None:
                _open_stores.pop(self.path, None)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Hold the lock, and turn whatever Qdrant raises into a sentence."""
        with self.lock:
            try:
                yield
            except (StoreError, DuplicateDocumentError, Cancelled):
                raise
            except Exception as fault:
                raise self._explained(fault) from fault

    def _explained(self, fault: Exception) -> StoreError:
        if self.url:
            return StoreError(
                f"The Qdrant server at {self.url} did not do what was asked ({fault}). Start it, "
                "or clear QDRANT_URL in .env to use the embedded collection."
            )
        if isinstance(fault, sqlite3.OperationalError) and "full" in str(fault):
            return StoreError(
                "The disk is full. What was in the collection is safe, and the file being added "
                "is not in it. Make room and add it again."
            )
        return StoreError(
            f"The collection could not be read or written ({fault}). Nothing that was whole is "
            "lost. Try again; if it stays so, look at the disk and at the folder's permissions."
        )

    def _make_or_check(self, name: str, embedding: str, dimension: int) -> None:
        sources = name + _SOURCES
        if not self.client.collection_exists(sources) and not self.client.collection_exists(name):
            self.client.create_collection(sources, vectors_config={})
        if not self.client.collection_exists(name):
            self.client.create_collection(
                name,
                vectors_config={
                    "dense": models.VectorParams(size=dimension, distance=models.Distance.DOT)
                },
                sparse_vectors_config={
                    "terms": models.SparseVectorParams(modifier=models.Modifier.IDF)
                },
                metadata={"schema": SCHEMA, "embedding": embedding, "dimension": dimension},
            )
        self._check(name, embedding, dimension)

    def _check(self, name: str, embedding: str, dimension: int) -> None:
        found = self.client.get_collection(name).config.metadata or {}
        if found.get("schema") != SCHEMA:
            raise StoreError(
                f"The collection {name!r} was not made by this version of First Token. Choose "
                "another name, or delete it and add the files again."
            )
        if (found["embedding"], found["dimension"]) != (embedding, dimension):
            raise StoreError(
                f"The collection {name!r} was filled with the embedding model "
                f"{found['embedding']}, and {embedding} is set now. Set that model again, or "
                "choose another collection, or delete this one and add the files again."
            )


_open_stores: WeakValueDictionary[Path, Store] = WeakValueDictionary()
_opening = threading.Lock()


def open_store(path: Path | str | None = None, url: str = "", api_key: str = "") -> Store:
    """The Store of a folder (the same one for all callers), of a server, or a new one in memory.

    Never open a folder that came from someone else: the embedded client pickles its points, and
    reading a pickle can run any code.

    Raises:
        StoreInUseError: another process has the folder open.
        StoreError: it cannot be read, or the server cannot be reached.
    """
    if url or path is None:
        return Store(url=url, api_key=api_key)
    folder = Path(path).expanduser().resolve()
    with _opening:
        store = _open_stores.get(folder) or Store(folder)
        _open_stores[folder] = store
        return store


def _connect(path: Path | None, url: str, api_key: str) -> QdrantClient:
    try:
        if url:
            return QdrantClient(url=url, api_key=api_key or None)
        if path is None:
            return QdrantClient(":memory:")
        return QdrantClient(path=str(path), force_disable_check_same_thread=True)
    except Exception as fault:
        if "already accessed" in str(fault):
            raise StoreInUseError(
                f"Another process is using the documents in {path}. Close the other First Token, "
                "or set another DATA_DIR in .env."
            ) from fault
        raise StoreError(
            f"The documents in {path or url} cannot be opened ({fault}). Check that the place "
            "can be reached and written; if its files are damaged, delete the folder and add "
            "your files again."
        ) from fault


class Collection:
    """One collection of passages. Safe to use from many threads at once.

    Made by `Store.collection`.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.name = name
        self._store, self._client = store, store.client
        self._ready: dict[str, Source] = {}
        self._pending: dict[str, Source] = {}
        self._terms = _EmbeddedTerms() if store.embedded else None
        self._load()

    # Sources

    @property
    def passages(self) -> int:
        return sum(source.passages for source in self.sources())

    @property
    def crowded(self) -> bool:
        """More passages than the embedded collection holds well: time for a Qdrant server."""
        return self._store.embedded and self.passages > EMBEDDED_LIMIT

    def sources(self) -> list[Source]:
        """What is whole, the latest first."""
        with self._store.guarded():
            if not self._store.embedded:
                self._read_sources()
            return sorted(self._ready.values(), key=lambda each: each.added_at, reverse=True)

    @contextmanager
    def adding(self, source: Source) -> Iterator["Writer"]:
        """Write one source: whole after the block, or, where the block raises, not at all.

        `source.passages` must be the number of nodes that will be added.

        Raises:
            DuplicateDocumentError: a source of this id is there already.
            StoreError: it could not be written; what was there before is safe.
        """
        with self._store.guarded():
            if source.source_id in self._ready or source.source_id in self._pending:
                raise DuplicateDocumentError(
                    f"{source.file_name} is in the collection already. Delete it first to add "
                    "it again."
                )
            self._record(source, ready=False)
            self._pending[source.source_id] = source
        writer = Writer(self._store, self.name, source)
        try:
            yield writer
            self._commit(writer)
        except BaseException:
            with suppress(StoreError):  # a full disk may refuse this too: then at the next open
                self._remove(source)
            raise

    def delete(self, source_id: str) -> bool:
        """Delete a source with all its passages. False where it is not there."""
        with self._store.guarded():
            source = self._ready.get(source_id)
            if source is None:
                return False
            self._record(source, ready=False)  # from here on it is gone, whatever happens
            self._pending[source_id] = self._ready.pop(source_id)
            if self._terms:
                self._terms.remove(source_id)
        self._remove(source)
        return True

    # Search

    def search_dense(self, vector: NDArray[np.float32], limit: int) -> list[Hit]:
        """The nearest passages by cosine similarity, best first."""
        return self._query(vector.tolist(), "dense", limit)

    def search_terms(self, terms: Terms, limit: int) -> list[Hit]:
        """The best passages by BM25, best first; only those that share a term."""
        if not terms:
            return []
        if self._terms:
            with self._store.lock:
                return self._terms.search(terms, limit)
        return self._query(_sparse(terms), "terms", limit)

    def nodes(self, point_ids: Sequence[str]) -> list[Node | None]:
        """The passages of hits, in their order; None for one deleted meanwhile."""
        with self._store.guarded():
            records = self._client.retrieve(self.name, list(point_ids), with_payload=True)
        found = {str(record.id): _node(record.payload or {}) for record in records}
        return [found.get(point_id) for point_id in point_ids]

    def nodes_of(self, source_id: str) -> list[Node]:
        """All passages of a source, in order. Empty where it is not there."""
        sources = {source.source_id: source for source in self.sources()}
        if source_id not in sources:
            return []
        nodes = self.nodes(_point_ids(sources[source_id]))
        return [node for node in nodes if node is not None]

    def _query(self, query: Any, using: str, limit: int) -> list[Hit]:
        with self._store.guarded():
            unfinished = sum(source.passages for source in self._pending.values())
            points = self._client.query_points(
                self.name,
                query=query,
                using=using,
                limit=limit + unfinished,
                with_payload=["source_id"],
            ).points
            whole = [each for each in points if self._is_whole((each.payload or {})["source_id"])]
        return [Hit(str(each.id), each.score) for each in whole[:limit]]

    def _is_whole(self, source_id: str) -> bool:
        if source_id not in self._ready and not self._store.embedded:
            self._read_sources()  # another process may have added it
        return source_id in self._ready

    # Keeping the two collections in step

    def _commit(self, writer: "Writer") -> None:
        source = replace(writer.source, passages=writer.written)
        with self._store.guarded():
            self._record(source, ready=True)
            del self._pending[source.source_id]
            self._ready[source.source_id] = source
            if self._terms:
                self._terms.add(source.source_id, writer.terms)

    def _record(self, source: Source, ready: bool) -> None:
        payload = {**asdict(source), "ready": ready}
        point = models.PointStruct(id=_point_id(source.source_id), vector={}, payload=payload)
        self._client.upsert(self.name + _SOURCES, [point])

    def _remove(self, source: Source) -> None:
        """Delete a pending source's points, then its record, letting searches in between."""
        ids = _point_ids(source)
        for start in range(0, len(ids), SLICE):
            with self._store.guarded():
                self._client.delete(self.name, list(ids[start : start + SLICE]))
        with self._store.guarded():
            self._client.delete(self.name + _SOURCES, [_point_id(source.source_id)])
            self._pending.pop(source.source_id, None)

    def _load(self) -> None:
        self._read_sources()
        newest = datetime.now(UTC) - (timedelta() if self._store.embedded else ABANDONED_AFTER)
        for source in list(self._pending.values()):
            if datetime.fromisoformat(source.added_at) <= newest:
                self._remove(source)
        if self._terms:
            self._terms.load(_scroll(self._client, self.name, ["source_id"], ["terms"]))

    def _read_sources(self) -> None:
        self._ready.clear()
        writing = dict(self._pending)
        for record in _scroll(self._client, self.name + _SOURCES, True, False):
            payload = dict(record.payload or {})
            ready = payload.pop("ready")
            source = Source(**payload)
            (self._ready if ready else writing)[source.source_id] = source
        self._pending = {key: writing[key] for key in writing if key not in self._ready}


class Writer:
    """Adds the nodes of one source, in their order. Made by `Collection.adding`."""

    def __init__(self, store: Store, collection: str, source: Source) -> None:
        self._store, self._collection = store, collection
        self._ids = _point_ids(source)
        self.source = source
        self.written = 0
        self.terms: dict[str, Terms] = {}

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
            self._upsert(nodes[part], vectors[part], terms[part])
            on_progress(self.written)

    def _upsert(
        self, nodes: Sequence[Node], vectors: NDArray[np.float32], terms: Sequence[Terms]
    ) -> None:
        ids = self._ids[self.written : self.written + len(nodes)]
        points = [
            models.PointStruct(
                id=point_id,
                vector={"dense": vector.tolist(), "terms": _sparse(weights)},
                payload=_payload(node),
            )
            for point_id, node, vector, weights in zip(ids, nodes, vectors, terms, strict=True)
        ]
        with self._store.guarded():
            self._store.client.upsert(self._collection, points)
        self.terms.update(zip(ids, terms, strict=True))
        self.written += len(nodes)


class _EmbeddedTerms:
    """The term index of an embedded collection, by point id and source."""

    def __init__(self) -> None:
        self._index = TermIndex()
        self._point_ids: list[str] = []
        self._numbers: dict[str, list[int]] = {}

    def add(self, source_id: str, terms: dict[str, Terms]) -> None:
        for point_id, weights in terms.items():
            self._numbers.setdefault(source_id, []).append(self._index.add(weights))
            self._point_ids.append(point_id)

    def remove(self, source_id: str) -> None:
        self._index.remove(self._numbers.pop(source_id, []))

    def search(self, terms: Terms, limit: int) -> list[Hit]:
        found = self._index.search(terms, limit)
        return [Hit(self._point_ids[number], score) for number, score in found]

    def load(self, records: Iterator[models.Record]) -> None:
        for record in records:
            assert isinstance(record.vector, dict)
            sparse = record.vector["terms"]
            assert isinstance(sparse, models.SparseVector)
            terms = dict(zip(sparse.indices, sparse.values, strict=True))
            self.add((record.payload or {})["source_id"], {str(record.id): terms})


def _scroll(
    client: QdrantClient, name: str, payload: list[str] | bool, vectors: list[str] | bool
) -> Iterator[models.Record]:
    place: Any = None
    while True:
        records, place = client.scroll(
            name, limit=10_000, offset=place, with_payload=payload, with_vectors=vectors
        )
        yield from records
        if place is None:
            return


def _point_id(name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, name))


def _point_ids(source: Source) -> list[str]:
    """Known from the record alone, so that a half-written source can be removed without it."""
    return [_point_id(f"{source.source_id}/{number}") for number in range(source.passages)]


def _sparse(terms: Terms) -> models.SparseVector:
    return models.SparseVector(indices=list(terms.keys()), values=list(terms.values()))


def _payload(node: Node) -> dict[str, Any]:
    return {**asdict(node), "metadata": dict(node.metadata)}


def _node(payload: dict[str, Any]) -> Node:
    return Node(**payload)
