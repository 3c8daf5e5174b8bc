"""The text of a cell → a number with its unit, a date, or a time of day. Pure.

Cells come as text, "14 crowns", "1,250.50 €", "2024-03-01", and have to be compared as what they
mean. A cell that holds more than one quantity, or a sentence, has no value.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from engine.kinds.dates import Moment, moment_of, month_comes_first

# Cells of a column that must have a value of one sort, for the column to be of that sort
MOSTLY = 0.6

_FREE = frozenset(["free", "free of charge", "gratis", "no charge", "nothing", "none", "nil"])
_SIGNS = "€$£¥₹"
_CELL = re.compile(
    rf"(?:(?:about|approx\.?|ca\.?|circa|from|up to|max\.?|min\.?|over|~|≈)\s*)?"
    rf"(?P<before>[{_SIGNS}]|[A-Z]{{3}} )?\s*"
    r"(?P<number>[-−+]?(?:(?:\d+ )?\d+/\d+|\d[\d.,]*E[-+]\d{1,3}|\d[\d.,'’ \u202f]*))"
    rf"\s*(?P<unit>[{_SIGNS}%°‰]?[^\W\d_]*(?:[ /.]+[^\W\d_]+){{0,2}}[²³]?)\s*"
    r"(?:\([^()]*\))?",
    re.IGNORECASE,
)
# A negative amount as spreadsheets show it: "($1,234.50)", "-$3"
_NEGATIVE = re.compile(rf"\(((?:[{_SIGNS}]\s*)?\d[\d.,]*(?:\s*[{_SIGNS}])?)\)|[-−]([{_SIGNS}].*)")
_CLOCK = re.compile(
    r"(?P<hour>[01]?\d|2[0-4])[:.](?P<minute>[0-5]\d)\s*(?P<half>[ap]\.?m\.?)?", re.I
)
_DURATION = re.compile(
    r"(?:(?P<hours>\d+)\s*h(?:ours?|rs?)?)\s*(?:and\s*)?(?P<minutes>\d+)\s*(?:m|min|minutes?)", re.I
)
# "30:05" and "1:30:05", as spreadsheets show durations. The first is a time of day as well, if it
# is below 24 hours. The units say in how many parts it is written.
_PARTS = re.compile(r"(\d{1,6}):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?")
MINUTES, SECONDS = ":", "::"
# Fractions that spreadsheets and recipes show. Others, such as 5/12, may be dates.
_DENOMINATORS = (2, 3, 4, 8, 16, 32, 64)
_HALVES = re.compile(r"(\d?) ?([¼½¾⅓⅔⅛⅜⅝⅞])")


@dataclass(frozen=True, slots=True)
class Value:
    """A number and its unit, in lower case and in the singular; empty without one.

    A duration "30:05" counts its last part, with the unit MINUTES; "1:30:05" has SECONDS.
    """

    number: Decimal
    unit: str = ""


def value_of(cell: str) -> Value | None:
    """The one quantity that a cell states, or None."""
    text = cell.strip()
    if text.lower() in _FREE:
        return Value(Decimal(0))
    if negative := _NEGATIVE.fullmatch(text):
        found = value_of(negative[1] or negative[2])
        return Value(-found.number, found.unit) if found else None
    if match := _DURATION.fullmatch(text):
        return Value(Decimal(int(match["hours"]) * 60 + int(match["minutes"])), "minute")
    if match := _PARTS.fullmatch(text):
        first, second, third = match.groups()
        length = Decimal(int(first) * 60 + int(second))
        return Value(length * 60 + Decimal(third), SECONDS) if third else Value(length, MINUTES)
    text = _HALVES.sub(lambda half: f"{half[1]} {unicodedata.normalize('NFKC', half[2])}", text)
    match = _CELL.fullmatch(text.strip().replace("⁄", "/")) if len(text) <= 60 else None
    if match is None or (number := number_of(match["number"])) is None:
        return None
    return Value(number, unit_of(match["before"] or match["unit"]))


def number_of(text: str) -> Decimal | None:
    """ "1,250.50", "1 250,50", "−3", "3.00E+08", "2 3/4" → a number. The last of several signs is
    the decimal one."""
    if match := re.fullmatch(r"([-−+]?)(?:(\d+) )?(\d+)/(\d+)", text.strip()):
        part, parts = int(match[3]), int(match[4])
        if part >= parts or (parts not in _DENOMINATORS and not match[2]):
            return None
        number = int(match[2] or 0) + Decimal(part) / parts
        return -number if match[1] in ("-", "−") else number
    if re.search(r"\dE", text, re.IGNORECASE):
        mantissa, _, exponent = text.upper().partition("E")
        found = number_of(mantissa)
        return None if found is None else found.scaleb(int(exponent))
    digits = re.sub(r"[ '’\u202f]", "", text).replace("−", "-").rstrip(".,")
    last = max(digits.rfind("."), digits.rfind(","))
    if last >= 0:
        sign = digits[last]
        grouped = digits.count(sign) > 1 or (sign == "," and re.search(r"\d,\d{3}$", digits))
        whole = re.sub(r"[.,]", "", digits[:last])
        digits = whole + ("" if grouped else ".") + digits[last + 1 :]
    try:
        return Decimal(digits)
    except InvalidOperation:
        return None


def unit_of(text: str) -> str:
    unit = text.strip().lower().rstrip(".")
    return unit[:-1] if len(unit) > 3 and unit.endswith("s") and not unit.endswith("ss") else unit


def clock_of(cell: str) -> int | None:
    """ "06:30", "7.45 pm" → minutes since midnight."""
    match = _CLOCK.fullmatch(cell.strip())
    if match is None or (match["half"] is None and "." in match[0]):
        return None  # "6.30" alone is more often a number
    hour = int(match["hour"]) % 12 if match["half"] else int(match["hour"])
    return (hour + 12 * ((match["half"] or "a")[0].lower() == "p")) * 60 + int(match["minute"])


Comparable = Decimal | Moment | int


def comparable(cells: Sequence[str]) -> list[Comparable | None] | None:
    """What the cells of a column are compared by, one for each cell; None if they have no order.

    Most of them must be of one sort: quantities of one unit, dates, or times of day.
    """
    filled = [cell for cell in cells if cell.strip()]
    if not filled:
        return None
    values = [value_of(cell) for cell in cells]
    days = any(each and each.unit == MINUTES and each.number >= 24 * 60 for each in values)
    month_first = month_comes_first(filled)
    for read in (lambda cell: moment_of(cell, month_first), clock_of):
        found = [read(cell) for cell in cells]
        if sum(each is not None for each in found) >= MOSTLY * len(filled):
            if read is not clock_of and all(map(str.isdecimal, filled)) and not _years(filled):
                continue  # plain numbers that could be years
            if read is clock_of and days:
                continue  # durations: no time of day has more than 24 hours
            return list(found)
    if sum(each is not None for each in values) < MOSTLY * len(filled):
        return None
    alike = in_one_unit([each for each in values if each])
    if alike is None:
        return None
    numbers = iter(alike)
    return [next(numbers).number if each else None for each in values]


def in_one_unit(values: Sequence[Value]) -> list[Value] | None:
    """The same quantities in the unit that most of them have; None if their units do not go
    together, as "€" and "$". One without a unit has that of the others."""
    usual = usual_unit(values)
    numbers = [converted(each, usual) for each in values]
    return None if None in numbers else [Value(each, usual) for each in numbers if each is not None]


def usual_unit(values: Iterable[Value | None]) -> str:
    """The unit that most of them have; empty if none has one."""
    units = Counter(each.unit for each in values if each and each.unit)
    return units.most_common(1)[0][0] if units else ""


def converted(value: Value, unit: str) -> Decimal | None:
    """The number of a quantity in another unit; None if it has none there. A quantity without a
    unit is taken to have that one, except in a column of durations."""
    if value.unit == unit or (not value.unit and unit not in (MINUTES, SECONDS)):
        return value.number
    (dimension, scale), (wanted, other) = _scale(value.unit), _scale(unit)
    return value.number * scale / other if dimension and dimension == wanted else None


def _years(cells: Sequence[str]) -> bool:
    return all(1400 <= int(cell) <= 2200 for cell in cells)


# Units that one column may mix. Others are compared only with themselves.
_SCALES = {
    "weight": {"mg": "0.001", "g": "1", "gram": "1", "kg": "1000", "kilogram": "1000",
               "t": "1000000", "tonne": "1000000"},
    "length": {"mm": "0.001", "cm": "0.01", "m": "1", "metre": "1", "meter": "1", "km": "1000",
               "kilometre": "1000", "kilometer": "1000"},
    "volume": {"ml": "0.001", "cl": "0.01", "dl": "0.1", "l": "1", "litre": "1", "liter": "1"},
    "time": {"s": "1", "sec": "1", "second": "1", "min": "60", "minute": "60", "h": "3600",
             "hour": "3600", "day": "86400", "week": "604800", "month": "2629746",
             "year": "31556952"},
    "sixtieths": {MINUTES: "1", SECONDS: "1"},
}  # fmt: skip


def _scale(unit: str) -> tuple[str, Decimal]:
    for dimension, units in _SCALES.items():
        if unit in units:
            return dimension, Decimal(units[unit])
    return "", Decimal(1)


def has_scale(unit: str) -> bool:
    """Whether its quantities can be converted into other units."""
    return bool(_scale(unit)[0])
