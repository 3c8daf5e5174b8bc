"""Store: the collections of one folder, of a server, or of memory."""

import hashlib
import re
import threading
import unicodedata
from pathlib import Path
from weakref import WeakValueDictionary

from qdrant_client import models

from engine.errors import StoreError
from engine.store.collection import Collection
from engine.store.connection import Connection
from engine.store.disk import SOURCES
from engine.store.points import DENSE, TERMS
from engine.store.server import QdrantServer

# Written into each collection. Increase it when old code cannot read the points of new code.
SCHEMA = 1

# Between a collection's name and what names its index for another model than the first: a character
# that no collection's name has.
_INDEX = "~"
# On a server, between the prefix of a library and a collection's name; no name has it either.
_PREFIX = "+"
_NAME = re.compile(r"\w[\w .-]{0,99}")


class Store:
    """Safe to use from many threads. `open_store` returns the same Store for the same folder."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._opened: dict[tuple[str, str], tuple[int, Collection]] = {}  # by name and model
        self._opening = threading.Lock()  # held while a collection is opened or deleted
        server = connection.server
        self._prefix = f"{server.prefix}{_PREFIX}" if server and server.prefix else ""

    @property
    def set_aside(self) -> Path | None:
        """The new place of the files that were damaged when the store was opened, or None."""
        return self._connection.set_aside

    @property
    def read_only(self) -> bool:
        """Whether the folder cannot be written, so that nothing can be added or deleted."""
        return self._connection.read_only

    @property
    def temporary(self) -> bool:
        """Whether the disk was too full to open a folder in place of the damaged one."""
        return self._connection.temporary

    @property
    def server(self) -> QdrantServer | None:
        """Where it is; None if it is embedded."""
        return self._connection.server

    def collection(
        self,
        name: str,
        embedding: str,
        dimension: int,
        create: bool = True,
        beside: bool = False,
    ) -> Collection:
        """Open a collection. With `create`, create a missing one. `embedding` is a model's name.

        A collection can have an index for each of several models, and they are never mixed. One for
        another model than those it has is made with `create` and `beside`.

        Raises:
            StoreError: the collection is missing, its name cannot be used, or another embedding
                model filled it.
        """
        if not _NAME.fullmatch(name) or name.endswith(SOURCES):
            raise StoreError(
                f"{name!r} cannot name a collection. Use letters, digits, spaces, dots and dashes."
            )
        known = self._already(name, embedding, dimension)
        if known:
            return known
        with self._opening, self._connection.held():
            known = self._already(name, embedding, dimension)
            if known:
                return known
            there = self._indexes(name)
            index = there.get(embedding)
            if index is None:
                if not there and not create:
                    raise StoreError(
                        f"The collection {name!r} does not exist. Choose another collection."
                    )
                if there and not (create and beside):
                    self._check(next(iter(there.values())), embedding, dimension)
                first = f"{self._prefix}{name}"
                index = f"{first}{_INDEX}{_short(embedding)}" if there else first
                self._make(index, embedding, dimension)
            self._check(index, embedding, dimension)
            if self.server:
                self._adapt(index, self.server)
            opened = Collection(self._connection, name, index, store=self)
            self._opened[name, embedding] = dimension, opened
            return opened

    def _already(self, name: str, embedding: str, dimension: int) -> Collection | None:
        found, opened = self._opened.get((name, embedding), (0, None))
        return opened if opened and not opened.deleted and found == dimension else None

    def collections(self) -> list[str]:
        return sorted({self._title(index) for index in self._all_indexes()})

    def embeddings(self, name: str) -> list[str]:
        """The models for which a collection has an index."""
        return list(self._indexes(name))

    def dimensions(self, name: str) -> dict[str, int]:
        """The length of the vectors of each model for which a collection has an index."""
        found = {}
        with self._connection.guarded() as client:
            for embedding, index in self._indexes(name).items():
                known = client.get_collection(index).config.metadata or {}
                if known.get("schema") == SCHEMA:
                    found[embedding] = int(known["dimension"])
        return found

    def delete_collection(self, name: str) -> None:
        """Delete it with all its sources. One that is not there is no error."""
        for index in self._indexes(name).values():
            self._delete_index(index)

    def delete_index(self, name: str, embedding: str) -> None:
        """Delete a collection's index for one model. One that is not there is no error."""
        if index := self._indexes(name).get(embedding):
            self._delete_index(index)

    def _title(self, index: str) -> str:
        """The name of the collection that an index belongs to."""
        return index.removeprefix(self._prefix).partition(_INDEX)[0]

    def _all_indexes(self) -> list[str]:
        with self._connection.guarded() as client:
            names = {each.name for each in client.get_collections().collections}
        ours = {each for each in names if each.rpartition(_PREFIX)[0] == self._prefix[:-1]}
        return sorted(name for name in ours if name + SOURCES in ours)

    def _indexes(self, name: str) -> dict[str, str]:
        """The names of a collection's indexes, by their models."""
        found = {}
        with self._connection.guarded() as client:
            names = [each.name for each in client.get_collections().collections]
            for index in sorted(names):
                first = index.partition(_INDEX)[0]
                if first == f"{self._prefix}{name}" and not index.endswith(SOURCES):
                    known = client.get_collection(index).config.metadata or {}
                    found[str(known.get("embedding", ""))] = index
        return found

    def _delete_index(self, index: str) -> None:
        with self._opening, self._connection.changing() as client:
            for key, (_, opened) in list(self._opened.items()):
                if opened.name == index:
                    del self._opened[key]
                    opened.deleted = True
            client.delete_collection(index)
            client.delete_collection(index + SOURCES)

    def close(self) -> None:
        """Release the folder. Collections of this store cannot be used afterwards."""
        with self._connection.lock:
            self._connection.close()
        if self._connection.path is not None:
            _open_stores.pop(self._connection.path, None)

    def _make(self, name: str, embedding: str, dimension: int) -> None:
        with self._connection.changing() as client:
            # On macOS and Windows such names are one folder.
            same = (each for each in self._all_indexes() if _folded(each) == _folded(name))
            if other := next(same, None):
                raise StoreError(
                    f"There is a collection {self._title(other)!r} already, and "
                    f"{self._title(name)!r} differs only in upper and lower case. Choose another "
                    "name."
                )
            # The records' collection is created first, because passages need it. An old one is
            # left from an interrupted deletion.
            client.delete_collection(name + SOURCES)
            options = self.server.collection_options() if self.server else {}
            client.create_collection(name + SOURCES, vectors_config={}, **options)
            client.create_collection(
                name,
                vectors_config={
                    DENSE: models.VectorParams(size=dimension, distance=models.Distance.DOT)
                },
                sparse_vectors_config={
                    TERMS: models.SparseVectorParams(modifier=models.Modifier.IDF)
                },
                metadata={"schema": SCHEMA, "embedding": embedding, "dimension": dimension},
                **options,
            )

    def _adapt(self, name: str, server: QdrantServer) -> None:
        """On a server: an index of the field that searches are filtered by, and the settings for
        memory and disk, if they are others than the collection's."""
        with self._connection.guarded() as client:
            found = client.get_collection(name)
            if "source_id" not in found.payload_schema:
                client.create_payload_index(name, "source_id", models.PayloadSchemaType.KEYWORD)
            if self._connection.read_only:
                return
            vectors = found.config.params.vectors
            dense = vectors[DENSE] if isinstance(vectors, dict) else None
            on_disk = bool(dense and dense.on_disk)
            if on_disk != server.on_disk:
                client.update_collection(
                    name,
                    vectors_config={DENSE: models.VectorParamsDiff(on_disk=server.on_disk)},
                    hnsw_config=models.HnswConfigDiff(on_disk=server.on_disk),
                )
            quantized = server.quantized
            if found.config.quantization_config != quantized:
                client.update_collection(
                    name, quantization_config=quantized or models.Disabled.DISABLED
                )

    def _check(self, name: str, embedding: str, dimension: int) -> None:
        with self._connection.guarded() as client:
            found = client.get_collection(name).config.metadata or {}
        if found.get("schema") != SCHEMA:
            raise StoreError(
                f"The collection {self._title(name)!r} was not made by this version of First "
                "Token. Choose another name, or delete it and add the files again."
            )
        if (found["embedding"], found["dimension"]) != (embedding, dimension):
            raise StoreError(
                f"The collection {self._title(name)!r} was filled with the embedding model "
                f"{found['embedding']}, and {embedding} is set now. Set that model again, or "
                "choose another collection, or delete this one and add the files again."
            )


def _short(embedding: str) -> str:
    return hashlib.sha256(embedding.encode()).hexdigest()[:8]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


_open_stores: WeakValueDictionary[Path, Store] = WeakValueDictionary()
_opening = threading.Lock()


def open_store(
    path: Path | str | None = None,
    server: QdrantServer | None = None,
    aside: Path | None = None,
) -> Store:
    """The Store of a server, of a folder (one for all callers), or a new one in memory.

    With `aside`, a damaged folder is moved into `<aside>/set-aside`, and an empty store is opened.

    Raises:
        StoreInUseError: another process has the folder open.
        DamagedStoreError: its files are damaged, and `aside` is not given.
        StoreError: it cannot be read, or the server cannot be reached.
    """
    if server or path is None:
        return Store(Connection(server=server))
    folder = Path(path).expanduser().resolve()
    with _opening:
        store = _open_stores.get(folder) or Store(Connection(folder, aside=aside))
        _open_stores[folder] = store
        return store
