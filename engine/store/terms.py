"""Lexical search in an embedded collection, with all its terms in memory.

qdrant-client's own search loops over all points, which takes 100 ms for 10,000 points. The index
has only complete sources. It is not thread-safe: the connection's lock guards it.
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
        found = list(points)
        numbers = self._add({str(point.id): terms_of(point) for point in found})
        for point, number in zip(found, numbers, strict=True):
            self._numbers.setdefault(source_id(point), []).append(number)

    def add(self, source: str, terms: Mapping[str, Terms]) -> None:
        """`terms` by point id."""
        self._numbers[source] = list(self._add(terms))

    def remove(self, source: str) -> None:
        self._index.remove(self._numbers.pop(source, []))

    def _add(self, terms: Mapping[str, Terms]) -> range:
        self._point_ids.extend(terms)
        return self._index.add(list(terms.values()))

    def search(
        self, terms: Terms, limit: int, sources: Iterable[str] | None = None
    ) -> list[Hit]:
        """In all sources, or in these."""
        within = None
        if sources is not None:
            within = [number for each in sources for number in self._numbers.get(each, ())]
        found = self._index.search(terms, limit, within)
        return [Hit(self._point_ids[number], score) for number, score in found]
