"""Whether an answer is supported by what the model read."""

import pytest

from engine.checking import check, missing_in, numbers_in
from tests.scripted import grows_linearly

MILL = "The tide mill was built in 1684 by Hannah Voss. The dam broke on 9 January 1791."


@pytest.mark.parametrize(
    ("question", "read", "answer"),
    [
        # a year, a name and a code that are nowhere
        ("When was the dam built?", MILL, "The dam was built in 2013."),
        ("Who built the tide mill?", MILL, "The tide mill was built by Oliver Grange."),
        (
            "Who owns asset A-1004?",
            "Asset: A-1004; Type: laptop; Owner: Mara Lind",
            "A-1005",
        ),
        # a word that is nowhere
        ("What colour is the badge for contractors?", "Badges: yellow for contractors", "blue"),
        # the question again
        ("Who built the tide mill?", MILL, "The tide mill was built by the tide mill."),
        ("Who built the tide mill?", MILL, 'The answer is: "The tide mill was built".'),
        ("Wer hat die Mühle gebaut?", "Ana baute sie.", "Wer hat die Mühle der Insel gebaut?"),
        # the same again and again
        ("Who built the tide mill?", MILL, "Hannah Voss built the mill. " * 4),
        # an answer of another kind
        ("Where was the mill built?", MILL, "The answer is: 1684"),
        ("When was the tide mill built?", MILL, "By Hannah Voss."),
        ("How many mills broke?", MILL, "The dam broke."),
        # a number of another size
        ("How many people live there?", "It has 2 million inhabitants.", "The answer is: 2."),
    ],
)
def test_an_answer_that_nothing_supports_is_noticed(question: str, read: str, answer: str) -> None:
    outcome = check(answer, question, [read])
    assert not outcome.passed
    assert not outcome.supported


@pytest.mark.parametrize(
    ("question", "read", "answer"),
    [
        ("Who built the tide mill?", MILL, "Hannah Voss built it."),
        ("Who built the tide mill?", MILL, "HANNAH VOSS"),
        ("When was the tide mill built?", MILL, "The tide mill was built in the year 1684."),
        ("When did the dam break?", MILL, "January 9, 1791"),
        ("When did the dam break?", "Dam broken: 1791-01-09", "On January 9, 1791."),
        ("Was it built by a woman?", MILL, "Yes."),
        ("Was the mill built in 1684?", MILL, "Yes, the mill was built in 1684."),
        ("How much do the tanks hold?", "They hold 9,000 litres.", "Nine thousand litres."),
        ("How long is it?", "The dam is one hundred and forty metres long.", "140 m"),
        ("How many live there?", "It has 1,500,000 inhabitants.", "About 1.5 million."),
        ("How many steps are there?", "There are no steps.", "There are none."),
        ("How long is it open?", "The shop is open until noon.", "Until noon."),
        ("When did he leave?", "He left before the war.", "Before the war."),
        ("Is it red or blue?", "The door is blue.", "It is blue."),
        ("Which is larger, the mill or the barn?", "The barn is larger than the mill.", "The barn"),
        ("Who was it?", "Jessé de Forest led them.", "Jesse de Forest"),
        ("Which firm is it?", "It was made by O'Neill & Sons.", "O’Neill & Sons"),
        ("Who built the tide mill?", MILL, "It was Hannah Voss. A mill stood there."),
        ("Who built the tide mill?", MILL, ""),
        ("What does the flag mean?", "Die Flagge bedeutet Sturm.", "Sturm."),
    ],
)
def test_an_answer_in_other_forms_is_supported(question: str, read: str, answer: str) -> None:
    assert check(answer, question, [read]).problem == ""


def test_nothing_is_said_where_nothing_was_read() -> None:
    assert check("It was built in 2013.", "When was it built?", []).passed


def test_the_problem_names_what_is_missing() -> None:
    problem = check("In 2013, by Oliver Grange.", "When was it built?", [MILL]).problem
    assert "“2013”" in problem
    assert "“Grange”" in problem


def test_an_answer_of_several_sentences_stands_if_most_of_them_are_supported() -> None:
    supported = "Hannah Voss built it. It was built in 1684."
    outcome = check(f"{supported} It closed in 2013.", "Who built the mill?", [MILL])
    assert outcome.supported
    assert outcome.problem == "Not in the passages: “2013”."
    assert not check(f"{supported} In 2013. In 2014.", "Who built it?", [MILL]).supported


def test_numbers_are_found_however_they_are_written() -> None:
    assert numbers_in("9,000") == {9000}
    assert 9000 in numbers_in("nine thousand")
    assert 28 in numbers_in("twenty-eight")
    assert 340 in numbers_in("three hundred and forty")
    assert 19 in numbers_in("the nineteenth century")
    assert 1990 in numbers_in("in the 1990s")
    assert numbers_in("3.5 million") == {3_500_000}
    assert 6.9 in numbers_in("6,90 euros")


def test_a_name_may_come_from_any_of_the_sources() -> None:
    assert missing_in("When did Ann Lee write in 1999?", ["Ann Lee.", "in 1999"]) == []
    assert missing_in("When did Ann Lee write in 1999?", ["Ann.", "in 1998"]) == ["1999", "Lee"]


@pytest.mark.parametrize("part", ["1", "1,", "A", "one ", "A-1", "a", ".", "The "])
def test_the_time_grows_with_the_length_and_not_with_its_square(part: str) -> None:
    assert grows_linearly(lambda text: check(text, "Who built it?", [text]), part)
