"""Where a passage stands among a page's characters. Pure.

It is looked for by its letters and digits alone, since spaces, hyphens and line ends were
mended when it was read; and where that does not do, since another library read it or its parts
stand in another order, by its words.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

Range = tuple[int, int]

# The share of a passage's words that must be on the page, in order, for its place to be found.
_ENOUGH = 0.6
_WORD = re.compile(r"\w+")
_SIGNS = re.compile(r"[^\w\s\x02]+")  # what ends a sentence goes with it


def find_passage(page: str, passage: str, within: Range | None = None) -> list[Range]:
    """Ranges of characters of the page, in order; none where the passage is not there."""
    start, end = within or (0, len(page))
    there, wanted = _letters(page[start:end]), _letters(passage)
    if not wanted.text:
        return []
    place = there.text.find(wanted.text)
    if place < 0:
        return [(start + a, start + b) for a, b in _by_words(page[start:end], passage)]
    last = start + there.places[place + len(wanted.text) - 1] + 1
    full_stop = _SIGNS.match(page, last)
    return [(start + there.places[place], full_stop.end() if full_stop else last)]


@dataclass(frozen=True, slots=True)
class _Letters:
    """Letters and digits, small and in their plain form; where each stood."""

    text: str
    places: list[int]


def _letters(text: str) -> _Letters:
    pairs = [
        (letter, place)
        for place, char in enumerate(text)
        for letter in unicodedata.normalize("NFKC", char).lower()
        if letter.isalnum()
    ]
    return _Letters("".join(letter for letter, _ in pairs), [place for _, place in pairs])


def _by_words(page: str, passage: str) -> Iterator[Range]:
    there = list(_WORD.finditer(page))
    wanted = [word.lower() for word in _WORD.findall(passage)]
    matcher = SequenceMatcher(None, [word.group().lower() for word in there], wanted, False)
    blocks = [block for block in matcher.get_matching_blocks() if block.size]
    if sum(block.size for block in blocks) >= _ENOUGH * len(wanted):
        for block in blocks:
            yield there[block.a].start(), there[block.a + block.size - 1].end()
