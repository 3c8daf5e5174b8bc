"""The rows in which an embedded collection keeps its points, and how they are read.

The embedded client writes each point as a pickle with a Python number for each of its hundreds of
floats. Reading 100,000 of them takes most of a minute and gigabytes, and reading a pickle can run
any code. This module puts its own rows in their place:

    mark, checksum, lengths | id | dense vector | numbers of terms | their weights | payload as JSON

At opening, the client gets only the ids and the dense vectors. The terms are taken by embedded.py,
and a payload is read when it is wanted. Pickles of earlier versions are read with restrictions, and
replaced by rows.
"""

import io
import json
import logging
import pickle
import sqlite3
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qdrant_client.http.models import models as stored
from qdrant_client.local import local_collection, persistence
from qdrant_client.local.persistence import CollectionPersistence
from qdrant_client.local.qdrant_local import QdrantLocal

from engine.errors import StoreError
from engine.store.points import DENSE, TERMS

log = logging.getLogger(__name__)

SOURCES = ".sources"  # the suffix of the second collection, which has the records of the first

_HEAD = struct.Struct("<BIHII")  # mark, checksum; bytes of the id, the dense vector, the terms
_MARK = 1  # a pickle begins with 0x80
_READ_AT_ONCE = 1 << 20  # bytes
_AT_ONCE = 500  # rows of one query; SQLite takes at least 999 parameters
NO_TERMS = stored.SparseVector(indices=[], values=[])


class DamagedStoreError(StoreError):
    """A folder's files cannot be read as a store."""


class Row(NamedTuple):
    """A point as it is kept, its numbers as bytes: `dense` and `weights` are float32, `terms` are
    uint32, and belong to the weights.
    """

    id: str
    dense: bytes
    terms: bytes
    weights: bytes
    payload: bytes

    @property
    def facts(self) -> dict[str, Any]:
        """The payload."""
        read: dict[str, Any] = json.loads(self.payload.decode("utf-8", "surrogatepass"))
        return read


class Read(NamedTuple):
    """A point as the client takes it from `Disk.load`."""

    id: str
    vector: dict[str, Any]
    payload: dict[str, Any] | None


@dataclass(slots=True)
class AllTerms:
    """Those of all points, in the order of the client's rows: `counts` of each, then all of them
    one after another.
    """

    counts: NDArray[np.int64]
    terms: NDArray[np.uint32]
    weights: NDArray[np.float32]


