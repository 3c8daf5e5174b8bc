"""Team: which collections of a team's library everybody may read, and reading them.

Their names are in `shared.json` in the team's folder. The file is read each time, so a change
counts at once, also for other processes.
"""

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine.durable import write_whole
from engine.errors import StoreError
from engine.index import VectorStoreIndex

if TYPE_CHECKING:
    from engine.workspace.library import Library

log = logging.getLogger(__name__)

SHARED = "shared:"
"""Before the name of a shared collection in another library. No own collection has such a name,
because of the colon."""


def is_shared(collection: str) -> bool:
    """Whether the name is that of a shared collection, which may be shared no longer."""
    return collection.startswith(SHARED)


class Published:
    """Which collections of the team's library are shared. `folder`: the team's."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "shared.json"

    def names(self) -> list[str]:
        """Empty if the file is missing or damaged."""
        try:
            names = json.loads(self._file.read_text("utf-8"))
            if not isinstance(names, list):
                raise ValueError("it is not a list")
            return [str(each) for each in names]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, RecursionError):
            log.exception("%s cannot be read, so nothing is shared", self._file.name)
            return []

    def publish(self, collection: str, shared: bool) -> None:
        """
        Raises:
            StoreError: it could not be saved.
        """
        before = set(self.names())
        names = before | {collection} if shared else before - {collection}
        if names == before:
            return
        try:
            write_whole(self._file, json.dumps(sorted(names)).encode())
        except OSError as fault:
            log.exception("What is shared could not be saved")
            raise StoreError(
                f"This could not be saved ({fault.strerror}). Make room on the disk, and try again."
            ) from fault


class TeamCollections:
    """The shared collections for the library of a person, to be read. `library`: the team's."""

    def __init__(self, library: Callable[[], "Library"], published: Published) -> None:
        self._library, self._published = library, published

    def names(self) -> list[str]:
        """With `SHARED` before each."""
        shared = self._published.names()
        return [f"{SHARED}{each}" for each in self._library().own_collections() if each in shared]

    def index(self, collection: str) -> VectorStoreIndex:
        """
        Raises:
            StoreError: it is not shared, or not any more.
        """
        return self._library().own_index(self._name(collection)).titled(collection)

    def original(self, collection: str, source_id: str) -> Path | None:
        """The file as it was added. None if it is missing, or the collection not shared."""
        with suppress(StoreError):
            return self._library().original(self._name(collection), source_id)
        return None

    def _name(self, collection: str) -> str:
        """Its name in the team's library."""
        if collection not in self.names():
            raise StoreError(
                f"The collection {collection!r} is not shared any more. Choose another collection."
            )
        return collection.removeprefix(SHARED)
