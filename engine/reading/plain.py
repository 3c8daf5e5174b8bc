"""Plain text and source code: bytes → text, whatever the encoding, as one section."""

import codecs
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

from engine.reading.hyphens import join_broken, words_of
from engine.reading.section import Section

_BOMS = (  # UTF-32's begins like UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What people's files are in. Without such a list, the guess for 20 short texts in 14 languages
# was right 14 times; with it, and Windows-1252 preferred, 19 times.
_ENCODINGS = (
    "cp1252 cp1250 iso8859_2 cp1251 koi8_r cp1253 cp1254 cp1255 cp1256 "
    "shift_jis euc_jp gb18030 big5 euc_kr"
)
_COMMONEST = "cp1252"
_SAMPLE = 16_000  # bytes of lines that are not ASCII, for the guess
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # a terminal's colours, in logs

# Hand-wrapped prose: lines of about the same length, within these bounds, in characters.
_NARROWEST, _WIDEST = 50, 120
_ITEM = re.compile(r"\s*(?:[-*+•‣–>|#]|\(?\w{1,3}[.)]\s)")


def read_text(path: Path) -> Iterator[Section]:
    """Prose: lines wrapped by hand are joined, so that sentences are whole."""
    text = decode(path.read_bytes()).replace("\r\n", "\n").replace("\r", "\n")
    paragraphs = re.split(r"\n[ \t]*\n\s*?(?=\S|$)", _ESCAPES.sub("", text))
    words = words_of(text)
    yield Section("\n\n".join(unwrap(paragraph, words) for paragraph in paragraphs))


def read_code(path: Path) -> Iterator[Section]:
    yield Section(decode(path.read_bytes()))


def decode(data: bytes, declared: str | None = None) -> str:
    """Text from bytes: by their mark, else UTF-16 or UTF-8, as declared, or by a guess."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data.decode(encoding, "replace")
    for guess in (_wide(data), "utf-8", declared):
        try:
            if guess:
                return data.decode(guess)
        except (UnicodeDecodeError, LookupError):
            continue
    return data.decode(_guess(data), "replace")


def unwrap(paragraph: str, words: AbstractSet[str]) -> str:
    """A paragraph in one line, where it was wrapped by hand; else as it is."""
    lines = paragraph.split("\n")
    widths = [len(line.rstrip()) for line in lines]
    wrapped = (
        len(lines) > 1
        and _NARROWEST <= max(widths) <= _WIDEST
        and min(widths[:-1]) >= 0.6 * max(widths)
        and not any(_ITEM.match(line) for line in lines)
        and sum(c.isalpha() or c == " " for c in paragraph) > 0.8 * len(paragraph)
    )
    if not wrapped:
        return paragraph
    joined = ""
    for line in map(str.strip, lines):
        if joined.endswith("-"):
            joined = join_broken(joined[:-1], line, words)
        else:
            joined = f"{joined} {line}".strip()
    return joined


def _wide(data: bytes) -> str | None:
    """UTF-16 without its mark: every second byte of Western text is zero."""
    head = data[:4096]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) <= 0.15 * len(head):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes

    telling = b"\n".join(line for line in data.splitlines() if not line.isascii())
    # a threshold of 0.2, the usual one, leaves short texts without any guess
    matches = from_bytes(telling[:_SAMPLE], threshold=0.4, cp_isolation=_ENCODINGS.split())
    best = matches.best()
    if best is None:
        return _COMMONEST
    as_good = [match.encoding for match in matches if match.chaos <= best.chaos]
    return _COMMONEST if _COMMONEST in as_good else best.encoding
