"""Sharing: the folder that several processes of First Token use at once, and their locks there.

    .lock            held by each process that uses the folder
    .opening         held by the one that is being started
    .locks/<hash>    held while a document is added or deleted, or an answer is written
    .changes/<id>    one byte for each change of the documents that this process has made

Locks are those of the operating system (flock). One ends with its process, however that ends.
"""

import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from engine.errors import StoreError, StoreInUseError
from engine.schema import new_id

log = logging.getLogger(__name__)

_LOOK_AGAIN = 0.01  # seconds, until a lock is tried again
_OPENING = 120.0  # seconds that another process may take to open the folder
_LOOKED_AT = 0.3  # seconds: `is_held` has a lock for less, and `hold` waits so long for it

Held = Callable[[], None]
"""Releases a lock."""


class Sharing:
    """What this process knows of the others. Without a folder there are no others, and every lock
    is free. Safe to use from any thread.

    `alone`: whether no other process used the folder when it was opened.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.alone = True
        self._id = new_id()
        self._use: IO[str] | None = None
        self._seen: dict[str, int] = {}
        self._first: Held | None = None

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Begin to use the folder. Only one process at a time is in this block.

        Raises:
            StoreInUseError: a process that shares nothing uses the folder, or another one is being
                started and takes too long.
            StoreError: the folder cannot be used, or has no locks.
        """
        with ExitStack() as stack:
            if self.folder is not None:
                try:
                    self._begin(self.folder, stack)
                except OSError as fault:
                    self.close()
                    raise StoreError(
                        f"The shared folder {self.folder} cannot be used ({fault.strerror or fault}"
                        "). It must be writable, on a file system with locks. Correct it, or "
                        "SHARED_DIR in .env."
                    ) from fault
            yield

    def _begin(self, folder: Path, stack: ExitStack) -> None:
        for each in (folder, self._locks, self._changes):
            each.mkdir(parents=True, exist_ok=True)
        opening = stack.enter_context((folder / ".opening").open("a"))
        given_up = time.monotonic() + _OPENING
        while not _locked(opening, fcntl.LOCK_EX):
            if time.monotonic() > given_up:
                raise self._in_use()
            time.sleep(_LOOK_AGAIN)
        with (folder / ".lock").open("a") as probe:
            self.alone = _locked(probe, fcntl.LOCK_EX)
        self._use = (folder / ".lock").open("a")
        if not _locked(self._use, fcntl.LOCK_SH):
            raise self._in_use()
        if self.alone:
            for left in (*self._locks.iterdir(), *self._changes.iterdir()):
                left.unlink(missing_ok=True)

    def close(self) -> None:
        if self._first:
            self._first()
            self._first = None
        if self._use:
            self._use.close()
            self._use = None

    # Locks

    @contextmanager
    def only(self, *names: str, check: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Only one thread of all processes at a time is in a block for the same name. `check`
        raises to give up waiting.
        """
        held: list[Held] = []
        try:
            for name in sorted(set(names)):  # the same order everywhere: nobody waits in a circle
                while (release := self._take(name)) is None:
                    check()
                    time.sleep(_LOOK_AGAIN)
                held.append(release)
            yield
        finally:
            for release in held:
                release()

    def hold(self, name: str) -> Held | None:
        """Take a lock, and return what releases it; None if another has it."""
        given_up = time.monotonic() + _LOOKED_AT
        while (release := self._take(name)) is None and time.monotonic() < given_up:
            time.sleep(_LOOK_AGAIN)
        return release

    def is_held(self, name: str) -> bool:
        release = self._take(name)
        if release:
            release()
        return release is None

    def is_first(self) -> bool:
        """Whether this process repairs what others have left. When it ends, the next one that asks
        does.
        """
        if self.folder is None:
            return True
        self._first = self._first or self._take("first")
        return self._first is not None

    def _take(self, name: str) -> Held | None:
        if self.folder is None:
            return lambda: None
        path = self._locks / hashlib.sha256(name.encode()).hexdigest()[:32]
        try:
            while True:
                file = path.open("a")
                if not _locked(file, fcntl.LOCK_EX):
                    file.close()
                    return None
                mine, there = os.fstat(file.fileno()), None
                with suppress(FileNotFoundError):
                    there = path.stat()
                if there and (there.st_ino, there.st_dev) == (mine.st_ino, mine.st_dev):
                    break
                file.close()  # its last holder has removed it meanwhile
        except OSError as fault:
            raise StoreError(
                f"The shared folder {self.folder} cannot be used ({fault.strerror or fault}). "
                "Check that it is there and can be written, then try again."
            ) from fault

        def release() -> None:
            path.unlink(missing_ok=True)
            file.close()

        return release

    # Changes

    def say(self) -> None:
        """This process has changed documents."""
        if self.folder is None:
            return
        try:
            with (self._changes / self._id).open("a") as changes:
                changes.write(".")
        except OSError:  # the others look from time to time anyway
            log.exception("A change could not be announced")

    def heard(self) -> bool:
        """Whether another process has changed documents since the last call."""
        sizes: dict[str, int] = {}
        if self.folder:
            for file in self._changes.iterdir():
                if file.name != self._id:
                    with suppress(FileNotFoundError):
                        sizes[file.name] = file.stat().st_size
        before, self._seen = self._seen, sizes
        return any(size != before.get(name) for name, size in sizes.items())

    @property
    def _locks(self) -> Path:
        assert self.folder
        return self.folder / ".locks"

    @property
    def _changes(self) -> Path:
        assert self.folder
        return self.folder / ".changes"

    def _in_use(self) -> StoreInUseError:
        return StoreInUseError(
            f"Another First Token that shares nothing uses {self.folder}, or one is being started "
            "there. End it, or set another SHARED_DIR in .env."
        )


UNSHARED = Sharing()


def _locked(file: IO[str], kind: int) -> bool:
    """Whether the lock could be taken at once."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
