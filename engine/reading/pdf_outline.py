"""The bookmarks of a PDF → which headings stand over which text. Runs in the reading process."""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice

import pypdfium2 as pdfium

from engine.reading.section import heading_path

_MOST_ENTRIES = 10_000  # a reference book has 2,000; a hostile file has no end
_LINE = re.compile(r"[^\n]+")
_NUMBER = re.compile(r"\s*\d[\d.]*\s")
_TITLE_LENGTH = 100  # characters; a part no longer than this is a title or a running head


class Outline:
    """Cuts a page's text at the titles that the bookmarks place on it.

    A title that is not found there counts from where the page begins.
    """

    def __init__(self, document: pdfium.PdfDocument | None) -> None:
        titles_on: dict[int, list[list[str]]] = defaultdict(list)
        for page, titles in _entries(document) if document else ():
            titles_on[page].append(titles)
        self._titles_on = dict(titles_on)
        self._pages = sorted(titles_on)

    def cut(self, number: int, text: str) -> list[tuple[str, str]]:
        """(part, heading) of this page. A title with nothing under it goes with what follows."""
        heading = self._heading_before(number)
        parts: list[tuple[str, str]] = []
        start = 0
        for titles in self._titles_on.get(number, ()):
            place = _find(text, titles[-1], start)
            above = text[start:place].strip()
            if place is not None and ("\n" in above or len(above) > _TITLE_LENGTH):
                parts.append((above, heading))
                start = place
            heading = heading_path(titles)
        return [*parts, (text[start:].strip(), heading)]

    def _heading_before(self, number: int) -> str:
        place = bisect_left(self._pages, number)
        return heading_path(self._titles_on[self._pages[place - 1]][-1]) if place else ""


def _entries(document: pdfium.PdfDocument) -> Iterator[tuple[int, list[str]]]:
    """The page, from 1, and the titles from the uppermost to its own, of each bookmark."""
    titles: list[str] = []
    for bookmark in islice(document.get_toc(), _MOST_ENTRIES):
        try:
            title = " ".join(bookmark.get_title().split())
        except UnicodeDecodeError:
            title = ""
        titles = [*titles[: bookmark.level], title]
        destination = bookmark.get_dest()
        index = destination.get_index() if destination else None
        if title and index is not None:
            yield index + 1, titles


def _find(text: str, title: str, start: int) -> int | None:
    """Where the line begins that is this title, whatever its number and signs."""
    wanted = _letters(title)
    for line in _LINE.finditer(text, start):
        if wanted and len(line.group()) < 2 * len(title) + 20 and _letters(line.group()) == wanted:
            return line.start()
    return None


def _letters(line: str) -> str:
    return "".join(filter(str.isalnum, _NUMBER.sub("", line, count=1).lower()))
