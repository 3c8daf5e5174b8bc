"""PDF → pages of sections: opening, text, form fields, bookmarks, legibility.

This runs in the reading process. PDFium reads the text. On 1,600 pages of test files, it separated
words and lines and joined broken words correctly more often than pypdf did, opened more of the
files, and returned Chinese, Japanese and Korean letters that pypdf mistook for others. It also has
the position of each letter. 100 dense pages take 0.9 s with all steps of this module, and 1.7 s for
only the text with pypdf. pypdf is used if PDFium cannot open a file, finds no text on a page, or
finds letters without names.
"""

import ctypes
import logging
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from engine.errors import DocumentError, LimitExceededError, PasswordNeededError
from engine.reading.formats import Section, heading_path
from engine.reading.pdf_layout import characters, page_lines, page_text, unmapped
from engine.reading.text import is_rubbish, words_of

if TYPE_CHECKING:
    from PIL import Image
    from pypdf import PdfReader

log = logging.getLogger(__name__)

# A page is unreadable if more of its letters than this have no name.
_UNREADABLE = 0.5
# A page's number is within this many lines from the top or the bottom, after running heads.
_EDGE = 3
# pypdf's text for letters with names such as "/g18".
_GLYPH_NAMES = re.compile(r"(?:/[A-Za-z]*\d+){4}")

# A page is a picture if pictures cover at least this share of it and it has at most this many
# letters and digits, such as a scanner's stamp, a watermark or a page number. A page of prose has
# 1,500 or more.
_PICTURE_COVER = 0.5
_PICTURE_LETTERS = 150
_MOST_OBJECTS = 5_000  # objects of such a page that are checked

_MOST_BOOKMARKS = 10_000  # a reference book has 2,000; a malicious file may have any number
_LINE = re.compile(r"[^\n]+")
_CHAPTER_NUMBER = re.compile(r"(?<![\d.])\d[\d.]*\s")
_TITLE_LENGTH = 100  # characters; a part no longer than this is a title or a running head

_TEXT_FIELDS = (
    pdfium_c.FPDF_FORMFIELD_TEXTFIELD,
    pdfium_c.FPDF_FORMFIELD_COMBOBOX,
    pdfium_c.FPDF_FORMFIELD_LISTBOX,
)

Legibility = Literal["text", "picture", "rubbish", "empty", "unreadable"]
"""picture: `sections` hold the few words that are not in the picture, if there are any. rubbish:
they hold a text that lies under a picture, in which hardly a word is one. empty and unreadable:
without sections; unreadable if the font does not say what its letters are."""


@dataclass(frozen=True, slots=True)
class Page:
    """`number` counts from 1."""

    number: int
    sections: list[Section]
    legibility: Legibility


class Pdf:
    """An open PDF.

    Raises:
        PasswordNeededError: it is encrypted, and the password is not given or wrong.
        DocumentError: neither library can open it.
        LimitExceededError: it has more pages than that.
    """

    def __init__(self, path: Path, password: str | None, most_pages: int = 0) -> None:
        self._second = _SecondOpinion(path, password)
        self._document: pdfium.PdfDocument | None = None
        try:
            self._document = open_pdf(path, password)
        except PasswordNeededError:
            raise
        except DocumentError:
            if not len(self._second):
                raise
        self.page_count = len(self._document or self._second)
        if most_pages and self.page_count > most_pages:
            raise LimitExceededError(
                f"has {self.page_count} pages; at most {most_pages} are read from one file. "
                "Split it."
            )
        self._words: set[str] = set()

    def pages(self, first: int = 1) -> Iterator[Page]:
        """The pages from number `first` on."""
        for number in range(first, self.page_count + 1):
            text, drawn = self._text(number)
            if text is None:
                yield Page(number, [], "unreadable")
            elif not text:
                yield Page(number, [], drawn or "empty")
            else:
                label = self.label(number)
                text = _without_number(text, {label, str(number)})
                parts = self._outline.cut(number, text)
                sections = [Section(part, heading, label, number) for part, heading in parts]
                yield Page(number, sections, drawn or "text")

    def label(self, number: int) -> str:
        """The number of a page as printed."""
        try:
            label = self._document.get_page_label(number - 1) if self._document else ""
        except UnicodeDecodeError:
            label = ""
        return label.strip() or str(number)

    def heading(self, number: int) -> str:
        """The titles of the outline that a page belongs to, if it begins with one or has none."""
        return self._outline.heading(number)

    def picture(self, number: int, scale: float, most_pixels: int) -> "Image.Image":
        """A page as it is shown, with `scale` pixels for a point, or fewer.

        Raises:
            DocumentError: PDFium cannot open it.
        """
        if self._document is None:
            raise DocumentError("cannot be drawn.")
        with closing(self._document.get_page(number - 1)) as page:
            points = page.get_width() * page.get_height()
            scale = min(scale, (most_pixels / points) ** 0.5)
            picture: Image.Image = page.render(scale=scale).to_pil().convert("RGB")
            return picture

    @cached_property
    def _outline(self) -> "_Outline":
        return _Outline(self._document)

    def _text(self, number: int) -> tuple[str | None, Literal["picture", "rubbish"] | None]:
        """The text, and what it is under or beside a picture of the whole page. None in place of
        the text if most letters are unknown."""
        text = ""
        drawn: Literal["picture", "rubbish"] | None = None
        if self._document is not None:
            try:
                with closing(self._document.get_page(number - 1)) as page:
                    with closing(page.get_textpage()) as textpage:
                        raw = characters(textpage)
                        self._words |= words_of(raw)
                        text = page_text(page_lines(textpage, raw), self._words)
                    few = sum(map(str.isalnum, text)) <= _PICTURE_LETTERS
                    if (few or is_rubbish(text)) and _picture_cover(page) >= _PICTURE_COVER:
                        drawn = "picture" if few else "rubbish"
                    typed = _typed_text(self._document, page)
                    text = "\n\n".join(part for part in (text, typed) if part)
            except pdfium.PdfiumError:
                text = ""
        if not text or unmapped(text):
            other = self._second.text(number)
            if len(other) > len(text) / 2 and (not text or unmapped(other) < unmapped(text)):
                text = other
        return (None if unmapped(text) > _UNREADABLE * len(text) else text), drawn


