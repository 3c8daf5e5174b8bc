"""Conversations: questions and their answers, kept across restarts in one SQLite file.

A turn is saved when it is asked and again when it has ended, so a crash loses at most the text
of an answer in the making, and says so. It knows nothing of how answers are made.
"""

import json
import re
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.errors import StoreError
from engine.response import Response
from engine.run import Phase
from engine.schema import Evidence, Node, NodeWithScore, Scores, new_id
from engine.timing import Trace

TITLE_LENGTH = 60  # characters: about one line of the sidebar

_SCHEMA = """
CREATE TABLE IF NOT EXISTS conversations (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, collection TEXT NOT NULL, updated REAL NOT NULL);
CREATE TABLE IF NOT EXISTS turns (
    id TEXT PRIMARY KEY, conversation TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
    number INTEGER NOT NULL, record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS turns_of ON turns (conversation, number);
"""


@dataclass(frozen=True, slots=True)
class Conversation:
    id: str
    title: str
    collection: str
    updated: float


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and what became of it. `settings` says what it was asked with.

    `searched_for`: the question with those it leans on, where it is a follow-up; else empty.
    `parent`: the id of the turn before it, empty for the first; None for the one saved before
    it. Two turns with the same parent are versions of one question. `chosen`: when it was last
    made the end of what the conversation shows, in seconds since 1970.
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
    parent: str | None = None
    chosen: float = 0.0

    def answered(self, response: Response) -> "Turn":
        """This turn with what the response has come to so far."""
        return replace(
            self,
            text=response.text,
            searched_for="" if response.searched_for == self.question else response.searched_for,
            phase=response.phase,
            error=str(response.error or ""),
            notes=tuple(response.notes),
            sources=tuple(response.found or ()),
            trace=response.trace if response.phase.ended else None,
        )

    def interrupted(self) -> "Turn":
        """This turn, which the end of the program cut off."""
        return replace(self, phase=Phase.FAILED, error="First Token ended before the answer did.")

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
            "sources": [_source_to_dict(source) for source in self.sources],
            "trace": self.trace.to_dict() if self.trace else None,
            "settings": dict(self.settings),
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
            parent=record.get("parent"),
            chosen=record.get("chosen", 0.0),
        )


def _source_to_dict(source: NodeWithScore) -> dict[str, Any]:
    return asdict(source)


def _source_from_dict(record: Mapping[str, Any]) -> NodeWithScore:
    return NodeWithScore(
        node=Node(**record["node"]),
        score=record["score"],
        scores=Scores(**record["scores"]),
        evidence=tuple(Evidence(**each) for each in record["evidence"]),
    )


class ConversationStore:
    """The SQLite file. One connection, one lock; safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA foreign_keys=ON")
        self._db.executescript(_SCHEMA)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """What is written within is there whole or not at all.

        Raises:
            StoreError: it could not be written; what was there before is safe.
        """
        with self._lock:
            try:
                with self._db:
                    yield self._db
            except sqlite3.Error as fault:
                raise StoreError(
                    f"The conversation could not be saved ({fault}). Make room on the disk, then "
                    "try again."
                ) from fault

    def create(self, collection: str, title: str = "New conversation") -> Conversation:
        conversation = Conversation(new_id(), title, collection, time.time())
        with self._transaction() as db:
            db.execute(
                "INSERT INTO conversations VALUES (?, ?, ?, ?)",
                (conversation.id, title, collection, conversation.updated),
            )
        return conversation

    def find(self, conversation_id: str) -> Conversation | None:
        with self._lock:
            row = self._db.execute(
                "SELECT * FROM conversations WHERE id = ?", (conversation_id,)
            ).fetchone()
        return Conversation(*row) if row else None

    def list(self, collection: str, containing: str = "") -> list[Conversation]:
        """The conversations of a collection, the latest first.

        `containing` keeps those with that text in the title, a question or an answer.
        """
        pattern = "%" + re.sub(r"([\\%_])", r"\\\1", containing.strip()) + "%"
        with self._lock:
            rows = self._db.execute(
                "SELECT * FROM conversations AS c WHERE collection = ?1 AND "
                "(title LIKE ?2 ESCAPE '\\' OR EXISTS (SELECT 1 FROM turns WHERE "
                "conversation = c.id AND (json_extract(record, '$.question') LIKE ?2 ESCAPE '\\' "
                "OR json_extract(record, '$.text') LIKE ?2 ESCAPE '\\'))) ORDER BY updated DESC",
                (collection, pattern),
            ).fetchall()
        return [Conversation(*row) for row in rows]

    def rename(self, conversation_id: str, title: str) -> None:
        with self._transaction() as db:
            db.execute(
                "UPDATE conversations SET title = ? WHERE id = ?", (title.strip(), conversation_id)
            )

    def delete(self, conversation_id: str) -> None:
        with self._transaction() as db:
            db.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))

    def turns(self, conversation_id: str) -> Sequence[Turn]:
        """The turns that are shown, in order: those that lead to the one chosen last.

        Other versions of a question, and what was asked after them, are left out.
        """
        turns = {turn.id: turn for turn in self._all_turns(conversation_id)}
        turn = None
        for each in turns.values():
            if turn is None or each.chosen >= turn.chosen:
                turn = each
        shown = []
        while turn is not None:
            shown.append(turn)
            turn = turns.get(turn.parent or "")
        return shown[::-1]

    def versions(self, conversation_id: str) -> Mapping[str, Sequence[str]]:
        """The id of each turn → the ids of all versions of it, itself included, oldest first."""
        turns = self._all_turns(conversation_id)
        children: defaultdict[str, Any] = defaultdict(list)
        for turn in turns:
            children[turn.parent or ""].append(turn.id)
        return {turn.id: children[turn.parent or ""] for turn in turns}

    def show_version(self, conversation_id: str, turn_id: str) -> None:
        """Show this version of a question, and what was last asked after it."""
        turns = {turn.id: turn for turn in self._all_turns(conversation_id)}
        last_after = {turn.parent: turn.id for turn in turns.values()}
        while turn_id in last_after:
            turn_id = last_after[turn_id]
        self.save(conversation_id, replace(turns[turn_id], chosen=time.time()))

    def _all_turns(self, conversation_id: str) -> Sequence[Turn]:
        with self._lock:
            rows = self._db.execute(
                "SELECT record FROM turns WHERE conversation = ? ORDER BY number",
                (conversation_id,),
            ).fetchall()
        turns = []
        for (record,) in rows:
            turn = Turn.from_dict(json.loads(record))
            if turn.parent is None and turns:  # records of before there were versions, too
                turn = replace(turn, parent=turns[-1].id)
            turns.append(turn)
        return turns

    def save(self, conversation_id: str, turn: Turn) -> None:
        """Add a turn at the end, or replace the one of the same id. A deleted one stays so."""
        record = json.dumps(turn.to_dict())
        with self._transaction() as db:
            db.execute(
                "INSERT INTO turns SELECT ?, id, "
                "(SELECT count(*) FROM turns WHERE conversation = ?), ? "
                "FROM conversations WHERE id = ? "
                "ON CONFLICT (id) DO UPDATE SET record = excluded.record",
                (turn.id, conversation_id, record, conversation_id),
            )
            db.execute(
                "UPDATE conversations SET updated = ? WHERE id = ?", (time.time(), conversation_id)
            )

    def close(self) -> None:
        with self._lock:
            self._db.close()
