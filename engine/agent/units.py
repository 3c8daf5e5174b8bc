"""Conversion of units: "84 kilometres" in "miles" → "84 kilometres ≈ 52.1952 miles".

The factors are pint's, as exact fractions. Only the names in units.toml are read: pint also takes
"at" for an atmosphere and "as" for an attosecond.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

from engine.agent.forms import read_forms
from engine.agent.numbers import Token, tokens
from engine.agent.wording import plain
from engine.errors import ToolError

if TYPE_CHECKING:
    from pint import UnitRegistry

DIGITS = 6  # of a result that has more
LENGTH = 300  # characters of a question; longer ones are not read

_DATA = read_forms(__file__)

# Names with two meanings: pint's name of the usual one and of the other one, which results mention.
_TWO_MEANINGS = {
    ("gallon", "gallons", "gal"): ("US_gallon", "imperial_gallon"),
    ("quart", "quarts", "qt"): ("US_quart", "imperial_quart"),
    ("pint", "pints", "pt"): ("US_pint", "imperial_pint"),
    ("cup", "cups"): ("US_cup", "metric_cup"),
    ("fluid ounce", "fluid ounces", "fl oz", "fl . oz ."): (
        "US_fluid_ounce",
        "imperial_fluid_ounce",
    ),
    ("ton", "tons"): ("tonne", "US_ton"),
}
# Years have 365 or 366 days, months 28 to 31. Results say so.
_CALENDAR = frozenset(["common_year", "common_decade", "common_century", "month", "quarter_year"])
# What units measure, by one of them
_MEASURES = {
    "meter": "length", "gram": "mass", "second": "time", "meter**2": "area", "meter**3": "volume",
    "kelvin": "temperature", "meter/second": "speed", "joule": "energy", "watt": "power",
    "pascal": "pressure", "byte": "data",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unit:
    """`pint`: pint's name. `other`: the other meaning of the name that was used, if it has two."""

    pint: str
    singular: str
    plural: str
    other: str = ""

    def named(self, value: Fraction | None = None) -> str:
        return self.singular if value == 1 else self.plural


@dataclass(frozen=True, slots=True)
class Quantity:
    value: Fraction
    unit: Unit

    def __str__(self) -> str:
        return f"{shown(self.value)[1]} {self.unit.named(self.value)}"


@cache
def _by_name() -> dict[tuple[str, ...], Unit]:
    """The words of a name → its unit."""
    names: dict[tuple[str, ...], Unit] = {}
    units: dict[str, Unit] = {}
    for line in _DATA.data["units"].strip().splitlines():
        own, pint_name, others = line.split("|")
        singular, plural = own.split()
        unit = Unit(pint_name, singular.replace("_", " "), plural.replace("_", " "))
        units[singular] = unit
        for name in (singular, plural, *others.split()):
            names[tuple(name.lower().split("_"))] = unit
    for aliases, (usual, other) in _TWO_MEANINGS.items():
        unit = Unit(units[usual].pint, units[usual].singular, units[usual].plural, other)
        for alias in aliases:
            names[tuple(alias.split())] = unit
    for other in {other for _, other in _TWO_MEANINGS.values()}:
        names[("other", other)] = units[other]
    return names


LONGEST = 4  # words of a name


@cache
def registry() -> "UnitRegistry[Fraction]":
    """pint's units with exact factors. Made on first use: it takes half a second."""
    from pint import UnitRegistry

    made: UnitRegistry[Fraction] = UnitRegistry(non_int_type=Fraction, cache_folder=None)
    made.define("international_acre = 4046.8564224 * meter ** 2")
    made.define("metric_cup = 250 * milliliter")
    made.define("liter_per_100_km = liter / 100 / kilometer")
    made.define("common_year = 365 * day")
    made.define("common_decade = 10 * common_year")
    made.define("common_century = 100 * common_year")
    made.define("quarter_year = 3 * month")
    made.define("dozen = 12")
    return made


def unit_at(words: Sequence[str], at: int) -> tuple[Unit | None, int]:
    """The unit whose name begins at this word, and the index of the word after it."""
    names = _by_name()
    for count in range(min(LONGEST, len(words) - at), 0, -1):
        if unit := names.get(tuple(words[at : at + count])):
            return unit, at + count
    return None, at


