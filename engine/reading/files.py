"""One file → Documents, and what to tell about it: the way in for the app and for folders.

Files are opened in a process of their own, within the limits of limits.py. This module does not
know where files come from, nor what becomes of their documents.
"""

import hashlib
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from engine.errors import (
    DocumentError,
    EmptyDocumentError,
    LimitExceededError,
    UnsupportedFormatError,
)
from engine.reading.cleaning import clean
from engine.reading.kinds import TEXT_KINDS, kind_of
from engine.reading.limits import MEGABYTE, Limits
from engine.reading.pdf_pages import OnProgress, PdfReading
from engine.reading.process import ReadingProcess, told_of
from engine.reading.section import Section
from engine.run import Run
from engine.schema import Document


@dataclass(frozen=True, slots=True)
class FileText:
    """What a file holds. `notices` are sentences about what of it could not be read, or was
    read otherwise than its name says: no errors, but to be shown.
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
    """Read one file. A ZIP is many: `unpack_archive` makes them of it.

    Its documents share a `source_id`, the sha256 of its content, so that the same file is known
    again. `file_name` is what it is called, where its path says otherwise. `on_progress` gets
    how many pages are read of how many, or 0 and 1 of 1; it is called also while nothing comes.
    `process` is one to use again; without it, one is started and ended.

    Raises:
        UnsupportedFormatError: not a format that can be read.
        EmptyDocumentError: nothing in it, or only pictures of text.
        PasswordNeededError: encrypted, and no password or a wrong one was given.
        LimitExceededError: too large, or it took too much time or memory.
        DocumentError: damaged, or not there.
        Cancelled: `run` was cancelled.
    """
    file = Path(path).expanduser().resolve()
    name = clean(file_name or file.name)
    run = run or Run()

    def tell(done: int, total: int) -> None:
        run.check()
        on_progress(done, total)

    with (
        nullcontext(process) if process else ReadingProcess() as reading_process,
        told_of(name, reading_process.limits),
    ):
        return _read(file, name, password, tell, reading_process)


def _read(
    file: Path, name: str, password: str | None, tell: OnProgress, process: ReadingProcess
) -> FileText:
    size = _size(file, process.limits.file_bytes)
    kind = kind_of(file)
    if kind.name in TEXT_KINDS:
        _size(file, process.limits.text_bytes)
    elif kind.name == "zip":
        raise UnsupportedFormatError("is a ZIP file. Unpack it, and add what is in it.")
    facts = {
        "file_name": name,
        "file_path": clean(str(file)),
        "file_type": kind.name,
        "file_size": size,
        "content_hash": _sha256(file),
    }
    notices = [kind.notice] if kind.notice else []
    if kind.name == "pdf":
        reading = PdfReading(file, password, process)
        sections = _within(reading.sections(tell), process.limits)
        facts["page_count"] = reading.page_count
        notices += reading.notices
    else:
        sections = _within(_sections(file, kind.name, tell, process), process.limits)
    if not sections:
        raise EmptyDocumentError("has no text in it.")
    return FileText(tuple(_documents(sections, facts)), tuple(notices))


def _size(file: Path, most: int) -> int:
    """In bytes, more than 0 and at most `most`."""
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


def _sections(
    file: Path, kind: str, tell: OnProgress, process: ReadingProcess
) -> Generator[Section]:
    tell(0, 1)
    request = {"task": "read", "path": str(file), "kind": kind}
    for reply in process.ask(request, lambda: tell(0, 1)):
        yield Section(**reply["section"])
    tell(1, 1)


def _within(sections: Generator[Section], limits: Limits) -> list[Section]:
    """The sections, cleaned, as long as they are not too much together. Those without text are
    dropped."""
    kept: list[Section] = []
    size = 0
    with closing(sections):  # where it is left early, the reading process ends
        for section in sections:
            text = clean(section.text)
            size += len(text)
            if size > limits.characters:
                raise LimitExceededError(
                    f"has more than {limits.characters:,} characters of text, which is what is "
                    "read of one file. Split it."
                )
            if text.strip():
                kept.append(replace(section, text=text, heading=clean(section.heading)))
    return kept


def _documents(sections: list[Section], facts: dict[str, Any]) -> Iterator[Document]:
    source_id = facts["content_hash"]
    for number, section in enumerate(sections):
        place = {
            "page_label": section.page_label,
            "page_number": section.page_number,
            "heading": section.heading,
        }
        yield Document(
            text=section.text,
            metadata={**facts, **{name: value for name, value in place.items() if value}},
            id_=str(uuid5(NAMESPACE_OID, f"{source_id}\n{number}")),
            source_id=source_id,
        )


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
