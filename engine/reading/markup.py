"""Formats that are read as HTML: HTML, Markdown, EPUB, notebooks.

`sections_of` makes sections from HTML: the visible text, cut at headings. It downloads nothing and
runs no scripts. Scripts, styles, pictures and the addresses of links are left out.
"""

import html
import json
import posixpath
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from lxml import etree
from lxml.html import HtmlElement, HTMLParser, document_fromstring
from markdown_it import MarkdownIt

from engine.errors import DocumentError
from engine.reading.formats import Section, heading_path
from engine.reading.tables import table_lines
from engine.reading.text import decode

_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?([\w-]+)""")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # terminal colours, in a notebook's outputs
_XML = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)

_UNSEEN = re.compile(
    "audio|button|canvas|datalist|iframe|math|noscript|object|script|select|style|svg|"
    "template|title|video"
)
_INLINE = re.compile(
    "a|abbr|acronym|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|img|input|ins|kbd|label|mark|"
    "q|rp|rt|ruby|s|samp|small|span|strike|strong|sub|sup|time|tt|u|var|wbr"
)
_SPACED = re.compile("blockquote|dl|figure|h[1-6]|hr|ol|p|pre|table|ul")
_LEVELS = {f"h{level}": level for level in range(1, 7)}
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden")
# A table that contains any of these is used for the page's layout, and is read as blocks.
_LAYOUT = ["table", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "pre", "form"]


def read_html(path: Path) -> Iterator[Section]:
    return sections_of(_markup(path.read_bytes()))


def read_markdown(path: Path) -> Iterator[Section]:
    text = decode(path.read_bytes()).replace("\r\n", "\n")
    if front := _FRONT_MATTER.match(text):
        yield Section(front[1])
        text = text[front.end() :]
    yield from sections_of(_html_of_markdown(text))


def read_epub(path: Path) -> Iterator[Section]:
    """The chapters in reading order. The container names the package, which has the spine."""
    with zipfile.ZipFile(path) as book:
        try:
            container = etree.fromstring(book.read("META-INF/container.xml"), _XML)
            package_name = container.find(".//{*}rootfile").get("full-path")
            package = etree.fromstring(book.read(package_name), _XML)
            files = {item.get("id"): item.get("href") for item in package.iter("{*}item")}
            hrefs = [files.get(each.get("idref")) for each in package.iter("{*}itemref")]
            folder = posixpath.dirname(package_name)
            names = [
                posixpath.normpath(posixpath.join(folder, unquote(href))) for href in hrefs if href
            ]
            chapters = [name for name in names if name in book.NameToInfo]
        except (KeyError, AttributeError, TypeError) as fault:
            raise DocumentError(
                "is not an EPUB that can be read: its table of files is missing."
            ) from fault
        if not chapters and "META-INF/encryption.xml" in book.namelist():
            raise DocumentError("is copy-protected (DRM). Use a copy that is not.")
        for name in chapters:
            yield from sections_of(_markup(book.read(name)))


def read_notebook(path: Path) -> Iterator[Section]:
    """Prose, code, and the text of the outputs. Headings go with the code below them."""
    try:
        notebook = json.loads(decode(path.read_bytes()))
        cells = notebook.get("cells") or notebook["worksheets"][0]["cells"]  # until format 3
        page = "\n".join(_html_of_cell(cell) for cell in cells)
    except (ValueError, LookupError, TypeError, AttributeError) as fault:
        raise DocumentError(
            "is not a notebook that can be read. Save it again from Jupyter."
        ) from fault
    return sections_of(page)


def _html_of_cell(cell: Mapping[str, Any]) -> str:
    def text(lines: str | list[str], between: str = "") -> str:
        return lines if isinstance(lines, str) else between.join(lines)

    source = text(cell.get("source", cell.get("input", "")))
    if cell["cell_type"] == "code":
        blocks = [source]
        for output in cell.get("outputs", []):
            shown = output.get("data", output)  # of a picture, text/plain is its description
            lines = shown.get("text/plain") or output.get("text") or output.get("traceback") or ""
            blocks.append(_ESCAPES.sub("", text(lines, "\n" if "traceback" in output else "")))
        return "".join(f"<pre>{html.escape(block)}</pre>" for block in blocks if block.strip())
    if cell["cell_type"] == "heading":  # until format 3
        source = f"{'#' * cell.get('level', 1)} {source}"
    return _html_of_markdown(source)


def _html_of_markdown(markdown: str) -> str:
    """CommonMark, with tables and strikethrough."""
    page: str = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)
    return page


def _markup(data: bytes) -> str:
    """Markup from bytes, in the encoding that it declares, if any."""
    declared = _CHARSET.search(data[:4096])
    return decode(data, declared[1].decode() if declared else None)


def sections_of(markup: str) -> Iterator[Section]:
    """The sections of a page. The text before its first heading has the page's title."""
    parser = HTMLParser(huge_tree=True, remove_comments=True, remove_pis=True, encoding="utf-8")
    try:
        root = document_fromstring(markup.encode("utf-8", "replace"), parser=parser)
    except etree.ParserError:  # nothing but space and comments
        return
    if any("depth" in entry.message for entry in parser.error_log):  # libxml2 stops at 2,048
        yield Section(_without_tags(markup))
        return
    title = " ".join((root.findtext(".//title") or "").split())
    yield from _sections(_Walk().lines(root), title)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of text. With a level it is a heading; if it is empty, a gap between paragraphs."""

    text: str
    level: int = 0


class _Walk:
    """One pass over the elements, without recursion, because elements may be nested deeply."""

    def __init__(self) -> None:
        self._inline: list[str] = []
        self._pre = 0

    def lines(self, root: HtmlElement) -> Iterator[_Line]:
        walk = etree.iterwalk(root, events=("start", "end"))
        skipped = None
        for event, element in walk:
            if event == "start" and (_is_unseen(element) or _is_data_table(element)):
                skipped = element
                walk.skip_subtree()
                if element.tag == "table":
                    yield from self._flush()
                    yield from map(_Line, ["", *_table(element), ""])
            elif event == "start":
                yield from self._start(element)
            else:
                if element is not skipped:
                    yield from self._end(element)
                self._inline.append(element.tail or "")
        yield from self._flush()

    def _start(self, element: HtmlElement) -> Iterator[_Line]:
        if not _INLINE.fullmatch(element.tag):
            yield from self._flush()
        if _SPACED.fullmatch(element.tag):
            yield _Line("")
        if element.tag == "li":
            self._inline.append("- ")
        self._pre += element.tag == "pre"
        self._inline.append(element.text or "")

    def _end(self, element: HtmlElement) -> Iterator[_Line]:
        if element.tag in _LEVELS:
            title = " ".join("".join(self._inline).split())
            self._inline = []
            yield _Line(title, _LEVELS[element.tag])
        elif not _INLINE.fullmatch(element.tag):
            yield from self._flush()
        if _SPACED.fullmatch(element.tag):
            yield _Line("")
        self._pre -= element.tag == "pre"

    def _flush(self) -> Iterator[_Line]:
        text = "".join(self._inline)
        self._inline = []
        if self._pre:
            yield from (_Line(line.rstrip()) for line in text.strip("\n").split("\n"))
        elif line := " ".join(text.split()):
            yield _Line(line)


def _sections(lines: Iterable[_Line], title: str) -> Iterator[Section]:
    """The sections of the lines. A heading without text is in the path of the headings below it; if
    there are none, it is a section."""
    path: list[_Line] = []
    body: list[str] = []
    for line in lines:
        if not (line.level and line.text):
            body.append(line.text)
            continue
        section = _section(path, body, title)
        if section and (any(map(str.strip, body)) or line.level <= path[-1].level):
            yield section
        path = [*(above for above in path if above.level < line.level), line]
        body = []
    if section := _section(path, body, title):
        yield section


def _section(path: list[_Line], body: list[str], title: str) -> Section | None:
    heading = [path[-1].text, ""] if path else []
    text = re.sub(r"\n{3,}", "\n\n", "\n".join([*heading, *body])).strip("\n")
    return Section(text, heading_path([each.text for each in path]) or title) if text else None


def _is_unseen(element: HtmlElement) -> bool:
    hidden = "hidden" in element.attrib or _HIDDEN.search(element.get("style", ""))
    return bool(hidden or _UNSEEN.fullmatch(element.tag))


def _is_data_table(element: HtmlElement) -> bool:
    return element.tag == "table" and next(element.iterdescendants(*_LAYOUT), None) is None


def _table(table: HtmlElement) -> list[str]:
    caption = table.findtext("caption") or ""
    rows = [list(row.iterchildren("th", "td")) for row in table.iter("tr")]
    texts = [[_cell(cell) for cell in row] for row in rows if row]
    titled = bool(rows) and len(rows[0]) > 1 and all(cell.tag == "th" for cell in rows[0])
    lines = table_lines(texts[1:], texts[0]) if titled else table_lines(texts)
    return [*([caption.strip()] if caption.strip() else []), *lines]


def _cell(cell: HtmlElement) -> str:
    for inner in cell.iterdescendants():
        if _UNSEEN.fullmatch(inner.tag):
            inner.clear(keep_tail=True)
        elif not _INLINE.fullmatch(inner.tag):
            inner.tail = f" {inner.tail or ''}"
    return " ".join("".join(cell.itertext()).split())


def _without_tags(markup: str) -> str:
    """The visible text in one line."""
    first, *parts = markup.split("<")
    visible, hidden = [first], ""
    for part in parts:
        tag, end, text = part.partition(">")
        name = tag[:7].lower()
        if hidden:
            hidden = "" if name.startswith(f"/{hidden}") else hidden
        else:
            hidden = next((each for each in ("script", "style") if name.startswith(each)), "")
        if not hidden:
            visible.append(f" {text}" if end else f"<{part}")
    return " ".join(html.unescape("".join(visible)).split())
