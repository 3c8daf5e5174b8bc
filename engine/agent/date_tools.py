"""The tools for dates and times: the clock, differences, later and earlier dates, and the calendar.

Months and years are python-dateutil's: its `relativedelta` counts them as a calendar does.
"""

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from dateutil.relativedelta import relativedelta

from engine.agent.calendar import (
    PLACES,
    WEEKDAY_NUMBERS,
    WORKING,
    is_leap,
    parse_duration,
    parse_moment,
)
from engine.errors import ToolError

Now = Callable[[], datetime]


def local_time() -> datetime:
    return datetime.now().astimezone()


class DateTools:
    """The functions behind the tools. `now`: the clock, which tests replace."""

    def __init__(self, now: Now = local_time) -> None:
        self.now = now

    def date_and_time(self, place: str = "", at: str = "", at_place: str = "") -> str:
        """The current date, time and weekday, here or in a named time zone or large city.

        at: another time of day than the present one, such as "17:30". at_place: where it is that
        time; empty for here.
        """
        zone, other = self._zone(place), self._zone(at_place)
        if not at:
            now = self.now().astimezone(zone) if zone else self.now()
            return f"It is {long_date(now)}, {now:%H:%M}{_in(place)} ({now.tzname()})."
        clock = parse_moment(at, self.now())
        if not isinstance(clock, time):
            raise ToolError("Give a time of day, such as 17:30.")
        there = self.now().astimezone(other) if other else self.now()
        there = there.replace(hour=clock.hour, minute=clock.minute)
        here = there.astimezone(zone or self.now().tzinfo)
        days = (here.date() - there.date()).days
        which = {1: " on the next day", -1: " on the day before"}.get(days, "")
        return (
            f"When it is {there:%H:%M}{_in(at_place)} ({there.tzname()}), it is "
            f"{here:%H:%M}{_in(place)} ({here.tzname()}){which}."
        )

    def _zone(self, place: str) -> ZoneInfo | None:
        if not place:
            return None
        if not (zone := zone_name(place)):
            raise ToolError(
                f"No time zone is called {place}. Name one such as Europe/Berlin, or its city."
            )
        return ZoneInfo(zone)

    def time_between(self, start: str, end: str, unit: str = "day") -> str:
        """The time from one date to another, or from one time of day to another.

        start, end: such as "31 December 2026", "today", "17:30", or a year. unit: the unit of the
        result: day, week, month, year, hour, "working days".
        """
        if re.fullmatch(r"\d{4}", start.strip()) or re.fullmatch(r"\d{4}", end.strip()):
            return self._years(start.strip(), end.strip())
        first, second = (parse_moment(each, self.now()) for each in (start, end))
        if isinstance(first, time) and isinstance(second, time):
            return _between_times(first, second, unit)
        if isinstance(first, time) or isinstance(second, time):
            raise ToolError("Give two dates or two times of day.")
        wanted = WORKING if unit.startswith("working") else unit.strip().rstrip("s") or "day"
        result = days_between(first, second, wanted)
        return f"From {self._named(first)} to {self._named(second)}: {result}."

    def _years(self, start: str, end: str) -> str:
        """Of two years, or of a year and a date, the difference is known to one year."""
        today = self.now().date()
        years: list[int] = []
        for each in (start, end):
            if re.fullmatch(r"\d{4}", each):
                years.append(int(each))
            else:
                day = parse_moment(each, self.now())
                years.append(day.year if isinstance(day, date) else today.year)
        apart = abs(years[1] - years[0])
        return (
            f"From {years[0]} to {years[1]}: {_counted(apart, 'year')} "
            f"({max(years)} - {min(years)} = {apart}), or one less if the day in {years[1]} comes "
            f"before the day in {years[0]}."
        )

    def date_after(self, start: str, duration: str) -> str:
        """The date a duration after another date, or the time after a time of day.

        start: such as "31 December 2026", "today" or "17:30". duration: such as "90 days",
        "3 months" or "45 minutes"; with a minus sign for an earlier date.
        """
        amount, sign = parse_duration(duration)
        first = parse_moment(start, self.now())
        said = duration.strip().lstrip("-").strip()
        weekday = start.strip().lower() in WEEKDAY_NUMBERS
        word = "after" if sign > 0 else "before"
        if isinstance(first, time):
            begun = datetime.combine(date(2000, 1, 3), first)
            ended = begun + amount if sign > 0 else begun - amount
            days = (ended.date() - begun.date()).days
            which = {0: "", 1: " on the next day", -1: " on the day before"}.get(
                days, f", {abs(days)} days {'later' if days > 0 else 'earlier'}"
            )
            return f"{said} {word} {first:%H:%M}: {ended:%H:%M}{which}."
        moved = first + amount if sign > 0 else first - amount
        if isinstance(moved, datetime):
            raise ToolError("Give a time of day, to which hours and minutes can be added.")
        if weekday:  # "If today is Tuesday…": the date means nothing
            return f"{said} {word} a {first:%A}: a {moved:%A}."
        return f"{said} {word} {self._named(first)}: {long_date(moved)}."

    def date_facts(self, day: str = "today", about: str = "date") -> str:
        """What a calendar says of a date.

        day: such as "31 December 2026" or "today". about: "date" for its weekday, "week" for its
        calendar week, "day of the year", "month" for the length of its month, "year" for the
        length of its year and whether it is a leap year, "weeks of the year". Of a month or a year,
        day may be "February 2032" or "2032".
        """
        if about in ("month", "year", "weeks of the year"):
            day = re.sub(r"^\d{4}$", r"\g<0>-01", day.strip())
            day = re.sub(r"^\d{4}-\d\d$", r"\g<0>-01", day)
            day = re.sub(r"^[A-Za-z]+,? \d{4}$", r"1 \g<0>", day)
        read = parse_moment(day, self.now())
        if isinstance(read, time):
            raise ToolError("Give a date.")
        leap = is_leap(read.year)
        week = read.isocalendar()
        length = (read + relativedelta(day=31)).day
        weeks = date(read.year, 12, 28).isocalendar().week
        facts = {
            "week": f"{self._named(read)} is in calendar week {week.week} of {week.year}.",
            "day of the year": f"{self._named(read)} is day {int(f'{read:%j}')} of the year.",
            "month": f"{read:%B %Y} has {length} days.",
            "year": f"{read.year} is {'a' if leap else 'no'} leap year: it has {365 + leap} days.",
            "weeks of the year": f"{read.year} has {weeks} calendar weeks, and {365 + leap} days, "
            f"which are 52 weeks and {1 + leap} day{'s' * leap}.",
        }
        fact = facts.get(about, f"{self._named(read)}.")
        return fact[:1].upper() + fact[1:]

    def _named(self, day: date) -> str:
        by = (day - self.now().date()).days
        word = {0: "today, ", 1: "tomorrow, ", -1: "yesterday, "}.get(by, "")
        return f"{word}{long_date(day)}"


