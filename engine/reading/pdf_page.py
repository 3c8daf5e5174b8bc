"""A page of a PDF or of a picture → its picture, with marks on a passage and on sentences of it.

This runs in the reading process. `find_passage` finds a passage among the page's characters. It
compares only letters and digits, because reading has changed spaces, hyphens and line ends. If that
fails, because another library has read the page or its parts are in another order, it compares
words. A passage that is not found is not marked.
"""

import ctypes
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from PIL import Image, ImageChops, ImageDraw

from engine.errors import DocumentError
from engine.reading.pdf import open_pdf
from engine.reading.pdf_layout import characters
from engine.schema import PLACES

_MOST_PIXELS = 12_000_000  # otherwise a poster would take a gigabyte
_PASSAGE = (255, 247, 204)  # the light colour of the passage
_SENTENCE = (255, 217, 77)  # the strong colour of the sentences in it

# A passage is found if at least this share of its words is on the page, in order.
_ENOUGH = 0.6
_WORD = re.compile(r"\w+")
_MOST_STEPS = 50  # boxes of one sloping line
_SIGNS = re.compile(r"[^\w\s\x02]+")  # what ends a sentence goes with it

Box = tuple[int, int, int, int]
Range = tuple[int, int]


def picture(path: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """A PNG, its size in pixels, and the boxes (left, top, right, bottom) marked in it."""
    number, wanted = request["number"], (request["passage"], request["sentences"])
    if request["kind"] == "picture":
        from engine.reading.scans import frame

        image = frame(path, number)
        height = min(image.height * request["width"] // image.width, _MOST_PIXELS)
        image.thumbnail((request["width"], max(height, 1)), reducing_gap=2.0)
        passage, sentences = recognised_boxes(image.size, *wanted, request["lines"])
    else:
        document = open_pdf(path, request["password"])
        if not 1 <= number <= len(document):
            raise DocumentError(f"has no page {number}: it has {len(document)}.")
        with closing(document.get_page(number - 1)) as page:
            scale = min(
                request["width"] / page.get_width(),
                (_MOST_PIXELS / (page.get_width() * page.get_height())) ** 0.5,
            )
            image = page.render(scale=scale).to_pil().convert("RGB")
            if request["lines"]:
                passage, sentences = recognised_boxes(image.size, *wanted, request["lines"])
            else:
                passage, sentences = _boxes(page, image.size, *wanted)
    image = _mark(_mark(image, passage, _PASSAGE), sentences, _SENTENCE)
    png = io.BytesIO()
    image.save(png, "PNG", compress_level=1)  # 6 takes twice the time for 15 % less
    return {
        "size": image.size,
        "passage": passage,
        "sentences": sentences,
        "has_data": True,
        "data": png.getvalue(),
    }


def recognised_boxes(
    size: tuple[int, int], passage: str, sentences: Sequence[str], lines: Sequence[Sequence[int]]
) -> tuple[list[Box], list[Box]]:
    """Of a passage that was recognised, whose `lines` say where it stands, and of its sentences."""
    parts = [place for sentence in sentences for place in find_passage(passage, sentence)]
    return (
        [box for line in lines for box in _part_of_line(size, line, 0, len(passage))],
        [box for place in parts for line in lines for box in _part_of_line(size, line, *place)],
    )


def _part_of_line(
    size: tuple[int, int], line: Sequence[int], start: int, end: int
) -> Iterator[Box]:
    """Where characters `start` to `end` of the passage stand in a line, all taken as equally wide.
    A line that slopes is covered by several boxes.
    """
    first, last, x1, y1, x2, y2, height, _ = line
    start, end = max(start, first), min(end, last)
    if start >= end:
        return
    width, tall = (whole / PLACES for whole in size)
    length = max(last - first, 1)
    half = height * tall / 2
    across, down = (x2 - x1) * width, (y2 - y1) * tall
    drop = min(abs(across), abs(down)) * (end - start) / length
    steps = min(1 + int(drop / max(half, 1)), _MOST_STEPS)
    for step in range(steps):
        shares = [
            (start - first + (end - start) * at / steps) / length for at in (step, step + 1)
        ]
        xs = sorted(x1 * width + share * across for share in shares)
        ys = sorted(y1 * tall + share * down for share in shares)
        if abs(across) >= abs(down):
            ys = [ys[0] - half, ys[1] + half]
        else:  # the line runs up or down
            xs = [xs[0] - half, xs[1] + half]
        yield round(xs[0]), round(ys[0]), round(xs[1]), round(ys[1])


def _boxes(
    page: pdfium.PdfPage, size: tuple[int, int], passage: str, sentences: Sequence[str]
) -> tuple[list[Box], list[Box]]:
    """The boxes of the passage and of its sentences. Sentences are first searched inside it."""
    with closing(page.get_textpage()) as textpage:
        text = characters(textpage)
        whole = find_passage(text, passage)
        within = (whole[0][0], whole[-1][1]) if whole else None
        parts = [
            place
            for sentence in sentences
            for place in find_passage(text, sentence, within) or find_passage(text, sentence)
        ]
        return (
            [box for place in whole for box in _on_picture(page, textpage, size, place)],
            [box for place in parts for box in _on_picture(page, textpage, size, place)],
        )


def _on_picture(
    page: pdfium.PdfPage, textpage: pdfium.PdfTextPage, size: tuple[int, int], place: Range
) -> list[Box]:
    """A box for each line of the text in a range."""
    start, end = place
    boxes: list[Box] = []
    for number in range(textpage.count_rects(start, end - start)):
        left, bottom, right, top = textpage.get_rect(number)
        corners = [_pixel(page, size, x, y) for x, y in ((left, bottom), (right, top))]
        (x1, x2), (y1, y2) = (sorted(each) for each in zip(*corners, strict=True))
        box = (x1 - 1, y1 - 1, x2 + 1, y2 + 1)
        if boxes and _in_one_line(boxes[-1], box):
            box = _around(boxes.pop(), box)
        boxes.append(box)
    return boxes


def _in_one_line(one: Box, other: Box) -> bool:
    """Whether two boxes overlap by half their height, with at most a space between them."""
    height = min(one[3] - one[1], other[3] - other[1])
    overlap = min(one[3], other[3]) - max(one[1], other[1])
    gap = max(one[0], other[0]) - min(one[2], other[2])
    return overlap > height / 2 and gap < height


def _around(one: Box, other: Box) -> Box:
    lows, highs = map(min, one[:2], other[:2]), map(max, one[2:], other[2:])
    return (*lows, *highs)  # type: ignore[return-value]


def _pixel(page: pdfium.PdfPage, size: tuple[int, int], x: float, y: float) -> tuple[int, int]:
    """A point of the page in the pixels of the picture, also if the page is rotated or cropped."""
    across, down = ctypes.c_int(), ctypes.c_int()
    pdfium_c.FPDF_PageToDevice(page, 0, 0, *size, 0, x, y, across, down)
    return across.value, down.value


def _mark(image: Image.Image, boxes: Sequence[Box], colour: tuple[int, int, int]) -> Image.Image:
    """Colour the boxes like a marker pen: dark pixels stay dark, and overlaps are not darker."""
    if not boxes:
        return image
    pen = Image.new("RGB", image.size, "white")
    draw = ImageDraw.Draw(pen)
    for box in boxes:
        draw.rectangle(box, fill=colour)
    return ImageChops.multiply(image, pen)


def find_passage(page: str, passage: str, within: Range | None = None) -> list[Range]:
    """Ranges of characters of the page, in order; empty if the passage is not found."""
    start, end = within or (0, len(page))
    there, places = _letters(page[start:end])
    wanted, _ = _letters(passage)
    if not wanted:
        return []
    found = there.find(wanted)
    if found < 0:
        return [(start + a, start + b) for a, b in _by_words(page[start:end], passage)]
    last = start + places[found + len(wanted) - 1] + 1
    full_stop = _SIGNS.match(page, last)
    return [(start + places[found], full_stop.end() if full_stop else last)]


def _letters(text: str) -> tuple[str, list[int]]:
    """Letters and digits in lower case without accents, and the index of each in the text."""
    pairs = [
        (letter, place)
        for place, char in enumerate(text)
        for letter in unicodedata.normalize("NFKC", char).lower()
        if letter.isalnum()
    ]
    return "".join(letter for letter, _ in pairs), [place for _, place in pairs]


def _by_words(page: str, passage: str) -> Iterator[Range]:
    there = list(_WORD.finditer(page))
    wanted = [word.lower() for word in _WORD.findall(passage)]
    matcher = SequenceMatcher(None, [word.group().lower() for word in there], wanted, False)
    blocks = [block for block in matcher.get_matching_blocks() if block.size]
    if sum(block.size for block in blocks) >= _ENOUGH * len(wanted):
        for block in blocks:
            yield there[block.a].start(), there[block.a + block.size - 1].end()
