"""Dense search among some sources of an embedded collection.

qdrant-client evaluates a filter point by point in Python, which takes ten times as long as the
search itself. This module reads the rows of the wanted sources from the client's own matrix, so
that no vector is kept twice. It is not thread-safe: the connection's lock guards it.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient
from qdrant_client.local.qdrant_local import QdrantLocal

from engine.store.points import DENSE, Hit, Source


class EmbeddedVectors:
    def __init__(self) -> None:
        self._rows: dict[str, NDArray[np.int64]] = {}  # by source id

    def forget(self, source_id: str) -> None:
        """A source is written or deleted: its rows change."""
        self._rows.pop(source_id, None)

    def search(
        self,
        client: QdrantClient,
        collection: str,
        vector: NDArray[np.float32],
        sources: Iterable[Source],
        limit: int,
    ) -> list[Hit]:
        """The nearest passages of complete sources, best first."""
        local = client._client
        assert isinstance(local, QdrantLocal)
        points = local.collections[collection]
        parts = [np.zeros(0, np.int64)]
        for source in sources:
            if source.source_id not in self._rows:
                rows = [points.ids[each] for each in source.point_ids if each in points.ids]
                self._rows[source.source_id] = np.array(rows, np.int64)
            parts.append(self._rows[source.source_id])
        wanted = np.concatenate(parts)
        if not len(wanted):
            return []
        scores = points.vectors[DENSE][wanted] @ vector
        best = np.argsort(-scores, kind="stable")[:limit]
        return [Hit(str(points.ids_inv[wanted[n]]), float(scores[n])) for n in best]
