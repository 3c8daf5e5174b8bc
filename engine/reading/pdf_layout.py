"""A PDF page's characters → its text in paragraphs. This runs in the reading process.

PDFium returns the characters in the order in the file, which is usually one column after another,
with line ends and with the hyphens of broken words. This module joins lines to paragraphs by their
positions on the page.

`pdftext` 0.7.1 (Apache-2.0), which does part of this, was measured in 2026 on 15 PDFs: 14 real
ones and one of 100 dense pages. It also keeps PDFium's order, so columns are the same, and gives
every line a box. But it keeps the printed lines (152 on the three pages of a document in two
columns, where this module gives 30), splits paragraphs inside sentences, removes the borders
between the cells of a table, and removes every hyphen at a line's end ("well-known" becomes
"wellknown"). It took 27 ms for each of the 100 pages, against 7 ms here, and requires
pypdfium2 5.10.1 exactly.
"""

import re
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from unicodedata import east_asian_width

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from engine.reading.text import hyphen_between

# All lengths are in line heights (ascent to descent, about 1.2 em). They separated paragraphs
# correctly on the pages of 13 real documents and 1,000 test files for PDF readers.
_SAME_ROW = 0.5  # parts that overlap by more than this, of the smaller one, are one row
_NEW_SIZE = 1.15  # the smallest ratio of a heading's letters to those of the text
_NEW_PARAGRAPH = 1.35  # the smallest ratio of the step to a new paragraph to the page's usual step
_INDENT = 0.7
_SAME_LEFT = 2.5  # lines that begin within this distance are of one column
_SPACE = 0.25
_GLUED = 0.2  # parts of a row nearer than this are one word: "km²"
_SHORT = 8  # a line of about four words; a list's, if the next one begins with a capital
_CELL_GAP = 1.5  # between the cells of a row; the spaces of justified text are up to about 1
_CELL_SIGN = " | "

_ITEM = re.compile(
    r"[•◦▪‣·●○■–—*-]\s|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.)]\s|\d+(?:\.\d+)+\s|\[\d+\]\s"
)
_ENDED = re.compile(r"[.!?:;。！？؟][)\]\"'”’»]*$")
_HYPHEN = "\x02"  # PDFium's character for a hyphen that breaks a word
_NAMELESS = {*map(chr, range(32)), "\x7f", "\ufffd"} - set("\t\r\n")
# Bullets of Microsoft's symbol fonts, which have no other code.
_BULLETS = str.maketrans(dict.fromkeys("\uf0b7\uf0a7\uf0d8\uf076\uf0fc\uf06e", "•"))


@dataclass(frozen=True, slots=True)
class Line:
    """A line and its box, in points, with y upwards. `word_width` is that of its first word."""

    text: str
    broken: bool = False  # its last word continues in the next line
    cells: int = 1  # more in the row of a table
    left: float = 0.0
    right: float = 0.0
    bottom: float = 0.0
    height: float = 0.0
    word_width: float = 0.0


def characters(textpage: pdfium.PdfTextPage) -> str:
    """Character i of the page at index i, as PDFium counts them."""
    codes = (pdfium_c.FPDFText_GetUnicode(textpage, i) for i in range(textpage.count_chars()))
    return "".join(chr(code) if code <= 0x10FFFF else "\ufffd" for code in codes)


def unmapped(text: str) -> int:
    """The number of glyphs for which the font has no character."""
    return sum(n for c, n in Counter(text).items() if c in _NAMELESS)


def page_lines(textpage: pdfium.PdfTextPage, text: str) -> list[Line]:
    """The lines of the page whose `characters` these are."""
    lines: list[Line] = []
    for match in re.finditer(r"[^\r\n\x02]+\x02?", text):
        start, end = match.span()
        shown = match.group().rstrip(_HYPHEN)
        if shown.strip():
            start += len(shown) - len(shown.lstrip())
            end = match.start() + len(shown.rstrip())
            broken = match.group().endswith(_HYPHEN)
            lines.append(_line(textpage, text, start, end, broken))
    return lines


def page_text(lines: Sequence[Line], words: AbstractSet[str]) -> str:
    """Lines → text: "\\n" after a list's item, an empty line between paragraphs."""
    return "".join(page_parts(lines, words))


