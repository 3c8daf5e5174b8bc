"""The index: documents go in whole, once, in the background, and come out as passages."""

import threading
from pathlib import Path

import pytest

from engine.embedding import BgeEmbedding
from engine.errors import Cancelled, DuplicateDocumentError, EmptyDocumentError
from engine.index import EMBEDDED_AT_ONCE, IngestProgress, VectorStoreIndex
from engine.run import Run
from engine.schema import Document
from engine.splitting import SentenceSplitter

BAKERY = Document(
    "The bakery on Quay Street opens at six. Rye bread is baked on Tuesdays and Fridays.",
    {"file_name": "bakery.txt"},
    source_id="bakery",
)
FERRY = [
    Document(text, {"file_name": "ferry.pdf", "page_label": str(page)}, source_id="ferry")
    for page, text in enumerate(
        (
            "The ferry to Sula leaves every hour from the east pier.",
            "A single fare costs four pounds. Dogs travel free of charge.",
        ),
        start=1,
    )
]
LONG = Document(
    " ".join(f"Entry {number} of the log says that the ice was thin." for number in range(100)),
    {"file_name": "log.txt"},
    source_id="log",
)


def index_of(*documents: Document, path: Path | None = None) -> VectorStoreIndex:
    return VectorStoreIndex.from_documents(documents, path=path)


def best(index: VectorStoreIndex, question: str) -> str:
    return index.as_retriever(1).retrieve(question)[0].node.label


def test_a_question_finds_the_passage_that_answers_it() -> None:
    index = index_of(BAKERY, *FERRY)
    assert best(index, "What does a ticket for the boat cost?") == "ferry.pdf, page 2"
    assert best(index, "When can I buy rye bread?") == "bakery.txt"


def test_a_source_is_described_by_its_documents() -> None:
    index = index_of(*FERRY)
    (source,) = index.sources()
    assert (source.source_id, source.file_name, source.pages) == ("ferry", "ferry.pdf", 2)
    assert source.passages == len(index.collection.nodes_of("ferry")) == 2
    assert source.size > 100
    assert len(source.content_hash) == 64


def test_passages_are_numbered_through_the_source() -> None:
    index = index_of(*FERRY)
    nodes = index.collection.nodes_of("ferry")
    assert [(node.position, node.metadata["page_label"]) for node in nodes] == [(0, "1"), (1, "2")]


def test_a_kept_index_is_there_again_and_takes_nothing_in_twice(tmp_path: Path) -> None:
    index = index_of(BAKERY, path=tmp_path)
    assert best(index, "When is rye bread baked?") == "bakery.txt"
    again = index_of(BAKERY, *FERRY, path=tmp_path)
    assert sorted(each.file_name for each in again.sources()) == ["bakery.txt", "ferry.pdf"]
    assert again.collection.passages == 3


def test_a_source_that_is_there_is_refused_and_the_others_go_in() -> None:
    index = index_of(BAKERY)
    with pytest.raises(DuplicateDocumentError, match=r"bakery\.txt"):
        index.insert([BAKERY, *FERRY])
    assert {each.source_id for each in index.sources()} == {"bakery", "ferry"}


def test_a_source_without_text_is_named_and_the_others_go_in() -> None:
    empty = Document(" \n ", {"file_name": "scan.pdf"}, source_id="scan")
    index = index_of()
    with pytest.raises(EmptyDocumentError, match=r"scan\.pdf has no text"):
        index.insert([empty, BAKERY])
    assert [each.source_id for each in index.sources()] == ["bakery"]


def test_from_documents_skips_a_source_without_text_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    empty = Document(" \n ", {"file_name": "scan.pdf"}, source_id="scan")
    index = index_of(BAKERY, empty, *FERRY)
    assert {each.source_id for each in index.sources()} == {"bakery", "ferry"}
    assert index.skipped == ["scan.pdf has no text to answer from."]
    assert "scan.pdf has no text" in caplog.text


def test_documents_of_one_source_need_not_stand_together() -> None:
    index = index_of(FERRY[0], BAKERY, FERRY[1])
    assert {each.source_id: each.pages for each in index.sources()} == {"ferry": 2, "bakery": 1}


def test_a_deleted_source_is_no_longer_found() -> None:
    index = index_of(BAKERY, *FERRY)
    assert index.delete("ferry")
    assert not index.delete("ferry")
    assert best(index, "What does a ticket for the boat cost?") == "bakery.txt"


def test_an_empty_index_finds_nothing() -> None:
    assert index_of().as_retriever().retrieve("Anything?") == []


def test_progress_goes_through_the_stages_and_counts_every_passage() -> None:
    seen: list[IngestProgress] = []
    splitter = SentenceSplitter(chunk_size=15, chunk_overlap=0)
    index = VectorStoreIndex.from_documents([LONG], node_parser=splitter, on_progress=seen.append)
    passages = index.collection.passages
    assert passages > EMBEDDED_AT_ONCE, "more than one slice, or this proves little"
    stages = list(dict.fromkeys(each.stage for each in seen))
    assert stages == ["splitting", "embedding", "storing"]
    embedding = [each.done for each in seen if each.stage == "embedding"]
    assert embedding == list(range(1, passages + 1))
    assert (seen[-1].done, seen[-1].total, seen[-1].file_name) == (passages, passages, "log.txt")


@pytest.mark.parametrize("stage", ["splitting", "embedding", "storing"])
def test_cancelled_in_any_stage_nothing_of_the_source_stays(stage: str) -> None:
    index, run = index_of(BAKERY), Run()

    def stop(progress: IngestProgress) -> None:
        if progress.stage == stage:
            run.cancel()

    with pytest.raises(Cancelled):
        index.insert([LONG], stop, run)
    assert [each.source_id for each in index.sources()] == ["bakery"]
    assert best(index, "What does entry 7 of the log say?") == "bakery.txt"
    index.insert([LONG])
    assert best(index, "What does entry 7 of the log say?") == "log.txt"


def test_a_failing_embedder_leaves_nothing_half_done(monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_of(BAKERY)
    calls = []

    def embed(self: BgeEmbedding, texts: list[str], *_: object) -> None:
        calls.append(texts)
        raise MemoryError

    monkeypatch.setattr(BgeEmbedding, "embed", embed)
    with pytest.raises(MemoryError):
        index.insert([LONG])
    assert calls
    assert [each.source_id for each in index.sources()] == ["bakery"]


def test_questions_are_answered_while_a_document_goes_in() -> None:
    index = index_of(BAKERY)
    index.node_parser = SentenceSplitter(chunk_size=15, chunk_overlap=0)
    retriever = index.as_retriever(1)
    going_in = threading.Event()
    adding = threading.Thread(target=index.insert, args=([LONG], lambda _: going_in.set()))
    adding.start()
    going_in.wait(30)
    answers = 0
    # Only a few: questions come first, and beside those that never cease a core takes in one
    # passage a second (`Priority.BACKGROUND`), by design.
    while adding.is_alive() and answers < 5:
        assert retriever.retrieve("When is rye bread baked?")[0].node.label == "bakery.txt"
        answers += 1
    adding.join()
    assert answers
    assert {each.source_id for each in index.sources()} == {"bakery", "log"}
