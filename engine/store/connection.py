"""Connection: one Qdrant client, and Qdrant's errors as sentences.

The embedded client has no locks, so every call goes through `guarded`, including reads, and one
waits for another. A client of a server takes calls of many threads at once.
"""

import errno
import fcntl
import gc
import json
import logging
import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from weakref import finalize

import httpx
from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from engine.durable import set_aside
from engine.errors import DuplicateDocumentError, StoreError, StoreInUseError
from engine.redacting import redact
from engine.store.disk import SOURCES, DamagedStoreError
from engine.store.server import QdrantServer

log = logging.getLogger(__name__)

# Errors of the machine, not of the files. They are temporary, so the folder is not set aside.
TEMPORARY = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.ENOMEM)


# Requests at once that write to a server. The threads of other documents wait here, and not in the
# server, whose searches would wait with them.
WRITES_AT_ONCE = 4


class Connection:
    """To a server, to a folder (`path`), or to memory (neither).

    With `aside`, a damaged folder is moved into `<aside>/set-aside`, and an empty one is opened in
    its place. `set_aside` is the new place of the damaged one. If the disk is too full for an empty
    folder, the store is in memory until the process ends, and `temporary` is true. A folder that
    cannot be written is opened as a temporary copy: `read_only` is true, and every change raises
    StoreError.

    Raises:
        StoreInUseError: another process has the folder open.
        DamagedStoreError: the folder is damaged, and `aside` is not given.
        StoreError: it cannot be read, or the server cannot be reached.
    """

    def __init__(
        self,
        path: Path | None = None,
        server: QdrantServer | None = None,
        aside: Path | None = None,
    ) -> None:
        self.path, self.server = path, server
        self.lock = threading.RLock()
        self.room_to_write = threading.BoundedSemaphore(WRITES_AT_ONCE)
        self.search_params = server.search_params if server else None
        self.set_aside: Path | None = None
        self.read_only = self.temporary = False
        if server:
            with _explaining(server.shown):
                self.client = server.connect()
        elif path is None:
            self.client = QdrantClient(":memory:")
        else:
            with _explaining(path):
                self._open_folder(path, aside)
        # Also called at exit, while the modules that closing needs are still loaded.
        self.close = finalize(self, self.client.close)

    @property
    def embedded(self) -> bool:
        return self.server is None

    @contextmanager
    def guarded(self) -> Iterator[QdrantClient]:
        """Hold the lock of an embedded client, and turn every exception of Qdrant into a
        StoreError."""
        with self.held():
            try:
                yield self.client
            except (StoreError, DuplicateDocumentError):
                raise
            except Exception as fault:
                log.exception("Qdrant refused an operation")
                raise self._explained(fault) from fault

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock of an embedded client during several calls."""
        with nullcontext() if self.server else self.lock:
            yield

    @contextmanager
    def changing(self) -> Iterator[QdrantClient]:
        """`guarded`, for calls that write."""
        if self.read_only:
            raise StoreError(
                f"The folder {self.path} cannot be written, so nothing in it can be changed. "
                "Change its permissions, then start again."
            )
        with self.guarded() as client:
            yield client

    def _open_folder(self, path: Path, aside: Path | None) -> None:
        if not _writable(path):
            self.read_only = True
            self.client = _open_copy(path)
            return
        try:
            path.mkdir(parents=True, exist_ok=True)
            with _locked(path):
                _inspect(path)
            self.client = _open(path)
        except Exception as fault:
            if not _is_damage(fault):
                raise
            log.exception("The store in %s is damaged", path)
            if aside is None:
                raise DamagedStoreError(
                    f"The documents in {path} cannot be opened: its files are damaged ({fault}). "
                    "Move the folder away, and add your files again."
                ) from fault
            with _locked(path):
                self.set_aside = set_aside(path, aside)
            try:
                self.client = _open(path)
            except OSError as full:
                if not is_full(full):
                    raise
                shutil.rmtree(path, ignore_errors=True)  # the incomplete new folder
                self.client, self.temporary = QdrantClient(":memory:"), True

    def _explained(self, fault: Exception) -> StoreError:
        if self.server and getattr(fault, "status_code", 0) in (401, 403):
            return StoreError(
                f"The Qdrant server at {self.server.shown} refused the key. Check QDRANT_API_KEY "
                "in .env, or the key that you entered, then try again."
            )
        if self.server:
            return StoreError(
                f"The Qdrant server at {self.server.shown} failed ({_reason(fault)}). Check that "
                "it runs, then try again."
            )
        if is_full(fault):
            return StoreError(
                "The disk is full, so the collection could not be changed. Your documents are "
                "kept. Make room, then try again."
            )
        return StoreError(
            f"The collection could not be read or written ({fault}). Your documents are kept. Try "
            "again. If it fails again, check the disk and the folder's permissions."
        )


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause the garbage collector while a collection is read. It would walk all the new objects
    repeatedly and free none. The pause halves the time to open 10,000 passages."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def is_missing(error: StoreError) -> bool:
    """Whether a server has said that a collection is not there."""
    cause = error.__cause__
    return isinstance(cause, UnexpectedResponse) and cause.status_code == 404


def _reason(fault: Exception) -> str:
    """In one line. A server's own words, where it said any."""
    if isinstance(fault, UnexpectedResponse):
        with suppress(ValueError, LookupError, TypeError):
            return redact(str(fault.structured()["status"]["error"]))
    if isinstance(fault, ResponseHandlingException) and fault.source:
        if isinstance(fault.source, httpx.TimeoutException):
            return "no answer came in time"
        return redact(f"{type(fault.source).__name__}: {fault.source}")
    return redact(" ".join(str(fault).split()))


