"""Large files that are complete or absent: their hashes, and how they are put into place."""

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
"""Called with the name of the step, the bytes done, and the total (0 and 0 if not known)."""

_STAGING = ".staging-"


def damaged(wanted: Mapping[Path, str]) -> list[Path]:
    """The files (path → sha256) that are missing or have another hash."""
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter's lock
        found = pool.map(sha256_of, wanted)
        return [path for path, sha256 in zip(wanted, found, strict=True) if sha256 != wanted[path]]


def report_damaged(wanted: Mapping[Path, str], on_progress: OnProgress) -> bool:
    """Whether any file is missing or damaged. Damaged ones are reported to `on_progress`."""
    bad = damaged(wanted)
    for path in bad:
        if path.exists():
            on_progress(f"{path} is damaged and will be replaced", 0, 0)
    return bool(bad)


def check_room(directory: Path, size: int) -> None:
    """Raise WeightsError if fewer than `size` bytes are free."""
    free = shutil.disk_usage(directory).free
    if free < size:
        raise WeightsError(
            f"The models need {size / 1e6:.0f} MB in {directory}, and {free / 1e6:.0f} MB are "
            "free. Free some space, or name another folder in DATA_DIR in .env."
        )


@contextmanager
def staging(directory: Path) -> Iterator[Path]:
    """A temporary folder on the same file system. A killed process leaves it behind."""
    with tempfile.TemporaryDirectory(prefix=_STAGING, dir=directory) as name:
        yield Path(name)


def put(source: Path, target: Path) -> None:
    """Move a file or folder into place by one rename, and replace a damaged one."""
    if target.is_dir():
        shutil.rmtree(target)
    source.replace(target)


@contextmanager
def only_one(directory: Path, on_progress: OnProgress) -> Iterator[None]:
    """Lock the folder against other processes, and remove what killed processes left in it.

    Raises:
        WeightsError: a file operation inside the block failed.
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
            f"The models could not be saved in {directory}: {error.strerror or error}. Free some "
            "space, correct its permissions, or name another folder in DATA_DIR in .env."
        ) from error


def sha256_of(path: Path) -> str:
    """The hash in hexadecimal; empty if the file is missing or cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
