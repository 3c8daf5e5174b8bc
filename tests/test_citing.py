import pytest

from engine.citing import cite
from tests.scripted import found, grows_linearly

MILL = "The tide mill was built in 1684 by Hannah Voss. She paid with two fishing boats."
LAMP = "The lamp gives two white flashes every fifteen seconds. Water tanks hold 9,000 litres."
QUESTION = "Who built the tide mill?"


def cited(
    answer: str, question: str = QUESTION, passages: tuple[str, ...] = (MILL, LAMP)
) -> list[tuple[str, int]]:
    sources = found(*passages)
    return [
        (answer[each.start : each.end], each.passage) for each in cite(answer, question, sources)
    ]


def test_each_sentence_is_cited_with_the_passage_that_has_it() -> None:
    answer = "Hannah Voss built it. The lamp flashes every fifteen seconds."
    assert cited(answer) == [
        ("Hannah Voss built it.", 1),
        ("The lamp flashes every fifteen seconds.", 2),
    ]


def test_a_question_above_its_answer_is_not_cited() -> None:
    answer = "**Who built the tide mill?**\n\nHannah Voss built it."
    assert cited(answer) == [("Hannah Voss built it.", 1)]


@pytest.mark.parametrize(
    "answer",
    [
        "The tide mill was built by Oliver Grange.",  # the question's words, and a name of its own
        "It was built in 1685 by Hannah Voss.",  # another number
        "I do not know.",
        "A loyal and hardworking cat.",
        "...",
        "",
    ],
)
def test_what_no_passage_says_is_not_cited(answer: str) -> None:
    assert cited(answer) == []


def test_numbers_are_the_same_however_they_are_grouped() -> None:
    assert cited("They hold 9000 litres.", "How much do the tanks hold?") == [
        ("They hold 9000 litres.", 2)
    ]


def test_the_best_ranked_of_equal_passages_is_cited() -> None:
    assert cited("Hannah Voss.", passages=(LAMP, MILL, MILL)) == [("Hannah Voss.", 2)]


def test_without_passages_nothing_is_cited() -> None:
    assert cite("Hannah Voss.", QUESTION, []) == []


def test_words_scattered_over_a_passage_do_not_support_a_sentence() -> None:
    scattered = found("Hannah sang. Boats were sold. Voss left in 1684.")
    assert cite("Hannah Voss sold boats in 1684.", QUESTION, scattered) == []


@pytest.mark.parametrize("part", ["1", "1,", "1.", "1,234", ",", "a"])
def test_the_time_grows_with_the_length_and_not_with_its_square(part: str) -> None:
    assert grows_linearly(lambda text: cite(text, QUESTION, found(text)), part)