def unit_named(text: str) -> Unit | None:
    """The unit with this name, which may have an article or a full stop."""
    words = [token.text for token in tokens(text)]
    while words and words[0] in ("the", "a", "an", "unit"):
        words = words[1:]
    while words and words[-1] in (".", "?", "!"):
        words = words[:-1]
    unit, end = unit_at(words, 0)
    return unit if words and end == len(words) else None


# Quantities in text


def quantity_at(found: Sequence[Token], at: int) -> tuple[list[Quantity], int]:
    """The quantity that begins at this token, and the index of the token after it.

    A quantity may have several parts: "5 feet 11 inches", "an hour and a half". Empty: none.
    """
    words = [token.text for token in found]
    parts: list[Quantity] = []
    sign = 1
    if words[at : at + 1] in (["-"], ["minus"]):
        sign, at = -1, at + 1
    while at < len(found):
        start = at
        if parts and words[at] in ("and", ","):
            at += 1
        value, after = _amount(found, at)
        if value is None:
            at = start
            break
        unit, end = unit_at(words, after)
        if unit is None and parts and parts[-1].unit.pint in ("foot", "hour") and start == at:
            # "5 ft 11", "2 h 30"
            below = {"foot": "inch", "hour": "minute"}[parts[-1].unit.pint]
            unit, end = _by_name()[(below,)], after
            if value >= 60 or value < 0:
                unit = None
        if unit is None or (parts and not _continues(parts[-1], unit)):
            at = start
            break
        parts.append(Quantity(value * (sign if not parts else 1), unit))
        at = end
        if words[at : at + 3] in (["and", "a", "half"], ["and", "a", "quarter"]):
            extra = Fraction(1, 2) if words[at + 2] == "half" else Fraction(1, 4)
            parts[-1] = Quantity(parts[-1].value + extra, unit)
            at += 3
    return parts, at


def _amount(found: Sequence[Token], at: int) -> tuple[Fraction | None, int]:
    """ "84", "a", "half a", "a quarter of an", "3 / 4"."""
    words = [token.text for token in found[at : at + 5]]
    if not words:
        return None, at
    if found[at].is_number and len(words[0]) < 40:
        value = Fraction(words[0])
        if words[1:2] == ["/"] and len(words) > 2 and found[at + 2].is_number:
            below = Fraction(words[2])
            return (value / below if below else None), at + 3
        return value, at + 1
    for phrase, value in _SHARES:
        if tuple(words[: len(phrase)]) == phrase:
            return value, at + len(phrase)
    return None, at


_SHARES: list[tuple[tuple[str, ...], Fraction]] = [
    (("half", "an"), Fraction(1, 2)),
    (("half", "a"), Fraction(1, 2)),
    (("a", "half"), Fraction(1, 2)),
    (("a", "quarter", "of", "an"), Fraction(1, 4)),
    (("a", "quarter", "of", "a"), Fraction(1, 4)),
    (("quarter", "of", "an"), Fraction(1, 4)),
    (("three", "quarters", "of", "an"), Fraction(3, 4)),
    (("3", "quarters", "of", "an"), Fraction(3, 4)),
    (("3", "quarters", "of", "a"), Fraction(3, 4)),
    (("a",), Fraction(1)),
    (("an",), Fraction(1)),
]


def _continues(before: Quantity, unit: Unit) -> bool:
    """Whether a smaller unit of the same kind follows, as in "5 feet 11 inches"."""
    from pint import PintError

    units = registry()
    try:
        ratio = units.Quantity(Fraction(1), unit.pint).to(before.unit.pint).magnitude
    except PintError:  # other dimensions, or temperatures
        return False
    return 0 < ratio < 1


def total(parts: Sequence[Quantity]) -> Quantity:
    """The parts as one quantity, in the smallest unit."""
    if len(parts) == 1:
        return parts[0]
    unit = parts[-1].unit
    values = (_converted(part, unit.pint) for part in parts)
    return Quantity(sum(values, Fraction(0)), unit)


