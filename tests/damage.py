"""Six ways in which a file can be damaged while the app is not running."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(7).randbytes(max(path.stat().st_size, 5000)))


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 3 // 5)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def missing(path: Path) -> None:
    path.unlink()


def unreadable(path: Path) -> None:
    """A folder in its place: permissions do not stop the super-user, under whom tests may run."""
    path.unlink()
    path.mkdir()
    (path / "something").touch()


def foreign(path: Path) -> None:
    """A valid file of another program."""
    path.unlink()
    if path.suffix == ".json":
        path.write_text('{"version": 3, "plugins": []}')
    elif path.suffix == ".jsonl":
        path.write_text('{"event": "start"}\n{"event": "end"}\n')
    else:
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url TEXT)")
        other.execute("INSERT INTO moz_places (url) VALUES ('http://example.org')")
        other.commit()
        other.close()


DAMAGES: tuple[Callable[[Path], None], ...] = (
    garbage,
    truncated,
    empty,
    missing,
    unreadable,
    foreign,
)


def remove(path: Path) -> None:
    """A file or a folder, or nothing."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
