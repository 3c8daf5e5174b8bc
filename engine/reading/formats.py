"""The formats that can be read, and how a file's format is recognised.

To add a format:

1. Write a reader: a function that takes a path and yields `Section`s in order, and a `str` for
   each sentence about something that it left out (a notice). It runs in the reading process, so
   it may use any library. It raises a DocumentError whose text continues the file's name:
   "is not whole JSON: …". Put it into the module with the same subject, or into a new one.
2. Add a line to `FORMATS`.
3. If its first bytes, or a file inside it, identify the format, say so there. If the format was
   refused until now, remove its entry from `_REFUSED` or `_REFUSED_ZIPPED`.

This module opens a file only to look at some of its bytes.
"""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from engine.errors import DocumentError, UnsupportedFormatError

PATH_SIGN = " › "  # between a heading and the one below it
_LONGEST_TITLE = 200  # each section repeats the titles above it


@dataclass(frozen=True, slots=True)
class Section:
    """A citable part of a file with its text: a page, the text below a heading, or some rows.

    A newline in `text` ends a sentence, an empty line a paragraph. `page_number` counts from 1
    and is 0 in formats without pages; `page_label` is the number as printed. `lines` are the
    places of recognised text, as `schema.Document` has them.
    """

    text: str
    heading: str = ""
    page_label: str = ""
    page_number: int = 0
    lines: list[list[int]] = field(default_factory=list)


# What the parts of a file are called; those of other formats are sections: a heading and its text
_PARTS = {".pdf": "page", ".pptx": "slide", ".tif": "page", ".tiff": "page"} | dict.fromkeys(
    (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), "sheet"
)


def part_name(file_name: str) -> str:
    """What a part of such a file is called: "page", "slide", "sheet" or "section"."""
    return _PARTS.get(PurePath(file_name).suffix.lower(), "section")


def heading_path(titles: Sequence[str]) -> str:
    """["Guide", "Install"] → "Guide › Install". Titles of more than 200 characters are cut."""
    return PATH_SIGN.join(
        title if len(title) <= _LONGEST_TITLE else f"{title[:_LONGEST_TITLE]}…"
        for title in titles
        if title
    )


@dataclass(frozen=True, slots=True)
class Format:
    """A format that can be read.

    suffixes: endings of file names, without the dot, separated by spaces.
    reader: "module.function" in this package. PDFs and pictures have none: their pages are read
        one by one.
    title: the format's name in a sentence, with its article. Only formats that are recognised by
        their content have one, and other files with their suffixes are refused.
    zipped: the path of a file that every ZIP of this format contains.
    is_text: the file is plain text.
    """

    name: str
    suffixes: str
    reader: str = ""
    title: str = ""
    zipped: str = ""
    is_text: bool = False


FORMATS = (
    Format("pdf", "pdf", title="a PDF"),
    Format(
        "docx", "docx", "office.read_docx", title="a Word document", zipped="word/document.xml"
    ),
    Format(
        "pptx",
        "pptx",
        "office.read_pptx",
        title="a PowerPoint presentation",
        zipped="ppt/presentation.xml",
    ),
    Format("odt", "odt ott", "office.read_odt", title="an OpenDocument text"),
    Format("rtf", "rtf", "office.read_rtf", title="an RTF document"),
    Format(
        "spreadsheet", "xlsx xlsm xlsb xls ods", "sheets.read_sheets", title="a spreadsheet"
    ),
    Format("msg", "msg", "mail.read_msg", title="an Outlook message"),
    Format("eml", "eml", "mail.read_eml"),
    Format("epub", "epub", "markup.read_epub", title="an EPUB", zipped="META-INF/container.xml"),
    Format("zip", "zip", title="a ZIP file"),
    Format("picture", "png jpg jpeg tif tiff webp heic heif bmp gif", title="a picture"),
    Format("html", "html htm xhtml", "markup.read_html"),
    Format("markdown", "md markdown", "markup.read_markdown", is_text=True),
    Format("csv", "csv tsv", "tables.read_csv", is_text=True),
    Format("json", "json", "tables.read_json", is_text=True),
    Format("jsonl", "jsonl ndjson", "tables.read_json_lines", is_text=True),
    Format("notebook", "ipynb", "markup.read_notebook"),
    Format("text", "txt text log rst adoc org tex srt vtt", "text.read_text", is_text=True),
    Format(
        "code",
        "py js mjs ts jsx tsx java kt c h cpp hpp cc cs go rs rb php swift scala r jl lua pl sh "
        "bash zsh ps1 sql css scss vue svelte dart ex hs ml clj xml yaml yml toml ini cfg conf env "
        "make makefile cmake dockerfile proto graphql tf gradle",
        "text.read_code",
        is_text=True,
    ),
)
SUPPORTED = (
    "First Token reads PDF, DOCX, PPTX, XLSX, XLS, ODT, ODS, RTF, EPUB, HTML, Markdown, text, CSV, "
    "JSON, mails (EML, MSG), notebooks, source code, pictures of text, and ZIP files of these."
)

