"""What a file is, by its content first and its name second. Opens nothing but its beginning."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

from engine.errors import DocumentError, UnsupportedFormatError

_SUFFIXES = {
    "pdf": "pdf",
    "docx": "docx",
    "pptx": "pptx",
    "epub": "epub",
    "zip": "zip",
    "html": "html htm xhtml",
    "markdown": "md markdown",
    "csv": "csv tsv",
    "json": "json",
    "jsonl": "jsonl ndjson",
    "notebook": "ipynb",
    "text": "txt text log rst adoc org tex srt vtt",
    "code": (
        "py js mjs ts jsx tsx java kt c h cpp hpp cc cs go rs rb php swift scala r jl lua pl sh "
        "bash zsh ps1 sql css scss vue svelte dart ex hs ml clj xml yaml yml toml ini cfg conf env "
        "make cmake dockerfile proto graphql tf gradle"
    ),
}
_KINDS = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}

SUPPORTED_TYPES = tuple(_KINDS)
"""The endings of file names, without the dot, that a page may offer to upload."""

TEXT_KINDS = frozenset({"text", "code", "markdown", "csv", "json", "jsonl"})
"""Those that are text all through, without pictures in it."""

SUPPORTED = (
    "First Token reads PDF, DOCX, PPTX, EPUB, HTML, Markdown, text, CSV, JSON, notebooks, source "
    "code, and ZIP files of these."
)

# The formats that are recognised by their content, as a sentence names them.
_NAMES = {
    "pdf": "a PDF",
    "docx": "a Word document",
    "pptx": "a PowerPoint presentation",
    "epub": "an EPUB",
    "zip": "a ZIP file",
}
# Files that people take for documents, by how they begin, and what to do about them.
_OTHERS: dict[bytes, tuple[str, str]] = {
    b"\x89PNG": ("a PNG picture", "picture"),
    b"\xff\xd8\xff": ("a JPEG picture", "picture"),
    b"GIF8": ("a GIF picture", "picture"),
    b"II*\x00": ("a TIFF picture", "picture"),
    b"MM\x00*": ("a TIFF picture", "picture"),
    b"\xd0\xcf\x11\xe0": ("an Office file of the old kind, or one with a password", "office"),
    b"{\\rtf": ("an RTF document", "office"),
    b"\x1f\x8b": ("a gzip archive", "archive"),
    b"7z\xbc\xaf": ("a 7z archive", "archive"),
    b"Rar!": ("a RAR archive", "archive"),
    b"SQLite format 3": ("a database", "sheet"),
}
_ADVICE = {
    "picture": "Text in pictures is not read: make a PDF of it with a program that recognises "
    "text (OCR).",
    "office": "Save it as .docx, .pptx or .pdf, without a password.",
    "archive": "Unpack it, or make a ZIP of it.",
    "sheet": "Save its tables as CSV.",
}
_ZIPPED = {  # what a ZIP-based format has inside
    "word/document.xml": "docx",
    "ppt/presentation.xml": "pptx",
    "META-INF/container.xml": "epub",
}
_ZIPPED_OTHERS = {
    "xl/workbook.xml": ("an Excel workbook", "sheet"),
    "xl/workbook.bin": ("an Excel workbook", "sheet"),
    "content.xml": ("an OpenDocument file", "office"),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """`name`: "pdf", "text" and so on. `notice`: a sentence where the file's name said another."""

    name: str
    notice: str = ""


def kind_of(path: Path) -> Kind:
    """What to read the file as.

    Raises:
        UnsupportedFormatError: nothing that can be read; the text goes on after its name.
        DocumentError: a ZIP-based file that is not whole.
    """
    by_name = _KINDS.get(_suffix(path))
    with path.open("rb") as file:
        head = file.read(4096)
    by_content = "pdf" if b"%PDF-" in head[:1024] else _zipped(path) if head[:2] == b"PK" else None
    if by_content:
        lie = f"By its content it is {_NAMES[by_content]}, and was read as one."
        return Kind(by_content, "" if by_name == by_content else lie)
    for beginning, (what, advice) in _OTHERS.items():
        if head.startswith(beginning):
            raise UnsupportedFormatError(f"is {what}. {_ADVICE[advice]}")
    if _is_binary(head):
        if by_name == "pdf":  # its first bytes may be all that is damaged
            return Kind("pdf")
        raise UnsupportedFormatError(f"is of a kind that cannot be read. {SUPPORTED}")
    if by_name in _NAMES:
        raise UnsupportedFormatError(
            f"is not {_NAMES[by_name]}, although its name ends in .{_suffix(path)}: it holds plain "
            "text, perhaps a web page that came instead of the file. Download it again."
        )
    return Kind(by_name or "text")


def _suffix(path: Path) -> str:
    return (path.suffix.removeprefix(".") or path.name).lower()


def _zipped(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            inside = archive.NameToInfo
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as fault:
        raise DocumentError("is damaged or not whole. Download or save it again.") from fault
    for name, (what, advice) in _ZIPPED_OTHERS.items():
        if name in inside:
            raise UnsupportedFormatError(f"is {what}. {_ADVICE[advice]}")
    return next((kind for name, kind in _ZIPPED.items() if name in inside), "zip")


def _is_binary(head: bytes) -> bool:
    """Whether these bytes are no text in any encoding. A stray zero does not make a file binary;
    of packed data, every tenth byte is a control character."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return False
    zeros = head[::2].count(0), head[1::2].count(0)
    if max(zeros) > 0.15 * len(head) and min(zeros) < 0.02 * len(head):
        return False  # UTF-16 without its mark
    controls = sum(head.count(code) for code in range(32) if code not in b"\t\n\r\f\b\x1b")
    return controls > 0.05 * len(head)
