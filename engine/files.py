"""Large files that are there whole or not at all: their hashes, and how they come into place.

It does not know what is in them.
"""

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from engine.errors import WeightsError

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, and how many bytes of how many (0 of 0: not known)."""

_STAGING = ".staging-"


def damaged(wanted: Mapping[Path, str]) -> list[Path]:
    """Those files (path → sha256) that are missing or whose hash is another."""
    with ThreadPoolExecutor() as pool:  # hashing lets go of the interpreter's lock
        found = pool.map(sha256_of, wanted)
        return [path for path, sha256 in zip(wanted, found, strict=True) if sha256 != wanted[path]]


def tell_damaged(wanted: Mapping[Path, str], on_progress: OnProgress) -> bool:
    """Whether any is missing or damaged. A missing file is no news; a damaged one is told."""
    bad = damaged(wanted)
    for path in bad:
        if path.exists():
            on_progress(f"{path} is damaged and will be replaced", 0, 0)
    return bool(bad)


def check_room(directory: Path, size: int) -> None:
    """Raise WeightsError where fewer than `size` bytes are free."""
    free = shutil.disk_usage(directory).free
    if free < size:
        raise WeightsError(
            f"The models need {size / 1e6:.0f} MB in {directory}, and {free / 1e6:.0f} MB are "
            "free. Make room, or name another folder in DATA_DIR in .env."
        )


@contextmanager
def staging(directory: Path) -> Iterator[Path]:
    """A folder on the same file system, gone afterwards. A killed process leaves it behind."""
    with tempfile.TemporaryDirectory(prefix=_STAGING, dir=directory) as name:
        yield Path(name)


def put(source: Path, target: Path) -> None:
    """Move a file or folder into place by one rename. What stood there was damaged."""
    if target.is_dir():
        shutil.rmtree(target)
    source.replace(target)


@contextmanager
def only_one(directory: Path, on_progress: OnProgress) -> Iterator[None]:
    """Hold the folder's lock against other processes, and clear what killed ones left there.

    Raises:
        WeightsError: for whatever the file system refuses meanwhile.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_progress("Waiting for another First Token that is fetching the models", 0, 0)
                fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in directory.glob(_STAGING + "*"):
                shutil.rmtree(leftover, ignore_errors=True)
            yield
    except OSError as error:
        raise WeightsError(
            f"The models could not be kept in {directory}: {error.strerror or error}. Make room "
            "or mend its permissions, or name another folder in DATA_DIR in .env."
        ) from error


def sha256_of(path: Path) -> str:
    """In hexadecimal; empty where the file is not there or cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
