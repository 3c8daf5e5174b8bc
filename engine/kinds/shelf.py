"""Shelf: the documents that a question may be about, and their text in order.

These are the documents of one collection or several that match the question's filters. Passages
overlap, so a document's text is given as pieces: each passage with the place where its new text
begins.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from engine.kinds.tables import Piece, Table, tables_of
from engine.schema import Filters, Node
from engine.splitting import sentence_spans
from engine.store import Collection, Source

# Documents whose titles, or whose tables, are kept in memory. A title is a line; the tables of a
# document of 20,000 rows take about 40 MB.
_TITLES, _TABLES = 50_000, 20

Kept = TypeVar("Kept")


class _Recent(Generic[Kept]):
    """The values that were used last. They stay valid: a document of another content has another
    id."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[tuple[str, str], Kept] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, str]) -> Kept | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: tuple[str, str], value: Kept) -> None:
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._most:
                self._values.popitem(last=False)


_titles: _Recent[str] = _Recent(_TITLES)
_tables: _Recent[list[Table]] = _Recent(_TABLES)


@dataclass(frozen=True, slots=True)
class Book:
    """A document with the title in its text, which may be empty. `collection`: its own, where there
    are several."""

    source: Source
    title: str
    collection: str = ""

    @property
    def name(self) -> str:
        return self.source.file_name


class Shelf:
    """A document that is in two of the collections counts once. Of several collections, a passage's
    metadata has `collection`, as with `HybridRetriever`."""

    def __init__(self, collections: Sequence[Collection], filters: Filters = Filters()) -> None:
        self.collections = collections
        self.filters = filters

    def books(self) -> list[Book]:
        """The documents, the latest first, with their titles: the first line of each, if it is no
        sentence."""
        books: dict[str, Book] = {}
        for collection in self.collections:
            chosen = collection.matching(self.filters)
            sources = [
                each
                for each in collection.sources()
                if (chosen is None or each.source_id in chosen) and each.source_id not in books
            ]
            unknown = [each for each in sources if _titles.get(_key(collection, each)) is None]
            firsts = [each.point_ids[0] for each in unknown if each.point_ids]
            for node in filter(None, collection.nodes(firsts) if firsts else []):
                line = node.text.strip().partition("\n")[0].strip()
                heading = str(node.metadata.get("heading") or "").partition(" › ")[0]
                title = line if len(line) <= 100 and line[-1:] not in ".;,:" else heading
                named = node.metadata.get("file_type") not in ("csv", "spreadsheet", "json")
                _titles.put((collection.key, node.source_id), title if named else "")
            place = collection.title if len(self.collections) > 1 else ""
            for each in sources:
                title = _titles.get(_key(collection, each)) or ""
                books[each.source_id] = Book(each, title, place)
        return sorted(books.values(), key=lambda each: each.source.added_at, reverse=True)

    def pieces(self, source_id: str) -> list[Piece]:
        """The text of a document, in order, without repetitions."""
        pieces: list[Piece] = []
        for node in self._nodes(source_id):
            fresh = 0
            if pieces:
                before = pieces[-1].node
                same = before.metadata.get("heading") == node.metadata.get("heading")
                same = same and before.metadata.get("page_label") == node.metadata.get("page_label")
                if same and before.start_char < node.start_char < before.end_char:
                    fresh = min(before.end_char - node.start_char, len(node.text))
            pieces.append(Piece(node, fresh))
        return pieces

    def tables(self, source_id: str) -> list[Table]:
        """The tables and lists of a document."""
        key = ("\n".join(each.key for each in self.collections), source_id)
        found = _tables.get(key)
        if found is None:
            found = tables_of(self.pieces(source_id))
            _tables.put(key, found)
        return found

    def _nodes(self, source_id: str) -> list[Node]:
        for collection in self.collections:
            if nodes := collection.nodes_of(source_id):
                if len(self.collections) == 1:
                    return nodes
                place = {"collection": collection.title}
                return [replace(each, metadata={**each.metadata, **place}) for each in nodes]
        return []


def _key(collection: Collection, source: Source) -> tuple[str, str]:
    return collection.key, source.source_id


def sentences(piece: Piece) -> list[tuple[int, int]]:
    """The spans of the sentences of a piece that no earlier piece has."""
    last = piece.end or len(piece.node.text)
    spans = sentence_spans(piece.node.text)
    return [(start, end) for start, end in spans if start >= piece.fresh and end <= last]