def _between_times(first: time, second: time, unit: str) -> str:
    minutes = (second.hour - first.hour) * 60 + second.minute - first.minute
    over = " on the next day" if minutes < 0 else ""
    hours, rest = divmod(minutes % 1440, 60)
    parts = [_counted(hours, "hour")] * bool(hours) + [_counted(rest, "minute")] * bool(rest)
    text = _joined(parts or ["0 minutes"])
    others = [_counted(minutes % 1440, "minute")] if hours else []
    if unit.startswith("minute"):
        text, others = _counted(minutes % 1440, "minute"), [text]
    more = f" ({others[0]})" if others and others[0] != text else ""
    return f"From {first:%H:%M} to {second:%H:%M}{over}: {text}{more}."


def _in(place: str) -> str:
    return f" in {place}" if place else ""


def zone_name(place: str) -> str:
    """The time zone with this name or city; empty if there is none."""
    return _zones().get(place.strip().replace(" ", "_").lower(), "")


@cache
def _zones() -> dict[str, str]:
    """Lower-case zone names and cities → zone names."""
    names = sorted(available_timezones(), reverse=True)
    cities = {name.lower().rpartition("/")[2]: name for name in names}
    named = {place.lower(): zone for zone, places in PLACES.items() for place in places.split()}
    return cities | named | {name.lower(): name for name in names}


def long_date(day: date) -> str:
    return f"{day:%A}, {day.day} {day:%B %Y}"


def _counted(count: int, unit: str) -> str:
    return f"{count:,} {unit}{'s' * (abs(count) != 1)}".replace(",", "")


def _joined(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _calendar_parts(start: date, end: date) -> str:
    """ "3 years, 5 months and 6 days"."""
    apart = relativedelta(end, start)
    named = [(apart.years, "year"), (apart.months, "month"), (apart.days, "day")]
    return _joined([_counted(count, unit) for count, unit in named if count] or ["0 days"])


def days_between(start: date, end: date, unit: str = "day") -> str:
    """The time from one date to another, in the unit first, then in others."""
    if end < start:
        start, end = end, start
    days = (end - start).days
    apart = relativedelta(end, start)
    weeks, rest = divmod(days, 7)
    in_weeks = _joined(
        [_counted(weeks, "week")] * bool(weeks or not rest) + [_counted(rest, "day")] * bool(rest)
    )
    in_days, in_calendar = _counted(days, "day"), _calendar_parts(start, end)
    months = apart.years * 12 + apart.months
    in_months = _joined(
        [_counted(months, "month")] + [_counted(apart.days, "day")] * bool(apart.days)
    )
    first = {
        "week": in_weeks,
        "month": in_months,
        "year": in_calendar,
        WORKING: f"{_working_days(start, end)} working days",
        "hour": _counted(days * 24, "hour"),
        "minute": _counted(days * 1440, "minute"),
        "second": _counted(days * 86400, "second"),
    }.get(unit, in_days)
    if unit == WORKING:
        return f"{first}, Monday to Friday, without regard to public holidays (of {in_days})"
    others = [in_days, in_weeks if days < 60 else in_calendar]
    others = [each for each in dict.fromkeys(others) if each != first]
    return f"{first} ({'; '.join(others)})" if others and days > 6 else first


def _working_days(start: date, end: date) -> int:
    """Mondays to Fridays after `start`, up to `end`."""
    whole, rest = divmod((end - start).days, 7)
    after = (start + timedelta(days=7 * whole + by) for by in range(1, rest + 1))
    return whole * 5 + sum(day.weekday() < 5 for day in after)