class Disk(CollectionPersistence):
    """One collection's SQLite file.

    It keeps SQLite's journal file instead of creating and deleting it with every point. A deletion
    on a full disk then needs no further room.
    """

    def _ensure_table(self) -> None:
        self.storage.execute("PRAGMA journal_mode=PERSIST")
        super()._ensure_table()

    def load(self) -> Iterator[Any]:
        """The points without terms; without payloads too, but for the records of sources.

        Raises:
            DamagedStoreError: a row is damaged.
        """
        self._legacy_keys = {}
        self._read_ahead()
        self.terms: AllTerms | None = None
        whole = self.location.parent.name.endswith(SOURCES)
        there: set[str] = set()
        terms: list[bytes] = []
        weights: list[bytes] = []
        older: list[tuple[str, Row]] = []
        outdated: list[tuple[int]] = []
        # the latest first: earlier versions of the client could leave several rows of a point
        for number, key, value in self.storage.execute(
            "SELECT rowid, id, point FROM points ORDER BY rowid DESC"
        ):
            row = unpacked(value)
            if row.id in there:
                outdated.append((number,))
                continue
            there.add(row.id)
            if value[0] != _MARK:
                older.append((key, row))
                self._legacy_keys[row.id] = key
            if whole:
                yield Read(row.id, {}, row.facts)
                continue
            terms.append(row.terms)
            weights.append(row.weights)
            dense = np.frombuffer(row.dense, "<f4")
            yield Read(row.id, {DENSE: dense, TERMS: NO_TERMS}, None)
        if not whole:
            self.terms = AllTerms(
                np.array([len(each) // 4 for each in terms], np.int64),
                np.frombuffer(b"".join(terms), "<u4"),
                np.frombuffer(b"".join(weights), "<f4"),
            )
        self._replace(older, outdated)

    def _read_ahead(self) -> None:
        """Bring the file from the disk into the system's cache, from its beginning to its end.

        SQLite reads it page by page, in the order of the rows: where the system has nothing of it
        yet, the rows of 100,000 points took 17 s, and with this 2.6 s.
        """
        with suppress(OSError), self.location.open("rb") as file:
            while file.read(_READ_AT_ONCE):
                pass

    def payloads(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The payloads of those of the points that are there, by id.

        Raises:
            StoreError: a row is damaged.
        """
        return {row.id: row.facts for row in self.rows(ids)}

    def rows(self, ids: Sequence[str]) -> Iterator[Row]:
        """Those of the points that are there.

        Raises:
            StoreError: a row is damaged.
        """
        for start in range(0, len(ids), _AT_ONCE):
            keys = [self._key(each) for each in ids[start : start + _AT_ONCE]]
            places = ",".join("?" * len(keys))
            found = self.storage.execute(f"SELECT point FROM points WHERE id IN ({places})", keys)
            for (value,) in found:
                try:
                    yield unpacked(value)
                except DamagedStoreError as damage:
                    raise StoreError(
                        "The search index is damaged. Start First Token again: the index is then "
                        "rebuilt from your documents."
                    ) from damage

    def change(self, payloads: dict[str, dict[str, Any]]) -> None:
        """Give points other payloads, all of them or none."""
        with self.storage:
            for point_id, payload in payloads.items():
                key = self._key(point_id)
                query = "SELECT point FROM points WHERE id = ?"
                (value,) = self.storage.execute(query, (key,)).fetchone()
                changed = packed(unpacked(value)._replace(payload=_json(payload)))
                self.storage.execute("UPDATE points SET point = ? WHERE id = ?", (changed, key))

    def _key(self, point_id: str) -> str:
        return self._legacy_keys.get(point_id) or self.encode_key(point_id)

    def _replace(self, older: Sequence[tuple[str, Row]], outdated: Sequence[tuple[int]]) -> None:
        """Write rows in place of pickles, so that the next opening is quick."""
        if not older and not outdated:
            return
        rows = [(self.encode_key(row.id), packed(row), key) for key, row in older]
        try:
            with self.storage:
                self.storage.executemany("DELETE FROM points WHERE rowid = ?", outdated)
                self.storage.executemany("UPDATE points SET id = ?, point = ? WHERE id = ?", rows)
            self._legacy_keys = {}
        except sqlite3.Error:  # a full disk: they are read as they are
            log.exception("Points of an earlier version could not be written anew")


# ---- Rows


def packed(row: Row) -> bytes:
    name = row.id.encode()
    body = b"".join([name, *row[1:]])
    head = _HEAD.pack(_MARK, zlib.crc32(body), len(name), len(row.dense), len(row.terms))
    return head + body


def unpacked(value: bytes) -> Row:
    """
    Raises:
        DamagedStoreError: the row is damaged.
    """
    try:
        if value[0] != _MARK:
            return _row(_PointsOnly(io.BytesIO(value)).load())
        _, checksum, name, dense, terms = _HEAD.unpack_from(value)
        if zlib.crc32(memoryview(value)[_HEAD.size :]) != checksum:
            raise ValueError("its checksum is wrong")
        a = _HEAD.size + name
        b, c, d = a + dense, a + dense + terms, a + dense + 2 * terms
        return Row(value[_HEAD.size : a].decode(), value[a:b], value[b:c], value[c:d], value[d:])
    except (ValueError, IndexError, TypeError, struct.error, pickle.UnpicklingError) as fault:
        raise DamagedStoreError(f"a point is damaged: {fault}") from fault


def _row(point: Any) -> Row:
    """Of a point that the client writes, or has written."""
    vector = point.vector if isinstance(point.vector, dict) else {}
    sparse = vector.get(TERMS) or NO_TERMS
    return Row(
        str(point.id),
        np.array(vector.get(DENSE, ()), "<f4").tobytes(),
        np.array(sparse.indices, "<u4").tobytes(),
        np.array(sparse.values, "<f4").tobytes(),
        _json(point.payload),
    )


def _json(payload: Any) -> bytes:
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


class _PointsOnly(pickle.Unpickler):
    """Restores the classes that the embedded client stores, and refuses all others."""

    def find_class(self, module: str, name: str) -> type:
        if module == stored.__name__ and name in ("PointStruct", "SparseVector"):
            found: type = getattr(stored, name)
            return found
        raise pickle.UnpicklingError(f"it contains {module}.{name}, which no point needs")


class _RowsForPickles:
    """What the embedded client uses of the module `pickle`."""

    @staticmethod
    def dumps(value: Any, protocol: int | None = None) -> bytes:
        if isinstance(value, stored.PointStruct):
            return packed(_row(value))
        return pickle.dumps(value, protocol)  # the key of a point


persistence.pickle = _RowsForPickles  # type: ignore[assignment, attr-defined]
local_collection.CollectionPersistence = Disk  # type: ignore[attr-defined]
# The client warns of its own search; here, `Collection.crowded` says when a server is better.
local_collection.LocalCollection.LARGE_DATA_THRESHOLD = sys.maxsize
QdrantLocal.LARGE_DATA_THRESHOLD = sys.maxsize