BY_NAME = {each.name: each for each in FORMATS}
_BY_SUFFIX = {suffix: each for each in FORMATS for suffix in each.suffixes.split()}
SUPPORTED_TYPES = tuple(_BY_SUFFIX)
"""The endings of file names, without the dot, that a page may offer to upload."""

_OFFICE = "Save it as .docx, .pptx or .pdf, without a password."
_ARCHIVE = "Unpack it, or make a ZIP of it."
_TABLES = "Save its tables as CSV."
# What pictures begin with. Text could begin with "BM", so that counts only in a binary file.
_PICTURES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*")
_BITMAP = b"BM"
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
# Known formats that are not read: their first bytes, their name, and what to do. Text could begin
# like those in the second table, so they count only where the file is binary.
_REFUSED: dict[bytes, tuple[str, str]] = {
    b"\x1f\x8b": ("a gzip archive", _ARCHIVE),
    b"7z\xbc\xaf": ("a 7z archive", _ARCHIVE),
    b"Rar!": ("a RAR archive", _ARCHIVE),
    b"\xfd7zXZ": ("an xz archive", _ARCHIVE),
    b"\x28\xb5\x2f\xfd": ("a Zstandard archive", _ARCHIVE),
    b"SQLite format 3": ("a database", _TABLES),
    b"\x7fELF": ("a program", SUPPORTED),
    b"\xcf\xfa\xed\xfe": ("a program", SUPPORTED),
    b"\xca\xfe\xba\xbe": ("a program", SUPPORTED),
    b"\x00asm": ("a program", SUPPORTED),
}
_REFUSED_BINARY: dict[bytes, tuple[str, str]] = {
    b"MZ": ("a program", SUPPORTED),
    b"BZh": ("a bzip2 archive", _ARCHIVE),
    b"ID3": ("a sound file", SUPPORTED),
    b"OggS": ("a sound or video file", SUPPORTED),
    b"RIFF": ("a sound or video file", SUPPORTED),
}
_OLE = b"\xd0\xcf\x11\xe0"  # old Office files, Outlook messages, and any of them with a password

_SAMPLE = 16_384  # bytes at the beginning, in the middle and at the end
_TEXT_CONTROLS = b"\t\n\r\f\b\x1b"
# The largest share of control characters that text does not have. In packed or random data, it is
# one byte in nine; in text files of any encoding, there is at most a single one.
_MOST_CONTROLS = 0.03


def detect_format(path: Path) -> tuple[Format, str]:
    """The format of a file, by its content or else by its name, and a notice: a sentence if the two
    differ or the content is damaged, otherwise "".

    Raises:
        UnsupportedFormatError: it cannot be read; the text continues the file's name.
        DocumentError: it is a damaged ZIP-based file.
    """
    suffix = (path.suffix.removeprefix(".") or path.name).lower()
    by_name = _BY_SUFFIX.get(suffix)
    head, samples = _samples(path)
    by_content = None
    if b"%PDF-" in head[:1024]:
        by_content = BY_NAME["pdf"]
    elif head.startswith(b"PK"):
        by_content = _zip_based(path)
    elif _is_picture(head):
        by_content = BY_NAME["picture"]
    elif head.startswith(b"{\\rtf"):
        by_content = BY_NAME["rtf"]
    elif head.startswith(_OLE):
        by_content = _ole(suffix)
    if by_content:
        lie = f"By its content it is {by_content.title}, and was read as one."
        return by_content, "" if by_name == by_content else lie
    _refuse(head, _REFUSED)
    notice = ""
    if (fault := _binary_fault(head, samples)) and by_name is BY_NAME["pdf"]:
        return by_name, ""  # perhaps only its first bytes are damaged
    if fault == "nul" and by_name and by_name.is_text:
        notice = (
            "It holds NUL bytes, which no text has; they were left out. The file may be damaged "
            "or not whole."
        )
    elif fault:
        _refuse(head, _REFUSED_BINARY)
        name = f", although its name ends in .{suffix}" if by_name else ""
        raise UnsupportedFormatError(f"holds binary data, not text{name}. {SUPPORTED}")
    if by_name and by_name.title:
        raise UnsupportedFormatError(
            f"is not {by_name.title}, although its name ends in .{suffix}: it holds plain text, "
            "perhaps a web page that was downloaded in its place. Download it again."
        )
    return by_name or BY_NAME["text"], notice


