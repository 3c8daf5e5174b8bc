"""The points of an embedded collection, searched in memory.

The embedded client loops over all points in Python, for filters and for terms. Here, each search is
one product of arrays: of its matrix of dense vectors, which is not kept twice, and of the terms'
inverted lists. Nothing here is thread-safe: the connection's lock guards it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models
from qdrant_client.local.qdrant_local import QdrantLocal

from engine.lexical import TermIndex, Terms
from engine.store import points
from engine.store.disk import NO_TERMS, Disk
from engine.store.points import DENSE, TERMS, Exported, Hit, Source

_KEPT = 8  # choices of sources whose rows are remembered
# With fewer rows than this share, they are copied before the product; else all rows are multiplied.
# A copy reads and writes what the product only reads.
_FEW = 0.25

Places = NDArray[np.int64]


class EmbeddedPoints:
    """Only sources that are taken in by `open` or added are found."""

    def __init__(self, client: QdrantClient, collection: str) -> None:
        local = client._client
        assert isinstance(local, QdrantLocal)
        self._points = local.collections[collection]
        self._disk = self._points.storage if isinstance(self._points.storage, Disk) else None
        self._terms = TermIndex()
        # By source id, also of those that are hidden: rows in the client's matrix, and numbers in
        # the index of terms. A row is used again when its point is; a number never is.
        self._rows: dict[str, Places] = {}
        self._numbers: dict[str, Places] = {}
        self._row_of = np.zeros(0, np.int64)  # by number
        self._alive = np.zeros(0, bool)  # by row
        self._chosen: OrderedDict[AbstractSet[str], tuple[Places, Places]] = OrderedDict()

    def open(self, sources: Iterable[Source]) -> tuple[list[Source], dict[str, list[str]]]:
        """Take in the sources that are whole. Returns the others, and the points of no source, by
        the source that they name.
        """
        count = len(self._points.ids_inv)
        incomplete = []
        claimed = np.zeros(count, bool)
        for source in sources:
            rows = self._rows_of(source.point_ids)
            claimed[rows] = True
            if len(rows) == source.passages:
                self._rows[source.source_id] = rows
            else:
                incomplete.append(source)
        lost: dict[str, list[str]] = {}
        unclaimed = [str(self._points.ids_inv[row]) for row in np.flatnonzero(~claimed)]
        for point_id, payload in self.payloads(unclaimed).items():
            lost.setdefault(str(payload["source_id"]), []).append(point_id)
        if self._disk and (kept := self._disk.terms):
            self._terms.fill(kept.counts, kept.terms, kept.weights)
            self._disk.terms = None
        self._row_of = np.arange(count)
        self._alive = np.zeros(count, bool)
        self._numbers = dict(self._rows)
        self._terms.hide(np.arange(count))
        for source_id in self._rows:
            self._show(source_id, True)
        return incomplete, lost

    def stored(self, point_ids: Sequence[str]) -> None:
        """The client has written these points: drop from memory what is read from the disk."""
        if self._disk:
            for row in self._rows_of(point_ids):
                self._points.payload[row] = {}
                self._points.sparse_vectors[TERMS][row] = NO_TERMS

    def add(self, source_id: str, terms: Mapping[str, Terms]) -> None:
        """`terms` by point id."""
        rows = self._rows_of(list(terms))
        numbers = np.array(self._terms.add(list(terms.values())), np.int64)
        self._row_of = np.concatenate([self._row_of, rows])
        self._rows[source_id], self._numbers[source_id] = rows, numbers
        self._show(source_id, True)

    def hide(self, source_id: str) -> None:
        self._show(source_id, False)

    def unhide(self, source: Source) -> bool:
        """Undo `hide`. False if points have been deleted since."""
        if len(self._rows_of(source.point_ids)) != source.passages:
            return False
        self._show(source.source_id, True)
        return True

    def search_dense(
        self, vector: NDArray[np.float32], limit: int, within: AbstractSet[str] | None
    ) -> list[Hit]:
        """The nearest points, best first; with `within`, of these sources."""
        matrix = self._points.vectors[DENSE][: len(self._alive)]
        if within is None:
            scores = matrix @ vector
            scores[~self._alive] = -np.inf
            return self._hits(scores, limit)
        rows, _ = self._chosen_places(within)
        if len(rows) < _FEW * len(matrix):
            return self._hits(matrix[rows] @ vector, limit, rows)
        return self._hits((matrix @ vector)[rows], limit, rows)

    def search_terms(
        self, terms: Terms, limit: int, within: AbstractSet[str] | None
    ) -> list[Hit]:
        """The best points by BM25 that share a term, best first; with `within`, of these
        sources. A term's rarity is that in all sources.
        """
        scores = self._terms.scores(terms)
        scores[scores <= 0] = -np.inf
        if within is None:
            return self._hits(scores, limit, self._row_of)
        _, numbers = self._chosen_places(within)
        return self._hits(scores[numbers], limit, self._row_of[numbers])

    def known_terms(self, terms: Sequence[int]) -> set[int]:
        """Those of the terms that a point has."""
        return self._terms.known(terms)

    def payloads(self, point_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The payloads of those of the points that are there, by id."""
        if self._disk:
            return self._disk.payloads(point_ids)
        return {
            each: dict(self._points.payload[row])
            for each in point_ids
            if (row := self._points.ids.get(each)) is not None and not self._points.deleted[row]
        }

    def export(self, point_ids: Sequence[str]) -> dict[str, Exported]:
        """Those of the points that are there, by id."""
        if self._disk:
            return {
                row.id: points.exported(
                    row.facts,
                    {
                        DENSE: np.frombuffer(row.dense, "<f4"),
                        TERMS: models.SparseVector(
                            indices=np.frombuffer(row.terms, "<u4").tolist(),
                            values=np.frombuffer(row.weights, "<f4").tolist(),
                        ),
                    },
                )
                for row in self._disk.rows(point_ids)
            }
        rows = {each: self._points.ids[each] for each in self.payloads(point_ids)}
        return {
            each: points.exported(
                self._points.payload[row],
                {
                    DENSE: self._points.vectors[DENSE][row],
                    TERMS: self._points.sparse_vectors[TERMS][row],
                },
            )
            for each, row in rows.items()
        }

    def change(
        self, point_ids: Sequence[str], change: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> None:
        """Give points other payloads."""
        payloads = {each: change(payload) for each, payload in self.payloads(point_ids).items()}
        if self._disk:
            self._disk.change(payloads)
        else:
            for each, payload in payloads.items():
                self._points.payload[self._points.ids[each]] = payload

    def _rows_of(self, point_ids: Sequence[str]) -> Places:
        """Those of the points that are there."""
        found = (self._points.ids.get(each) for each in point_ids)
        rows = np.array([row for row in found if row is not None], np.int64)
        deleted: NDArray[np.bool_] = self._points.deleted.astype(bool)
        kept: Places = rows[~deleted[rows]]
        return kept

    def _show(self, source_id: str, shown: bool) -> None:
        if source_id not in self._rows:
            return
        more = max(0, len(self._points.ids_inv) - len(self._alive))
        self._alive = np.concatenate([self._alive, np.zeros(more, bool)]) if more else self._alive
        self._alive[self._rows[source_id]] = shown
        change = self._terms.show if shown else self._terms.hide
        change(self._numbers[source_id])
        self._chosen.clear()

    def _chosen_places(self, within: AbstractSet[str]) -> tuple[Places, Places]:
        """The rows and the numbers of these sources."""
        if within not in self._chosen:
            there = [each for each in within if each in self._rows]
            none = np.zeros(0, np.int64)
            rows = np.concatenate([none, *(self._rows[each] for each in there)])
            numbers = np.concatenate([none, *(self._numbers[each] for each in there)])
            # in order, so that memory is read from its beginning to its end
            self._chosen[within] = np.sort(rows[self._alive[rows]]), np.sort(numbers)
            if len(self._chosen) > _KEPT:
                self._chosen.popitem(last=False)
        return self._chosen[within]

    def _hits(
        self, scores: NDArray[np.float32], limit: int, rows: Places | None = None
    ) -> list[Hit]:
        """The best of the scores that are finite; of equal ones, those that come first. `rows`: of
        each score, where they are not all rows in order.
        """
        candidates = np.flatnonzero(scores > -np.inf)
        if len(candidates) > limit:
            found = scores[candidates]
            candidates = candidates[found >= np.partition(found, -limit)[-limit]]
        best = candidates[np.argsort(-scores[candidates], kind="stable")][:limit]
        places = best if rows is None else rows[best]
        ids = self._points.ids_inv
        return [
            Hit(str(ids[row]), float(score))
            for row, score in zip(places, scores[best], strict=True)
        ]
