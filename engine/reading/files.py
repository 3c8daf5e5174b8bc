"""One file → Documents and notices; a page of a PDF → its picture.

The app's process does not open untrusted files. It sends requests to a separate process
(process.py), which is ended if a file takes too much time or memory.
"""

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

from engine.errors import (
    DocumentError,
    EmptyDocumentError,
    LimitExceededError,
    UnsupportedFormatError,
)
from engine.reading.formats import Section, detect_format
from engine.reading.limits import MEGABYTE, Limits
from engine.reading.process import (
    ProcessDied,
    ReadingProcess,
    Reason,
    cost,
    error_of,
    errors_about,
)
from engine.reading.text import clean
from engine.run import Run
from engine.schema import Document

OnProgress = Callable[[int, int], None]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels of the picture."""

_USE_OCR = "A copy with recognised text (OCR) can be read."
_PRINT_AGAIN = "Open the file in a viewer, and print it to a new PDF."
_SHORT_TEXT = 100  # characters of a page that may be no more than a stamp or a watermark


@dataclass(frozen=True, slots=True)
class FileText:
    """The text of a file. `notices` are sentences for the user about parts that could not be read,
    or about a format that differs from the file's name.
    """

    documents: tuple[Document, ...]
    notices: tuple[str, ...] = ()


def read_file(
    path: Path | str,
    *,
    file_name: str | None = None,
    password: str | None = None,
    on_progress: OnProgress = lambda *_: None,
    run: Run | None = None,
    process: ReadingProcess | None = None,
) -> FileText:
    """Read one file. Unpack a ZIP with `unpack_archive` first.

    The documents share a `source_id`, the sha256 of the file's content, so that the same file is
    recognised. `file_name` is the file's name if its path has another. `on_progress` gets the
    number of pages read and the total, or 0 and 1 of 1; it is also called while the process is
    busy. `process` is the reading process to use; without it, one is started and ended.

    Raises:
        UnsupportedFormatError: not a format that can be read.
        EmptyDocumentError: it is empty, or has only pictures of text.
        PasswordNeededError: encrypted, and no password or a wrong one was given.
        LimitExceededError: too large, or it took too much time or memory.
        DocumentError: damaged, or not there.
        Cancelled: `run` was cancelled.
    """
    file = Path(path).expanduser().resolve()
    name = clean(file_name or file.name)
    run = run or Run()

    def report(done: int, total: int) -> None:
        run.check()
        on_progress(done, total)

    with (
        nullcontext(process) if process else ReadingProcess() as reading_process,
        errors_about(name, reading_process.limits),
    ):
        limits = reading_process.limits
        size = _checked_size(file, limits.file_bytes)
        kind, notice = detect_format(file)
        if kind.is_text:
            _checked_size(file, limits.text_bytes)
        elif kind.name == "zip":
            raise UnsupportedFormatError("is a ZIP file. Unpack it, and add the files in it.")
        with file.open("rb") as opened:
            source_id = hashlib.file_digest(opened, "sha256").hexdigest()
        facts: dict[str, object] = {
            "file_name": name,
            "file_path": clean(str(file)),
            "file_type": kind.name,
            "file_size": size,
            "content_hash": source_id,
        }
        reading: _Reading | _PdfReading
        if kind.name == "pdf":
            reading = _PdfReading(file, password, reading_process)
        else:
            reading = _Reading(file, kind.name, reading_process)
        sections = _within(reading.sections(report), limits)
        if not sections:
            raise EmptyDocumentError("has no text in it.")
        if isinstance(reading, _PdfReading):
            facts["page_count"] = reading.page_count
    return FileText(
        tuple(
            Document(
                text=section.text,
                metadata={**facts, **_place(section)},
                id_=str(uuid5(NAMESPACE_OID, f"{source_id}\n{number}")),
                source_id=source_id,
            )
            for number, section in enumerate(sections)
        ),
        (*([notice] if notice else []), *map(clean, reading.notices)),
    )


def _checked_size(file: Path, most: int) -> int:
    """The size in bytes. Raises if it is 0 or larger than `most`."""
    if not file.is_file():
        raise DocumentError("is a folder." if file.is_dir() else f"is not there: {file}.")
    size = file.stat().st_size
    if not size:
        raise EmptyDocumentError("is empty.")
    if size > most:
        raise LimitExceededError(
            f"has {size / MEGABYTE:,.0f} MB; at most {most / MEGABYTE:,.0f} MB are read of a file "
            "of this kind. Split it."
        )
    return size


def _within(sections: Generator[Section], limits: Limits) -> list[Section]:
    """The sections that have text, cleaned.

    Raises:
        LimitExceededError: together they are too long.
    """
    kept: list[Section] = []
    size = 0
    with closing(sections):  # an error ends the reading process
        for section in sections:
            text = clean(section.text)
            size += len(text)
            if size > limits.characters:
                raise LimitExceededError(
                    f"has more than {limits.characters:,} characters of text; no more are read of "
                    "one file. Split it."
                )
            if text.strip():
                kept.append(replace(section, text=text, heading=clean(section.heading)))
    return kept


def _place(section: Section) -> dict[str, object]:
    place = {
        "page_label": section.page_label,
        "page_number": section.page_number,
        "heading": section.heading,
    }
    return {name: value for name, value in place.items() if value}


class _Reading:
    """Reads any format except PDF in one request. `notices` are complete after `sections`."""

    def __init__(self, path: Path, kind: str, process: ReadingProcess) -> None:
        self.notices: list[str] = []
        self._request = {"task": "read", "path": str(path), "kind": kind}
        self._process = process

    def sections(self, on_progress: OnProgress) -> Generator[Section]:
        on_progress(0, 1)
        for reply in self._process.ask(self._request, lambda: on_progress(0, 1)):
            if "notice" in reply:
                self.notices.append(reply["notice"])
            else:
                yield Section(**reply["section"])
        on_progress(1, 1)


class _PdfReading:
    """Reads the pages of a PDF. A page that takes too much time or memory, or crashes the process,
    is left out, and a new process continues with the next page. `notices` are complete after
    `sections`.
    """

    def __init__(self, path: Path, password: str | None, process: ReadingProcess) -> None:
        self.page_count = 0
        self._path, self._password, self._process = path, password, process
        self._next = 1
        self._pages: dict[str, list[int]] = defaultdict(list)  # legibility → page numbers
        self._lost: dict[int, Reason] = {}
        self._texts: dict[int, str] = {}  # of pages with little text, without digits

    def sections(self, on_progress: OnProgress) -> Generator[Section]:
        """
        Raises:
            EmptyDocumentError: no page has text.
            LimitExceededError: the file, or every page with text, exceeded a limit.
            PasswordNeededError, DocumentError: from the reading process.
        """
        end = time.monotonic() + self._process.limits.seconds_per_file
        found = False
        while not self.page_count or self._next <= self.page_count:
            try:
                for section in self._sections_from_next(on_progress):
                    found = True
                    yield section
            except ProcessDied as death:
                if not self.page_count:
                    raise
                self._lost[self._next] = death.reason
                self._next += 1
                if len(self._lost) >= self._process.limits.lost_pages or time.monotonic() > end:
                    break
        if found:
            return
        if self._lost:
            raise error_of(next(iter(self._lost.values())), self._process.limits)
        if self._pages["unreadable"]:
            raise EmptyDocumentError(f"has only letters that their font does not name. {_USE_OCR}")
        one = self.page_count == 1
        drawn = "a picture" if one else "pictures"
        if len(self._pages["picture"]) < self.page_count:
            drawn = "blank, or pictures of text"
        raise EmptyDocumentError(
            f"has no text: its {'page is' if one else 'pages are'} {drawn}. {_USE_OCR}"
        )

    def _sections_from_next(self, on_progress: OnProgress) -> Iterator[Section]:
        request = {
            "task": "read_pdf",
            "path": str(self._path),
            "password": self._password,
            "first": self._next,
            "most_pages": self._process.limits.pages,
        }

        def report() -> None:
            on_progress(self._next - 1, self.page_count)

        for reply in self._process.ask(request, report):
            self.page_count = reply.get("page_count", self.page_count)
            if page := reply.get("page"):
                self._next = page["number"] + 1
                self._pages[page["legibility"]].append(page["number"])
                sections = [Section(**each) for each in page["sections"]]
                text = " ".join(section.text for section in sections)
                if 0 < len(text) <= _SHORT_TEXT:
                    words = "".join(char for char in text if not char.isdigit())
                    self._texts[page["number"]] = " ".join(words.split())
                yield from sections
            report()

    @property
    def notices(self) -> Iterator[str]:
        if pictures := self._pages["picture"]:
            are = "it is a picture" if len(pictures) == 1 else "they are pictures"
            few = ", but for a few words" if self._texts.keys() & set(pictures) else ""
            yield f"{_pages(pictures, 'was', 'were')} not read: {are}{few}. {_USE_OCR}"
        if empty := self._pages["empty"]:
            yield f"{_pages(empty)} no text: blank, or pictures of text. {_USE_OCR}"
        with_text = self._pages["text"]
        texts = {self._texts.get(number, "") for number in with_text}
        if len(with_text) > 1 and len(texts) == 1 and (text := texts.pop()):
            yield (
                f"{_pages(with_text)} only the same few words, “{text}”. What else is on them is "
                f"drawn, and was not read. {_USE_OCR}"
            )
        if unreadable := self._pages["unreadable"]:
            yield f"{_pages(unreadable)} letters that their font does not name. {_USE_OCR}"
        for reason in ("time", "memory", "crash"):
            if numbers := [n for n, why in self._lost.items() if why == reason]:
                limit = cost(reason, self._process.limits)
                yield f"{_pages(numbers)} been left out: reading {limit}."
        if self._next <= self.page_count:
            rest = _pages(range(self._next, self.page_count + 1))
            yield f"{rest} been left out: too much time was lost before. {_PRINT_AGAIN}"


def _pages(numbers: Iterable[int], one: str = "has", many: str = "have") -> str:
    """[3, 4, 5, 9] → "Pages 3–5, 9 have"."""
    runs: list[str] = []
    for _, run in groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        last = f"–{members[-1]}" if len(members) > 1 else ""
        runs.append(f"{members[0]}{last}")
    single = len(runs) == 1 and "–" not in runs[0]
    return f"Page {runs[0]} {one}" if single else f"Pages {', '.join(runs)} {many}"


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A PNG of `width` by `height` pixels, and the boxes that are marked in it. If the passage was
    not found on the page, there are no boxes.
    """

    png: bytes
    width: int
    height: int
    passage: tuple[Box, ...] = ()
    sentences: tuple[Box, ...] = ()

    @property
    def marked(self) -> bool:
        return bool(self.passage or self.sentences)


