"""Reading: files → Documents, each with a place that can be cited.

In the app's process, which does not open untrusted files:

    files.py     one file → Documents and notices; a page of a PDF → its picture
    paged.py     files of pages: PDFs and pictures, page by page
    kept_pages.py    recognised pages, so that none is recognised twice
    folders.py   folders, lists of files, ZIP files, and files attached to mails
    formats.py   the formats, how to recognise them, and how to add one
    process.py   starts the reading process, sends requests, and ends it; limits.py has its limits

In the reading process (worker.py), by format:

    text.py      plain text and code; decoding and cleaning
    markup.py    HTML, Markdown, EPUB, notebooks
    office.py    DOCX, PPTX, ODT, RTF
    tables.py    CSV, JSON
    sheets.py    spreadsheets, as workbooks.py reads their cells and number_formats.py shows them
    mail.py      mails
    pdf.py       PDF, with pdf_layout.py for its lines and paragraphs, and pdf_page.py for pictures
    scans.py     pages that are pictures; ocr.py recognises their lines
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.reading.files import FileText, PagePicture, read_file, render_page
    from engine.reading.folders import (
        ArchivedFile,
        SimpleDirectoryReader,
        Unpacked,
        is_archive,
        is_mail,
        unpack_archive,
        unpack_mail,
    )
    from engine.reading.formats import SUPPORTED, SUPPORTED_TYPES
    from engine.reading.process import ReadingProcess

_MODULES = {
    "ArchivedFile": "folders",
    "FileText": "files",
    "PagePicture": "files",
    "ReadingProcess": "process",
    "SUPPORTED": "formats",
    "SUPPORTED_TYPES": "formats",
    "SimpleDirectoryReader": "folders",
    "Unpacked": "folders",
    "is_archive": "folders",
    "is_mail": "folders",
    "read_file": "files",
    "render_page": "files",
    "unpack_archive": "folders",
    "unpack_mail": "folders",
}

__all__ = [
    "SUPPORTED",
    "SUPPORTED_TYPES",
    "ArchivedFile",
    "FileText",
    "PagePicture",
    "ReadingProcess",
    "SimpleDirectoryReader",
    "Unpacked",
    "is_archive",
    "is_mail",
    "read_file",
    "render_page",
    "unpack_archive",
    "unpack_mail",
]


def __getattr__(name: str) -> Any:
    """Import on first use. Otherwise the reading process would take twice as long to start."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
