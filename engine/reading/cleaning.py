"""Text as files have it → text that can be stored, searched and shown. Pure."""

import re
import unicodedata

# Signs that say nothing and break things: control characters and lone surrogates (no JSON, no
# UTF-8), soft hyphens, marks of byte order, and those that turn the direction of writing, which
# can make a text look like another. The joiners of Persian and of emoji stay.
_SILENT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"
    "\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)
# Ligatures and Arabic letters in the shapes of print, which nobody types into a question.
_SHAPES = re.compile("[\ufb00-\ufb06\ufb13-\ufb17\ufb1d-\ufdff\ufe70-\ufefc]+")
_SPACES = re.compile("[\xa0\u2000-\u200a\u202f\u205f]")
_ENDS = re.compile(r"[ \t]+$", re.MULTILINE)


def clean(text: str) -> str:
    """Without what cannot be stored; letters composed, spaces plain, lines ended by "\\n"."""
    text = re.sub(r"\r\n?|\x85|\u2028|\x0b|\x0c", "\n", text).replace("\u2029", "\n\n")
    text = _SPACES.sub(" ", _SILENT.sub("", text))
    text = _SHAPES.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)
    text = unicodedata.normalize("NFC", text)
    return re.sub(r"\n{3,}", "\n\n", _ENDS.sub("", text)).strip("\n")
