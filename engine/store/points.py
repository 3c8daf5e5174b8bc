"""The stored formats: a passage is a point, and a source has a record.

The ids of a source's points are computed from its id and its number of passages, so its record is
enough to find or delete them.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from engine.lexical import Terms
from engine.schema import Node

DENSE, TERMS = "dense", "terms"  # the names of a point's two vectors
WRITTEN_AT = "written_at"  # of a point's payload: ISO 8601, UTC

_NAMESPACE = uuid.UUID("6f7a3c1e-52a5-4f0b-9f0e-0a1d0c7f5b11")


@dataclass(frozen=True, slots=True)
class Source:
    """A file in a collection. `size`: bytes. `added_at`: ISO 8601, UTC. `directory`: the relative
    path of the folder that it was added with, or empty. `language`: ISO 639-1, by whose rules its
    words are stemmed; empty for English rules, as in earlier versions. `tags`: words that a person
    has given it.
    """

    source_id: str
    file_name: str
    pages: int = 0
    passages: int = 0
    size: int = 0
    content_hash: str = ""
    added_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    directory: str = ""
    language: str = ""
    tags: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The file's name after its directory."""
        return f"{self.directory}/{self.file_name}" if self.directory else self.file_name

    @property
    def point_ids(self) -> list[str]:
        return [_id(f"{self.source_id}/{number}") for number in range(self.passages)]

    @property
    def record_id(self) -> str:
        return _id(self.source_id)


@dataclass(frozen=True, slots=True)
class Hit:
    """A point found, with a cosine similarity or a BM25 score."""

    point_id: str
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """A passage with all that is stored of it. `vector`: float32."""

    node: Node
    vector: NDArray[np.float32]
    terms: Terms

    def add_to(self, checksum: "hashlib._Hash") -> None:
        """Two passages with the same checksum are equal in everything."""
        facts = asdict(self.node)
        facts["metadata"] = dict(self.node.metadata)
        text = json.dumps(facts, sort_keys=True)
        terms = sorted(self.terms.items())
        checksum.update(text.encode())
        checksum.update(self.vector.astype("<f4").tobytes())
        checksum.update(np.array([term for term, _ in terms], "<u4").tobytes())
        checksum.update(np.array([weight for _, weight in terms], "<f4").tobytes())


def record(source: Source) -> models.PointStruct:
    return models.PointStruct(
        id=source.record_id, vector={}, payload={**asdict(source), "whole": True}
    )


def from_record(point: models.Record) -> Source | None:
    """None for a record of an unfinished source, which earlier versions wrote."""
    payload = dict(point.payload or {})
    payload["tags"] = tuple(payload.get("tags", ()))
    return Source(**payload) if payload.pop("whole") else None


def points(
    ids: Sequence[str],
    nodes: Sequence[Node],
    vectors: NDArray[np.float32],
    terms: Sequence[Terms],
) -> list[models.PointStruct]:
    now = datetime.now(UTC).isoformat()
    return [
        models.PointStruct(
            id=point_id,
            vector={DENSE: vector.tolist(), TERMS: sparse(weights)},
            payload={**asdict(node), "metadata": dict(node.metadata), WRITTEN_AT: now},
        )
        for point_id, node, vector, weights in zip(ids, nodes, vectors, terms, strict=True)
    ]


def exported(payload: Any, vectors: Any) -> Exported:
    """Of a point with its vectors, as the client gives them."""
    terms = vectors.get(TERMS)
    pairs = zip(terms.indices, terms.values, strict=True) if terms else ()
    return Exported(
        node(payload),
        np.array(vectors[DENSE], np.float32),
        {int(term): float(weight) for term, weight in pairs},
    )


def node(payload: Mapping[str, Any]) -> Node:
    return Node(**{name: value for name, value in payload.items() if name != WRITTEN_AT})


def sparse(terms: Terms) -> models.SparseVector:
    return models.SparseVector(indices=list(terms.keys()), values=list(terms.values()))


def source_id(point: models.Record | models.ScoredPoint) -> str:
    return str((point.payload or {})["source_id"])


def _id(name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, name))
