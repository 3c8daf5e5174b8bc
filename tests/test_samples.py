"""The sample documents: what a newcomer is offered to ask is in them, where it is said to be."""

import json
from typing import Any

from pypdf import PdfReader

from engine import SimpleDirectoryReader, VectorStoreIndex
from engine.kinds.recognising import Kind, recognise
from engine.kinds.several import parts_of
from tests.browser import ROOT

SAMPLES = ROOT / "samples"
LISTED: dict[str, Any] = json.loads((SAMPLES / ".questions.json").read_text(encoding="utf-8"))


def pages_of(name: str) -> list[str]:
    """The text of each page, or of the one file, with single spaces."""
    file = SAMPLES / name
    pdf = file.suffix == ".pdf"
    texts = [page.extract_text() for page in PdfReader(file).pages] if pdf else [file.read_text()]
    return [" ".join(text.split()) for text in texts]


def test_each_suggested_question_is_answered_by_the_sample_and_page_it_names() -> None:
    for question in (each for each in LISTED["questions"] if each["file"]):
        pages = pages_of(question["file"])
        named = pages[int(question["page"]) - 1] if question["page"] else pages[0]
        assert question["answer"] in named, question["question"]


def test_one_suggested_question_is_answered_by_no_sample() -> None:
    (unanswered,) = (each["question"] for each in LISTED["questions"] if each["file"] is None)
    everything = " ".join(text for each in LISTED["documents"] for text in pages_of(each["file"]))
    assert "airport" in unanswered and "airport" not in everything


def test_every_sample_is_used_by_a_question() -> None:
    asked = {each["file"] for each in LISTED["questions"]} - {None}
    assert {each["file"] for each in LISTED["documents"]} == asked


def test_the_folder_read_as_a_whole_is_the_samples_and_nothing_else() -> None:
    """`python -m engine ask "..." samples`: the questions themselves must not be found."""
    read = SimpleDirectoryReader(SAMPLES).load_data()
    names = {document.metadata["file_name"] for document in read}
    assert names == {each["file"] for each in LISTED["documents"]}


def test_retrieval_finds_the_answer_to_each_suggested_question_first() -> None:
    index = VectorStoreIndex.from_documents(SimpleDirectoryReader(SAMPLES).load_data())
    retriever = index.as_retriever(similarity_top_k=1)
    for question in (each for each in LISTED["questions"] if each["file"]):
        (found,) = retriever.retrieve(question["question"])
        assert found.node.file_name == question["file"], question["question"]
        assert question["answer"] in " ".join(found.text.split()), question["question"]


def test_each_suggested_question_of_a_kind_is_recognised_as_this_kind() -> None:
    for listed in LISTED["kinds"]:
        several = len(parts_of(listed["question"])) > 1
        kind = Kind.SEVERAL if several else recognise(listed["question"])[0].kind
        assert kind == listed["kind"]
        assert {each["file"] for each in LISTED["documents"]} >= set(listed["files"])
