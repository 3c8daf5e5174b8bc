"""The points of a collection on a Qdrant server.

Other processes may change the same collection at any time. A source's points are those that name
it in `source_id`, for which the server has an index.
"""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

from qdrant_client import QdrantClient, models

from engine.store import points
from engine.store.points import WRITTEN_AT, Exported, Hit, Source

# Younger points without a record may belong to a source that another process is writing.
ABANDONED_AFTER = timedelta(hours=1)

_SCROLLED = 10_000  # points of one answer, without their texts
_IDS = 1_000  # of one request
_MOST_SOURCES = 1_000_000  # of one collection: the server wants a limit


class ServerPoints:
    """`guarded` gives the client. Safe to use from many threads at once."""

    def __init__(
        self,
        name: str,
        guarded: Callable[[], AbstractContextManager[QdrantClient]],
        search_params: models.SearchParams | None,
    ) -> None:
        self._name, self._guarded, self._search_params = name, guarded, search_params

    def check(self, sources: Sequence[Source]) -> tuple[list[Source], set[str]]:
        """The sources whose number of points is wrong, and the ids that others name."""
        with self._guarded() as client:
            counted = client.facet(self._name, "source_id", limit=_MOST_SOURCES, exact=True).hits
        counts = {str(each.value): each.count for each in counted}
        wrong = [each for each in sources if counts.get(each.source_id, 0) != each.passages]
        return wrong, counts.keys() - {each.source_id for each in sources}

    def is_whole(self, source: Source) -> bool:
        """Whether all its points are there."""
        ids = source.point_ids
        found = 0
        with self._guarded() as client:
            for start in range(0, len(ids), _IDS):
                wanted = models.HasIdCondition(has_id=[*ids[start : start + _IDS]])
                found += client.count(self._name, models.Filter(must=[wanted])).count
        return found == source.passages

    def abandoned(self, source_id: str) -> list[str]:
        """The points of a source without a record, but those that may still be completed."""
        newest = (datetime.now(UTC) - ABANDONED_AFTER).isoformat()
        found = self.scroll(_of_sources([source_id]), [WRITTEN_AT])
        return [str(each.id) for each in found if (each.payload or {})[WRITTEN_AT] <= newest]

    def drop_others(self, source: Source) -> None:
        """Delete points that name this source and are not its own: of an attempt to write it that
        was not completed, and divided its text in another way."""
        chosen = _of_sources([source.source_id])
        with self._guarded() as client:
            if client.count(self._name, chosen).count > source.passages:
                chosen.must_not = [models.HasIdCondition(has_id=[*source.point_ids])]
                client.delete(self._name, chosen)

    def search(
        self, queries: Sequence[tuple[Any, str]], limit: int, within: AbstractSet[str] | None
    ) -> list[list[tuple[str, Hit]]]:
        """The hits of each query and vector, best first, with their sources' ids."""
        chosen = None if within is None else _of_sources(sorted(within))
        requests = [
            models.QueryRequest(
                query=query,
                using=using,
                filter=chosen,
                limit=limit,
                params=self._search_params if using == points.DENSE else None,
                with_payload=["source_id"],
            )
            for query, using in queries
        ]
        with self._guarded() as client:
            answers = client.query_batch_points(self._name, requests)
        return [
            [(points.source_id(each), Hit(str(each.id), each.score)) for each in answer.points]
            for answer in answers
        ]

    def payloads(self, point_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The payloads of those of the points that are there, by id."""
        found: dict[str, dict[str, Any]] = {}
        with self._guarded() as client:
            for start in range(0, len(point_ids), _IDS):
                part = list(point_ids[start : start + _IDS])
                for each in client.retrieve(self._name, part, with_payload=True):
                    found[str(each.id)] = each.payload or {}
        return found

    def export(self, point_ids: Sequence[str]) -> dict[str, Exported]:
        """Those of the points that are there, by id."""
        with self._guarded() as client:
            found = client.retrieve(self._name, list(point_ids), with_vectors=True)
        return {str(each.id): points.exported(each.payload, each.vector) for each in found}

    def scroll(
        self, chosen: models.Filter | None, payload: bool | list[str], name: str = ""
    ) -> Iterator[models.Record]:
        """All points that match, or those of another collection."""
        place: Any = None
        while True:
            with self._guarded() as client:
                found, place = client.scroll(
                    name or self._name,
                    scroll_filter=chosen,
                    limit=_SCROLLED,
                    offset=place,
                    with_payload=payload,
                )
            yield from found
            if place is None:
                return


def _of_sources(source_ids: Sequence[str]) -> models.Filter:
    match = models.MatchAny(any=list(source_ids))
    return models.Filter(must=[models.FieldCondition(key="source_id", match=match)])
