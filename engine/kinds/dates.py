"""Dates in text, and the time between two of them. Pure.

Text goes in; `Moment`s come out, each with its place in the text. A moment is as precise as the
text: a year, a month, or a day. The time between two is given in the coarser precision of both.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date

from dateutil.relativedelta import relativedelta

from engine.english import MONTHS, counted

_MONTH = r"(?P<month>{})".format("|".join(f"{name}|{name[:3]}\\.?" for name in MONTHS))
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>1\d{3}|20\d{2}|21\d{2})"
# From the most precise to the least: what an earlier one found, a later one does not find again
_FORMS = [
    re.compile(form, re.IGNORECASE)
    for form in (
        r"\b(?P<year>\d{4})-(?P<number>[01]\d)-(?P<day>[0-3]\d)\b",
        r"\b(?P<day>[0-3]?\d)\.\s?(?P<number>[01]?\d)\.\s?(?P<year>\d{4})\b",
        rf"\b{_DAY}(?:\s+of)?\s+{_MONTH},?\s+{_YEAR}\b",
        rf"\b{_MONTH}\s+{_DAY},?\s+{_YEAR}\b",
        rf"\b{_MONTH}(?:\s+of)?,?\s+{_YEAR}\b",
        rf"\b{_DAY}(?:\s+of)?\s+{_MONTH}\b",
        rf"\b{_MONTH}\s+{_DAY}\b(?!\d)",
        rf"(?<![\d.,/-])\b{_YEAR}\b(?![\d/-]|[.,]\d)(?!\s?(?:%|°|metres?|meters?|m\b|km\b|kilo|litres?"
        r"|liters?|crowns?|euros?|dollars?|pounds?|people|copies|tons?|tonnes?))",
    )
]


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A day, a month or a year. `text[start:end]` says it."""

    year: int
    month: int = 0
    day: int = 0
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)

    @property
    def first_day(self) -> date:
        return date(self.year, self.month or 1, self.day or 1)

    def __str__(self) -> str:
        month = MONTHS[self.month - 1].capitalize() if self.month else ""
        return " ".join(filter(None, [str(self.day or ""), month, str(self.year)]))


def moments(text: str, year: int = 0) -> list[Moment]:
    """The dates in a text, in order. `year`: that of dates without one; 0 leaves those out."""
    found: list[Moment] = []
    for form in _FORMS:
        for match in form.finditer(text):
            start, end = match.span()
            if any(each.start < end and start < each.end for each in found):
                continue
            if moment := _moment(match, year):
                found.append(moment)
    return sorted(found, key=lambda each: each.start)


_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")


def month_comes_first(cells: Iterable[str]) -> bool:
    """Whether dates such as 06/24/2025 in a column have the month before the day."""
    found = [match for cell in cells if (match := _SLASHED.fullmatch(cell.strip()))]
    return any(int(each[2]) > 12 for each in found) and all(int(each[1]) <= 12 for each in found)


def moment_of(cell: str, month_first: bool = False) -> Moment | None:
    """The date that is the whole text of a cell, or None. `month_first`: of 06/07/2025."""
    text = cell.strip()
    if match := _SLASHED.fullmatch(text):
        day, month = (match[2], match[1]) if month_first else (match[1], match[2])
        moment = Moment(int(match[3]), int(month), int(day), 0, len(text))
        try:
            return moment if moment.first_day else None
        except ValueError:  # 31/02/2025
            return None
    found = moments(text) if len(text) <= 40 else []
    return found[0] if found and found[0].end - found[0].start >= len(text) - 1 else None


def _moment(match: re.Match[str], year: int) -> Moment | None:
    parts = match.groupdict()
    month = 0
    if name := parts.get("month"):
        month = next(n for n, each in enumerate(MONTHS, 1) if each.startswith(name[:3].lower()))
    elif number := parts.get("number"):
        month = int(number)
    in_year = int(parts.get("year") or year)
    moment = Moment(in_year, month, int(parts.get("day") or 0), *match.span())
    try:
        return moment if in_year and moment.first_day else None
    except ValueError:  # 31 February
        return None


def time_between(first: Moment, last: Moment, unit: str = "") -> str:
    """ "242 years", "2 years and 3 months", "15 days". `unit`: "days", "weeks", "months", "years".

    With two years alone, only whole years can be given; with two days, days can be counted.
    """
    if last < first:
        first, last = last, first
    exact = bool(first.day and last.day)
    days = (last.first_day - first.first_day).days
    apart = relativedelta(last.first_day, first.first_day)
    months = apart.years * 12 + apart.months
    unit = unit.lower().rstrip("s")
    if not (first.month and last.month):
        return counted(last.year - first.year, "year")
    if unit == "day" and exact:
        return counted(days, "day")
    if unit == "week" and exact:
        return _joined([(days // 7, "week"), (days % 7, "day")])
    if unit == "month":
        return _joined([(months, "month"), (apart.days * exact, "day")])
    whole = _joined([(apart.years, "year"), (apart.months, "month"), (apart.days * exact, "day")])
    if exact and apart.months + apart.years:
        return f"{whole} ({counted(days, 'day')})"
    return whole


def _joined(parts: list[tuple[int, str]]) -> str:
    said = [counted(number, name) for number, name in parts if number]
    if not said:
        return counted(0, parts[-1][1])
    return " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)


def within(found: list[Moment], start: int, end: int) -> Iterator[Moment]:
    """The moments whose text lies in `text[start:end]`."""
    return (each for each in found if start <= each.start and each.end <= end)
