import pytest

from engine.retrieving import earlier_questions, is_follow_up
from engine.schema import ChatMessage


def said(*questions: str) -> list[ChatMessage]:
    return [
        message
        for question in questions
        for message in (ChatMessage("user", question), ChatMessage("assistant", "It is so."))
    ]


@pytest.mark.parametrize(
    "question", ["And in 1887?", "Who built it?", "Why?", "What did they pay for it?", "And a dog?"]
)
def test_a_follow_up_takes_the_question_before_with_it(question: str) -> None:
    before = "When was Cold Ness Light first lit?"
    assert earlier_questions(question, said(before)) == before


@pytest.mark.parametrize(
    "question",
    [
        "Why did the sledge party turn back?",
        "What is the capital of Portugal?",
        "What does a small car cost on the ferry?",
        "?!",
        "",
    ],
)
def test_a_question_that_stands_alone_takes_nothing_with_it(question: str) -> None:
    assert not is_follow_up(question)
    assert earlier_questions(question, said("Who built the tide mill?")) == ""


def test_the_first_question_leans_on_nothing() -> None:
    assert earlier_questions("Who built it?", []) == ""


def test_a_follow_up_of_a_follow_up_goes_back_to_what_began_the_subject() -> None:
    before = said(
        "What does the bakery cost?", "What happened at the light in 1931?", "And in 1887?"
    )
    assert earlier_questions("What drove it?", before) == (
        "What happened at the light in 1931? And in 1887?"
    )


def test_a_follow_up_asked_again_does_not_lean_on_itself() -> None:
    before = said("Who built the tide mill?", "When was that?")
    assert earlier_questions("When was that?", before) == "Who built the tide mill?"


def test_a_pasted_page_does_not_drown_the_follow_up() -> None:
    before = said(f"What does this letter say of the harbour? {'Dear all. ' * 500}")
    assert len(earlier_questions("Who wrote it?", before)) <= 300


def test_where_all_that_was_said_leans_the_first_is_where_it_began() -> None:
    assert earlier_questions("And then?", said("Who?", "Why?")) == "Who? Why?"
