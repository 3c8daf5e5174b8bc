"""A page that is a picture → its text in reading order, and where each line of it stands.

Runs in the reading process: a page of a PDF is drawn, a picture file is opened. ocr.py reads the
lines. This module puts them in order, whatever the slope of the page, columns one after another,
and joins them to paragraphs by the rules for other PDFs.
"""

import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median

from PIL import Image, ImageOps, UnidentifiedImageError

from engine.errors import DocumentError, LimitExceededError
from engine.reading.formats import Section
from engine.reading.ocr import ReadLine, recognise
from engine.reading.pdf import Pdf
from engine.reading.pdf_layout import Line, page_parts
from engine.reading.text import words_of
from engine.schema import PLACES

# As scanners do by default. 300 dpi read nothing better (benchmarks/README.md).
_DPI = 200
_MOST_PIXELS = 8_000_000  # of a picture that is read: A4 with 300 dpi
_LONGEST_SIDE = 3_300  # of that
_LARGEST_PICTURE = 120_000_000  # pixels of a file: 360 MB of memory

# In line heights, as in pdf_layout.py.
_GUTTER = 0.8  # between two columns of prose
_COLUMN = 6.0  # the usual line of a column is at least that long
_FILLED = 0.5  # and fills this share of its column; the cells of a table fill less of theirs
_MOST_SPANNING = 0.3  # share of a page's lines that run across all columns: titles, running heads
_CELL_GAP = 1.5
_SAME_ROW = 0.5
_SAME_SIZE = 1.3  # letters that hang or stand make one line higher than the next
_LONG = 8.0
_EDGE = 3  # lines at the top and the bottom among which the page's number is

Placed = tuple[Line, ReadLine]


def read_page(path: Path, kind: str, password: str | None, number: int) -> Generator[
    int, int | None, Section
]:
    """Page `number` of a PDF or a picture, from 1, as a section with its lines' places; without
    text where none was recognised. Yields and is sent what `ocr.recognise` does.
    """
    label, heading = str(number), ""
    if kind == "pdf":
        pdf = Pdf(path, password)
        label, heading = pdf.label(number), pdf.heading(number)
        picture = pdf.picture(number, _DPI / 72, _MOST_PIXELS)
    else:
        picture = frame(path, number)
        if picture.width * picture.height > _MOST_PIXELS:
            scale = math.sqrt(_MOST_PIXELS / (picture.width * picture.height))
            size = (round(picture.width * scale), round(picture.height * scale))
            picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    found = yield from recognise(picture)
    lines = _without_number(_in_order(found), {label, str(number)})
    return _section(lines, picture.size, heading, label, number)


def frame_count(path: Path) -> int:
    """Pages of a TIFF; 1 of other pictures, which may be animated.

    Raises:
        DocumentError, LimitExceededError: as `frame`.
    """
    with _opened(path) as picture:
        return getattr(picture, "n_frames", 1) if picture.format == "TIFF" else 1


def frame(path: Path, number: int) -> Image.Image:
    """A page of a picture file, upright as the camera held it, on white.

    Raises:
        DocumentError: damaged.
        LimitExceededError: too many pixels.
    """
    with _opened(path) as picture:
        try:
            picture.seek(number - 1)
            _check_size(picture)
            picture.draft("RGB", (_LONGEST_SIDE, _LONGEST_SIDE))  # a large JPEG is decoded smaller
            upright = ImageOps.exif_transpose(picture)
            if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
                upright = upright.convert("RGBA")
                white = Image.new("RGBA", upright.size, "white")
                return Image.alpha_composite(white, upright).convert("RGB")
            if upright.mode.startswith("I"):  # 16 bits, as scanners of films make
                upright = upright.point(lambda value: value / 256).convert("L")
            return upright.convert("RGB")
        except (OSError, SyntaxError, ValueError, EOFError) as fault:
            raise DocumentError("is damaged or not whole. Save or scan it again.") from fault


def _opened(path: Path) -> Image.Image:
    import pi_heif

    pi_heif.register_heif_opener()
    Image.MAX_IMAGE_PIXELS = None  # `_check_size` does that, with a sentence
    try:
        picture = Image.open(path)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as fault:
        raise DocumentError(
            "is not a picture that can be read, or damaged. Save it as PNG or JPEG."
        ) from fault
    _check_size(picture)
    return picture


def _check_size(picture: Image.Image) -> None:
    if picture.width * picture.height > _LARGEST_PICTURE:
        raise LimitExceededError(
            f"has {picture.width:,} × {picture.height:,} pixels; at most "
            f"{_LARGEST_PICTURE / 1e6:.0f} million are read. Save it smaller."
        )


# ---- From lines to text


