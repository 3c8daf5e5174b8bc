"""The stores of tests on a Qdrant server: `TEST_QDRANT_URL=http://localhost:6333 pytest tests/...`

Modules that import `stores_on_the_server` then open all their stores there: those in memory under
names of their own, and those of a folder under names that the folder determines. Without the
variable, nothing changes.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.schema import new_id
from engine.store import QdrantServer, Store
from engine.store.connection import Connection

URL = os.environ.get("TEST_QDRANT_URL", "")

embedded_only = pytest.mark.skipif(bool(URL), reason="It is about the files of embedded stores.")


def store_at(prefix: str) -> Store:
    return Store(Connection(server=QdrantServer(URL, prefix=prefix)))


def remove(prefixes: set[str]) -> None:
    """Delete what tests have left on the server."""
    client = QdrantServer(URL).connect()
    for each in client.get_collections().collections:
        if each.name.partition("+")[0] in prefixes:
            client.delete_collection(each.name)
    client.close()


@pytest.fixture(autouse=True, scope="module")
def stores_on_the_server() -> Iterator[None]:
    if not URL:
        yield
        return
    prefixes = set()

    def open_there(
        path: Path | str | None = None,
        server: QdrantServer | None = None,
        aside: Path | None = None,
    ) -> Store:
        name = str(Path(path).resolve()) if path else new_id()
        prefix = "test-" + hashlib.sha256(name.encode()).hexdigest()[:16]
        prefixes.add(prefix)
        return store_at(prefix)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.index.open_store", open_there)
        patch.setattr("engine.workspace.library.open_store", open_there)
        yield
    remove(prefixes)