def page_parts(lines: Sequence[Line], words: AbstractSet[str]) -> list[str]:
    """`page_text` in parts: the first line, what comes between it and the second, and so on."""
    if not lines:
        return []
    step = _usual_step(lines)
    parts = [lines[0].text.translate(_BULLETS)]
    for number, (above, below) in enumerate(pairwise(lines)):
        if above.broken:
            between = hyphen_between(above.text, below.text, words)
        else:
            between = _between(above, below, _margin(lines, number), step)
            if between == " " and _both_wide(above.text, below.text):
                between = ""
        parts += [between, below.text.translate(_BULLETS)]
    return parts


def _line(textpage: pdfium.PdfTextPage, text: str, start: int, end: int, broken: bool) -> Line:
    middle = next((i for i in range((start + end) // 2, end) if text[i].isalnum()), start)
    try:
        boxes = [textpage.get_charbox(i, loose=True) for i in (start, middle, end - 1)]
        height = max(0.1, median(top - bottom for _, bottom, _, top in boxes))
        cells, word_right = _cells(textpage, text, start, end, _CELL_GAP * height)
    except pdfium.PdfiumError:
        return Line(text[start:end], broken)
    left, right = min(box[0] for box in boxes), max(box[2] for box in boxes)
    return Line(
        text=_CELL_SIGN.join(cells),
        broken=broken,
        cells=len(cells),
        left=left,
        right=right,
        bottom=median(box[1] for box in boxes),  # a footnote's mark stands higher
        height=height,
        word_width=(right if word_right is None else word_right) - left,
    )


def _cells(
    textpage: pdfium.PdfTextPage, text: str, start: int, end: int, gap: float
) -> tuple[list[str], float | None]:
    """The parts of a line between wide gaps, and the end of its first word, if it has two."""
    cells: list[str] = []
    word_right = None
    for space in re.compile(r"\s+").finditer(text, start, end):
        before, after = space.span()
        right = textpage.get_charbox(before - 1)[2]
        word_right = right if word_right is None else word_right
        if textpage.get_charbox(after)[0] - right > gap:
            cells.append(text[start:before])
            start = after
    return [*cells, text[start:end]], word_right


def _between(above: Line, below: Line, margin: float, step: float) -> str:
    drop = above.bottom - below.bottom
    if _in_one_row(above, below):
        space = (below.left - above.right) / above.height
        return "" if space < _GLUED else " " if space < _CELL_GAP else _CELL_SIGN
    ended = bool(_ENDED.search(above.text))
    apart = drop <= 0 or drop > _NEW_PARAGRAPH * max(step, above.height)
    if apart or _differ(above.height, below.height):
        # a sentence continues after a gap, an odd letter, or in the next column
        return " " if not ended and below.text[:1].islower() else "\n\n"
    if above.cells > 1 or below.cells > 1 or _ITEM.match(below.text.translate(_BULLETS)):
        return "\n"
    if above.right + below.word_width + _SPACE * above.height < margin:
        return "\n"  # the next word would have fitted, so the line end was intended
    if above.right - above.left < _SHORT * above.height and not below.text[:1].islower():
        return "\n"
    if ended and below.left - above.left > _INDENT * above.height:
        return "\n\n"
    return " "


def _in_one_row(above: Line, below: Line) -> bool:
    """Whether the second line continues the first on its right, as after a superscript."""
    top = min(above.bottom + above.height, below.bottom + below.height)
    overlap = top - max(above.bottom, below.bottom)
    beside = below.left >= above.right - _GLUED * above.height
    return beside and overlap > _SAME_ROW * min(above.height, below.height)


def _usual_step(lines: Sequence[Line]) -> float:
    """The usual distance of two baselines within paragraphs."""
    steps = [above.bottom - below.bottom for above, below in pairwise(lines)]
    usual = [
        step
        for step, line in zip(steps, lines, strict=False)
        if 0.4 * line.height < step < 3 * line.height
    ]
    return median(usual) if usual else 1.2 * max(line.height for line in lines)


def _margin(lines: Sequence[Line], number: int) -> float:
    """The right edge of a line's column: the furthest right of the neighbours in the column."""
    line = lines[number]
    return max(
        (
            near.right
            for near in lines[max(0, number - 3) : number + 5]
            if abs(near.left - line.left) < _SAME_LEFT * line.height
            and not _differ(near.height, line.height)
        ),
        default=line.right,  # if PDFium has no box for the line
    )


def _both_wide(before: str, after: str) -> bool:
    """Whether both sides are Chinese or Japanese, which are written without spaces."""
    return all(east_asian_width(char) in "WF" for char in before[-1:] + after[:1])


def _differ(one: float, other: float) -> bool:
    return max(one, other) > _NEW_SIZE * min(one, other)
