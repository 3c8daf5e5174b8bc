"""The lexical search of an embedded collection: its terms, held in memory beside it.

qdrant-client's own is a loop over all points, 100 ms at 10,000. It holds only sources that are
whole. Not safe for threads at once: the connection's lock guards it.
"""

from collections.abc import Iterable, Mapping

from qdrant_client import models

from engine.lexical import TermIndex, Terms
from engine.store.points import Hit, source_id, terms_of


class EmbeddedTerms:
    def __init__(self, points: Iterable[models.Record] = ()) -> None:
        self._index = TermIndex()
        self._point_ids: list[str] = []  # by the passage's number in the index
        self._numbers: dict[str, list[int]] = {}  # by source id
        for point in points:
            self.add(source_id(point), {str(point.id): terms_of(point)})

    def add(self, source: str, terms: Mapping[str, Terms]) -> None:
        """`terms` by point id."""
        numbers = self._numbers.setdefault(source, [])
        for point_id, weights in terms.items():
            numbers.append(self._index.add(weights))
            self._point_ids.append(point_id)

    def remove(self, source: str) -> None:
        self._index.remove(self._numbers.pop(source, []))

    def search(self, terms: Terms, limit: int) -> list[Hit]:
        found = self._index.search(terms, limit)
        return [Hit(self._point_ids[number], score) for number, score in found]
