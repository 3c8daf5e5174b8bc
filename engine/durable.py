"""Durable: files that are written whole or not at all, and damaged ones that are set aside."""

import os
import tempfile
import time
from pathlib import Path

SET_ASIDE = "set-aside"


def write_whole(file: Path, content: bytes) -> None:
    """Replace the content of `file`. After a crash, it has either the old or the new content.

    Returns when the content is on the disk. Several threads may write at once: the last one wins.

    Raises:
        OSError: it could not be written; the file is as it was.
    """
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    written = Path(name)
    try:
        with os.fdopen(handle, "wb") as output:
            output.write(content)
            output.flush()
            os.fsync(output.fileno())
        written.replace(file)
    except BaseException:
        written.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk: names of new, renamed and deleted files."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(file: Path) -> None:
    """Flush a file's content to the disk."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def set_aside(path: Path, folder: Path) -> Path:
    """Move a damaged file or folder to `<folder>/set-aside/<time>-<name>`, and return that place.

    Nothing is deleted, because parts of it may still be readable.

    Raises:
        OSError: it could not be moved.
    """
    aside = folder / SET_ASIDE
    aside.mkdir(exist_ok=True)
    stamp = time.strftime("%Y-%m-%d-%H%M%S")
    target = aside / f"{stamp}-{path.name}"
    number = 1
    while os.path.lexists(target):
        number += 1
        target = aside / f"{stamp}-{number}-{path.name}"
    path.rename(target)
    return target
