"""A number or a date in a spreadsheet → the text that its cell shows.

A cell's format is a code such as `#,##0.00 "EUR";[Red]-#,##0.00 "EUR"` or `d mmm yyyy`, as ECMA-376
part 1 (18.8.30 and 18.8.31) has them. A point stands before decimals and a comma between thousands,
because a file does not name the language of the program that shows it. For the same reason, dates
in the system's own format, and names of months in other languages than English, become ISO dates.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import lru_cache

Value = float | date | datetime | time | timedelta

# Formats that a file names by number alone; without dates in the system's own format (14, 22).
BUILT_IN = {
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    9: "0%",
    10: "0.00%",
    11: "0.00E+00",
    12: "# ?/?",
    13: "# ??/??",
    15: "d-mmm-yy",
    16: "d-mmm",
    17: "mmm-yy",
    18: "h:mm AM/PM",
    19: "h:mm:ss AM/PM",
    20: "h:mm",
    21: "h:mm:ss",
    37: "#,##0;(#,##0)",
    38: "#,##0;(#,##0)",
    39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;(#,##0.00)",
    45: "mm:ss",
    46: "[h]:mm:ss",
    47: "mm:ss.0",
    48: "##0.0E+0",
}

_TOKEN = re.compile(
    r"""
    "(?P<quoted>[^"]*)"
    | \\(?P<escaped>.)
    | _(?P<space>.)
    | \*(?P<fill>.)
    | \[\$(?P<currency>[^\]-]*)(?:-(?P<locale>[^\]]*))?\]
    | \[(?P<elapsed>h+|m+|s+)\]
    | \[(?P<condition>[<>=]+-?[\d.]+)\]
    | \[(?P<colour>[^\]]*)\]
    | (?P<half>AM/PM|A/P)
    | (?P<general>General)
    | (?P<fraction>\.0+(?=[^0#?]|$))
    | (?P<date>y+|m+|d+|h+|s+)
    | (?P<digit>[0#?])
    | (?P<exponent>E[+-]0+)
    | (?P<sign>[.,%/@])
    | (?P<other>.)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_CONDITION = re.compile(r"([<>=]+)(-?[\d.]+)")
_ENGLISH = 9  # the language in the lower ten bits of a locale's number
_SYSTEM = (0xF800, 0xF400)  # its long date, its time
_LARGEST = 1e15  # a number has no more exact digits


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


_Section = tuple[_Token, ...]


def shown(value: Value, code: str) -> str | None:
    """None if the code does not say how: the value is shown in its general form."""
    if not isinstance(value, float):
        dates = _dates(code)
        return dates.text(value) if dates else None
    if abs(value) >= _LARGEST:
        return None
    if simple := _simple(code):
        return simple.text(value)
    section, number = _section_for(value, _sections(code))
    if not any(token.kind in ("digit", "general") for token in section):
        return _literals(section) or None
    if any(token.kind == "general" for token in section):
        return None
    text = _fraction(number, section) if _is_fraction(section) else _number(number, section)
    return " ".join(text.split())


# ---- Parsing


@lru_cache(maxsize=1000)
def _sections(code: str) -> tuple[_Section, ...]:
    """The parts for positive numbers, negative ones, zero and text."""
    sections: list[list[_Token]] = [[]]
    for found in _TOKEN.finditer(code):
        kind = str(found.lastgroup)
        if kind == "locale":  # inside the currency's brackets
            sections[-1].append(_Token("locale", found["locale"]))
            kind = "currency"
        text = found[kind] or ""
        if kind == "other" and text == ";":
            sections.append([])
        else:
            sections[-1].append(_Token(kind, text))
    return tuple(_with_fractions(section) for section in sections)


def _with_fractions(section: Sequence[_Token]) -> _Section:
    """`.0` after seconds is a part of a time; elsewhere it is decimals."""
    if any(token.kind in ("date", "elapsed") for token in section):
        return tuple(section)
    tokens: list[_Token] = []
    for token in section:
        if token.kind == "fraction":
            tokens.append(_Token("sign", "."))
            tokens.extend(_Token("digit", char) for char in token.text[1:])
        else:
            tokens.append(token)
    return tuple(tokens)


def _section_for(value: float, sections: Sequence[_Section]) -> tuple[_Section, Decimal]:
    """The section that a number is shown by, and the number that it shows: a section for negative
    numbers writes its own sign.
    """
    number = Decimal(repr(value))
    conditions = [_condition(section) for section in sections[:2]]
    if any(conditions):
        for section, condition in zip(sections, conditions, strict=False):
            if condition and _holds(number, condition):
                return section, number
        return sections[min(len(sections) - 1, sum(map(bool, conditions)))], number
    if value < 0 and len(sections) > 1:
        return sections[1], -number
    if value == 0 and len(sections) > 2:
        return sections[2], number
    return sections[0], number


def _condition(section: _Section) -> str:
    return next((token.text for token in section if token.kind == "condition"), "")


def _holds(number: Decimal, condition: str) -> bool:
    found = _CONDITION.fullmatch(condition)
    if not found:
        return False
    limit = Decimal(found[2])
    return {
        "<": number < limit,
        "<=": number <= limit,
        ">": number > limit,
        ">=": number >= limit,
        "=": number == limit,
        "<>": number != limit,
    }.get(found[1], False)


def _literal(token: _Token) -> str:
    """What a token writes that stands for no part of the number."""
    match token.kind:
        case "quoted" | "escaped" | "currency" | "other":
            return token.text
        case "space":
            return " "
        case "sign":
            return "" if token.text in ",@" else token.text
        case _:
            return ""


def _literals(section: _Section) -> str:
    return " ".join("".join(map(_literal, section)).split())


# ---- Numbers


@dataclass(frozen=True, slots=True)
class _Simple:
    """A format of one section such as `#,##0.00 "EUR"` or `0%`, which most are. It gives what
    `_number` gives, in a tenth of the time.
    """

    before: str
    after: str
    unit: Decimal  # of the last decimal
    scale: int  # a power of ten
    comma: str  # between thousands, or nothing

    def text(self, value: float) -> str:
        number = Decimal(repr(value))
        if self.scale:
            number = number.scaleb(self.scale)
        number = number.quantize(self.unit, ROUND_HALF_UP)
        sign = "-" if number < 0 else ""
        return " ".join(f"{sign}{self.before}{abs(number):{self.comma}f}{self.after}".split())


_SIMPLE_KINDS = {"quoted", "escaped", "currency", "locale", "space", "digit", "sign", "other"}
_DIGITS = re.compile(r"(0|#,##0)(?:\.(0+))?")


@lru_cache(maxsize=1000)
def _simple(code: str) -> _Simple | None:
    sections = _sections(code)
    kinds = {token.kind for section in sections for token in section}
    if len(sections) > 1 or kinds - _SIMPLE_KINDS:
        return None
    (section,) = sections
    signs = [_Token("sign", "."), _Token("sign", ",")]
    places = [n for n, each in enumerate(section) if each.kind == "digit" or each in signs]
    if not places or places != list(range(places[0], places[-1] + 1)):
        return None
    found = _DIGITS.fullmatch("".join(section[n].text for n in places))
    if not found:
        return None
    return _Simple(
        before="".join(map(_literal, section[: places[0]])),
        after="".join(map(_literal, section[places[-1] + 1 :])),
        unit=Decimal(1).scaleb(-len(found[2] or "")),
        scale=2 * sum(token == _Token("sign", "%") for token in section),
        comma="," if "," in found[1] else "",
    )


def _number(number: Decimal, section: _Section) -> str:
    digits = [n for n, token in enumerate(section) if token.kind == "digit"]
    point = next((n for n, t in enumerate(section) if t == _Token("sign", ".")), len(section))
    whole = [n for n in digits if n < point]
    decimals = [n for n in digits if n > point]
    exponent = next((n for n, token in enumerate(section) if token.kind == "exponent"), None)
    commas = [n for n, token in enumerate(section) if token == _Token("sign", ",")]
    last = max(whole, default=-1)
    thousands = any(whole and whole[0] < n < last for n in commas)
    if exponent is None:
        number = number.scaleb(-3 * sum(n > last for n in commas))
        number = number.scaleb(2 * sum(t == _Token("sign", "%") for t in section))
        power = 0
    else:
        number, power = _scaled(number, max(len(whole), 1))
    rounded = abs(number).quantize(Decimal(1).scaleb(-len(decimals)), ROUND_HALF_UP)
    integer, _, part = f"{rounded:f}".partition(".")
    written = _placed_integer(integer, [section[n].text for n in whole], thousands)
    texts = dict(zip(whole, written, strict=True))
    texts |= zip(decimals, _placed_decimals(part, [section[n].text for n in decimals]), strict=True)
    if not whole:  # such as ".00": the digits before the point have no place of their own
        texts[point] = f"{integer if integer != '0' else ''}."
    elif point < len(section) and not any(texts[n] for n in decimals):
        texts[point] = "" if decimals else "."
    if exponent is not None:
        sign, width = section[exponent].text[1], len(section[exponent].text) - 2
        texts[exponent] = f"E{'-' if power < 0 else '+' * (sign == '+')}{abs(power):0{width}}"
    text = "".join(texts.get(n, _literal(token)) for n, token in enumerate(section))
    return f"-{text}" if number < 0 and rounded else text


def _scaled(number: Decimal, places: int) -> tuple[Decimal, int]:
    """A mantissa with up to that many digits before the point, and the power of ten."""
    if not number:
        return number, 0
    power = number.adjusted()
    power -= power % places if places > 1 else 0
    return number.scaleb(-power), power


def _placed_integer(digits: str, places: Sequence[str], thousands: bool) -> list[str]:
    """The digits of an integer in their places, from the right; the first takes what is left."""
    digits = digits.lstrip("0")
    texts: list[str] = []
    for number, place in enumerate(reversed(places)):
        is_first = number == len(places) - 1
        cut = max(0, len(digits) - 1) if not is_first else 0
        taken, digits = digits[cut:], digits[:cut]
        taken = taken or ("0" if place == "0" else "")
        if thousands:
            taken = _grouped(taken, number)
        texts.append(taken)
    return texts[::-1]


def _grouped(digits: str, before: int) -> str:
    """With commas between thousands. `before`: the digits that stand to the right of these."""
    text = ""
    for number, digit in enumerate(reversed(digits), start=before):
        text = f"{digit}{',' if number and number % 3 == 0 else ''}{text}"
    return text


def _placed_decimals(digits: str, places: Sequence[str]) -> list[str]:
    """Zeros at the end are shown only where a place is "0"."""
    texts = list(digits)
    for number in reversed(range(len(places))):
        if texts[number] != "0" or places[number] == "0":
            break
        texts[number] = ""
    return texts


def _is_fraction(section: _Section) -> bool:
    slash = [n for n, token in enumerate(section) if token == _Token("sign", "/")]
    digits = [n for n, token in enumerate(section) if token.kind == "digit"]
    return bool(slash and digits and digits[0] < slash[0])


def _fraction(number: Decimal, section: _Section) -> str:
    """Such as "2 3/4"."""
    slash = next(n for n, token in enumerate(section) if token == _Token("sign", "/"))
    after = [token for token in section[slash + 1 :] if token.kind in ("digit", "other")]
    below = "".join(token.text for token in after)
    fixed = re.match(r"\d*[1-9]\d*", below)
    if fixed:
        parts = Fraction(round(abs(number) * int(fixed[0])), int(fixed[0]))
        denominator = int(fixed[0])
    else:
        most = 10 ** max(1, below.count("?") + below.count("#")) - 1
        parts = Fraction(abs(number)).limit_denominator(most)
        denominator = parts.denominator
    has_whole = any(
        token.kind == "digit" and any(t.kind == "other" for t in section[n:slash])
        for n, token in enumerate(section[:slash])
    )
    whole = int(parts) if has_whole else 0
    rest = parts - whole
    above = rest.numerator * denominator // rest.denominator
    text = f"{whole or ''} {above}/{denominator}" if above else str(whole)
    return f"-{text.strip()}" if number < 0 and parts else text.strip()


# ---- Dates and times


@dataclass(frozen=True, slots=True)
class _Dates:
    """A format of dates and times. `minutes`: which of the tokens are."""

    tokens: _Section
    minutes: frozenset[int]
    half: bool

    def text(self, value: date | datetime | time | timedelta) -> str:
        moment, seconds = _moment(value)
        texts: list[str] = []
        for place, token in enumerate(self.tokens):
            if token.kind in ("date", "elapsed"):
                texts.append(_part(token, moment, seconds, place in self.minutes, self.half))
            elif token.kind == "half":
                texts.append("AM" if moment.hour < 12 else "PM")
            elif token.kind == "fraction":
                texts.append(f"{moment.microsecond / 1e6:.{len(token.text) - 1}f}"[1:])
            elif token.kind == "sign":
                texts.append(token.text.replace("@", ""))
            else:
                texts.append(_literal(token))
        return " ".join("".join(texts).split())


@lru_cache(maxsize=1000)
def _dates(code: str) -> _Dates | None:
    """None where the code is the system's own, or names months in another language."""
    section = _sections(code)[0]
    locale = next((token.text for token in section if token.kind == "locale"), "")
    number = int(locale, 16) if re.fullmatch("[0-9A-Fa-f]{1,8}", locale) else _ENGLISH
    names = any(t.kind == "date" and t.text[0] in "mMdD" and len(t.text) > 2 for t in section)
    parts = [n for n, token in enumerate(section) if token.kind in ("date", "elapsed")]
    if not parts or number in _SYSTEM or (names and number & 0x3FF != _ENGLISH):
        return None
    # `m` and `mm` are minutes after hours and before seconds
    kinds = [section[n].text[0].lower() for n in parts]
    near = {
        parts[n]
        for n, kind in enumerate(kinds)
        if kind == "m" and ("h" in kinds[max(n - 1, 0) : n] or "s" in kinds[n + 1 : n + 2])
    }
    return _Dates(
        section,
        frozenset(n for n in near if len(section[n].text) < 3),
        any(token.kind == "half" for token in section),
    )


def _moment(value: date | datetime | time | timedelta) -> tuple[datetime, float]:
    """As a point in time, and in seconds since the spreadsheet's first day."""
    first = datetime(1899, 12, 30)
    if isinstance(value, timedelta):
        return first + value, value.total_seconds()
    if isinstance(value, time):
        value = datetime.combine(first.date(), value)
    elif not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return value, (value - first).total_seconds()


def _part(token: _Token, moment: datetime, seconds: float, is_minute: bool, half: bool) -> str:
    kind, length = token.text[0].lower(), len(token.text)
    if token.kind == "elapsed":
        unit = {"h": 3600, "m": 60, "s": 1}[kind]
        return f"{int(seconds // unit):0{length}}"
    if kind == "m" and is_minute:
        return f"{moment.minute:0{length}}"
    if kind == "h":
        hour = (moment.hour - 1) % 12 + 1 if half else moment.hour
        return f"{hour:0{length}}"
    if kind == "s":
        return f"{moment.second:0{length}}"
    if kind == "y":
        return f"{moment.year:04}" if length > 2 else f"{moment.year % 100:02}"
    if kind == "m":
        if length > 4:
            return f"{moment:%B}"[0]
        return f"{moment:%B}" if length == 4 else f"{moment:%b}" if length == 3 else (
            f"{moment.month:0{length}}"
        )
    return f"{moment:%A}" if length > 3 else f"{moment:%a}" if length == 3 else (
        f"{moment.day:0{length}}"
    )
