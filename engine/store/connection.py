"""Connection: one Qdrant client, one lock, and Qdrant's errors as sentences.

The embedded client holds no locks of its own, so every call goes through `guarded`, reads
included. It does not know what is stored.
"""

import gc
import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import finalize

from qdrant_client import QdrantClient

from engine.errors import DuplicateDocumentError, StoreError, StoreInUseError
from engine.redacting import public_address, redact

log = logging.getLogger(__name__)


class Connection:
    """To a server (`url`), to a folder (`path`), or to memory (neither).

    Never open a folder that came from someone else: the embedded client pickles its points, and
    reading a pickle can run any code.

    Raises:
        StoreInUseError: another process has the folder open.
        StoreError: it cannot be read, or the server cannot be reached.
    """

    def __init__(self, path: Path | None = None, url: str = "", api_key: str = "") -> None:
        self.path, self.url = path, url
        self.lock = threading.RLock()
        self.client = _connect(path, url, api_key)
        # also at exit, while the modules that closing needs are still there
        self.close = finalize(self, self.client.close)

    @property
    def embedded(self) -> bool:
        return not self.url

    @contextmanager
    def guarded(self) -> Iterator[QdrantClient]:
        """Hold the lock, and turn whatever Qdrant raises into a StoreError."""
        with self.lock:
            try:
                yield self.client
            except (StoreError, DuplicateDocumentError):
                raise
            except Exception as fault:
                log.exception("Qdrant refused an operation")
                raise self._explained(fault) from fault

    def _explained(self, fault: Exception) -> StoreError:
        if self.url:
            return StoreError(
                f"The Qdrant server at {public_address(self.url)} did not do what was asked "
                f"({redact(str(fault))}). Start it, "
                "or clear QDRANT_URL in .env to use the embedded collection."
            )
        if isinstance(fault, sqlite3.OperationalError) and "full" in str(fault):
            return StoreError(
                "The disk is full. What was in the collection is safe, and the file being added "
                "is not in it. Make room and add it again."
            )
        return StoreError(
            f"The collection could not be read or written ({fault}). Nothing that was whole is "
            "lost. Try again; if it stays so, check the disk and the folder's permissions."
        )


@contextmanager
def collector_paused() -> Iterator[None]:
    """For reading a whole collection: the garbage collector would walk all the objects that come
    again and again, and find nothing. Halves the time it takes to open 10,000 passages."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _connect(path: Path | None, url: str, api_key: str) -> QdrantClient:
    try:
        if url:
            return QdrantClient(url=url, api_key=api_key or None, check_compatibility=False)
        if path is None:
            return QdrantClient(":memory:")
        # its own check of threads is off, since the lock above does that work
        with collector_paused():
            return QdrantClient(path=str(path), force_disable_check_same_thread=True)
    except Exception as fault:
        if "already accessed" in str(fault):
            raise StoreInUseError(
                f"Another process is using the documents in {path}. Close the other First Token, "
                "or set another DATA_DIR in .env."
            ) from fault
        log.exception("The store could not be opened")
        raise StoreError(
            f"The documents in {path or public_address(url)} cannot be opened "
            f"({redact(str(fault))}). Check that the place "
            "can be reached and written; if its files are damaged, delete the folder and add "
            "your files again."
        ) from fault
