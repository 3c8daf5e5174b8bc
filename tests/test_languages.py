"""Documents and questions that are not English: detection, words, and what is not refused."""

import json

import pytest

from benchmarks.languages import FILE, documents, measure
from engine.index import VectorStoreIndex
from engine.languages import language_of_document, language_of_question, name_of
from engine.lexical import passage_terms, question_terms
from engine.llm.base import ContextFormat
from engine.prompting import answer_prompt
from engine.retrieving import is_relevant
from engine.run import Run
from engine.schema import Document
from engine.settings import Settings

MILL = "Die Gezeitenmühle wurde 1684 von Jorge Abendroth errichtet. Der Bau dauerte drei Jahre."


@pytest.fixture(scope="module")
def german() -> VectorStoreIndex:
    read = json.loads(FILE.read_text("utf-8"))
    only = [each for each in documents(read) if each.source_id.startswith("de-")]
    return VectorStoreIndex.from_documents(only)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Wer hat die Gezeitenmühle gebaut?", "de"),
        ("Who built the tide mill?", "en"),
        ("Combien coûte le pain ?", "fr"),
        ("¿Quién construyó el molino?", "es"),
    ],
)
def test_the_language_of_a_question_is_found(text: str, language: str) -> None:
    assert language_of_question(text) == language


def test_a_name_has_no_language() -> None:
    assert language_of_question("Ana Lund") == ""
    assert language_of_document("") == ""
    assert language_of_document("1684 42 7.5") == ""
    assert language_of_document("Trip: Sula; Distance: 12 km\nTrip: Rona; Distance: 8 km") == ""
    assert name_of("de") == "German"
    assert name_of("xx") == "xx"


def test_forms_of_a_word_are_one_term_by_the_rules_of_its_language() -> None:
    asked = question_terms("Mühlen", ["de"])
    assert asked and asked.keys() <= passage_terms("die Mühle", "de").keys()
    assert not question_terms("Wer hat die das der und?", ["de"])
    assert not question_terms("Qu'est-ce que c'est ?", ["fr"]).keys() & {
        *passage_terms("que est", "fr")
    }
    # one of a language without a stemmer is taken as it is
    assert question_terms("młyn", ["pl"]).keys() == passage_terms("Młyn", "pl").keys()


def test_a_question_has_the_terms_of_every_language_of_the_documents() -> None:
    both = question_terms("Mühlen running", ["de", "en"])
    assert both.keys() >= question_terms("Mühlen running", ["en"]).keys()
    assert both.keys() >= question_terms("Mühlen running", ["de"]).keys()


def test_a_source_and_its_passages_record_their_language(german: VectorStoreIndex) -> None:
    assert {each.language for each in german.sources()} == {"de"}
    assert german.collection.languages == {"de"}
    node = german.collection.nodes_of(german.sources()[0].source_id)[0]
    assert node.language == "de"


def test_what_is_there_is_not_refused_and_a_note_says_what_the_search_can_do(
    german: VectorStoreIndex,
) -> None:
    retriever = german.as_retriever(1)
    run = Run()
    (found,) = retriever.retrieve("Wie lange dauerten die Bauarbeiten an der Mühle?", run)
    assert "drei Jahre" in found.text
    assert is_relevant([found])
    retriever.retrieve("Wie lange dauerte der Bau?", run)  # as a follow-up is searched, twice
    (note,) = run.notes
    assert "German" in note
    assert "Models page" in note
    # an English question about it is not refused either
    assert is_relevant(retriever.retrieve("Who owned the lighthouse in 1871?"))


def test_english_is_refused_as_before_and_has_no_note() -> None:
    index = VectorStoreIndex.from_documents(
        [Document("The tide mill was built by Jorge Abend in 1684.", {"file_name": "mill.txt"})]
    )
    run = Run()
    assert not is_relevant(index.as_retriever(1).retrieve("What is the capital of Peru?", run))
    assert is_relevant(index.as_retriever(1).retrieve("Who built the tide mill?", run))
    assert run.notes == []


def test_where_nothing_is_found_the_documents_that_may_have_it_are_named() -> None:
    run = Run()
    text = "The tide mill was built by Jorge Abend in 1684."
    index = VectorStoreIndex.from_documents([Document(text), Document(MILL)])
    assert not is_relevant(index.as_retriever(1).retrieve("Which colour is the mill's roof?", run))
    (note,) = run.notes
    assert note.startswith("Documents in German were searched mostly by their words")


@pytest.mark.parametrize(
    ("many", "note"),
    [
        (["embedder", "reranker"], ""),
        (["embedder"], "The model that ranks sentences does not know German"),
        (["reranker"], "The model that finds passages by meaning does not know German"),
    ],
)
def test_the_note_names_the_model_that_does_not_know_the_language(
    many: list[str], note: str, german: VectorStoreIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {"embedder": german.embed_model, "reranker": Settings.reranker}
    for each in many:
        monkeypatch.setattr(models[each], "languages", frozenset())
    run = Run()
    found = german.as_retriever(1).retrieve("Wie hoch ist die Verschuldung von Peru?", run)
    assert "".join(run.notes).startswith(note) and len(run.notes) == bool(note)
    assert is_relevant(found) == bool(note)  # refused only where the reranker knows the language


def test_a_model_that_reads_passages_is_asked_for_the_questions_language() -> None:
    (_, asked) = answer_prompt("Wer hat die Mühle gebaut?", MILL)
    assert asked.content.endswith("Answer in German.")
    (_, english) = answer_prompt("Who built the mill?", MILL)
    assert english.content.endswith("Who built the mill?")
    (_, small) = answer_prompt(
        "Wer hat die Mühle gebaut?", MILL, context_format=ContextFormat.SENTENCES
    )
    assert "German" not in small.content


def test_most_german_questions_find_their_passage_first() -> None:
    rates = measure(about=["de"])
    assert rates["de"]["hit@1"] >= 0.75
    assert rates["all"]["refused"] == 0
