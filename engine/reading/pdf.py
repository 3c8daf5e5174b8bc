"""PDF → pages of sections. Runs in the reading process, never in the app's.

PDFium reads: on 1,600 pages of test files it parted words, lines and broken words rightly more
often than pypdf did, opened more of the files, and gave Chinese, Japanese and Korean letters
that pypdf took for others; it says where each letter stands; and 100 dense pages take 0.9 s
with all that is done here, against 1.7 s for pypdf's plain text. pypdf gives a second opinion
where PDFium cannot open a file, finds no text on a page, or finds letters it cannot name.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from engine.errors import DocumentError, LimitExceededError, PasswordNeededError
from engine.reading.hyphens import words_of
from engine.reading.pdf_forms import typed_text
from engine.reading.pdf_layout import characters, page_lines, page_text, unmapped
from engine.reading.pdf_outline import Outline
from engine.reading.section import Section

if TYPE_CHECKING:
    from pypdf import PdfReader

log = logging.getLogger(__name__)

# A page of which more of the letters than this have no name is noise.
_UNREADABLE = 0.5
# A page's number is among so many lines from either end: running heads may be outside it.
_EDGE = 3
# What pypdf gives for letters whose names are "/g18" and the like.
_GLYPH_NAMES = re.compile(r"(?:/[A-Za-z]*\d+){4}")

Legibility = Literal["text", "empty", "unreadable"]


@dataclass(frozen=True, slots=True)
class Page:
    """`number` counts from 1. Without text, `sections` is empty."""

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

    def __init__(self, path: Path, password: str | None, most_pages: int) -> None:
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
        if self.page_count > most_pages:
            raise LimitExceededError(
                f"has {self.page_count} pages; at most {most_pages} are read from one file. "
                "Split it."
            )
        self._words: set[str] = set()

    def pages(self, first: int = 1) -> Iterator[Page]:
        """The pages from number `first` on."""
        for number in range(first, self.page_count + 1):
            text = self._text(number)
            if text is None:
                yield Page(number, [], "unreadable")
            elif not text:
                yield Page(number, [], "empty")
            else:
                label = self._label(number)
                text = _without_number(text, {label, str(number)})
                parts = self._outline.cut(number, text)
                sections = [Section(part, heading, label, number) for part, heading in parts]
                yield Page(number, sections, "text")

    @cached_property
    def _outline(self) -> Outline:
        return Outline(self._document)

    def _text(self, number: int) -> str | None:
        """None where there are letters, and nobody can tell which."""
        text = self._first_opinion(number)
        if text and not unmapped(text):
            return text
        other = self._second.text(number)
        if len(other) > len(text) / 2 and (not text or unmapped(other) < unmapped(text)):
            text = other
        return None if unmapped(text) > _UNREADABLE * len(text) else text

    def _first_opinion(self, number: int) -> str:
        if self._document is None:
            return ""
        try:
            with closing(self._document.get_page(number - 1)) as page:
                with closing(page.get_textpage()) as textpage:
                    raw = characters(textpage)
                    self._words |= words_of(raw)
                    text = page_text(page_lines(textpage, raw), self._words)
                typed = typed_text(self._document, page)
        except pdfium.PdfiumError:
            return ""
        return "\n\n".join(part for part in (text, typed) if part)

    def _label(self, number: int) -> str:
        try:
            label = self._document.get_page_label(number - 1) if self._document else ""
        except UnicodeDecodeError:
            label = ""
        return label.strip() or str(number)


class _SecondOpinion:
    """pypdf on the same file; opened when first asked."""

    def __init__(self, path: Path, password: str | None) -> None:
        self._path, self._password = path, password or ""

    def __len__(self) -> int:
        try:
            return len(self._reader.pages) if self._reader else 0
        except Exception:  # a library that raises what comes up, on files that are broken
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
            raise PasswordNeededError(_WRONG_PASSWORD if password else _NO_PASSWORD) from fault
        raise DocumentError(
            "is damaged, or not a whole PDF. Download it again, or open it in a viewer and print "
            "it to a new PDF."
        ) from fault
    if document.get_formtype() in (pdfium_c.FORMTYPE_ACRO_FORM, pdfium_c.FORMTYPE_XFA_FOREGROUND):
        document.init_forms()
    return document


_NO_PASSWORD = "is protected. Enter its password to have it read."
_WRONG_PASSWORD = "does not open with that password. Enter another."


def _without_number(text: str, numbers: set[str]) -> str:
    """A page's text without the number at its top or bottom."""
    lines = text.split("\n")
    filled = [place for place, line in enumerate(lines) if line.strip()]
    edges = {*filled[:_EDGE], *filled[-_EDGE:]}
    kept = [
        line for place, line in enumerate(lines) if not (place in edges and line.strip() in numbers)
    ]
    return "\n".join(kept).strip() or text