def _in_order(found: Sequence[ReadLine]) -> list[Placed]:
    """The lines as a person reads them."""
    if not found:
        return []
    # The slope of the page: that of its long lines, weighted by length. A mean of angles would not
    # do for a page that is upside down, where they are about ±180°. The slope of a short line is
    # not exact enough to tell which words of a table are in one row.
    long = [line for line in found if math.dist(line.start, line.end) > _LONG * line.height]
    across = sum(line.end[0] - line.start[0] for line in long or found)
    down = sum(line.end[1] - line.start[1] for line in long or found)
    if not long:
        across, down = (across, 0.0) if abs(across) > abs(down) else (0.0, down)
    length = math.hypot(across, down) or 1.0
    cos, sin = across / length, down / length
    usual = median(line.height for line in found)
    straight: list[Placed] = []
    for line in found:
        (x1, y1), (x2, y2) = line.start, line.end
        left, right = x1 * cos + y1 * sin, x2 * cos + y2 * sin
        middle = (y1 + y2) / 2 * cos - (x1 + x2) / 2 * sin
        same = usual / _SAME_SIZE < line.height < usual * _SAME_SIZE
        height = usual if same else line.height
        first = len(line.text.split(maxsplit=1)[0]) / len(line.text)
        broken = line.text[-1] == "-" and line.text[-2:-1].isalpha()
        straight.append(
            (
                Line(
                    text=line.text[:-1] if broken else line.text,
                    broken=broken,
                    left=left,
                    right=right,
                    bottom=-middle - height / 2,  # upwards, as in a PDF
                    height=height,
                    word_width=first * (right - left),
                ),
                line,
            )
        )
    return _columns(straight, usual)


def _columns(lines: list[Placed], height: float) -> list[Placed]:
    """Left column, right column, between the lines that run across both; else rows."""
    middle = _gutter([line for line, _ in lines], height)
    if middle is None:
        return _rows(lines)
    ordered: list[Placed] = []
    band: list[Placed] = []

    def end_band() -> None:
        left = [each for each in band if each[0].right <= middle]
        right = [each for each in band if each[0].right > middle]
        ordered.extend(_columns(left, height))
        ordered.extend(_columns(right, height))
        band.clear()

    for each in sorted(lines, key=lambda each: -each[0].bottom):
        if each[0].left < middle < each[0].right:
            end_band()
            ordered.append(each)
        else:
            band.append(each)
    end_band()
    return ordered


def _gutter(lines: Sequence[Line], height: float) -> float | None:
    """Where a gap divides two columns of prose, with the fewest lines across it."""
    best: tuple[int, float] | None = None
    for place in sorted({line.right + _GUTTER * height / 2 for line in lines}):
        left = [line for line in lines if line.right <= place]
        right = [line for line in lines if line.left >= place]
        across = len(lines) - len(left) - len(right)
        if across > _MOST_SPANNING * len(lines) or (best and across >= best[0]):
            continue
        if not (_is_column(left, height) and _is_column(right, height)):
            continue
        start, end = max(line.right for line in left), min(line.left for line in right)
        if end - start >= _GUTTER * height:
            best = across, (start + end) / 2
    return best[1] if best else None


def _is_column(lines: Sequence[Line], height: float) -> bool:
    if len(lines) < 3:
        return False
    usual = median(line.right - line.left for line in lines)
    width = max(line.right for line in lines) - min(line.left for line in lines)
    return usual >= _COLUMN * height and usual >= _FILLED * width


def _rows(lines: Sequence[Placed]) -> list[Placed]:
    """From top to bottom, what stands side by side from left to right."""
    rows: list[list[Placed]] = []
    for each in sorted(lines, key=lambda each: -each[0].bottom):
        line = each[0]
        if rows and abs(rows[-1][0][0].bottom - line.bottom) < _SAME_ROW * line.height:
            rows[-1].append(each)
        else:
            rows.append([each])
    ordered: list[Placed] = []
    for row in rows:
        row.sort(key=lambda each: each[0].left)
        gaps = [after.left - before.right for (before, _), (after, _) in pairwise(row)]
        cells = 1 + sum(gap > _CELL_GAP * row[0][0].height for gap in gaps)
        ordered.extend((replace(line, cells=cells), read) for line, read in row)
    return ordered


def _without_number(lines: list[Placed], numbers: set[str]) -> list[Placed]:
    edges = {*range(_EDGE), *range(len(lines) - _EDGE, len(lines))}
    return [
        each for n, each in enumerate(lines) if not (n in edges and each[0].text in numbers)
    ]


def _section(
    lines: Sequence[Placed], size: tuple[int, int], heading: str, label: str, number: int
) -> Section:
    words = words_of(" ".join(line.text for line, _ in lines))
    text = ""
    places: list[list[int]] = []
    if lines and lines[-1][0].broken:  # the word goes on on another page
        line, read = lines[-1]
        lines = [*lines[:-1], (replace(line, text=read.text, broken=False), read)]
    for n, part in enumerate(page_parts([line for line, _ in lines], words)):
        if n % 2 == 0:
            read = lines[n // 2][1]
            x1, y1, x2, y2 = (
                round(PLACES * value / whole)
                for value, whole in zip((*read.start, *read.end), size * 2, strict=True)
            )
            height = round(PLACES * read.height / size[1])
            confidence = round(100 * read.confidence)
            places.append([len(text), len(text) + len(part), x1, y1, x2, y2, height, confidence])
        text += part
    return Section(text, heading, label, number, places)
