"""Office formats: DOCX, PPTX, ODT, RTF."""

import html
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from engine.errors import DocumentError, PasswordNeededError
from engine.reading.formats import Section
from engine.reading.markup import sections_of
from engine.reading.tables import table_lines

# Footnotes and endnotes as mammoth writes them: each, the arrow at its end, and where it is cited
_NOTE = re.compile(r'<li id="((?:foot|end)note-[^"]+)">(.*?)</li>', re.DOTALL)
_BACK = re.compile(r'<a href="#(?:foot|end)note-ref-[^"]+">↑</a>|</?p>')
_CITED = re.compile(r'<sup><a href="#((?:foot|end)note-[^"]+)"[^>]*>\[\d+\]</a></sup>')
_TITLES = "p[style-name='Title'] => h1:fresh\np[style-name='Subtitle'] => p:fresh"


def read_docx(path: Path) -> Iterator[Section]:
    """Sections at headings. A DOCX has no pages before it is printed."""
    import mammoth

    with path.open("rb") as file:
        result = mammoth.convert_to_html(
            file, style_map=_TITLES, convert_image=mammoth.images.img_element(lambda _: {})
        )
    return sections_of(_with_footnotes(result.value))


def _with_footnotes(page: str) -> str:
    """Footnotes where they are cited, in brackets, as in an OpenDocument text."""
    notes: dict[str, str] = {}

    def take(found: re.Match[str]) -> str:
        notes[found[1]] = " ".join(_BACK.sub("", found[2]).split())
        return ""

    page = _NOTE.sub(take, page)
    return _CITED.sub(lambda found: f" ({notes.get(found[1], '')})", page)


def read_pptx(path: Path) -> Iterator[Section]:
    """One section for each slide: its title, its text from top to bottom, its notes."""
    from pptx import Presentation

    for number, slide in enumerate(Presentation(str(path)).slides, start=1):
        title = slide.shapes.title
        shapes = sorted(_flat(slide.shapes), key=lambda each: each is not title)
        parts = [part for shape in shapes if (part := _text(shape))]
        if slide.has_notes_slide:
            frame = slide.notes_slide.notes_text_frame
            # LibreOffice writes notes that are no placeholder, too
            boxes = [each for each in slide.notes_slide.shapes if not each.is_placeholder]
            parts.extend([frame.text] if frame else filter(None, map(_text, boxes)))
        heading = " ".join(title.text_frame.text.split()) if title is not None else ""
        text = "\n\n".join(parts).replace("\v", "\n").strip()
        yield Section(text, heading, str(number), number)


def _flat(shapes: Iterable[Any]) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):  # a group
            yield from _flat(shape.shapes)
        else:
            yield shape


def _text(shape: Any) -> str:
    if shape.has_text_frame:
        return str(shape.text_frame.text)
    if getattr(shape, "has_table", False):
        rows = [[cell.text for cell in row.cells] for row in shape.table.rows]
        return "\n".join(table_lines(rows))
    return ""


# ---- OpenDocument text

_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_XML = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
_TAGS = {
    f"{_TEXT}p": "p",
    f"{_TEXT}list": "ul",
    f"{_TEXT}list-item": "li",
    f"{_TABLE}table": "table",
    f"{_TABLE}table-row": "tr",
    f"{_TABLE}table-cell": "td",
}
_UNSEEN = {
    f"{_TEXT}tracked-changes",  # what was deleted
    f"{_TEXT}note-citation",
    f"{_TEXT}sequence-decls",
    f"{_TEXT}table-of-content",
    f"{_OFFICE}annotation",
    f"{_OFFICE}forms",
}
_SIGNS = {f"{_TEXT}tab": " ", f"{_TEXT}line-break": "<br>", f"{_TEXT}soft-page-break": ""}


def read_odt(path: Path) -> Iterator[Section]:
    """Cut at headings. Footnotes stand where they are cited, in brackets."""
    with zipfile.ZipFile(path) as packed:
        if b"encryption-data" in packed.read("META-INF/manifest.xml"):
            raise PasswordNeededError(
                "is protected by a password. Save it without, and add it again."
            )
        root = etree.fromstring(packed.read("content.xml"), _XML)
    body = root.find(f"{_OFFICE}body/{_OFFICE}text")
    if body is None:
        raise DocumentError("is not an OpenDocument text. Save it again as .odt or .docx.")
    parents = {
        style.get(f"{_STYLE}name"): style.get(f"{_STYLE}parent-style-name")
        for style in root.iter(f"{_STYLE}style")
    }
    return sections_of("".join(_html_of_odt(body, parents)))


def _html_of_odt(body: Any, parents: dict[str | None, str | None]) -> Iterator[str]:
    walk = etree.iterwalk(body, events=("start", "end"))
    skipped = None
    for event, element in walk:
        tag = _TAGS.get(element.tag, "")
        if element.tag == f"{_TEXT}h":
            tag = f"h{min(int(element.get(f'{_TEXT}outline-level') or 1), 6)}"
        elif tag == "p":
            style = element.get(f"{_TEXT}style-name")
            tag = "h1" if "Title" in (style, parents.get(style)) else "p"
            if element.getparent().tag == f"{_TEXT}list-item":
                tag = "span"  # its item is the line
        note = element.tag == f"{_TEXT}note"
        if event == "start":
            if element.tag in _UNSEEN:
                walk.skip_subtree()
                skipped = element
                continue
            if element.tag == f"{_TEXT}s":
                yield " " * min(int(element.get(f"{_TEXT}c") or 1), 100)
            yield _SIGNS.get(element.tag, "")
            yield " (" if note else f"<{tag}>" if tag and not _in_note(element) else ""
            yield html.escape(element.text or "")
        else:
            if element is not skipped:
                yield ")" if note else f"</{tag}>" if tag and not _in_note(element) else ""
            yield html.escape(element.tail or "") if element is not body else ""


def _in_note(element: Any) -> bool:
    return next(element.iterancestors(f"{_TEXT}note-body"), None) is not None


# ---- Rich text

_CELL_END = re.compile(r"\s*\|$")


def read_rtf(path: Path) -> Iterator[Section]:
    """One section: the library gives the text without the paragraphs' styles."""
    from striprtf.striprtf import rtf_to_text

    text = rtf_to_text(path.read_bytes().decode("latin-1"), encoding="cp1252", errors="replace")
    lines = (_CELL_END.sub("", line.replace("|", " | ").strip()) for line in text.split("\n"))
    yield Section("\n".join(lines))
