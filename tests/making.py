"""Small files of many formats, made by hand: what is in them, and what is wrong with them, is
there to see."""

import io
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pypdf import PdfReader, PdfWriter

_FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def pdf_stream(content: bytes, entries: bytes = b"", packed: bool = False) -> bytes:
    if packed:
        content, entries = zlib.compress(content, 9), entries + b"/Filter/FlateDecode"
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(content), content)


def pdf_lines(*lines: str, left: int = 72, top: int = 700) -> bytes:
    """A page's content: 12-point lines, one below the other."""
    shown = b"".join(
        b"(%s) Tj 0 -14 Td " % line.encode("cp1252").replace(b"(", rb"\(").replace(b")", rb"\)")
        for line in lines
    )
    return b"BT /F 12 Tf %d %d Td %sET " % (left, top, shown)


def pdf(*contents: bytes, extra: Sequence[bytes] = (), resources: bytes = b"") -> bytes:
    """A PDF with a page for each content. Objects `extra` are numbered from 4 + 2 × pages."""
    pages = b" ".join(b"%d 0 R" % (4 + 2 * number) for number in range(len(contents)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(contents), pages),
        _FONT,
    ]
    for number, content in enumerate(contents):
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents %d 0 R"
            b"/Resources<</Font<</F 3 0 R>>%s>>>>" % (5 + 2 * number, resources)
        )
        objects.append(content if content.startswith(b"<<") else pdf_stream(content))
    return _assembled([*objects, *extra])


def _assembled(objects: Sequence[bytes]) -> bytes:
    out = b"%PDF-1.7\n"
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
        + b"trailer <</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (size, len(out))
    )


def pdf_nested(levels: int, width: int) -> bytes:
    """Three pages; the second draws a form that draws `width` forms, and so on: it never ends."""
    first = 4 + 2 * 3

    def form(level: int) -> bytes:
        inner = b"/XObject<</X %d 0 R>>" % (first + level + 1) if level < levels - 1 else b""
        entries = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<<%s>>" % inner
        return pdf_stream(b"/X Do " * width if inner else b" ", entries)

    return pdf(
        pdf_lines("The first page is fine."),
        b"/X Do ",
        pdf_lines("The third page is fine."),
        extra=[form(level) for level in range(levels)],
        resources=b"/XObject<</X %d 0 R>>" % first,
    )


def rewritten(data: bytes, change: Callable[[PdfWriter], object]) -> bytes:
    """A PDF after `change` has had its way with pypdf's writer."""
    writer = PdfWriter(PdfReader(io.BytesIO(data)))
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def docx(*paragraphs: tuple[str, str], table: Sequence[Sequence[str]] = ()) -> bytes:
    """A DOCX of (style, text) paragraphs, styles "heading 1", "Title" or "", and a table."""
    names = sorted({style for style, _ in paragraphs if style})
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="s{n}"><w:name w:val="{name}"/></w:style>'
        for n, name in enumerate(names)
    )
    cells = [[f"<w:tc>{_paragraph(names, '', cell)}</w:tc>" for cell in row] for row in table]
    rows = "".join(f"<w:tr>{''.join(row)}</w:tr>" for row in cells)
    body = "".join(_paragraph(names, style, text) for style, text in paragraphs)
    body += f"<w:tbl>{rows}</w:tbl>" if rows else ""
    return zipped(
        {
            "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="xml" ContentType="application/xml"/></Types>',
            "_rels/.rels": _relations("officeDocument", "word/document.xml"),
            "word/_rels/document.xml.rels": _relations("styles", "styles.xml"),
            "word/styles.xml": f'<w:styles xmlns:w="{_WORD}">{styles}</w:styles>',
            "word/document.xml": f'<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body>'
            "</w:document>",
        }
    )


def _paragraph(names: Sequence[str], style: str, text: str) -> str:
    mark = f'<w:pPr><w:pStyle w:val="s{names.index(style)}"/></w:pPr>' if style else ""
    return f"<w:p>{mark}<w:r><w:t>{text}</w:t></w:r></w:p>"


def _relations(kind: str, target: str) -> str:
    return (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="r1" Type="{_OFFICE}/{kind}" Target="{target}"/></Relationships>'
    )


def epub(*chapters: str) -> bytes:
    """An EPUB of XHTML bodies, in this order, though its files are named the other way round."""
    numbers = range(len(chapters))
    items = "".join(
        f'<item id="c{n}" href="chapter%20{len(chapters) - n}.xhtml"/>' for n in numbers
    )
    order = "".join(f'<itemref idref="c{n}"/>' for n in numbers)
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:'
            'container"><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
            "OEBPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf">'
            f"<manifest>{items}</manifest><spine>{order}</spine></package>",
            **{
                f"OEBPS/chapter {len(chapters) - n}.xhtml": '<?xml version="1.0" '
                'encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><body>'
                f"{chapters[n]}</body></html>"
                for n in numbers
            },
        }
    )


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
