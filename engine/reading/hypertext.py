"""HTML → sections: the visible text, cut at its headings. DOCX, EPUB, Markdown and notebooks
come through here too.

It loads nothing and runs nothing: scripts, styles, pictures and the addresses of links are left
out.
"""

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lxml import etree
from lxml.html import HtmlElement, HTMLParser, document_fromstring

from engine.reading.plain import decode
from engine.reading.section import Section, heading_path
from engine.reading.tables import table_lines

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
# A table with any of these inside is there for the page's layout, and is read as blocks.
_LAYOUT = ["table", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "pre", "form"]
_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?([\w-]+)""")


def read_html(path: Path) -> Iterator[Section]:
    return sections_of(markup_of(path.read_bytes()))


def markup_of(data: bytes) -> str:
    """Markup from bytes, by the encoding it declares, if it does."""
    declared = _CHARSET.search(data[:4096])
    return decode(data, declared[1].decode() if declared else None)


def sections_of(markup: str) -> Iterator[Section]:
    """The sections of a page. What comes before its first heading goes under its title."""
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
    """A line of text; a heading where it has a level; a gap between paragraphs if empty."""

    text: str
    level: int = 0


class _Walk:
    """One pass over the elements, which are too deep at times for recursion."""

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
    """A heading with nothing under it is in the path of the one below it; text itself only
    where there is none below."""
    path: list[_Line] = []
    body: list[str] = []
    for line in lines:
        if not (line.level and line.text):
            body.append(line.text)
            continue
        section = _section(path, body, title)
        if section and (_has_text(body) or line.level <= path[-1].level):
            yield section
        path = [*(above for above in path if above.level < line.level), line]
        body = []
    if section := _section(path, body, title):
        yield section


def _section(path: list[_Line], body: list[str], title: str) -> Section | None:
    heading = [path[-1].text, ""] if path else []
    text = re.sub(r"\n{3,}", "\n\n", "\n".join([*heading, *body])).strip("\n")
    return Section(text, heading_path([each.text for each in path]) or title) if text else None


def _has_text(lines: list[str]) -> bool:
    return any(line.strip() for line in lines)


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
    seen = re.sub(r"(?is)<(script|style)\b.*?</\1\s*>", " ", markup)
    return " ".join(html.unescape(re.sub(r"(?s)<[^>]*>", " ", seen)).split())
