"""Numbers in text: "1,240", "twenty-five", "2.5 million" and "two and a half" are one token each.

The time is linear in the length of the text.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import zip_longest

from engine.english import ONES, TENS

LENGTH = 200  # characters of a number; longer ones have no value here


@dataclass(frozen=True, slots=True)
class Token:
    """A number in plain digits, a word in lower case, or a sign: `source[start:end]`.

    joined: no space precedes it.
    """

    text: str
    start: int
    end: int
    is_number: bool = False
    joined: bool = False


# Possessive quantifiers (++, *+) do not backtrack: each character is read once.
_TOKEN = re.compile(
    r"(?P<space>\s++)|(?P<number>(?:[0-9]++(?:\.[0-9]++)?|\.[0-9]++)(?:e[+-]?[0-9]++(?![\w.]))?)"
    r"|(?P<word>[^\W\d]\w*+)|\*\*|//|.",
    re.I | re.S,
)
_SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "’": "'", "²": "\uf0b2",
                        "³": "\uf0b3"})  # fmt: skip
_SUPERSCRIPTS = {"\uf0b2": "squared", "\uf0b3": "cubed"}  # private characters, each one long
_VULGAR = {"½": "0.5", "¼": "0.25", "¾": "0.75"}

_UNITS = {word: value for value, word in enumerate(ONES)}
_TENS = {word: 10 * value for value, word in enumerate(TENS, start=2)}
_SCALES = {
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_PARTS = {"half": Decimal("0.5"), "quarter": Decimal("0.25")}
# Words that stand for numbers without being one: what an expression may have in their place.
NAMED: dict[str, tuple[str, ...]] = {
    "dozen": ("12",),
    "dozens": ("12",),
    "half": ("2", "0.5"),
    "halve": ("2", "0.5"),
    "halved": ("2", "0.5"),
    "third": ("3",),
    "thirds": ("3",),
    "quarter": ("4", "0.25"),
    "quarters": ("4", "0.25"),
    "second": ("2",),
    "fourth": ("4",),
    "fifth": ("5",),
    "fifths": ("5",),
    "sixth": ("6",),
    "sixths": ("6",),
    "eighth": ("8",),
    "eighths": ("8",),
    "tenth": ("10",),
    "tenths": ("10",),
    "once": ("1",),
    "twice": ("2",),
    "thrice": ("3",),
    "double": ("2",),
    "doubled": ("2",),
    "triple": ("3",),
    "tripled": ("3",),
    "quadruple": ("4",),
    "square": ("2",),
    "squared": ("2",),
    "cube": ("3",),
    "cubed": ("3",),
    "%": ("100", "1"),  # the whole: 1 + 20 / 100
    "percent": ("100", "1"),
    "percentage": ("100", "1"),
    "cent": ("100",),
    "decade": ("10",),
    "decades": ("10",),
    "century": ("100",),
    "centuries": ("100",),
}


def tokens(text: str) -> list[Token]:
    """The tokens of a text. "1,240" and "one hundred and five" are one number each.

    Among a function's arguments, as in "max(1,200)", a comma separates.
    """
    found = list(_raw(text))
    if not re.search(r"\b(?:max|min|mean|median|round|gcd|lcm)\(", text):
        found = _without_separators(found)
    return list(_merged(found))


def _raw(text: str) -> Iterator[Token]:
    joined = False
    for match in _TOKEN.finditer(text.translate(_SIGNS)):
        if match.lastgroup == "space":
            joined = False
            continue
        said = match[0].lower()
        said = _SUPERSCRIPTS.get(said, said)
        number = _VULGAR.get(said, said if match.lastgroup == "number" else "")
        yield Token(number or said, match.start(), match.end(), bool(number), joined)
        joined = True


def _without_separators(found: Sequence[Token]) -> list[Token]:
    """Join groups of three digits that commas without spaces separate to one number."""
    result: list[Token] = []
    at = 0
    while at < len(found):
        end = at + 1
        groups = [found[at].text]
        while (
            found[at].is_number
            and end + 1 < len(found)
            and found[end].text == ","
            and found[end].joined
            and found[end + 1].is_number
            and found[end + 1].joined
        ):
            groups.append(found[end + 1].text)
            end += 2
        whole = [group.partition(".")[0] for group in groups[1:]]
        decimals = any("." in group for group in groups[:-1])
        if whole and len(groups[0]) <= 3 and not decimals and all(len(g) == 3 for g in whole):
            result.append(replace(found[at], text="".join(groups), end=found[end - 1].end))
        else:
            result += found[at:end]
        at = end
    return result


def _merged(found: Sequence[Token]) -> Iterator[Token]:
    """Number words, and numbers with "million" or "and a half" behind them, as one number each."""
    at = 0
    while at < len(found):
        value, end = _number(found, at)
        if value is None:
            yield found[at]
            at += 1
            continue
        words = [token.text for token in found[end : end + 3]]
        if words[:2] == ["and", "a"] and words[2:] and words[2] in _PARTS:
            value, end = value + _PARTS[words[2]], end + 3
        if end == at + 1 and found[at].is_number:
            yield found[at]
        else:
            text = f"{value.normalize():f}" if value else "0"
            yield Token(text, found[at].start, found[end - 1].end, True, found[at].joined)
        at = end


def _number(found: Sequence[Token], at: int) -> tuple[Decimal | None, int]:
    """The number that begins at this token, and the index of the token after it."""
    first = found[at]
    if first.is_number:
        if len(first.text) > LENGTH:
            return None, at + 1
        value, end = Decimal(first.text), at + 1
        part = found[end] if end < len(found) else first
        if part.is_number and part.joined and part.text in _VULGAR.values():  # 2½
            value, end = value + Decimal(part.text), end + 1
        while end < len(found) and found[end].text in _SCALES:
            value, end = value * _SCALES[found[end].text], end + 1
        return value, end
    text = first.text
    following = found[at + 1].text if at + 1 < len(found) else ""
    if text in ("a", "an") and following in _SCALES:
        return _words(found, at + 1)
    if text in ("a", "an") and following == "dozen":
        return Decimal(12), at + 2
    if text in _UNITS or text in _TENS:
        return _words(found, at)
    return None, at


def _words(found: Sequence[Token], at: int) -> tuple[Decimal, int]:
    """A number in words that begins here, or at a scale after "a"."""

    def word(index: int) -> str:
        return found[index].text if index < len(found) else ""

    total, current, room = 0, 0, 10**15  # room: the next word must be smaller
    while True:
        text = word(at)
        if text in _TENS and room > 99:
            current, at, room = current + _TENS[text], at + 1, 10
            if word(at) == "-" and found[at].joined and 0 < _UNITS.get(word(at + 1), 0) < 10:
                at += 1
        elif text in _UNITS and _UNITS[text] < room and room > 1:
            current, at, room = current + _UNITS[text], at + 1, 1
        elif text == "hundred":
            current, at, room = max(current, 1) * 100, at + 1, 100
        elif text in _SCALES:
            total, current = total + max(current, 1) * _SCALES[text], 0
            at, room = at + 1, 1000
        elif (
            text == "and"
            and room >= 100
            and word(at - 1) in _SCALES
            and (word(at + 1) in _UNITS or word(at + 1) in _TENS)
        ):
            at += 1
        else:
            break
    value = Decimal(total + current)
    if word(at) == "point" and word(at + 1) in _UNITS:
        digits, at = "", at + 1
        while word(at) in _UNITS and _UNITS[word(at)] < 10:
            digits, at = digits + str(_UNITS[word(at)]), at + 1
        value += Decimal(f"0.{digits or 0}")
    return value, at


def count_numbers(text: str) -> int:
    """How many numbers are in a text, in digits or in words."""
    return sum(token.is_number or token.text in NAMED for token in tokens(text))


def known_numbers(texts: Iterable[str]) -> set[Decimal]:
    """The numbers that occur in texts. "dozen" stands for 12, "half" for 2 and 0.5. A percentage
    also stands for its hundredth."""
    known: set[Decimal] = set()
    for text in texts:
        found = tokens(text)
        for token, after in zip_longest(found, found[1:]):
            if token.is_number and len(token.text) <= LENGTH:
                known.add(Decimal(token.text))
                if after and after.text in ("%", "percent", "per"):
                    known.add(Decimal(token.text) / 100)
            known.update(map(Decimal, NAMED.get(token.text, ())))
    return known


def unknown_numbers(expression: str, sources: Iterable[str]) -> list[str]:
    """The numbers of an expression that occur in none of the source texts. Constants such as pi are
    not numbers here."""
    known = known_numbers(sources)
    used = (token.text for token in tokens(expression) if token.is_number)
    return [text for text in used if len(text) > LENGTH or Decimal(text) not in known]