class _SecondOpinion:
    """pypdf on the same file, opened on first use."""

    def __init__(self, path: Path, password: str | None) -> None:
        self._path, self._password = path, password or ""

    def __len__(self) -> int:
        try:
            return len(self._reader.pages) if self._reader else 0
        except Exception:  # on broken files it raises errors of any kind
            log.exception("pypdf could not count the pages")
            return 0

    def text(self, number: int) -> str:
        try:
            text = self._reader.pages[number - 1].extract_text() if self._reader else ""
        except Exception:
            log.exception("pypdf could not read page %d", number)
            return ""
        return "" if _GLYPH_NAMES.search(text) else text.strip()

    @cached_property
    def _reader(self) -> "PdfReader | None":
        from pypdf import PdfReader

        logging.getLogger("pypdf").setLevel(logging.CRITICAL)
        try:
            reader = PdfReader(self._path)
            return reader if not reader.is_encrypted or reader.decrypt(self._password) else None
        except Exception:
            log.exception("pypdf could not open the file")
            return None


def open_pdf(path: Path, password: str | None) -> pdfium.PdfDocument:
    """
    Raises:
        PasswordNeededError: it is encrypted, and the password is not given or wrong.
        DocumentError: it cannot be opened.
    """
    try:
        document = pdfium.PdfDocument(path, password=password)
    except pdfium.PdfiumError as fault:
        if fault.err_code == pdfium_c.FPDF_ERR_PASSWORD:
            raise PasswordNeededError(
                "does not open with that password. Enter another."
                if password
                else "is protected by a password. Enter it to have the file read."
            ) from fault
        raise DocumentError(
            "is damaged, or not a whole PDF. Download it again, or open it in a viewer and print "
            "it to a new PDF."
        ) from fault
    if document.get_formtype() in (pdfium_c.FORMTYPE_ACRO_FORM, pdfium_c.FORMTYPE_XFA_FOREGROUND):
        document.init_forms()
    return document


def _without_number(text: str, numbers: set[str]) -> str:
    """A page's text without the number at its top or bottom."""
    lines = text.split("\n")
    filled = [place for place, line in enumerate(lines) if line.strip()]
    edges = {*filled[:_EDGE], *filled[-_EDGE:]}
    kept = [
        line for place, line in enumerate(lines) if not (place in edges and line.strip() in numbers)
    ]
    return "\n".join(kept).strip() or text


def _picture_cover(page: pdfium.PdfPage) -> float:
    """The share of the page that its pictures cover, in steps of 1 %."""
    left, bottom, right, top = page.get_bbox()
    if right <= left or top <= bottom:
        return 0.0

    def tenths(start: float, end: float, whole: float) -> range:
        return range(*(round(10 * min(max(each / whole, 0), 1)) for each in (start, end)))

    covered: set[tuple[int, int]] = set()
    for drawn in islice(page.get_objects(max_depth=1), _MOST_OBJECTS):
        if _draws_picture(drawn.raw):
            x1, y1, x2, y2 = drawn.get_bounds()
            columns = tenths(x1 - left, x2 - left, right - left)
            rows = tenths(y1 - bottom, y2 - bottom, top - bottom)
            covered.update((column, row) for column in columns for row in rows)
    return len(covered) / 100


