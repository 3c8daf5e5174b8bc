"""Date calculations in questions.

    question → a form such as "how many U until D", with its dates and durations → a call

A question that has other words than the forms below has no call: it may be about documents.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from dateutil.relativedelta import relativedelta

from engine.agent.calendar import (
    LENGTH,
    MONTH_NUMBERS,
    UNITS,
    WEEKDAYS,
    WORKING,
    Moment,
    Words,
    dates_in,
)
from engine.agent.forms import read_forms
from engine.agent.wording import plain


@dataclass(frozen=True, slots=True)
class DateCall:
    """The tool that a question needs, and its arguments."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Asked:
    """A question with placeholders: D dates, P durations, T times, U units, Y years, N numbers."""

    text: str
    dates: list[Moment]
    durations: list[str]
    times: list[str]
    units: list[str]
    years: list[int]


def _form_of(question: str, today: date) -> _Asked:
    words = Words(question, today)
    form = _Asked("", [], [], [], [], [])
    parts: list[str] = []
    at = 0
    while at < len(words.words):
        clock, end = words.time_at(at)
        if clock is not None:
            form.times.append(f"{clock:%H:%M}")
            parts.append("T")
            at = end
            continue
        moment, end = words.moment_at(at)
        if moment is not None and not (words.word(at) == "may" and end == at + 1):
            form.dates.append(moment)
            parts.append("D")
            at = end
            continue
        duration, end = words.duration_at(at)
        if duration is not None and not (words.word(at) in ("a", "an") and end == at + 2 and
                                         words.word(at + 1) in ("second", "quarter")):  # fmt: skip
            span = question[words.tokens[at].start : words.tokens[end - 1].end]
            form.durations.append(span)
            parts.append("P")
            at = end
            continue
        word = words.word(at)
        if word in ("exactly", "precisely", "roughly", "about"):
            at += 1
            continue
        following = words.words[at + 1 : at + 2]
        if word in ("working", "business", "work", "week") and following == ["days"]:
            form.units.append(WORKING)
            parts.append("U")
            at += 2
            continue
        if word in ("weekdays", "workdays") and words.word(at - 1) == "many":
            form.units.append(WORKING)
            parts.append("U")
        elif word in UNITS and word.endswith("s"):
            form.units.append(UNITS[word])
            parts.append("U")
        elif (number := words.number(at)) is not None and len(word) == 4:
            form.years.append(number)
            parts.append("Y")
        elif word in MONTH_NUMBERS and len(word) >= 3 and word != "may":
            form.years.append(MONTH_NUMBERS[word])
            parts.append("M")
        else:
            parts.append(word)
        at += 1
    form.text = " ".join(parts)
    # "Does Christmas fall on a Sunday in 2027?": the year of the date is at the end
    one_of_each = len(form.dates) == len(form.years) == 1
    if one_of_each and not form.dates[0].year and form.text.endswith(" in Y"):
        form.dates = [Moment(form.dates[0].day + relativedelta(year=form.years[0]))]
        form.text = form.text.removesuffix(" in Y")
    return form


_FORMS = read_forms(__file__)
# Words that refer to a date of an earlier message
_REFERS = r"\b(?:(?:that|the same) (?:year|date|day)|then|(?:after|before) that|later|earlier)\b"


# "Suppose today is 1 October 2025. How many days until Christmas?"
_SUPPOSED = re.compile(
    r"(?:(?:assume|suppose|imagine|say|if|given|let's say)(?: that)? )?"
    r"(?:today is|it is|today's date is)"
    r" (?P<day>[^.;!?]*?\d{4})(?: today)?[.,;:!]? (?P<question>.+)",
    re.IGNORECASE | re.DOTALL,
)


def _on(today: date, call: DateCall) -> DateCall:
    """The same call with a date in place of "today"."""
    given = {
        name: today.isoformat() if value == "today" else value
        for name, value in call.arguments.items()
    }
    if call.tool == "date_after" and given.get("start") in WEEKDAYS:
        return call
    return DateCall(call.tool, given)


def read_dates(question: str, now: datetime, before: Sequence[str] = ()) -> DateCall | None:
    """The date calculation that a question asks for, or None.

    before: the messages before it, to whose last date "that year" and "that day" refer.

    Raises:
        DateError: a date in it can be read in two ways, or does not exist.
    """
    if len(question) > LENGTH:
        return None
    text = plain(question)
    today = now.date()
    if supposed := _SUPPOSED.fullmatch(text):
        for day in dates_in(supposed["day"], today)[:1]:
            call = read_dates(supposed["question"], datetime.combine(day, now.time(), now.tzinfo))
            return call and _on(day, call)
    since = today  # what "until" and "that year" refer to
    if before and re.search(_REFERS, text, re.I):
        since = next(reversed([d for each in before for d in dates_in(each, today)]), today)
    asked = _form_of(text, since)
    found = _FORMS.first(asked.text)
    return _call(found[0], found[1], asked, text, now, since) if found else None


