"""Conversions: what is read off a question, and what comes of it."""

import pytest

from engine.agent.units import convert_units, follow_up_conversion, read_conversion
from engine.errors import ToolError


@pytest.mark.parametrize(
    ("question", "result"),
    [
        ("Convert 84 kilometres to miles", "84 kilometres ≈ 52.1952 miles"),
        ("how many feet are 3.5 metres", "3.5 metres ≈ 11.4829 feet"),
        ("2.4 kg in grams", "2.4 kilograms = 2400 grams"),
        ("Convert -40 °C to Fahrenheit.", "-40 degrees Celsius = -40 degrees Fahrenheit"),
        ("What is 300 kelvin in degrees Celsius?", "300 kelvin = 26.85 degrees Celsius"),
        ("convert 20 knots into km/h", "20 knots = 37.04 kilometres per hour"),
        ("How many litres are 5 US gallons?", "5 US gallons ≈ 18.9271 litres"),
        ("How many seconds are there in a day?", "1 day = 86400 seconds"),
        ("How many seconds does an hour and a half have?", "1.5 hours = 5400 seconds"),
        ("5 feet 11 inches in cm", "5 feet + 11 inches = 180.34 centimetres"),
        ("Convert 200 minutes to hours and minutes", "200 minutes = 3 hours 20 minutes"),
        (
            "2 hours 30 minutes + 45 minutes",
            "2 hours + 30 minutes + 45 minutes = 3 hours 15 minutes",
        ),
        ("30 mpg in litres per 100 km", "30 miles per US gallon ≈ 7.84049 litres per 100 km"),
        ("How many acres is 3 hectares?", "3 hectares ≈ 7.41316 acres"),
    ],
)
def test_a_conversion_is_read_and_computed_exactly(question: str, result: str) -> None:
    read = read_conversion(question)
    assert read
    assert convert_units(**read) == result


@pytest.mark.parametrize(
    ("question", "also"),
    [
        ("How many litres are 5 gallons?", "5 imperial gallons ≈ 22.7305 litres"),
        ("How many kilograms are 2 tons?", "2 US tons ≈ 1814.37 kilograms"),
        ("How many weeks are in a year?", "52 weeks and 1 day"),
        ("How many days are in 3 months?", "a month has 28 to 31 days"),
    ],
)
def test_a_unit_with_two_meanings_shows_both(question: str, also: str) -> None:
    read = read_conversion(question)
    assert read
    assert also in convert_units(**read)


@pytest.mark.parametrize(
    "question",
    [
        *("How many people are in the house?", "What is in the contract?", "Is smoking allowed?"),
        *("How many days are in the log?", "How many kilometres is a marathon?"),
        *("Convert 100 euros to dollars", "How long is the dam?"),
    ],
)
def test_other_questions_are_no_conversions(question: str) -> None:
    assert read_conversion(question) is None


@pytest.mark.parametrize(
    ("quantity", "to", "why"),
    [
        ("5 kg", "metres", "mass and length"),
        ("5 kg", "foos", "do not know the unit"),
        ("five", "metres", "not a quantity"),
        ("5 __import__", "metres", "not a quantity"),
    ],
)
def test_what_cannot_be_converted_is_refused_with_a_reason(
    quantity: str, to: str, why: str
) -> None:
    with pytest.raises(ToolError, match=why):
        convert_units(quantity, to)


def test_a_follow_up_takes_the_quantity_or_the_unit_of_the_question_before() -> None:
    before = ["Convert 84 km to miles"]
    assert follow_up_conversion("and in feet?", before) == {"quantity": "84 km", "to": "feet"}
    assert follow_up_conversion("what about 100 km?", before) == {
        "quantity": "100 km",
        "to": "miles",
    }
    assert follow_up_conversion("and who built it?", before) is None
