"""Dates: what is read off a question, and what the tools make of it. Today is 21 November 2026."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from engine.agent.calendar import parse_duration, parse_moment
from engine.agent.clock import read_clock
from engine.agent.date_tools import DateTools
from engine.agent.dates import read_dates
from engine.errors import ToolError

NOW = datetime(2026, 11, 21, 21, 14, tzinfo=ZoneInfo("UTC"))
TOOLS = DateTools(lambda: NOW)


def answer(question: str, *before: str) -> str:
    call = read_dates(question, NOW, before)
    return "" if call is None else getattr(TOOLS, call.tool)(**call.arguments)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("How many days until 31 December?", ": 40 days"),
        ("how many weeks is it until christmas", ": 4 weeks and 6 days"),
        ("How many days until 1 March?", ": 100 days"),
        ("How many days are left in this year?", ": 40 days"),
        ("the date of tomorrow", "Sunday, 22 November 2026"),
        ("What was the date yesterday?", "Friday, 20 November 2026"),
        ("What date will it be in 100 days?", "Monday, 1 March 2027"),
        ("Which date was two weeks ago?", "Saturday, 7 November 2026"),
        ("How many days have passed since 1 January 2020?", ": 2516 days"),
        ("How many days between 3 April 2023 and 19 November 2023?", ": 230 days"),
        ("number of days from 2024-02-01 to 2024-03-01", ": 29 days"),
        ("How long is it from March 3rd, 2021 to 9 August 2024?", "3 years, 5 months and 6 days"),
        ("How many weeks lie between 6 January 2025 and 28 April 2025?", ": 16 weeks"),
        ("How many working days are between 2 and 30 November 2026?", ""),
        ("How many years are there between 1914 and 1945?", ": 31 years"),
        ("Which weekday was the 1st of January 2000?", "Saturday"),
        ("On which day of the week does Christmas fall in 2027?", "Saturday, 25 December 2027"),
        ("When is Easter 2027?", "Sunday, 28 March 2027"),
        ("What is the date next Friday?", "Friday, 27 November 2026"),
        ("What is the date 90 days after 3 March 2026?", "Monday, 1 June 2026"),
        ("December 31, 2026 minus 100 days", "Tuesday, 22 September 2026"),
        ("What is 1 month after 31 January 2026?", "Saturday, 28 February 2026"),
        ("Is 2028 a leap year?", "2028 is a leap year: it has 366 days"),
        ("Was 1900 a leap year?", "1900 is no leap year"),
        ("How many days does February 2032 have?", "February 2032 has 29 days"),
        ("Which calendar week is 4 January 2027?", "calendar week 1 of 2027"),
        ("How old is somebody born on 30 October 1952 on 1 May 2020?", ": 67 years"),
        ("I was born on 5 May 1990. How old am I?", ": 36 years"),
        ("How long is it from 9:15 to 17:40?", "8 hours and 25 minutes"),
        ("What time is it 3 hours after 22:30?", "01:30 on the next day"),
        ("Add 45 minutes to 10:50", "11:35"),
        ("If today is Tuesday, what day is it in 10 days?", "a Friday"),
    ],
)
def test_a_question_about_dates_is_answered_by_the_calendar(question: str, said: str) -> None:
    assert said in answer(question)
    assert bool(said) == bool(answer(question))


@pytest.mark.parametrize(
    "question",
    [
        *("When is the next training?", "How long is the warranty?", "Who was born on 5 May 1990?"),
        *("What does the log say on 3 June 1908?", "How many days were they away?"),
        *("On which day is the bakery closed?", "What happened on 9 January 1791?"),
    ],
)
def test_a_question_about_documents_is_no_date_calculation(question: str) -> None:
    assert read_dates(question, NOW) is None


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("How many days from 10/11/2026 to 12/12/2026?", "read in two ways"),
        ("How many days until 30 February?", "no date 30 February"),
    ],
)
def test_a_date_that_is_not_certain_is_refused(question: str, why: str) -> None:
    with pytest.raises(ToolError, match=why):
        read_dates(question, NOW)


def test_that_year_is_the_year_of_the_message_before() -> None:
    question = "And how many days until Christmas Day of that year?"
    assert ": 77 days" in answer(question, "What weekday was 9 October 2025?")


@pytest.mark.parametrize(
    ("question", "arguments"),
    [
        ("What time is it in Tokyo?", {"place": "Tokyo"}),
        ("Tell me the current time in New York.", {"place": "New York"}),
        ("what time is it in tokyo", {"place": "tokyo"}),
        ("What time is it in Europe/Berlin?", {"place": "Europe/Berlin"}),
        ("What time is it in Atlantis?", {"place": "Atlantis"}),
        ("What time is it?", {}),
        ("What year is it?", {}),
        ("Is it the weekend already?", {}),
        ("What time does the ferry leave?", None),
        ("What is the date in the contract?", None),
    ],
)
def test_the_present_time_is_asked_for_with_or_without_a_place(
    question: str, arguments: dict[str, str] | None
) -> None:
    assert read_clock(question) == arguments


def test_the_clock_knows_zones_and_cities_and_refuses_others() -> None:
    assert TOOLS.date_and_time("Asia/Tokyo") == (
        "It is Sunday, 22 November 2026, 06:14 in Asia/Tokyo (JST)."
    )
    assert "in new york" in TOOLS.date_and_time("new york")
    with pytest.raises(ToolError, match="No time zone is called Atlantis"):
        TOOLS.date_and_time("Atlantis")


def test_a_time_elsewhere_is_told_from_a_time_here() -> None:
    read = read_clock("When it is 9 am in London, what time is it in San Francisco?")
    assert read == {"at": "9 am", "at_place": "London", "place": "San Francisco"}
    assert TOOLS.date_and_time(**read) == (
        "When it is 09:00 in London (GMT), it is 01:00 in San Francisco (PST)."
    )


@pytest.mark.parametrize("text", ["soon", "the 12th", "2026-13-01", "3 apples", ""])
def test_a_text_that_is_no_date_or_duration_is_refused(text: str) -> None:
    with pytest.raises(ToolError):
        parse_moment(text, NOW)
    with pytest.raises(ToolError):
        parse_duration(text)