def is_full(fault: BaseException) -> bool:
    """Whether a full disk has caused this."""
    if isinstance(fault, sqlite3.Error):
        return "full" in str(fault)
    return isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def _explaining(place: Path | str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except Exception as fault:
        if "already accessed" in str(fault) or isinstance(fault, BlockingIOError):
            raise StoreInUseError(
                f"Another process is using the documents in {place}. Close the other First "
                "Token, or set another DATA_DIR in .env."
            ) from fault
        if is_full(fault):
            raise StoreError(
                f"The documents in {place} cannot be opened: the disk is full. Make room, then "
                "start again."
            ) from fault
        log.exception("The store could not be opened")
        raise StoreError(
            f"The documents in {place} cannot be opened ({redact(str(fault))}). Check that the "
            "place can be reached and written, then start again."
        ) from fault


def _open(path: Path) -> QdrantClient:
    # The client's own check of threads is off, because `Connection.lock` guards every call.
    with gc_paused():
        return QdrantClient(path=str(path), force_disable_check_same_thread=True)


def _open_copy(path: Path) -> QdrantClient:
    """Open a copy, which is deleted when the process ends."""
    if not (path / "meta.json").exists():
        return QdrantClient(":memory:")
    holder = tempfile.TemporaryDirectory(prefix="first-token-")
    copy = Path(holder.name) / "qdrant"
    shutil.copytree(path, copy, ignore=shutil.ignore_patterns(".lock"))
    for each in (copy, *copy.rglob("*")):
        each.chmod(each.stat().st_mode | 0o600)
    client = _open(copy)
    finalize(client, holder.cleanup)
    return client


def _writable(path: Path) -> bool:
    """Whether the folder can be written, or the nearest parent folder that exists."""
    there = next(each for each in (path, *path.parents) if each.exists())
    return not there.is_dir() or os.access(there, os.W_OK | os.X_OK)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the client's lock on the folder, which it takes only after it has read everything."""
    if not path.is_dir() or (path / ".lock").is_dir():
        yield  # it is so damaged that no client can have it open
        return
    with (path / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _inspect(path: Path) -> None:
    """Raise for damage that the embedded client would treat as an empty store."""
    meta, folders = path / "meta.json", path / "collection"
    stored_names = [each.name for each in folders.iterdir()] if folders.is_dir() else []
    if not meta.exists():
        if stored_names:
            raise DamagedStoreError("meta.json is missing")
        return
    for name in json.loads(meta.read_bytes())["collections"]:
        if Path(name).name != name or name.startswith("."):
            raise DamagedStoreError(f"meta.json names a collection {name!r}")
        points = folders / name.removesuffix(SOURCES)
        if name not in stored_names and name.endswith(SOURCES) and points.is_dir():
            raise DamagedStoreError(f"the folder {name} is missing")
        # An interrupted deletion leaves a missing folder; an empty file is damage.
        if name in stored_names:
            file = folders / name / "storage.sqlite"
            if not file.is_file() or not file.stat().st_size:
                raise DamagedStoreError(f"{name}/storage.sqlite is missing or empty")
            with closing(sqlite3.connect(file)) as database:
                (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise DamagedStoreError(f"{name}/storage.sqlite: {found}")


def _is_damage(fault: Exception) -> bool:
    if isinstance(fault, DamagedStoreError):
        return True
    if isinstance(fault, MemoryError | StoreError | BlockingIOError) or is_full(fault):
        return False
    if isinstance(fault, OSError) and fault.errno in TEMPORARY:
        return False
    return not any(words in str(fault) for words in ("already accessed", "is locked"))
