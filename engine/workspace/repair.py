"""Repair: a damaged SQLite file of conversations → its readable rows.

`connect` opens and checks a file. `Found` reads damaged files with SQLite, row by row, and writes
the rows into a new file.
"""

import json
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from engine.run import Phase

TITLE_LENGTH = 60  # characters: about one line of the sidebar

_APPLICATION = 0x46546B6E  # SQLite's application_id: marks our files
_COLUMNS = {
    "conversations": ["id", "title", "collection", "updated"],
    "turns": ["id", "conversation", "number", "record"],
}
_SCHEMA = """
CREATE TABLE IF NOT EXISTS conversations (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, collection TEXT NOT NULL, updated REAL NOT NULL);
CREATE TABLE IF NOT EXISTS turns (
    id TEXT PRIMARY KEY, conversation TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
    number INTEGER NOT NULL, record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS turns_of ON turns (conversation, number);
"""


class DamagedFile(Exception):  # noqa: N818 - handled here, never shown
    """The file is not a database of conversations, or is not complete."""


def connect(path: Path, journal: str = "WAL") -> sqlite3.Connection:
    """Open or create a file of conversations, and check it. `journal`: SQLite's journal_mode.

    Raises:
        DamagedFile: the file is damaged, or is another program's.
        OSError: it cannot be used now, but may be undamaged: the disk is full, or it is in use.
    """
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        if file.exists() and (not file.is_file() or not os.access(file, os.R_OK)):
            raise DamagedFile(f"{file.name} is not a file that can be read")
    db = sqlite3.connect(path, timeout=_PATIENCE[journal], check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA foreign_keys=ON")
        db.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten in the file
        named = db.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
        tables = {name for (name,) in named}
        for table in tables & _COLUMNS.keys():
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            if columns != _COLUMNS[table]:
                raise DamagedFile("it is another program's database")
        if tables and not tables & _COLUMNS.keys():
            raise DamagedFile("it is another program's database")
        if (answer := str(value_of(db, "PRAGMA quick_check(1)"))) != "ok":
            raise DamagedFile(answer.splitlines()[0])
        db.execute(f"PRAGMA journal_mode={journal}")
        db.executescript(_SCHEMA)
        db.execute(f"PRAGMA application_id={_APPLICATION}")
    except sqlite3.OperationalError as fault:
        db.close()
        raise OSError(str(fault)) from fault
    except sqlite3.DatabaseError as fault:
        db.close()
        raise DamagedFile(str(fault)) from fault
    except DamagedFile:
        db.close()
        raise
    return db


class Found:
    """The readable rows of damaged files, by their ids. Later files add to earlier ones."""

    def __init__(self) -> None:
        self.conversations: dict[str, tuple[Any, ...]] = {}
        self.turns: dict[str, tuple[Any, ...]] = {}
        self._version = 0

    def read(self, path: Path, folder: Path) -> None:
        """Add the rows of the file and its write-ahead log, from working copies in `folder`."""
        copy = folder / "copy"
        with suppress(OSError):
            shutil.copyfile(path, copy)
        with suppress(OSError):
            shutil.copyfile(f"{path}-wal", f"{copy}-wal")
        if not copy.exists() and not is_empty(Path(f"{copy}-wal")):
            copy.touch()
        if not copy.exists():
            return
        if not is_empty(copy):
            self._read_rows(copy)
        # The first page says where the tables are. It is the same in all our files, except for
        # counters. If it is damaged, the first page of a new file makes the other pages readable.
        with suppress(sqlite3.Error, OSError, DamagedFile):
            pattern = folder / "pattern"
            connect(pattern).close()
            with copy.open("r+b") as damaged:
                first = bytearray(pattern.read_bytes()[:_PAGE])
                pages = max(1, -(-copy.stat().st_size // _PAGE))
                first[28:32] = pages.to_bytes(4, "big")
                damaged.write(first)
                damaged.truncate(pages * _PAGE)
            with suppress(OSError):
                shutil.copyfile(f"{path}-wal", f"{copy}-wal")
            self._read_rows(copy)

    def _read_rows(self, copy: Path) -> None:
        with suppress(sqlite3.Error), closing(sqlite3.connect(copy)) as db:
            with suppress(sqlite3.Error):
                self._version = max(self._version, int(value_of(db, "PRAGMA user_version")))
            db.text_factory = lambda text: text.decode("utf-8", "replace")
            for row in _readable_rows(db, "conversations"):
                if isinstance(row[0], str) and isinstance(row[3], float):
                    self.conversations.setdefault(row[0], row)
            for row in _readable_rows(db, "turns"):
                if isinstance(row[0], str) and isinstance(row[1], str):
                    known = self.turns.get(row[0])
                    if known is None or _worth(row[3]) > _worth(known[3]):
                        self.turns[row[0]] = row

    def write(self, db: sqlite3.Connection) -> None:
        """Write all rows into a new database. Turns without a conversation get a new one."""
        for _, conversation, _, record in self.turns.values():
            if conversation not in self.conversations:
                title = string_in(str(record), "question")[:TITLE_LENGTH] or "Recovered"
                row = (conversation, encodable(title), "default", time.time())
                self.conversations[conversation] = row
        with db:
            db.execute(f"PRAGMA user_version={self._version + 1}")  # newer than each of them
            db.executemany(
                "INSERT INTO conversations VALUES (?, ?, ?, ?)",
                [tuple(map(encodable, row)) for row in self.conversations.values()],
            )
            db.executemany(
                "INSERT INTO turns VALUES (?, ?, ?, ?)",
                [tuple(map(encodable, row)) for row in self.turns.values()],
            )


# Seconds that a statement waits for another process, by the journal mode. With a write-ahead log,
# no other process of First Token has the file.
_PATIENCE = {"WAL": 5.0, "DELETE": 30.0}
_PAGE = 4096  # bytes: SQLite's default, in all our files
_MOST_UNREADABLE = 10_000  # row numbers in a row, before the end of a damaged table is assumed


def _readable_rows(db: sqlite3.Connection, table: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a damaged table that SQLite can read, in the order of their row numbers."""
    query = f"SELECT rowid, * FROM {table} NOT INDEXED WHERE rowid >= ? ORDER BY rowid LIMIT 1"
    number = unreadable = 0
    while unreadable < _MOST_UNREADABLE:
        try:
            row = db.execute(query, (number,)).fetchone()
        except sqlite3.Error:
            number, unreadable = number + 1, unreadable + 1
            continue
        if row is None:
            return
        number, unreadable = row[0] + 1, 0
        yield row[1:]


def _worth(record: object) -> int:
    """A rank for choosing between two records of a turn: best is a complete one that has ended."""
    try:
        return 2 if Phase(json.loads(str(record))["phase"]).ended else 1
    except (ValueError, LookupError, TypeError):
        return 0


def string_in(record: str, name: str) -> str:
    """The string that a damaged JSON record has under that name; empty if none can be read."""
    found = re.search(rf'"{name}":\s*("(?:[^"\\]|\\.)*")', record)
    try:
        return str(json.loads(found[1], strict=False)) if found else ""
    except ValueError:
        return ""


def value_of(db: sqlite3.Connection, query: str) -> Any:
    return db.execute(query).fetchone()[0]


def encodable(value: Any) -> Any:
    """Text without lone surrogates, which SQLite cannot store; other values as they are."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def version_of(path: Path, journal: str = "WAL") -> int:
    """The number of writes that a file of conversations has had; -1 if it cannot be read."""
    if is_empty(path):
        return -1
    try:
        with closing(connect(path, journal)) as db:
            return int(value_of(db, "PRAGMA user_version"))
    except (DamagedFile, OSError):
        return -1


def is_empty(path: Path) -> bool:
    """Whether the file is missing or has no bytes."""
    return not os.path.lexists(path) or (path.is_file() and path.stat().st_size == 0)


def remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
