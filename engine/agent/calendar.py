"""Dates, times of day and durations in text.

Months and years are python-dateutil's: its `relativedelta` counts them as a calendar does, and it
knows Easter. A parser such as dateparser is not used, because it guesses: "10/11/2026" becomes one
of two dates without a word. Here a date that can be read in two ways is refused.
"""

import re
import tomllib
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

from dateutil.easter import easter
from dateutil.relativedelta import relativedelta

from engine.agent.numbers import Token, tokens
from engine.english import MONTHS
from engine.errors import ToolError

LENGTH = 300  # characters of a question; longer ones are not read

_DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
WEEKDAYS: list[str] = _DATA["weekdays"].split()
MONTH_NUMBERS = {
    **{name: number for number, name in enumerate(MONTHS, start=1)},
    **{name[:3]: number for number, name in enumerate(MONTHS, start=1)},
    "sept": 9,
}
WEEKDAY_NUMBERS = {
    **{name: number for number, name in enumerate(WEEKDAYS)},
    **dict(_DATA["short_weekdays"].items()),
}
_HOLIDAYS: dict[str, tuple[int, int]] = _DATA["holidays"]  # month and day
_EASTER: dict[str, int] = _DATA["easter"]  # days after Easter Sunday
PLACES: dict[str, str] = _DATA["places"]  # time zones, and places that have them
UNITS = {
    **{name: unit for unit in ("second", "minute", "hour", "day", "week", "month", "year")
       for name in (unit, f"{unit}s")},
    "min": "minute", "mins": "minute", "hr": "hour", "hrs": "hour", "h": "hour",
    "fortnight": "fortnight", "fortnights": "fortnight", "decade": "decade", "decades": "decade",
    "century": "century", "centuries": "century", "quarter": "quarter", "quarters": "quarter",
    "night": "day", "nights": "day",
}  # fmt: skip
_IN_BASE = {  # larger units in those of relativedelta
    "fortnight": ("weeks", 2), "decade": ("years", 10), "century": ("years", 100),
    "quarter": ("months", 3),
}  # fmt: skip
WORKING = "working days"


class DateError(ToolError):
    """A date that can be read in two ways, or does not exist."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A date. `year`: it was written with a year, or is relative to today. A date such as "3 weeks
    after 1 May" has the date and the duration that it is made of."""

    day: date
    year: bool = True
    base: date | None = None
    duration: str = ""