def _draws_picture(drawn: Any, depth: int = 0) -> bool:
    """Whether a page object is a picture, or a form with one inside."""
    kind = pdfium_c.FPDFPageObj_GetType(drawn)
    if kind != pdfium_c.FPDF_PAGEOBJ_FORM or depth > 2:
        return bool(kind == pdfium_c.FPDF_PAGEOBJ_IMAGE)
    inside = range(min(pdfium_c.FPDFFormObj_CountObjects(drawn), 100))
    return any(
        _draws_picture(pdfium_c.FPDFFormObj_GetObject(drawn, number), depth + 1)
        for number in inside
    )


def _typed_text(document: pdfium.PdfDocument, page: pdfium.PdfPage) -> str:
    """The text typed into a page, which PDFium's text does not include: one line for each form
    field,
    "name: value", and for each free text.
    """
    lines: list[str] = []
    for number in range(pdfium_c.FPDFPage_GetAnnotCount(page)):
        if annotation := pdfium_c.FPDFPage_GetAnnot(page, number):
            lines.append(_typed_line(document.formenv, annotation))
            pdfium_c.FPDFPage_CloseAnnot(annotation)
    return "\n".join(filter(None, lines))


def _typed_line(forms: pdfium.PdfFormEnv | None, annotation: Any) -> str:
    kind = pdfium_c.FPDFAnnot_GetSubtype(annotation)
    if kind == pdfium_c.FPDF_ANNOT_FREETEXT:
        return _string(
            lambda *out: pdfium_c.FPDFAnnot_GetStringValue(annotation, b"Contents", *out)
        )
    if kind != pdfium_c.FPDF_ANNOT_WIDGET or forms is None:
        return ""
    if pdfium_c.FPDFAnnot_GetFormFieldType(forms, annotation) not in _TEXT_FIELDS:
        return ""
    name = _string(
        lambda *out: pdfium_c.FPDFAnnot_GetFormFieldAlternateName(forms, annotation, *out)
    )
    value = _string(lambda *out: pdfium_c.FPDFAnnot_GetFormFieldValue(forms, annotation, *out))
    if name and value:
        return f"{name}: {value}"
    return value if any(map(str.isalpha, value)) else ""  # a single "0" has no meaning


def _string(read: Callable[[Any, int], int]) -> str:
    """A string from PDFium. The first call returns its length in bytes, the second the string."""
    size = read(None, 0)
    if size <= 2:
        return ""
    buffer = ctypes.create_string_buffer(size)
    read(ctypes.cast(buffer, ctypes.POINTER(pdfium_c.FPDF_WCHAR)), size)
    return " ".join(buffer.raw[: size - 2].decode("utf-16-le", "replace").split())


class _Outline:
    """Cuts a page's text at the titles that the bookmarks place on it.

    A title that is not found there counts from where the page begins.
    """

    def __init__(self, document: pdfium.PdfDocument | None) -> None:
        # page number → for each bookmark of that page, the titles from the uppermost to its own
        self._titles_on: dict[int, list[list[str]]] = defaultdict(list)
        titles: list[str] = []
        for bookmark in islice(document.get_toc(), _MOST_BOOKMARKS) if document else ():
            try:
                title = " ".join(bookmark.get_title().split())
            except UnicodeDecodeError:
                title = ""
            titles = [*titles[: bookmark.level], title]
            destination = bookmark.get_dest()
            index = destination.get_index() if destination else None
            if title and index is not None:
                self._titles_on[index + 1].append(titles)
        self._pages = sorted(self._titles_on)

    def heading(self, number: int) -> str:
        """The first title placed on this page, else the last one before it."""
        if number in self._titles_on:
            return heading_path(self._titles_on[number][0])
        before = bisect_left(self._pages, number)
        return heading_path(self._titles_on[self._pages[before - 1]][-1]) if before else ""

    def cut(self, number: int, text: str) -> list[tuple[str, str]]:
        """(part, heading) of this page. A title with nothing under it goes with what follows."""
        before = bisect_left(self._pages, number)
        heading = heading_path(self._titles_on[self._pages[before - 1]][-1]) if before else ""
        if number not in self._titles_on:
            return [(text, heading)]
        lines: dict[str, list[int]] = defaultdict(list)  # where each line begins
        for line in _LINE.finditer(text):
            lines[_letters(line.group())].append(line.start())
        parts: list[tuple[str, str]] = []
        start = 0
        for titles in self._titles_on[number]:
            starts = lines.get(_letters(titles[-1]) or "\n", [])
            place = next(iter(starts[bisect_left(starts, start) :]), None)
            above = text[start:place].strip()
            if place is not None and ("\n" in above or len(above) > _TITLE_LENGTH):
                parts.append((above, heading))
                start = place
            heading = heading_path(titles)
        return [*parts, (text[start:].strip(), heading)]


def _letters(line: str) -> str:
    """What identifies a title, whatever its number and signs."""
    return "".join(filter(str.isalnum, _CHAPTER_NUMBER.sub("", line, count=1).lower()))
