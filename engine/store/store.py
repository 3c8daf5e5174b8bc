"""Store: the collections of one folder, of one server, or of memory."""

import re
import threading
from pathlib import Path
from weakref import WeakValueDictionary

from qdrant_client import models

from engine.errors import StoreError
from engine.store.collection import SOURCES, Collection
from engine.store.connection import Connection
from engine.store.points import DENSE, TERMS

# Written into each collection; raised when points change in a way that old code cannot read.
SCHEMA = 1

_NAME = re.compile(r"\w[\w .-]{0,99}")


class Store:
    """Safe to use from many threads. `open_store` makes one for a folder and not two."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._collections: dict[str, Collection] = {}

    def collection(self, name: str, embedding: str, dimension: int) -> Collection:
        """Open the collection, made where it is not there. `embedding` names the model.

        Raises:
            StoreError: the name cannot be used, or another embedding model filled it.
        """
        if not _NAME.fullmatch(name) or name.endswith(SOURCES):
            raise StoreError(
                f"{name!r} cannot name a collection. Use letters, digits, spaces, dots and dashes."
            )
        with self._connection.guarded() as client:
            if not client.collection_exists(name):
                self._make(name, embedding, dimension)
            self._check(name, embedding, dimension)
            if name not in self._collections:
                self._collections[name] = Collection(self._connection, name, store=self)
            return self._collections[name]

    def collections(self) -> list[str]:
        with self._connection.guarded() as client:
            names = {each.name for each in client.get_collections().collections}
        return sorted(name for name in names if name + SOURCES in names)

    def delete_collection(self, name: str) -> None:
        """Delete it with all its sources. One that is not there is no error."""
        with self._connection.guarded() as client:
            self._collections.pop(name, None)
            client.delete_collection(name)
            client.delete_collection(name + SOURCES)

    def close(self) -> None:
        """Let the folder go. Collections of this store cannot be used after."""
        with self._connection.lock:
            self._connection.close()
        if self._connection.path is not None:
            _open_stores.pop(self._connection.path, None)

    def _make(self, name: str, embedding: str, dimension: int) -> None:
        """The records first: passages are never without. Old ones are of a deletion cut short."""
        with self._connection.guarded() as client:
            client.delete_collection(name + SOURCES)
            client.create_collection(name + SOURCES, vectors_config={})
            client.create_collection(
                name,
                vectors_config={
                    DENSE: models.VectorParams(size=dimension, distance=models.Distance.DOT)
                },
                sparse_vectors_config={
                    TERMS: models.SparseVectorParams(modifier=models.Modifier.IDF)
                },
                metadata={"schema": SCHEMA, "embedding": embedding, "dimension": dimension},
            )

    def _check(self, name: str, embedding: str, dimension: int) -> None:
        with self._connection.guarded() as client:
            found = client.get_collection(name).config.metadata or {}
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
    """The Store of a folder (one for all callers), of a server (`url`), or a new one in memory.

    Never open a folder that came from someone else: reading its points can run any code.

    Raises:
        StoreInUseError: another process has the folder open.
        StoreError: it cannot be read, or the server cannot be reached.
    """
    if url or path is None:
        return Store(Connection(url=url, api_key=api_key))
    folder = Path(path).expanduser().resolve()
    with _opening:
        store = _open_stores.get(folder) or Store(Connection(folder))
        _open_stores[folder] = store
        return store