class Words:
    """The tokens of a text, and the dates and durations that begin at each."""

    def __init__(self, text: str, today: date) -> None:
        self.tokens: list[Token] = tokens(text)
        self.words = [token.text for token in self.tokens]
        self.today = today

    def word(self, at: int) -> str:
        return self.words[at] if 0 <= at < len(self.words) else ""

    def number(self, at: int) -> int | None:
        """The whole number at this place."""
        text = self.word(at)
        return int(text) if text.isdecimal() and len(text) <= 6 else None

    def joined(self, at: int) -> bool:
        return at < len(self.tokens) and self.tokens[at].joined

    def moment_at(self, at: int) -> tuple[Moment | None, int]:
        """The date that begins here, and the index after it."""
        for read in (
            self._iso, self._numeric, self._day_month, self._month_day, self._relative,
            self._weekday, self._holiday, self._edge, self._shifted,
        ):  # fmt: skip
            moment, end = read(at)
            if moment is not None:
                return moment, end
        return None, at

    def _date(self, year: int, month: int, day: int) -> date:
        try:
            return date(year, month, day)
        except ValueError:
            raise DateError(
                f"There is no date {day} {MONTHS[month - 1].capitalize()} {year}."
                if 1 <= month <= 12
                else "This is not a date of the calendar."
            ) from None

    def _iso(self, at: int) -> tuple[Moment | None, int]:
        year, month, day = self.number(at), self.number(at + 2), self.number(at + 4)
        if (
            year is not None and month and day and len(self.word(at)) == 4
            and self.word(at + 1) == self.word(at + 3) == "-"
            and all(self.joined(at + by) for by in (1, 2, 3, 4))
        ):  # fmt: skip
            return Moment(self._date(year, month, day)), at + 5
        return None, at

    def _numeric(self, at: int) -> tuple[Moment | None, int]:
        """24/12/2026, 24.12.2026. With slashes, the month may come first."""
        match = re.fullmatch(r"(\d{1,2})\.(\d{1,2})", self.word(at))
        if match and self.word(at + 1) == "." and len(self.word(at + 2)) == 4:
            year = self.number(at + 2)
            if year and self.joined(at + 2):
                return Moment(self._date(year, int(match[2]), int(match[1]))), at + 3
        first, second, year = self.number(at), self.number(at + 2), self.number(at + 4)
        if (
            first and second and year and len(self.word(at + 4)) == 4
            and self.word(at + 1) == self.word(at + 3) == "/"
            and all(self.joined(at + by) for by in (1, 2, 3, 4))
        ):  # fmt: skip
            if first <= 12 and second <= 12 and first != second:
                raise DateError(
                    f"{first}/{second}/{year} can be read in two ways. Write the month as a word, "
                    f"such as {first} {MONTHS[second - 1].capitalize()} {year}."
                )
            day, month = (second, first) if second > 12 else (first, second)
            return Moment(self._date(year, month, day)), at + 5
        return None, at

    def _month(self, at: int) -> tuple[int | None, int]:
        month = MONTH_NUMBERS.get(self.word(at))
        end = at + 1
        if month and self.word(end) == "." and self.joined(end) and len(self.word(at)) < 5:
            end += 1
        return month, end

    def _year(self, at: int) -> tuple[int | None, int]:
        """ "2026", ", 2026", "of 2026", "next year", "that year" of an earlier question."""
        start = at
        if self.word(at) in (",", "of", "in"):
            at += 1
        year = self.number(at)
        if year and len(self.word(at)) == 4:
            return year, at + 1
        for phrase, by in ((("next", "year"), 1), (("this", "year"), 0), (("last", "year"), -1),
                           (("that", "year"), 0), (("the", "same", "year"), 0)):  # fmt: skip
            if tuple(self.words[at : at + len(phrase)]) == phrase:
                return self.today.year + by, at + len(phrase)
        return None, start

    def _on(self, month: int, day: int, at: int) -> tuple[Moment, int]:
        year, end = self._year(at)
        if year is None and (month, day) == (2, 29):
            year = self.today.year
            while not is_leap(year):
                year += 1
        return Moment(self._date(year or self.today.year, month, day), year is not None), end

    def _day_month(self, at: int) -> tuple[Moment | None, int]:
        start = at
        if self.word(at) == "the":
            at += 1
        if self.word(at) in WEEKDAY_NUMBERS:  # "Friday, 5 May 2023"
            at += 1
            if self.word(at) in (",", "the"):
                at += 1
        day = self.number(at)
        if day is None or not 1 <= day <= 31:
            return None, start
        at += 1
        if (self.word(at) in ("st", "nd", "rd", "th") and self.joined(at)) or (
            self.word(at) == "." and self.joined(at)
        ):
            at += 1
        if self.word(at) == "of":
            at += 1
        month, end = self._month(at)
        if month is None:
            return None, start
        return self._on(month, day, end)

    def _month_day(self, at: int) -> tuple[Moment | None, int]:
        start = at
        if self.word(at) in WEEKDAY_NUMBERS:
            at += 1 + (self.word(at + 1) == ",")
        month, end = self._month(at)
        if month is None:
            return None, start
        if self.word(end) == "the":
            end += 1
        day = self.number(end)
        if day is None or not 1 <= day <= 31 or len(self.word(end)) > 2:
            return None, start
        end += 1
        if self.word(end) in ("st", "nd", "rd", "th") and self.joined(end):
            end += 1
        return self._on(month, day, end)

    def _relative(self, at: int) -> tuple[Moment | None, int]:
        for phrase, by in (
            ("the day after tomorrow", 2), ("the day before yesterday", -2), ("tomorrow", 1),
            ("yesterday", -1), ("today", 0), ("now", 0), ("the present day", 0), ("right now", 0),
            ("the current date", 0), ("this day", 0), ("the present", 0), ("tonight", 0),
            ("that day", 0), ("that date", 0), ("tomorrow ' s date", 1),
            ("yesterday ' s date", -1), ("today ' s date", 0),
            ("day after tomorrow", 2), ("day before yesterday", -2),
        ):  # fmt: skip
            words = phrase.split()
            if self.words[at : at + len(words)] == words:
                end = at + len(words)
                if self.words[end : end + 2] == ["'", "s"]:
                    end += 2 + (self.word(end + 2) == "date")
                return Moment(self.today + timedelta(days=by)), end
        return None, at

    def _weekday(self, at: int) -> tuple[Moment | None, int]:
        start = at
        if self.word(at) in ("the", "on"):
            at += 1
        which = self.word(at)
        if which in ("next", "last", "this", "coming", "past", "previous", "following", "upcoming"):
            at += 1
        else:
            which = ""
        if self.word(at) not in WEEKDAY_NUMBERS or (not which and start != at):
            return None, start
        wanted = WEEKDAY_NUMBERS[self.word(at)]
        if which in ("last", "past", "previous"):
            by = -((self.today.weekday() - wanted - 1) % 7 + 1)
        else:
            by = (wanted - self.today.weekday() - 1) % 7 + 1
            if which in ("", "this") and wanted == self.today.weekday():
                by = 0
        if self.words[at + 1 : at + 3] == ["of", "next"]:
            return None, start
        return Moment(self.today + timedelta(days=by)), at + 1

    def _holiday(self, at: int) -> tuple[Moment | None, int]:
        start = at
        if self.word(at) in ("the", "next"):
            at += 1
        for count in (5, 4, 3, 2, 1):
            name = " ".join(self.words[at : at + count])
            if name in _HOLIDAYS:
                return self._on(*_HOLIDAYS[name], at + count)
            if name in _EASTER:
                year, end = self._year(at + count)
                by = timedelta(days=_EASTER[name])
                day = easter(year or self.today.year) + by
                if year is None and day < self.today:
                    day = easter(self.today.year + 1) + by
                return Moment(day), end
        return None, start

    def _edge(self, at: int) -> tuple[Moment | None, int]:
        """ "the end of the year", "the beginning of March 2027", "the end of 2026"."""
        start = at
        if self.word(at) == "the":
            at += 1
        edge = self.word(at)
        if edge in ("last", "first") and self.words[at + 1 : at + 3] == ["day", "of"]:
            edge, at = {"last": "end", "first": "start"}[edge], at + 3
        elif edge in ("end", "beginning", "start") and self.word(at + 1) == "of":
            at += 2
        else:
            return None, start
        if self.words[at : at + 2] in (["the", "year"], ["this", "year"]):
            first, length, end = date(self.today.year, 1, 1), relativedelta(years=1), at + 2
        elif self.words[at : at + 2] == ["next", "year"]:
            first, length, end = date(self.today.year + 1, 1, 1), relativedelta(years=1), at + 2
        elif self.words[at : at + 2] in (["the", "month"], ["this", "month"]):
            first, length, end = self.today.replace(day=1), relativedelta(months=1), at + 2
        elif self.number(at) and len(self.word(at)) == 4:
            first, length, end = date(int(self.word(at)), 1, 1), relativedelta(years=1), at + 1
        else:
            month, end = self._month(at)
            if month is None:
                return None, start
            year, end = self._year(end)
            first = date(year or self.today.year, month, 1)
            length = relativedelta(months=1)
        day = first if edge != "end" else first + length - timedelta(days=1)
        return Moment(day), end

    def _shifted(self, at: int) -> tuple[Moment | None, int]:
        """ "in 3 weeks", "3 days ago", "90 days after 3 March", "a week from today"."""
        start = at
        beside = self.words[at : at + 3]
        if beside in (["the", "day", "after"], ["the", "day", "before"]):
            moment, end = self.moment_at(at + 3)
            if moment is None:
                return None, start
            sign = 1 if beside[2] == "after" else -1
            duration = "1 day" if sign > 0 else "-1 day"
            moved = _moved(moment.day, relativedelta(days=1), sign)
            return Moment(moved, moment.year, moment.day, duration), end
        ahead = self.word(at) == "in"
        if ahead:
            at += 1
        shift, end = self.duration_at(at)
        if shift is None or shift.hours or shift.minutes or shift.seconds:
            return None, start
        said = " ".join(self.words[at:end])
        base, sign, year, after = self.today, 1, True, end
        word = self.word(end)
        if ahead:
            after += word in ("time", "'")
        elif word in ("ago", "earlier", "before", "back") and not self.moment_at(end + 1)[0]:
            if word != "ago":
                return None, start
            sign, after = -1, end + 1
        elif self.words[end : end + 2] in (["from", "now"], ["from", "today"]):
            after = end + 2
        elif word in ("after", "from", "before", "following", "past"):
            moment, after = self.moment_at(end + 1)
            if moment is None:
                return None, start
            base, year = moment.day, moment.year
            sign = -1 if word == "before" else 1
        else:
            return None, start
        duration = said if sign > 0 else f"-{said}"
        return Moment(_moved(base, shift, sign), year, base, duration), after

    # Durations and times of day

    def duration_at(self, at: int) -> tuple[relativedelta | None, int]:
        """ "3 weeks", "a year and two months", "90 minutes"."""
        total: relativedelta | None = None
        while True:
            start = at
            if total is not None and self.word(at) in ("and", ","):
                at += 1
            count: float | None = self.number(at)
            end = at + 1
            if count is None and re.fullmatch(r"\d+\.\d+", self.word(at)):
                count = float(self.word(at))
            if count is None and self.word(at) in ("a", "an", "one"):
                count = 1
            if self.words[at : at + 2] in (["half", "an"], ["half", "a"]):
                count, end = 0.5, at + 2
            unit = UNITS.get(self.word(end))
            if self.words[end : end + 2] in (["calendar", "days"], ["full", "days"]):
                unit, end = "day", end + 1
            if count is None or unit is None or count > 10**5:
                return total, start
            base, times = _IN_BASE.get(unit, (f"{unit}s", 1))
            count *= times
            if count != int(count) and base in ("years", "months"):
                count, base = (count * 12, "months") if base == "years" else (count, base)
                if count != int(count):
                    return total, start
            whole = int(count) if count == int(count) else count
            part = relativedelta(**{base: whole})
            total = part if total is None else total + part
            at = end + 1
            if self.words[at : at + 3] == ["and", "a", "half"] and unit in ("hour", "day", "week"):
                total, at = total + relativedelta(**{base: 0.5 * times}), at + 3

    def time_at(self, at: int) -> tuple[time | None, int]:
        """ "9:15", "17.40 h"? no; "9 am", "noon", "half past nine"."""
        if self.word(at) in ("noon", "midday", "midnight"):
            return time(0 if self.word(at) == "midnight" else 12), at + 1
        hour, end = self.number(at), at + 1
        minute = 0
        if hour is None:
            return None, at
        if self.word(end) == ":" and self.joined(end) and self.joined(end + 1):
            text = self.word(end + 1)
            if not re.fullmatch(r"[0-5]\d", text):
                return None, at
            minute, end = int(text), end + 2
            if self.word(end) in (":",):
                return None, at
            clock = True
        else:
            clock = False
        half = self.word(end)
        if half in ("am", "pm") or (
            half in ("a", "p") and self.words[end : end + 3] in (["a", ".", "m"], ["p", ".", "m"])
        ):
            if not 1 <= hour <= 12:
                return None, at
            end += 1 if half in ("am", "pm") else 3
            if self.word(end) == "." and self.joined(end) and half in ("a", "p"):
                end += 1
            hour = hour % 12 + (12 if half.startswith("p") else 0)
            clock = True
        elif self.words[end : end + 3] == ["o", "'", "clock"]:
            end, clock = end + 3, True
        if not clock or hour > 23:
            return None, at
        if self.word(end) in ("h", "hrs") or self.words[end : end + 2] == ["o", "'"]:
            end += 1
        return time(hour, minute), end