def read_quantity(text: str) -> list[Quantity]:
    """The parts of a text that is a quantity or a sum of quantities: "2 h 30 min + 45 min".

    Raises:
        ToolError: it is none.
    """
    found = [token for token in tokens(text) if token.text not in ("?", "!")]
    parts, at = quantity_at(found, 0)
    sum_parts = parts
    while parts and at < len(found):
        word = found[at].text
        if word not in ("+", "plus", "and", "-", "minus"):
            break
        parts, after = quantity_at(found, at + 1)
        if not parts:
            break
        sign = -1 if word in ("-", "minus") else 1
        sum_parts = [*sum_parts, *(Quantity(sign * each.value, each.unit) for each in parts)]
        at = after
    while at < len(found) and found[at].text == ".":
        at += 1
    if not sum_parts or at < len(found):
        raise ToolError(
            f"“{text[:80]}” is not a quantity that I can convert. Write a number and a unit, such "
            "as 84 kilometres."
        )
    return list(sum_parts)


def _converted(quantity: Quantity, to: str) -> Fraction:
    """The value in another unit (pint's name).

    Raises:
        ToolError: the units measure different things.
    """
    from pint import DimensionalityError

    units = registry()
    try:
        value = units.Quantity(quantity.value, quantity.unit.pint).to(to).magnitude
        return Fraction(value)
    except DimensionalityError:
        pass
    try:  # litres per 100 km ↔ miles per gallon
        inverse = 1 / units.Quantity(quantity.value, quantity.unit.pint)
        return Fraction(inverse.to(to).magnitude)
    except (DimensionalityError, ZeroDivisionError):
        raise ToolError(
            f"{quantity.unit.plural.capitalize()} and {_plural(to)} measure different things"
            f"{_kinds(quantity.unit.pint, to)}, so they cannot be converted."
        ) from None


def _plural(pint_name: str) -> str:
    return next((u.plural for u in _by_name().values() if u.pint == pint_name), pint_name)


@cache
def measured(pint_name: str) -> str:
    """What a unit measures, such as "length"; empty for others."""
    units = registry()
    dimensions = units.parse_units(pint_name).dimensionality
    alike = (
        name for each, name in _MEASURES.items()
        if units.parse_units(each).dimensionality == dimensions
    )  # fmt: skip
    return next(alike, "")


def _kinds(first: str, second: str) -> str:
    kinds = [measured(each) for each in (first, second)]
    return f" ({kinds[0]} and {kinds[1]})" if all(kinds) else ""


def shown(value: Fraction) -> tuple[str, str]:
    """("=", the value), or ("≈", the value to DIGITS digits)."""
    if value.denominator == 1:
        return "=", str(value.numerator)
    digits = max(DIGITS, len(str(abs(round(value)))))  # all digits before the point
    rounded = Decimal(f"{float(value):.{digits}g}")
    return ("=" if Fraction(rounded) == value else "≈"), f"{rounded.normalize():f}"


def convert_units(quantity: str, to: str = "") -> str:
    """Convert a quantity, or a sum of quantities, to another unit.

    quantity: such as "84 kilometres", "5 feet 11 inches" or "2 hours 30 minutes + 45 minutes", with
    numbers from the task or from tool results. to: the unit of the result, such as "miles" or
    "hours and minutes"; empty for the unit of the quantity.
    """
    parts = read_quantity(quantity)
    goals = _goals(to) if to.strip() else _own_goals(parts)
    smallest = goals[-1]
    value = sum((_converted(part, smallest.pint) for part in parts), Fraction(0))
    given = _given(parts)
    if len(goals) == 1:
        sign, text = shown(value)
        line = f"{given} {sign} {text} {smallest.named(value)}"
    else:
        sign, line = _in_parts(value, goals)
        line = f"{given} {sign} {line}"
    return line + _remark(parts, goals, value)


def _given(parts: Sequence[Quantity]) -> str:
    text = ""
    for part in parts:
        if not text:
            text = str(part)
        elif part.value < 0:
            text += f" - {Quantity(-part.value, part.unit)}"
        else:
            text += f" + {part}"
    return text


def _goals(to: str) -> list[Unit]:
    """ "hours and minutes" → both units, the largest first.

    Raises:
        ToolError: a unit is not known.
    """
    goals = []
    for name in re.split(r",| and ", to):
        unit = unit_named(name)
        if unit is None:
            raise ToolError(f"I do not know the unit “{name.strip()[:40]}”.")
        goals.append(unit)
    return goals