def render_page(
    path: Path | str,
    page_number: int,
    *,
    passage: str = "",
    sentences: Sequence[str] = (),
    width: int = 1000,
    password: str | None = None,
    run: Run | None = None,
) -> PagePicture:
    """The picture of page `page_number`, from 1. The passage is marked in a light colour, and the
    sentences in it in a strong colour. `width` is in pixels; the picture of a very long page is
    narrower. This takes about 0.2 s of computing.

    Raises:
        PasswordNeededError: the file is encrypted, and no password or a wrong one was given.
        LimitExceededError: it took too much time or memory.
        DocumentError: it is damaged, no PDF, or has no such page.
        Cancelled: `run` was cancelled.
    """
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise DocumentError(f"{file.name} is not there any more.")
    request = {
        "task": "picture",
        "path": str(file),
        "number": page_number,
        "passage": passage,
        "sentences": list(sentences),
        "width": width,
        "password": password,
    }
    with ReadingProcess(urgent=True) as process, errors_about(file.name, process.limits):
        (reply,) = process.ask(request, (run or Run()).check)
    return PagePicture(
        png=reply["picture"],
        width=reply["size"][0],
        height=reply["size"][1],
        passage=tuple(tuple(box) for box in reply["passage"]),
        sentences=tuple(tuple(box) for box in reply["sentences"]),
    )
