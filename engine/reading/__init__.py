"""Reading: files → Documents, each with its place to cite.

In the app's process, which never opens a file of somebody else's:

    directory.py  folders and lists of files
    archive.py    a ZIP → the files in it
    files.py      one file → Documents and notices
    pdf_pages.py  what one page of a PDF costs, no other pays
    pictures.py   a page → its picture, with the passage marked
    process.py    starts the reading process, asks it, ends it in time
    kinds.py, cleaning.py, limits.py

In the reading process: worker.py, and a module a format. Each gives sections (section.py):
plain.py, hypertext.py, markdown.py, office.py, epub.py, notebook.py, tables.py, records.py, and
pdf*.py.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.reading.archive import ArchivedFile, Unpacked, is_archive, unpack_archive
    from engine.reading.directory import SimpleDirectoryReader
    from engine.reading.files import FileText, read_file
    from engine.reading.kinds import SUPPORTED, SUPPORTED_TYPES
    from engine.reading.pictures import PagePicture, render_page
    from engine.reading.process import ReadingProcess

_HOMES = {
    "ArchivedFile": "archive",
    "FileText": "files",
    "PagePicture": "pictures",
    "ReadingProcess": "process",
    "SUPPORTED": "kinds",
    "SUPPORTED_TYPES": "kinds",
    "SimpleDirectoryReader": "directory",
    "Unpacked": "archive",
    "is_archive": "archive",
    "read_file": "files",
    "render_page": "pictures",
    "unpack_archive": "archive",
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
    "read_file",
    "render_page",
    "unpack_archive",
]


def __getattr__(name: str) -> Any:
    """Imported when first used: the reading process starts in half the time without them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
