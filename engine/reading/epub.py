"""EPUB → sections: the chapters in reading order, cut at their headings."""

import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from lxml import etree

from engine.errors import DocumentError
from engine.reading.hypertext import markup_of, sections_of
from engine.reading.section import Section

_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)


def read_epub(path: Path) -> Iterator[Section]:
    with zipfile.ZipFile(path) as book:
        try:
            chapters = _chapters(book)
        except (KeyError, AttributeError, TypeError) as fault:
            raise DocumentError(
                "is not an EPUB that can be read: its table of files is missing."
            ) from fault
        if not chapters and "META-INF/encryption.xml" in book.namelist():
            raise DocumentError("is locked to its reader (DRM). Use a copy that is not.")
        for name in chapters:
            yield from sections_of(markup_of(book.read(name)))


def _chapters(book: zipfile.ZipFile) -> list[str]:
    """The files of the spine, by way of the container, the package and its manifest."""
    container = etree.fromstring(book.read("META-INF/container.xml"), _PARSER)
    package_name = container.find(".//{*}rootfile").get("full-path")
    package = etree.fromstring(book.read(package_name), _PARSER)
    files = {item.get("id"): item.get("href") for item in package.iter("{*}item")}
    hrefs = [files.get(each.get("idref")) for each in package.iter("{*}itemref")]
    folder = posixpath.dirname(package_name)
    names = [posixpath.normpath(posixpath.join(folder, unquote(href))) for href in hrefs if href]
    return [name for name in names if name in book.NameToInfo]