def wide_encoding(head: bytes) -> str | None:
    """The UTF-16 encoding of a text without a byte order mark, if it is UTF-16: in Western text,
    every second byte is zero.
    """
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) <= 0.3 * len(head):
        return None
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    text = head[: len(head) // 2 * 2].decode(encoding, "replace")
    printable = sum(char.isprintable() or char in "\t\r\n\f" for char in text)
    return encoding if printable > 0.95 * len(text) else None


def _samples(path: Path) -> tuple[bytes, bytes]:
    """The beginning of a file, and the beginning with parts of its middle and end."""
    with path.open("rb") as file:
        head = file.read(_SAMPLE)
        size = path.stat().st_size
        parts = [head]
        for start in (size // 2, size - _SAMPLE):
            if start >= _SAMPLE:
                file.seek(start)
                parts.append(file.read(_SAMPLE))
    return head, b"".join(parts)


def _ole(suffix: str) -> Format:
    """By its name alone: the kinds differ only deep inside."""
    if suffix in ("xls", "xlt", "msg"):
        return BY_NAME["msg" if suffix == "msg" else "spreadsheet"]
    if suffix in ("docx", "xlsx", "xlsm", "pptx"):
        raise UnsupportedFormatError("is protected by a password. Save it without one.")
    raise UnsupportedFormatError(f"is an Office file of the old kind. {_OFFICE}")


def _is_picture(head: bytes) -> bool:
    return (
        head.startswith(_PICTURES)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in _HEIF)
        or (head.startswith(_BITMAP) and b"\0" in head[:32])
    )


def _zip_based(path: Path) -> Format:
    try:
        with zipfile.ZipFile(path) as archive:
            inside = archive.NameToInfo
            # any OpenDocument holds content.xml; a file of its own names its kind
            kind = archive.read("mimetype")[:100] if "mimetype" in inside else b""
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, zlib.error) as fault:
        raise DocumentError("is damaged or not whole. Download or save it again.") from fault
    if "xl/workbook.xml" in inside or "xl/workbook.bin" in inside:
        return BY_NAME["spreadsheet"]
    if "content.xml" in inside and b"opendocument" in kind:
        if b"opendocument.spreadsheet" in kind:
            return BY_NAME["spreadsheet"]
        if b"opendocument.text" not in kind:
            raise UnsupportedFormatError(f"is an OpenDocument file of another kind. {_OFFICE}")
        return BY_NAME["odt"]
    return next((each for each in FORMATS if each.zipped and each.zipped in inside), BY_NAME["zip"])


def _refuse(head: bytes, table: dict[bytes, tuple[str, str]]) -> None:
    for beginning, (what, advice) in table.items():
        if head.startswith(beginning):
            raise UnsupportedFormatError(f"is {what}. {advice}")


def _binary_fault(head: bytes, samples: bytes) -> str:
    """"" if the bytes are text in some encoding, "nul" if they are text except for NUL bytes,
    otherwise "binary".
    """
    marks = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
    if head.startswith(marks) or wide_encoding(head):
        return ""
    zeros = samples.count(0)
    controls = sum(samples.count(code) for code in range(1, 32) if code not in _TEXT_CONTROLS)
    if controls > _MOST_CONTROLS * (len(samples) - zeros) or zeros > 0.9 * len(samples):
        return "binary"
    return "nul" if zeros else ""
