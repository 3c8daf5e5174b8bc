"""Misspelt words of questions, and words that no document has."""

import pytest

from engine import Document, VectorStoreIndex
from engine.retrieving import Searched
from engine.settings import Settings
from engine.spelling import corrected, unknown_words, with_question_words

TEXT = (
    "The practice manager is Caroline Voss. Coldline does the service of the vaccine fridge every "
    "May. Missed appointments are counted. The Skarrow circuit is 12 km long."
)


@pytest.fixture(scope="module")
def searched() -> list[Searched]:
    index = VectorStoreIndex.from_documents([Document(TEXT, {"file_name": "clinic.txt"})])
    return [Searched(index.collection, index.embed_model)]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("Who is the practise manager?", "Who is the practice manager?"),
        ("Wich company does the sevice?", "Which company does the service?"),
        ("How many missed apointments were there?", "How many missed appointments were there?"),
        ("whats the skarrow curcuit?", "what is the skarrow circuit?"),
        ("Who is teh manager adn how old is he?", "Who is the manager and how old is he?"),
    ],
)
def test_a_misspelt_word_becomes_a_word_of_the_documents_or_of_questions(
    searched: list[Searched], asked: str, meant: str
) -> None:
    assert corrected(asked, searched)[0] == meant


@pytest.mark.parametrize(
    "asked",
    [
        "Is there a dentist?",  # an English word that no document has
        "How many kilos does it weigh?",
        "Who is Caroline Vosz?",  # a name
        "What is R-1043?",
        "What is the ABV, the IBU and the abv of the ipa?",
        "Can you summarize the labels?",
    ],
)
def test_other_words_and_names_stay_as_they_are(searched: list[Searched], asked: str) -> None:
    assert corrected(asked, searched) == (asked, [])


def test_the_reader_is_told_what_was_read(searched: list[Searched]) -> None:
    assert corrected("the sevice", searched)[1] == ["Read “service” for “sevice”."]


def test_words_that_no_document_has_are_counted(searched: list[Searched]) -> None:
    assert unknown_words("How long is the Skarrow circuit?", searched) == 0
    assert unknown_words("What does the dentist earn?", searched) == 2
    assert unknown_words("Who built the practice?", searched) == 1


def test_a_task_without_documents_gets_its_question_words_corrected() -> None:
    vocabulary = Settings.embed_model.vocabulary  # type: ignore[attr-defined]
    assert with_question_words("the avarage of 3 and 5", vocabulary) == "the average of 3 and 5"
