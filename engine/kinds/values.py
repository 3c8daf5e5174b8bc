"""The text of a cell → a number with its unit, a date, or a time of day. Pure.

Cells come as text, "14 crowns", "1,250.50 €", "2024-03-01", and have to be compared as what they
mean. A cell that holds more than one quantity, or a sentence, has no value.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from engine.kinds.dates import Moment, moment_of

# Cells of a column that must have a value of one sort, for the column to be of that sort
MOSTLY = 0.6

_FREE = frozenset(["free", "free of charge", "gratis", "no charge", "nothing", "none", "nil"])
_SIGNS = "€$£¥₹"
_CELL = re.compile(
    rf"(?:(?:about|approx\.?|ca\.?|circa|from|up to|max\.?|min\.?|over|~|≈)\s*)?"
    rf"(?P<before>[{_SIGNS}]|[A-Z]{{3}} )?\s*"
    r"(?P<number>[-−+]?\d[\d.,'’ \u202f]*)"
    rf"\s*(?P<unit>[{_SIGNS}%°‰]?[^\W\d_]*(?:[ /.]+[^\W\d_]+){{0,2}}[²³]?)\s*"
    r"(?:\([^()]*\))?",
    re.IGNORECASE,
)
# A negative amount as spreadsheets show it: "($1,234.50)", "-$3"
_NEGATIVE = re.compile(
    rf"\(((?:[{_SIGNS}]\s*)?\d[\d.,]*(?:\s*[{_SIGNS}])?)\)|[-−]([{_SIGNS}].*)"
)
_CLOCK = re.compile(
    r"(?P<hour>[01]?\d|2[0-4])[:.](?P<minute>[0-5]\d)\s*(?P<half>[ap]\.?m\.?)?", re.I
)
_DURATION = re.compile(
    r"(?:(?P<hours>\d+)\s*h(?:ours?|rs?)?)\s*(?:and\s*)?(?P<minutes>\d+)\s*(?:m|min|minutes?)", re.I
)


@dataclass(frozen=True, slots=True)
class Value:
    """A number and its unit, in lower case and in the singular; empty without one."""

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
    match = _CELL.fullmatch(text) if len(text) <= 60 else None
    if match is None or (number := number_of(match["number"])) is None:
        return None
    return Value(number, unit_of(match["before"] or match["unit"]))


def number_of(text: str) -> Decimal | None:
    """ "1,250.50", "1 250,50", "−3" → a number. The last of several signs is the decimal one."""
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
    for read in (moment_of, clock_of):
        found = [read(cell) for cell in cells]
        if sum(each is not None for each in found) >= MOSTLY * len(filled):
            if read is moment_of and all(map(str.isdecimal, filled)) and not _years(filled):
                continue  # plain numbers that could be years
            return list(found)
    values = [value_of(cell) for cell in cells]
    if sum(each is not None for each in values) < MOSTLY * len(filled):
        return None
    units = {each.unit for each in values if each and each.unit}
    if len(units) <= 1:
        return [each.number if each else None for each in values]
    scales = {unit: _scale(unit) for unit in units}
    dimensions = {scale[0] for scale in scales.values()}
    if len(dimensions) > 1 or "" in dimensions:
        return None
    return [
        None if each is None else each.number * (scales[each.unit][1] if each.unit else 1)
        for each in values
    ]


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
}  # fmt: skip


def _scale(unit: str) -> tuple[str, Decimal]:
    for dimension, units in _SCALES.items():
        if unit in units:
            return dimension, Decimal(units[unit])
    return "", Decimal(1)
