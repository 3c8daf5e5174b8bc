"""Plain text and source code, and the functions that all readers share: decoding and cleaning.

`decode` makes text from bytes in any encoding. `clean` removes characters that cannot be stored or
shown. `hyphen_between` helps to join words that were broken at the end of a line.
"""

import codecs
import functools
import re
import unicodedata
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

from engine.reading.formats import Section, wide_encoding

_BOMS = (  # UTF-32's begins like UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# The encodings that a guess may choose. For 20 short texts in 14 languages, a guess among all
# encodings was right 14 times, and a guess from this list with Windows-1252 preferred 19 times.
_ENCODINGS = (
    "cp1252 cp1250 iso8859_2 cp1251 koi8_r cp1253 cp1254 cp1255 cp1256 "
    "shift_jis euc_jp gb18030 big5 euc_kr"
)
_COMMONEST = "cp1252"
_SAMPLE = 16_000  # bytes of lines that are not ASCII, for the guess
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # terminal colours, in logs

# Hand-wrapped prose: lines of about the same length, within these bounds, in characters.
_NARROWEST, _WIDEST = 50, 120
_ITEM = re.compile(r"(?:[-*+•‣–>|#]|\(?\w{1,3}[.)]\s)")

_WORDS = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_TAIL = re.compile(r"[^\W\d_]+")
_LONGEST_HEAD = 100  # characters of a hyphenated word's first half

# Characters without meaning that cause problems: control characters and lone surrogates (which JSON
# and UTF-8 do not have), soft hyphens, byte order marks, and marks that change the direction of
# writing, which can make a text look like another. The joiners of Persian and of emoji are kept.
_SILENT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"
    "\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)
# Ligatures, and Arabic presentation forms, which questions do not have.
_SHAPES = re.compile("[\ufb00-\ufb06\ufb13-\ufb17\ufb1d-\ufdff\ufe70-\ufefc]+")
_SPACES = re.compile("[\xa0\u2000-\u200a\u202f\u205f]")
# Marks on one letter. Unicode's stream-safe format allows 30, and no language has nearly as many.
_MOST_MARKS = 30


# The largest share of odd words. Measured: sentences in nine languages 0 to 0.06, a Czech one
# without vowels 0.21, source code 0.07 to 0.19, the text of a bad recognition 0.6.
_MOST_ODD = 0.3
_FEWEST_WORDS = 20
_RUBBISH_SAMPLE = 5_000  # characters
_AROUND = ".,;:!?\"'()[]{}<>«»„“”‘’‹›–—-…*/|&%§$€£"
_ODD = re.compile(
    r"[^\W\d_][^\w\s'’.\-–/&@:]+[^\W\d_]"  # te$t
    r"|[^\W\d_]\d+[^\W\d_]"  # t3xt
    r"|[a-zà-öø-ÿ][A-ZÀ-ÖØ-Þ]"  # teXt
    r"|\b(?=[A-Za-z]{4})[^aeiouyAEIOUY\W\d_]{4,}\b"  # txts
)


def read_text(path: Path) -> Iterator[Section]:
    """Prose. Lines that were wrapped by hand are joined, so that sentences are complete."""
    text = decode(path.read_bytes()).replace("\r\n", "\n").replace("\r", "\n")
    paragraphs = re.split(r"\n[ \t]*\n\s*?(?=\S|$)", _ESCAPES.sub("", text))
    words = words_of(text)
    yield Section("\n\n".join(unwrap(paragraph, words) for paragraph in paragraphs))


def read_code(path: Path) -> Iterator[Section]:
    yield Section(decode(path.read_bytes()))


def decode(data: bytes, declared: str | None = None) -> str:
    """Text from bytes. The encoding is that of the byte order mark, or else UTF-16, UTF-8, the
    declared encoding, or a guess.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data.decode(encoding, "replace")
    for candidate in (wide_encoding(data[:4096]), "utf-8", declared):
        try:
            if candidate:
                return data.decode(candidate)
        except (UnicodeDecodeError, LookupError):
            continue
    from charset_normalizer import from_bytes

    telling = b"\n".join(line for line in data.splitlines() if not line.isascii())
    # The usual threshold of 0.2 would give no guess for short texts
    matches = from_bytes(telling[:_SAMPLE], threshold=0.4, cp_isolation=_ENCODINGS.split())
    encoding = _COMMONEST
    if best := matches.best():
        as_good = [match.encoding for match in matches if match.chaos <= best.chaos]
        encoding = _COMMONEST if _COMMONEST in as_good else best.encoding
    return data.decode(encoding, "replace")


def clean(text: str) -> str:
    """The text without characters that cannot be stored, with composed letters, plain spaces, and
    "\\n" at line ends."""
    text = re.sub(r"\r\n?|\x85|\u2028|\x0b|\x0c", "\n", text).replace("\u2029", "\n\n")
    text = _SPACES.sub(" ", _SILENT.sub("", text))
    if not text.isascii():
        text = _SHAPES.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)
        # The time of normalising is quadratic in the number of marks on one letter
        text = unicodedata.normalize("NFC", _marks_beyond(_MOST_MARKS).sub(r"\1", text))
    text = "\n".join([line.rstrip(" \t") for line in text.split("\n")])
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")


@functools.cache
def _marks_beyond(most: int) -> re.Pattern[str]:
    marks = "".join(char for char in map(chr, range(0x300, 0x1F000)) if unicodedata.combining(char))
    return re.compile(f"([{marks}]{{{most}}})[{marks}]+")


def unwrap(paragraph: str, words: AbstractSet[str]) -> str:
    """A paragraph in one line, if it was wrapped by hand; otherwise unchanged."""
    lines = paragraph.split("\n")
    widths = [len(line.rstrip()) for line in lines]
    wrapped = (
        len(lines) > 1
        and _NARROWEST <= max(widths) <= _WIDEST
        and min(widths[:-1]) >= 0.6 * max(widths)
        and not any(_ITEM.match(line.lstrip()) for line in lines)
        and sum(c.isalpha() or c == " " for c in paragraph) > 0.8 * len(paragraph)
    )
    if not wrapped:
        return paragraph
    parts: list[str] = []
    for line in filter(None, map(str.strip, lines)):
        if parts and parts[-1].endswith("-"):
            parts[-1] = parts[-1][:-1]
            parts.append(hyphen_between(parts[-1], line, words) + line)
        else:
            parts.append(f" {line}")
    return "".join(parts).strip()


def words_of(text: str) -> set[str]:
    """The words of a text in lower case, compounds with their hyphens."""
    return set(_WORDS.findall(text.lower()))


def hyphen_between(before: str, after: str, words: AbstractSet[str]) -> str:
    """"-" or "": the characters between the parts of a word that was broken at the end of a line.

    "sec" and "tion" make "section". "well" and "known" make "well-known" if this word is elsewhere
    in the text. `words` are the words of the text.
    """
    start = len(before)
    while start > max(0, len(before) - _LONGEST_HEAD) and (
        before[start - 1].isalpha() or before[start - 1] == "-"
    ):
        start -= 1
    head, tail = before[start:].lower(), _TAIL.match(after)
    if not head or head.endswith("-") or not tail or not tail.group().islower():
        return "-"  # "Anglo" + "Saxon", "COVID" + "19"
    return "-" if f"{head}-{tail.group()}" in words and head + tail.group() not in words else ""


def is_rubbish(text: str) -> bool:
    """Whether hardly a word of a longer text is one, as in what a bad recognition left.

    Odd are letters mixed with signs or digits, a capital after a small letter, and a word of four
    letters and more without a vowel. In scripts without vowels or capitals nothing is odd but the
    first.
    """
    words = [word.strip(_AROUND) for word in text[:_RUBBISH_SAMPLE].split()]
    words = [word for word in words if any(map(str.isalpha, word))]
    odd = sum(1 for word in words if _ODD.search(word))
    return len(words) >= _FEWEST_WORDS and odd > _MOST_ODD * len(words)