def _own_goals(parts: Sequence[Quantity]) -> list[Unit]:
    """The units of a sum itself, the largest first."""
    units = list({part.unit.pint: part.unit for part in parts}.values())
    if len(units) == 1:
        return units
    largest = parts[0].unit
    return sorted(units, key=lambda each: -_converted(Quantity(Fraction(1), each), largest.pint))


def _in_parts(value: Fraction, goals: Sequence[Unit]) -> tuple[str, str]:
    """A value in the smallest of several units → "3 hours 15 minutes"."""
    texts, rest = [], abs(value)
    smallest = goals[-1].pint
    for unit in goals[:-1]:
        size = _converted(Quantity(Fraction(1), unit), smallest)
        count = rest // size
        rest -= count * size
        texts.append(str(Quantity(Fraction(count), unit)))
    last = shown(rest)
    texts.append(f"{last[1]} {goals[-1].named(rest)}")
    return last[0], ("-" if value < 0 else "") + " ".join(texts)


def _remark(parts: Sequence[Quantity], goals: Sequence[Unit], value: Fraction) -> str:
    """What a reader has to know about the units: two meanings, or lengths that vary."""
    units = [*(part.unit for part in parts), *goals]
    names = {unit.pint for unit in units}
    if names & _CALENDAR and names & {"day", "week", "hour", "minute", "second", "fortnight"}:
        if names & {"month", "quarter_year"}:
            return " (on average; a month has 28 to 31 days)"
        whole, rest = divmod(value, 1)
        weeks = names & {"week"} and rest and goals[0].pint == "week"
        days = round(rest * 7)
        exact = f"{whole} weeks and {days} day{'s' * (days != 1)}; " if weeks else ""
        return f" ({exact}with 365 days a year; a leap year has 366)"
    if len(parts) == 1 and len(goals) == 1:
        quantity, goal = parts[0], goals[0]
        if quantity.unit.other and quantity.unit.pint != goal.pint:
            other = _by_name()[("other", quantity.unit.other)]
            result = _converted(Quantity(quantity.value, other), goal.pint)
            mine = Quantity(quantity.value, other)
            return f" ({mine} {shown(result)[0]} {shown(result)[1]} {goal.named(result)})"
        if goal.other and quantity.unit.pint != goal.pint:
            other = _by_name()[("other", goal.other)]
            result = _converted(quantity, other.pint)
            return f" ({shown(result)[0]} {shown(result)[1]} {other.named(result)})"
    return ""


# Conversions in questions


def read_conversion(question: str) -> dict[str, str] | None:
    """The conversion that a question asks for, as arguments of `convert_units`, or None."""
    if len(question) > LENGTH:
        return None
    text = re.sub(r"(?<=\d)\s*(?:''|\"|″)", " inches", plain(question))
    text = re.sub(r"(?<=\d)\s*(?:'|′)(?=[\s\d]|$)", " feet ", text)
    for form in _DATA.patterns:
        match = _DATA.match(form, text)
        if match is None:
            continue
        parts = match.groupdict()
        quantity, to = parts["quantity"].strip(" ,"), (parts.get("to") or "").strip(" ,")
        quantity = re.sub(r"^(?:the |a total of |exactly |about )", "", quantity)
        if form == "sum":
            quantity = re.sub(r",? and(?= (?:\d|a ))", " +", quantity)
        if to and not all(unit_named(name) for name in re.split(r",| and ", to)):
            continue
        if not to and not re.search(r"[+-]|\bplus\b|\bminus\b", quantity):
            continue
        try:
            read_quantity(quantity)
        except ToolError:
            continue
        return {"quantity": quantity, "to": to}
    return None


_AGAIN = re.compile(r"(?:and |what about |how about |now |what is (?:it|that) |the same )+", re.I)


def follow_up_conversion(question: str, earlier: Sequence[str]) -> dict[str, str] | None:
    """ "And in feet?", "What about 100 km?", after a question that was a conversion."""
    before = read_conversion(earlier[-1]) if earlier else None
    start = _AGAIN.match(question)
    if before is None or start is None:
        return None
    rest = question[start.end() :].rstrip(" ?.!")
    if rest.lower().startswith(("in ", "to ", "into ")) and unit_named(rest.split(" ", 1)[1]):
        return {"quantity": before["quantity"], "to": rest.split(" ", 1)[1]}
    try:
        read_quantity(rest)
    except ToolError:
        return None
    return {"quantity": rest, "to": before["to"]}
