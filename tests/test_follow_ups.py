import pytest

from engine.follow_ups import earlier_questions, is_bare, refers_back
from engine.retrieving import NOT_FOUND
from engine.schema import ChatMessage
from tests.scripted import grows_linearly


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
        "What is the name of the machine that drives the wheel?",
        "How much does it cost to take a dog on the ferry?",
        "How did the miller of Pell Creek earn his living?",
        "What should a keeper do if he is alone and ill?",
        "How many steps are there in the tower of the lighthouse?",
        "?!",
        "",
    ],
)
def test_a_question_that_can_stand_alone_takes_nothing_with_it(question: str) -> None:
    assert not refers_back(question)
    assert earlier_questions(question, said("Who built the tide mill?")) == ""


@pytest.mark.parametrize("question", ["When was the mill closed?", "Who is the doctor?"])
def test_a_question_of_few_words_may_need_the_one_before_and_does_not_refer_to_it(
    question: str,
) -> None:
    assert is_bare(question)
    assert not refers_back(question)
    assert earlier_questions(question, said("Who built it?")) == "Who built it?"


@pytest.mark.parametrize("answer", ["", NOT_FOUND])
def test_a_question_that_found_nothing_is_not_taken_along(answer: str) -> None:
    before = said("Who built the tide mill?")
    before += [ChatMessage("user", "Where is the airport?"), ChatMessage("assistant", answer)]
    assert earlier_questions("And how high is it?", before) == "Who built the tide mill?"
    assert earlier_questions("And how high is it?", before[2:]) == ""


def test_the_first_question_refers_to_nothing() -> None:
    assert earlier_questions("Who built it?", []) == ""


def test_a_follow_up_of_a_follow_up_goes_back_to_what_began_the_subject() -> None:
    before = said(
        "What does the bakery cost?", "What happened at the light in 1931?", "And in 1887?"
    )
    assert earlier_questions("What drove it?", before) == (
        "What happened at the light in 1931? And in 1887?"
    )


def test_a_follow_up_asked_again_does_not_refer_to_itself() -> None:
    before = said("Who built the tide mill?", "When was that?")
    assert earlier_questions("When was that?", before) == "Who built the tide mill?"


def test_a_pasted_page_does_not_drown_the_follow_up() -> None:
    before = said(f"What does this letter say of the harbour? {'Dear all. ' * 500}")
    assert len(earlier_questions("Who wrote it?", before)) <= 300


def test_if_all_questions_are_follow_ups_the_first_one_counts_as_the_beginning() -> None:
    assert earlier_questions("And then?", said("Who?", "Why?")) == "Who? Why?"


@pytest.mark.parametrize("part", ["a", "A", "Aa", "and ", "_", ". A"])
def test_the_time_grows_with_the_length_and_not_with_its_square(part: str) -> None:
    assert grows_linearly(lambda text: earlier_questions(f"{text}?", said(text)), part)