def _moved(day: date, shift: relativedelta, sign: int) -> date:
    try:
        moved: date = day + shift if sign > 0 else day - shift
    except (ValueError, OverflowError):
        raise ToolError("The date is outside the calendar's years 1 to 9999.") from None
    if isinstance(moved, datetime):
        raise ToolError("Write the time of day, to which hours are added.")
    return moved


def is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def parse_moment(text: str, now: datetime) -> date | time:
    """A date or a time of day in text, as an argument of a tool.

    Raises:
        ToolError: it is none, or can be read in two ways.
    """
    words = Words(text.strip(), now.date())
    at = 1 if words.word(0) in ("on", "at") else 0
    clock, end = words.time_at(at)
    if clock is not None and end == len(words.words):
        return clock
    moment, end = words.moment_at(at)
    if moment is None or end != len(words.words):
        raise ToolError(
            f"“{text[:60]}” is not a date that I can read. Write it as 31 December 2026, as "
            "2026-12-31, or as a time such as 17:30."
        )
    return moment.day


def parse_duration(text: str) -> tuple[relativedelta, int]:
    """A duration, and its sign: "3 weeks", "-90 days".

    Raises:
        ToolError: it is none.
    """
    words = Words(text.strip(), date.today())
    sign, at = (-1, 1) if words.word(0) in ("-", "minus") else (1, 0)
    duration, end = words.duration_at(at)
    if duration is None or end != len(words.words):
        raise ToolError(f"“{text[:60]}” is not a duration. Write it as 90 days, or 2 hours.")
    return duration, sign


def dates_in(text: str, today: date) -> list[date]:
    """The dates that a text names with their years."""
    words = Words(text[:LENGTH], today)
    found: list[date] = []
    at = 0
    while at < len(words.words):
        try:
            moment, end = words.moment_at(at)
        except ToolError:
            moment, end = None, at
        if moment is not None and moment.year and any(c.isdecimal() for c in "".join(
                words.words[at:end])):  # fmt: skip
            found.append(moment.day)
        at = max(end, at + 1)
    return found
