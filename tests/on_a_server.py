"""The stores of tests on a Qdrant server: `TEST_QDRANT_URL=http://localhost:6333 pytest tests/...`

With the variable, the tests of this process open all their stores on that server: those in memory
under names of their own, those of a folder under names that the folder determines. Each test
deletes what it has made. Without the variable, nothing changes.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import store as stores
from engine.schema import new_id
from engine.store import QdrantServer, Store

URL = os.environ.get("TEST_QDRANT_URL", "")
API_KEY = os.environ.get("TEST_QDRANT_API_KEY", "")

embedded_only = pytest.mark.skipif(
    bool(URL), reason="It is about the files of the embedded store; TEST_QDRANT_URL is set."
)

_made: set[str] = set()  # prefixes of collections' names


def store_at(prefix: str) -> Store:
    _made.add(prefix)
    return stores.open_store(server=QdrantServer(URL, API_KEY, prefix))


def open_store(
    path: Path | str | None = None,
    server: QdrantServer | None = None,
    aside: Path | None = None,
) -> Store:
    """In place of the product's function."""
    if server or not URL:
        return stores.open_store(path, server, aside)
    return store_at(_prefix(path) if path else f"test-{new_id()}")


def app_settings(data_dir: Path) -> dict[str, str]:
    """For an app in a process of its own."""
    if not URL:
        return {}
    prefix = _prefix(data_dir)
    _made.add(prefix)
    return {"QDRANT_URL": URL, "QDRANT_API_KEY": API_KEY, "QDRANT_PREFIX": prefix}


def lose_index(folder: Path) -> None:
    """Delete all that a closed store of this folder had."""
    if URL:
        remove({_prefix(folder)})
    else:
        shutil.rmtree(folder)


@pytest.fixture(autouse=True, scope="session")
def stores_on_the_server() -> Iterator[None]:
    if not URL:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.index.open_store", open_store)
        patch.setattr("engine.workspace.library.open_store", open_store)
        yield
    remove(_made)


@pytest.fixture(autouse=True)
def own_collections() -> Iterator[None]:
    """A test's own collections are deleted at its end; those of its module's fixtures later."""
    before = set(_made)
    yield
    if new := _made - before:
        remove(new)
        _made.intersection_update(before)


def _prefix(path: Path | str) -> str:
    return "test-" + hashlib.sha256(str(Path(path).resolve()).encode()).hexdigest()[:16]


def remove(prefixes: set[str]) -> None:
    """Delete what is on the server under these prefixes."""
    client = QdrantServer(URL, API_KEY).connect()
    for each in client.get_collections().collections:
        if each.name.partition("+")[0] in prefixes:
            client.delete_collection(each.name)
    client.close()
