"""One file → Documents and notices; a page of a PDF → its picture.

The app's process does not open untrusted files. It sends requests to a separate process
(process.py), which is ended if a file takes too much time or memory.
"""

import hashlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

from engine.config import default_config
from engine.errors import (
    DocumentError,
    EmptyDocumentError,
    LimitExceededError,
    UnsupportedFormatError,
)
from engine.reading.formats import Format, Section, detect_format
from engine.reading.kept_pages import KeptPages
from engine.reading.limits import MEGABYTE, Limits
from engine.reading.paged import OnProgress, PdfReading, PictureReading, Scans
from engine.reading.process import ReadingProcess, errors_about
from engine.reading.text import clean
from engine.run import Run
from engine.schema import Document

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels of the picture."""


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
    on_recognised: OnProgress = lambda *_: None,
    ocr: bool | None = None,
    recognised: Path | None = None,
    run: Run | None = None,
    process: ReadingProcess | None = None,
) -> FileText:
    """Read one file. Unpack a ZIP with `unpack_archive` first.

    The documents share a `source_id`, the sha256 of the file's content, so that the same file is
    recognised. `file_name` is its name if its path has another. `on_progress` gets the number of
    pages read and the number of pages, or 0 and 1 of 1; it is also called while nothing comes.
    `on_recognised` gets the same of the pages whose text is recognised in their pictures, a few
    seconds each. `ocr` False leaves those out; None means as the configuration has it. `recognised`
    is a file that keeps their text, so that the same document is not recognised again. `process` is
    a reading process to use; without it, one is started and ended.

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
    with (
        nullcontext(process) if process else ReadingProcess() as reading_process,
        errors_about(name, reading_process.limits),
    ):
        kind, notice = _checked_format(file, reading_process.limits)
        source_id = _sha256(file)
        scans = Scans(
            file,
            kind.name,
            password,
            reading_process,
            _checking(run, on_recognised),
            KeptPages(recognised),
            default_config().ocr if ocr is None else ocr,
        )
        reading = _reading(file, kind, password, reading_process, scans)
        found = reading.sections(_checking(run, on_progress))
        sections = _within(found, reading_process.limits)
        if not sections:
            raise EmptyDocumentError("has no text in it.")
    sections.sort(key=lambda section: section.page_number)  # recognised pages come last
    facts = {
        "file_name": name,
        "file_path": clean(str(file)),
        "file_type": kind.name,
        "file_size": file.stat().st_size,
        "content_hash": source_id,
        "page_count": reading.page_count,
    }
    notices = (*([notice] if notice else []), *map(clean, reading.notices))
    return FileText(_documents(sections, source_id, facts), notices)


def _checking(run: Run, report: OnProgress) -> OnProgress:
    """A report that ends the reading once `run` is cancelled."""

    def checked_report(done: int, total: int) -> None:
        run.check()
        report(done, total)

    return checked_report


def _checked_format(file: Path, limits: Limits) -> tuple[Format, str]:
    """The format of a file that can be read, and a notice.

    Raises:
        DocumentError: it cannot be read, or is too large.
    """
    _checked_size(file, limits.file_bytes)
    kind, notice = detect_format(file)
    if kind.is_text:
        _checked_size(file, limits.text_bytes)
    elif kind.name == "zip":
        raise UnsupportedFormatError("is a ZIP file. Unpack it, and add the files in it.")
    return kind, notice


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _reading(
    file: Path, kind: Format, password: str | None, process: ReadingProcess, scans: Scans
) -> "_Reading | PdfReading | PictureReading":
    if kind.name == "pdf":
        return PdfReading(file, password, process, scans)
    if kind.name == "picture":
        return PictureReading(file, process, scans)
    return _Reading(file, kind.name, process)


def _documents(
    sections: Sequence[Section], source_id: str, facts: Mapping[str, object]
) -> tuple[Document, ...]:
    known = {name: value for name, value in facts.items() if value != 0}
    return tuple(
        Document(
            text=section.text,
            metadata={**known, **_place(section)},
            id_=str(uuid5(NAMESPACE_OID, f"{source_id}\n{number}")),
            source_id=source_id,
        )
        for number, section in enumerate(sections)
    )


def _checked_size(file: Path, most: int) -> None:
    """
    Raises:
        DocumentError: it has no bytes, or more than `most`.
    """
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
                lines = section.lines if text == section.text else []
                heading = clean(section.heading)
                kept.append(replace(section, text=text, heading=heading, lines=lines))
    return kept


def _place(section: Section) -> dict[str, object]:
    place = {
        "page_label": section.page_label,
        "page_number": section.page_number,
        "heading": section.heading,
        "lines": section.lines,
    }
    return {name: value for name, value in place.items() if value}


class _Reading:
    """Reads any format without pages of its own in one request. `notices` and `page_count` are
    complete after `sections`.
    """

    def __init__(self, path: Path, kind: str, process: ReadingProcess) -> None:
        self.notices: list[str] = []
        self.page_count = 0  # of sheets or slides, where it has them
        self._request = {"task": "read", "path": str(path), "kind": kind}
        self._process = process

    def sections(self, on_progress: OnProgress) -> Generator[Section]:
        on_progress(0, 1)
        for reply in self._process.ask(self._request, lambda: on_progress(0, 1)):
            if "notice" in reply:
                self.notices.append(reply["notice"])
            else:
                section = Section(**reply["section"])
                self.page_count = max(self.page_count, section.page_number)
                yield section
        on_progress(1, 1)


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
    lines: Sequence[Sequence[int]] = (),
    width: int = 1000,
    password: str | None = None,
    run: Run | None = None,
) -> PagePicture:
    """The picture of page `page_number`, from 1, with the passage marked lightly and, in it, the
    sentences strongly. `lines` say where a recognised passage stands: those of its node's metadata.
    `width` is in pixels; a very long page comes narrower, and a small picture as it is. Takes about
    0.2 s of computing.

    Raises:
        PasswordNeededError: the file is encrypted, and no password or a wrong one was given.
        LimitExceededError: it took too much time or memory.
        DocumentError: it is damaged, no PDF, or has no such page.
        Cancelled: `run` was cancelled.
    """
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise DocumentError(f"{file.name} is not there any more.")
    request: dict[str, object] = {
        "task": "picture",
        "path": str(file),
        "lines": [list(line) for line in lines],
        "number": page_number,
        "passage": passage,
        "sentences": list(sentences),
        "width": width,
        "password": password,
    }
    with ReadingProcess(urgent=True) as process, errors_about(file.name, process.limits):
        request["kind"] = detect_format(file)[0].name
        (reply,) = process.ask(request, (run or Run()).check)
    return PagePicture(
        png=reply["data"],
        width=reply["size"][0],
        height=reply["size"][1],
        passage=tuple(tuple(box) for box in reply["passage"]),
        sentences=tuple(tuple(box) for box in reply["sentences"]),
    )