def _call(
    form: str, match: re.Match[str], asked: _Asked, text: str, now: datetime, since: date
) -> DateCall | None:
    """The call for a question of this form; None if its parts do not fit."""
    today, unit = now.date(), asked.units[0] if asked.units else ""
    days = [_name(each.day, today) for each in asked.dates]
    match form:
        case "weekday_if":
            weekday = next((name for name in WEEKDAYS if name in text.lower()), "")
            if not weekday or not asked.dates[-1].duration:
                return None
            return _after(weekday.capitalize(), asked.dates[-1].duration)
        case "between_dates":
            return _between(days[0], days[1], unit)
        case "between_times":
            return _between(asked.times[0], asked.times[1], unit)
        case "between_years":
            first, second, *_ = map(str, asked.years)
            return _between(first, second, "year") if unit in ("", "year") else None
        case "between_months":
            months = [each for each in asked.years if each <= 12]
            years = [each for each in asked.years if each > 12]
            firsts = [f"{y}-{m:02}-01" for y, m in zip(years, months, strict=True)]
            return _between(firsts[0], firsts[1], unit or "month")
        case "since_year":
            return _between(str(asked.years[0]), "today", unit) if unit in ("", "year") else None
        case "later" | "earlier":
            sign = "-" if form == "earlier" else ""
            if since == today:  # no date before it
                return None
            return _after(since.isoformat(), f"{sign}{asked.durations[0]}")
        case "year_after" | "year_before":
            sign = "-" if form == "year_before" else ""
            return _after(f"{asked.years[0]}-01-01", f"{sign}{asked.durations[0]}")
        case "until_year":
            return _between(_name(since, today), f"{asked.years[0]}-01-01", unit)
        case "until_time":
            return _between(f"{now:%H:%M}", asked.times[0], unit)
        case "left":
            last = {
                "year": today + relativedelta(month=12, day=31),
                "month": today + relativedelta(day=31),
                "week": today + timedelta(days=6 - today.weekday()),
            }[match["period"]]
            return _between("today", _name(last, today), unit)
        case "until_date":
            goal = _name(_ahead(asked.dates[0], since), today)
            return _between(_name(since, today), goal, unit)
        case "since_date":
            return _between(_name(_behind(asked.dates[0], today), today), "today", unit)
        case "age" | "age_on":
            return _age(asked, days, unit, reverse=form == "age_on")
        case "date":
            if asked.text == "D" and not re.search(r"\d", text) and len(text.split()) > 3:
                return None
            moment = asked.dates[0]
            if moment.base:
                return _after(_name(moment.base, today), moment.duration)
            if re.match("when (?:is|will)", asked.text):
                days = [_name(_ahead(moment, today), today)]
            return _facts(days[0])
        case "is_it":
            return _facts(days[0])
        case "date_plus" | "date_minus":
            sign = "-" if form == "date_minus" else ""
            return _after(days[0], f"{sign}{asked.durations[0]}")
        case "time_plus" | "time_minus":
            sign = "-" if form == "time_minus" else ""
            return _after(asked.times[0], f"{sign}{asked.durations[0]}")
        case "time_in":
            in_clock_units = re.search(r"\b(?:h|hrs?|hours?|mins?|minutes?)\b", asked.durations[0])
            return _after(f"{now:%H:%M}", asked.durations[0]) if in_clock_units else None
        case "year":
            about = "weeks of the year" if unit == "week" else "year"
            return (
                _facts(f"{asked.years[-1]}-12-31", about) if unit in ("", "day", "week") else None
            )
        case "this_year":
            return _facts("today", "year")
        case "month":
            month = 5 if " may" in asked.text else min(asked.years)
            year = next((each for each in asked.years if each > 12), today.year)
            return _facts(f"{year}-{month:02}-01", "month") if unit in ("", "day") else None
        case "week":
            return _facts(days[0] if days else "today", "week")
        case "day_of_the_year":
            return _facts(days[0] if days else "today", "day of the year")
    raise AssertionError(form)


def _between(start: str, end: str, unit: str) -> DateCall:
    if "today" in (start, end) and unit in ("hour", "minute", "second"):
        unit = ""  # today is a day: hours from its beginning would look exact
    arguments = {"start": start, "end": end, "unit": unit}
    return DateCall("time_between", {name: value for name, value in arguments.items() if value})


def _after(start: str, duration: str) -> DateCall:
    return DateCall("date_after", {"start": start, "duration": duration})


def _facts(day: str, about: str = "") -> DateCall:
    return DateCall("date_facts", {"day": day, "about": about} if about else {"day": day})


def _age(asked: _Asked, days: Sequence[str], unit: str, reverse: bool) -> DateCall:
    """Dates and years in the order of the text: of birth, and of the age, if it is not today's."""
    by_kind = {"D": iter(days), "Y": map(str, asked.years)}
    values = [next(by_kind[kind]) for kind in re.findall(r"\b[DY]\b", asked.text)]
    born, at = (values[1], values[0]) if reverse else (values[0], [*values, "today"][1])
    return _between(born, at, unit or "year")


def _name(day: date, today: date) -> str:
    return "today" if day == today else day.isoformat()


def _ahead(moment: Moment, today: date) -> date:
    """A date without a year is the next one of that name."""
    if moment.year or moment.day >= today:
        return moment.day
    later: date = moment.day + relativedelta(years=1)
    return later


def _behind(moment: Moment, today: date) -> date:
    if moment.year or moment.day <= today:
        return moment.day
    earlier: date = moment.day - relativedelta(years=1)
    return earlier
