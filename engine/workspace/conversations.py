"""Conversations: questions and their answers, kept in SQLite.

A turn is saved when its question is asked and again when its answer has ended, so a crash loses at
most the text of a running answer. Everything is written to two files, `conversations.sqlite3` and
its mirror. If the first is damaged, it is set aside and restored from the readable parts of both.

Where several processes share the files, one writes at a time, and each reads what the others have
written. They are then not repaired while another process has them open.
"""

import json
import logging
import os
import re
import sqlite3
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.durable import set_aside, sync_folder
from engine.errors import StoreError
from engine.redacting import redact
from engine.response import Response
from engine.run import Phase
from engine.schema import Evidence, Filters, Node, NodeWithScore, Scores, new_id
from engine.timing import Trace
from engine.workspace.repair import (
    DamagedFile,
    Found,
    connect,
    encodable,
    is_empty,
    remove,
    string_in,
    value_of,
    version_of,
)
from engine.workspace.sharing import UNSHARED, Sharing

log = logging.getLogger(__name__)

_ENDINGS = ("", "-wal", "-shm", "-journal")  # of a file and of those that SQLite makes beside it


@dataclass(frozen=True, slots=True)
class Conversation:
    id: str
    title: str
    collection: str
    updated: float


@dataclass(frozen=True, slots=True)
class Turn:
    """One question, its answer, and the settings it was asked with.

    `searched_for`: for a follow-up, the question together with the earlier questions that it refers
    to, or its rewritten form; otherwise empty. `problem`: why the text that the model read does not
    support its answer; empty if nothing was noticed. `run_id`: the id of this answer in the log.
    `parent`: the id of the turn before it. It is empty for the first turn, and None in old records,
    which follow the turn saved before them. Turns with the same parent are versions of one
    question. `chosen`: when this turn was last made the end of the shown conversation, in seconds
    since 1970.
    """

    id: str
    question: str
    text: str = ""
    phase: Phase = Phase.QUEUED
    error: str = ""
    notes: tuple[str, ...] = ()
    sources: tuple[NodeWithScore, ...] = ()
    trace: Trace | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    searched_for: str = ""
    problem: str = ""
    run_id: str = ""
    parent: str | None = None
    chosen: float = 0.0

    @property
    def filters(self) -> Filters:
        """Which documents it was asked about."""
        chosen = self.settings.get("filters") or {}
        return Filters(**{name: tuple(values) for name, values in chosen.items()})

    def answered(self, response: Response) -> "Turn":
        """This turn with the present text, sources and state of the response."""
        return replace(
            self,
            text=response.text,
            searched_for="" if response.searched_for == self.question else response.searched_for,
            phase=response.phase,
            error=redact(str(response.error or "")),
            notes=tuple(response.notes),
            problem="" if response.check.supported else response.check.problem,
            sources=tuple(response.found or ()),
            trace=response.trace if response.phase.ended else None,
            run_id=response.run_id,
        )

    def interrupted(self) -> "Turn":
        """This turn as failed, because the program ended before its answer."""
        return replace(
            self, phase=Phase.FAILED, error="First Token ended before the answer did. Ask again."
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values: the whole turn, for the file and for export."""
        return {
            "id": self.id,
            "question": self.question,
            "searched_for": self.searched_for,
            "text": self.text,
            "phase": str(self.phase),
            "error": self.error,
            "notes": list(self.notes),
            "sources": [asdict(source) for source in self.sources],
            "trace": self.trace.to_dict() if self.trace else None,
            "settings": dict(self.settings),
            "problem": self.problem,
            "run_id": self.run_id,
            "parent": self.parent,
            "chosen": self.chosen,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Turn":
        trace = record["trace"]
        return cls(
            id=record["id"],
            question=record["question"],
            text=record["text"],
            phase=Phase(record["phase"]),
            error=record["error"],
            notes=tuple(record["notes"]),
            sources=tuple(_source_from_dict(source) for source in record["sources"]),
            trace=Trace.from_dict(trace) if trace else None,
            settings=record["settings"],
            searched_for=record.get("searched_for", ""),  # not in records of the first version
            problem=record.get("problem", ""),
            run_id=record.get("run_id", ""),
            parent=record.get("parent"),
            chosen=record.get("chosen", 0.0),
        )

    @classmethod
    def from_json(cls, turn_id: str, record: str) -> "Turn":
        """The turn that was saved as this record. A damaged record gives its readable parts."""
        try:
            return cls.from_dict(json.loads(record))
        except (ValueError, LookupError, TypeError, AttributeError):
            log.exception("The record of turn %s is damaged", turn_id[:8])
            return cls(
                turn_id,
                string_in(record, "question") or "(This question cannot be read any more.)",
                string_in(record, "text"),
                Phase.FAILED,
                "The saved record of this answer is damaged; its sources and figures are missing. "
                "Ask again to have the whole answer.",
            )


def _source_from_dict(record: Mapping[str, Any]) -> NodeWithScore:
    return NodeWithScore(
        node=Node(**record["node"]),
        score=record["score"],
        scores=Scores(**record["scores"]),
        evidence=tuple(Evidence(**each) for each in record["evidence"]),
    )


class ConversationStore:
    """Conversations in one folder. Safe to use from any thread.

    `notices` has a sentence for each repair at opening.

    Raises:
        StoreError: the file can be neither opened nor set aside, for example on a full disk.
    """

    def __init__(self, path: Path, sharing: Sharing = UNSHARED) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.notices: list[str] = []
        self._path, self._sharing = path, sharing
        # A write-ahead log has an index in memory, which processes of two machines cannot share.
        self._journal = "DELETE" if sharing.folder else "WAL"
        self._mirror_path = path.with_name(f"{path.stem}.mirror{path.suffix}")
        self._lock = threading.RLock()
        self._mirror: sqlite3.Connection | None = None
        self._read_only = False
        self._version = 0  # counts the writes; the same in both files
        try:
            with self._sharing.only(path.name):
                self._open()
        except OSError as fault:
            log.exception("The conversations could not be opened for writing")
            if is_empty(path):
                raise StoreError(
                    f"The conversations cannot be opened ({fault.strerror or fault}). Make room on "
                    "the disk or correct the folder's permissions, then reload this page."
                ) from fault
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?immutable=1", uri=True, check_same_thread=False
            )
            self._read_only = True
            self.notices.append(
                f"Conversations can be read but not saved ({fault.strerror or fault}). Make room "
                "on the disk or correct the folder's permissions."
            )

    # Reading

    def find(self, conversation_id: str) -> Conversation | None:
        rows = self._rows("SELECT * FROM conversations WHERE id = ?", conversation_id)
        return Conversation(*rows[0]) if rows else None

    def list(self, collection: str, containing: str = "") -> list[Conversation]:
        """The conversations of a collection, the latest first.

        With `containing`, only those with this text in the title, a question or an answer.
        """
        pattern = "%" + re.sub(r"([\\%_])", r"\\\1", containing.strip()) + "%"
        rows = self._rows(
            "SELECT * FROM conversations AS c WHERE collection = ?1 AND "
            "(title LIKE ?2 ESCAPE '\\' OR EXISTS (SELECT 1 FROM turns WHERE "
            "conversation = c.id AND json_valid(record) AND "
            "(json_extract(record, '$.question') LIKE ?2 ESCAPE '\\' "
            "OR json_extract(record, '$.text') LIKE ?2 ESCAPE '\\'))) ORDER BY updated DESC",
            collection,
            pattern,
        )
        return [Conversation(*row) for row in rows]

    def turns(self, conversation_id: str) -> Sequence[Turn]:
        """The turns that are shown, in order: those that lead to the turn chosen last.

        Other versions of a question are left out, with the turns that follow them. A damaged turn
        is a failed turn, with a message.
        """
        turns = {turn.id: turn for turn in self._all_turns(conversation_id)}
        turn = None
        for each in turns.values():
            if turn is None or each.chosen >= turn.chosen:
                turn = each
        shown = []
        while turn is not None:
            shown.append(turn)
            turn = turns.pop(turn.parent or "", None)
        return shown[::-1]

    def versions(self, conversation_id: str) -> Mapping[str, Sequence[str]]:
        """The id of each turn → the ids of all its versions, including itself, oldest first."""
        turns = self._all_turns(conversation_id)
        children: defaultdict[str, Any] = defaultdict(list)
        for turn in turns:
            children[turn.parent or ""].append(turn.id)
        return {turn.id: children[turn.parent or ""] for turn in turns}

    def show_version(self, conversation_id: str, turn_id: str) -> None:
        """Show this version of a question, with the turns that last followed it."""
        turns = {turn.id: turn for turn in self._all_turns(conversation_id)}
        last_after = {turn.parent: turn.id for turn in turns.values()}
        while turn_id in last_after:
            turn_id = last_after.pop(turn_id)
        # the clocks of two machines may differ
        chosen = max(time.time(), *(turn.chosen for turn in turns.values()))
        self.save(conversation_id, replace(turns[turn_id], chosen=chosen))

    def _all_turns(self, conversation_id: str) -> Sequence[Turn]:
        """All versions of all questions, in the order in which they were asked."""
        rows = self._rows(
            "SELECT id, record FROM turns WHERE conversation = ? ORDER BY number", conversation_id
        )
        turns: list[Turn] = []
        for turn_id, record in rows:
            turn = Turn.from_json(turn_id, record)
            if turn.parent is None and turns:  # an old or a damaged record
                last = turns[-1]
                turn = replace(turn, parent=last.id, chosen=max(turn.chosen, last.chosen))
            turns.append(turn)
        return turns

    def _rows(self, query: str, *parameters: object) -> Sequence[Any]:
        with self._lock:
            try:
                return self._db.execute(query, parameters).fetchall()
            except sqlite3.Error as fault:
                raise StoreError(
                    f"The conversations could not be read ({fault}). Start First Token again: it "
                    "then repairs the file."
                ) from fault

    # Writing

    def create(self, collection: str, title: str = "New conversation") -> Conversation:
        conversation = Conversation(new_id(), encodable(title), collection, time.time())
        self._write(
            (
                "INSERT INTO conversations VALUES (?, ?, ?, ?)",
                (conversation.id, conversation.title, collection, conversation.updated),
            )
        )
        return conversation

    def rename(self, conversation_id: str, title: str) -> None:
        self._write(
            (
                "UPDATE conversations SET title = ? WHERE id = ?",
                (encodable(title).strip(), conversation_id),
            )
        )

    def delete(self, conversation_id: str) -> None:
        self._write(("DELETE FROM conversations WHERE id = ?", (conversation_id,)))

    def save(self, conversation_id: str, turn: Turn, title: str = "") -> None:
        """Add a turn at the end, or replace the one with the same id. A deleted conversation stays
        deleted. With `title`, rename the conversation in the same transaction."""
        record = json.dumps(turn.to_dict())
        self._write(
            (
                "INSERT INTO turns SELECT ?, id, "
                "(SELECT count(*) FROM turns WHERE conversation = ?), ? "
                "FROM conversations WHERE id = ? "
                "ON CONFLICT (id) DO UPDATE SET record = excluded.record",
                (turn.id, conversation_id, record, conversation_id),
            ),
            (
                "UPDATE conversations SET updated = ?, title = coalesce(?, title) WHERE id = ?",
                (time.time(), encodable(title).strip() or None, conversation_id),
            ),
        )

    def close(self) -> None:
        with self._lock:
            if self._mirror is None and not self._read_only:
                with suppress(sqlite3.Error), self._sharing.only(self._path.name):
                    self._catch_up()  # it had failed, and may be writable again
            self._db.close()
            if self._mirror:
                self._mirror.close()

    def _write(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        """Execute the statements in one transaction, then again in the mirror.

        Raises:
            StoreError: they could not be written. The saved data is unchanged.
        """
        with self._lock, self._sharing.only(self._path.name):
            try:
                if self._read_only:  # the disk may have room again
                    self._open()
                elif self._sharing.folder:
                    self._catch_up()
                version = self._version + 1
                _execute(self._db, statements, version)
            except (sqlite3.Error, OSError) as fault:
                raise StoreError(
                    f"The conversation could not be saved ({fault}). Make room on the disk, then "
                    "try again."
                ) from fault
            self._version = version
            if self._mirror is None:
                return
            try:
                _execute(self._mirror, statements, version)
            except sqlite3.Error:  # its version is old, so the next opening makes it again
                log.exception("The mirror of the conversations could not be written")
                self._mirror.close()
                self._mirror = None

    def _catch_up(self) -> None:
        """What other processes have written since counts too."""
        self._version = int(value_of(self._db, "PRAGMA user_version"))
        try:
            if self._mirror and value_of(self._mirror, "PRAGMA user_version") == self._version:
                return
        except sqlite3.Error:
            log.exception("The mirror of the conversations cannot be read")
        if self._mirror:  # another process has put a new file in its place
            self._mirror.close()
        self._mirror = self._opened_mirror()

    # Opening and repair

    def _open(self) -> None:
        self._db = self._opened()
        self._version = int(value_of(self._db, "PRAGMA user_version"))
        self._mirror = self._opened_mirror()
        self._read_only = False

    def _opened(self) -> sqlite3.Connection:
        repaired = self._path.with_name(f".{self._path.name}.repaired")
        if repaired.exists() and not self._path.exists():  # a repair was interrupted here
            repaired.rename(self._path)
        files: tuple[Path, ...] = (self._mirror_path, self._path)
        try:
            others = (self._mirror_path, Path(f"{self._path}-wal"))
            if is_empty(self._path) and not all(map(is_empty, others)):
                raise DamagedFile("it is missing or empty")
            db = connect(self._path, self._journal)
            version = int(value_of(db, "PRAGMA user_version"))
            if version >= version_of(self._mirror_path, self._journal):
                return db
            db.close()
            files = (self._mirror_path,)  # it is complete and newer: what it lacks was deleted
            raise DamagedFile("it is older than its mirror: its write-ahead log is lost")
        except DamagedFile as damage:
            log.warning("The conversations are damaged: %s", damage)
            if not self._sharing.alone:
                raise StoreError(
                    "The file of the conversations is damaged, and other processes have it open. "
                    f"End all First Tokens that use {self._path.parent}. The first one that is "
                    "started then repairs it."
                ) from damage
        existed = os.path.lexists(self._path)
        found = Found()
        for file in files:
            with tempfile.TemporaryDirectory(prefix=".repair-", dir=self._path.parent) as folder:
                found.read(file, Path(folder))
        remove(repaired)
        with closing(connect(repaired)) as db:
            db.execute("PRAGMA journal_mode=DELETE")  # one file, to be renamed
            found.write(db)
        remove(Path(f"{repaired}-wal"), Path(f"{repaired}-shm"))
        aside = set_aside(self._path, self._path.parent) if existed else None
        for ending in _ENDINGS[1:]:
            with suppress(FileNotFoundError):
                beside = Path(f"{self._path}{ending}")
                if aside:
                    beside.rename(f"{aside}{ending}")
                else:
                    set_aside(beside, self._path.parent)
        repaired.rename(self._path)
        sync_folder(self._path.parent)
        count = len(found.turns)
        recovered = f"{count} question{'s' * (count != 1)} with their answers were recovered."
        if aside:
            self.notices.append(
                f"The file of your conversations was damaged. {recovered} The damaged file is kept "
                f"as {aside}."
            )
        else:
            self.notices.append(f"The file of your conversations was missing. {recovered}")
        return connect(self._path, self._journal)

    def _opened_mirror(self) -> sqlite3.Connection | None:
        """The mirror. It is made again if it has another version."""
        try:
            with suppress(DamagedFile, FileNotFoundError):
                self._mirror_path.stat()
                mirror = connect(self._mirror_path, self._journal)
                if int(value_of(mirror, "PRAGMA user_version")) == self._version:
                    return mirror
                mirror.close()
            fresh = self._path.with_name(f".{self._mirror_path.name}.new")
            remove(fresh)
            with closing(sqlite3.connect(fresh)) as copy:
                self._db.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")
            remove(*(Path(f"{self._mirror_path}{ending}") for ending in _ENDINGS))
            fresh.rename(self._mirror_path)
            return connect(self._mirror_path, self._journal)
        except (sqlite3.Error, OSError, DamagedFile, StoreError):
            log.exception("The mirror of the conversations could not be made")
            return None


def _execute(
    db: sqlite3.Connection, statements: Sequence[tuple[str, tuple[object, ...]]], version: int
) -> None:
    with db:
        for statement, parameters in statements:
            db.execute(statement, parameters)
        db.execute(f"PRAGMA user_version={version}")
