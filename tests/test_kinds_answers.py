"""Kinds of question end to end: over the sample documents, with the real search and model."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Filters, SimpleDirectoryReader, VectorStoreIndex
from engine.kinds import KeptSummaries
from engine.kinds.shelf import Shelf
from engine.llm import LlamaCpp
from engine.llm.base import LLM
from engine.query_engine import RetrieverQueryEngine
from engine.response import StreamingResponse
from engine.retrieving import NOT_FOUND, is_relevant
from engine.run import Phase
from engine.schema import ChatMessage
from engine.synthesis import ResponseSynthesizer
from engine.workspace import Stage, Workspace
from tests.browser import ROOT
from tests.scripted import ScriptedLLM

SECONDS = 60.0


@pytest.fixture(scope="module")
def samples() -> VectorStoreIndex:
    return VectorStoreIndex.from_documents(SimpleDirectoryReader(ROOT / "samples").load_data())


EVERYTHING = Filters()


def asked(
    index: VectorStoreIndex,
    llm: LLM,
    question: str,
    filters: Filters = EVERYTHING,
    kept: KeptSummaries | None = None,
    history: list[ChatMessage] | None = None,
) -> StreamingResponse:
    synthesizer = ResponseSynthesizer(llm, streaming=True)
    retriever = index.as_retriever(3, filters=filters)
    kinds = index.as_kinds(3, filters, kept)
    engine = RetrieverQueryEngine(retriever, synthesizer, is_relevant, kinds)
    response = engine.start(question, history=history or [])
    assert "".join(response.response_gen) == response.text
    return response


@pytest.mark.parametrize(
    ("question", "kind", "said"),
    [
        ("Summarise the ice log", "summary", ["HALLOWAY", "“"]),
        ("What is this collection about?", "summary", ["ice-log.txt", "ferry-fares.csv", "mill"]),
        (
            "What does the keeper's handbook say about fog?",
            "overview",
            ["keepers-handbook.pdf, page 2", "fog horn", "forty seconds"],
        ),
        ("What does the handbook say about the fog signal?", "overview", ["one blast"]),
        ("List all ferry fares", "table", ["Bicycle", "Piano", "11 of 11"]),
        ("What does the bakery bake?", "table", ["Barley loaf", "Saffron bun"]),
        ("Which fare is the cheapest?", "table", ["Dog", "free"]),
        ("How many fares cost less than 5 crowns?", "table", ["**4** of 11"]),
        (
            "How much does a bicycle cost on the ferry, and who built the mill?",
            "several questions",
            ["4 crowns", "Hannah Voss"],
        ),
        (
            "How many years between the building of the tide mill and its closing in 1926?",
            "time between",
            ["**242 years**"],
        ),
        ("Compare the barley loaf and the harbour rye", "comparison", ["850 g", "1 kg"]),
        ("Is the barley loaf cheaper than the harbour rye?", "comparison", ["Yes."]),
        ("Was anybody hurt in the great storm?", "yes or no", ["**No.**", "Nobody was hurt"]),
        ("Which documents do I have?", "library", ["5 documents", "tide-mill.md"]),
        ("Which documents mention Bosun?", "library", ["keepers-handbook.pdf"]),
    ],
)
def test_each_kind_of_question_is_answered_with_what_was_done_and_its_sources(
    samples: VectorStoreIndex, llm: LlamaCpp, question: str, kind: str, said: list[str]
) -> None:
    response = asked(samples, llm, question)
    record = response.trace.kind
    assert record is not None and (record.kind, record.by_code) == (kind, True), response.text
    assert record.did
    for words in said:
        assert words in response.text, response.text
    assert response.source_nodes or question == "Which documents do I have?"
    for source in response.source_nodes:
        assert all(source.sentence(each).strip() for each in source.evidence)


@pytest.mark.parametrize(
    "question",
    [
        "What does the handbook say about submarines?",
        "Tell me about the volcano.",
        "What was the winter like?",
        "Which documents mention submarines?",
    ],
)
def test_an_absent_topic_is_refused_with_what_comes_closest(
    samples: VectorStoreIndex, llm: LlamaCpp, question: str
) -> None:
    response = asked(samples, llm, question)
    assert response.text == "" and NOT_FOUND in response.notes
    assert response.source_nodes


def test_a_question_for_a_fact_is_left_to_the_model(
    samples: VectorStoreIndex, llm: LlamaCpp
) -> None:
    response = asked(samples, llm, "Why did the sledge party turn back?")
    assert response.trace.kind is None
    assert response.trace.calls and "clock" in response.text


def test_a_question_in_another_language_is_left_to_the_model(
    samples: VectorStoreIndex, llm: LlamaCpp
) -> None:
    response = asked(samples, llm, "Was kostet ein Fahrrad auf der Fähre?")
    assert response.trace.kind is None and "search" in [s.name for s in response.trace.spans]


def test_only_the_chosen_documents_are_asked(samples: VectorStoreIndex, llm: LlamaCpp) -> None:
    mill = Filters(file_names=("tide-mill.md",))
    fares = asked(samples, llm, "List all ferry fares", mill)
    assert "Bicycle" not in fares.text
    about = asked(samples, llm, "What are my documents about?", mill)
    assert {each.node.file_name for each in about.source_nodes} == {"tide-mill.md"}


def test_a_summary_of_a_chapter_has_nothing_of_the_others(
    samples: VectorStoreIndex, llm: LlamaCpp
) -> None:
    response = asked(samples, llm, 'Summarise the section "The great storm" of the tide mill')
    assert response.trace.kind and "The great storm" in response.trace.kind.did
    assert "1791" in response.text and "1684" not in response.text


def test_a_larger_model_reads_every_part_and_only_its_last_call_streams(
    samples: VectorStoreIndex,
) -> None:
    larger = ScriptedLLM(["Part."], context_window=400)
    response = asked(samples, larger, "Summarise the tide mill")
    assert len(larger.prompts) > 2
    read = "\n".join(prompt[-1].content for prompt in larger.prompts)
    source = next(each for each in samples.sources() if each.file_name == "tide-mill.md")
    for node in samples.collection.nodes_of(source.source_id):
        assert node.text[-40:] in read
    assert response.text == "Part."
    assert response.trace.kind is not None and not response.trace.kind.by_code
    assert "read in 6 parts" in response.trace.kind.did


def test_a_summary_is_kept_and_dropped_with_its_document(
    workspace: Workspace, llm: LlamaCpp
) -> None:
    for name in ("ice-log.txt", "tide-mill.md"):
        upload = workspace.ingestor.add("default", name, (ROOT / "samples" / name).read_bytes())
        deadline = time.monotonic() + SECONDS
        while not upload.stage.ended and time.monotonic() < deadline:
            time.sleep(0.01)
        assert upload.stage is Stage.READY
    index, kept = workspace.library.index("default"), workspace.summaries
    first = asked(index, llm, "Summarise the ice log", kept=kept)
    again = asked(index, llm, "Please sum up the ice log", kept=kept)
    assert again.text == first.text and again.source_nodes == first.source_nodes
    assert again.trace.kind is not None and again.trace.kind.did.endswith("kept")
    assert again.trace.total("summary") == 0 < first.trace.total("summary")
    (document,) = (
        each for each in workspace.library.documents("default") if each.file_name == "ice-log.txt"
    )
    workspace.delete_documents("default", [document.source_id])
    other = asked(index, llm, "Summarise the tide mill", kept=kept)
    assert other.text
    assert len(list(kept.folder.glob("*.json"))) == 1


def test_a_damaged_kept_summary_is_made_again(
    samples: VectorStoreIndex, llm: LlamaCpp, tmp_path: Path
) -> None:
    kept = KeptSummaries(tmp_path)
    first = asked(samples, llm, "Summarise the ice log", kept=kept)
    (file,) = tmp_path.glob("*.json")
    file.write_text('{"text": 1')
    assert asked(samples, llm, "Summarise the ice log", kept=kept).text == first.text


def test_stop_ends_a_summary_while_it_reads(samples: VectorStoreIndex, llm: LlamaCpp) -> None:
    class Slow:
        """The embedder, but each text waits until the run is stopped."""

        def __getattr__(self, name: str) -> object:
            return getattr(samples.embed_model, name)

        def embed(self, texts: list[str], run: object = None, on_progress: object = None) -> object:
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                run.check()  # type: ignore[attr-defined]
                time.sleep(0.005)
            raise AssertionError("It was not stopped.")

    index = VectorStoreIndex(samples.collection, Slow())  # type: ignore[arg-type]
    kinds = index.as_kinds(3)
    synthesizer = ResponseSynthesizer(llm, streaming=True)
    engine = RetrieverQueryEngine(index.as_retriever(3), synthesizer, is_relevant, kinds)
    response = engine.start("Summarise the ice log")
    response.hold(SECONDS)
    while "summary" not in [span.name for span in response.trace.spans]:
        time.sleep(0.005)
    response.cancel()
    for _ in response.response_gen:
        pass
    assert response.phase is Phase.STOPPED and response.text == ""


@pytest.fixture(scope="module")
def shelf(samples: VectorStoreIndex) -> Iterator[Shelf]:
    yield Shelf([samples.collection])


def test_the_text_of_a_document_is_read_without_repetitions(shelf: Shelf) -> None:
    (book,) = (each for each in shelf.books() if each.name == "ice-log.txt")
    assert book.title == "LOG OF THE HALLOWAY SLEDGE PARTY"
    text = "\n".join(piece.text for piece in shelf.pieces(book.source.source_id))
    assert text.count("Lantern Lake") == 1 and text.count("15 July 1908") == 1


@pytest.mark.parametrize(
    ("question", "never"),
    [
        (
            # the days name the weeks, and two columns have boats
            "Did more boats come in the week starting 14 July 2025 or in the week starting 11 "
            "August 2025, and how many more?",
            "28 days",
        ),
        (
            "How many days are there between the opening of the 2026 season and 30 September 2026?",
            "0 years",
        ),
    ],
)
def test_nothing_is_computed_from_what_is_not_certain(
    llm: LlamaCpp, tmp_path: Path, question: str, never: str
) -> None:
    (tmp_path / "boats-by-week.csv").write_text(
        "week,starts,boats_in,boats_out,weather\n29,2025-07-14,46,45,sunny\n"
        "31,2025-07-28,40,41,rain\n33,2025-08-11,50,49,sunny\n"
    )
    (tmp_path / "notice.md").write_text("# Notice\n\nOpening of the season 2026: Saturday 9 May.\n")
    index = VectorStoreIndex.from_documents(SimpleDirectoryReader(tmp_path).load_data())
    assert never not in asked(index, llm, question).text


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> VectorStoreIndex:
    folder = tmp_path_factory.mktemp("harbour")
    (folder / "boats.csv").write_text(
        "no,boat,class,berth,length_m,crew\n1,Heron,sloop,north,9.5,4\n2,Puffin,ketch,south,12.0,6\n"
        "3,Seal,sloop,south,8.0,3\n4,Gull,cutter,north,11.0,5\n5,Tern,sloop,north,7.5,3\n"
    )
    (folder / "rules.md").write_text(
        "# Harbour rules\n\n## Visitors\n\nLost property is kept in the harbour office for sixty "
        "days.\n\nIn 2023 the harbour had 820 visiting boats, against 765 visiting boats in 2022."
        "\n\n## Diving\n\nDivers report to the harbour office. They carry a flag. Nobody dives "
        "after sunset.\n"
    )
    return VectorStoreIndex.from_documents(SimpleDirectoryReader(folder).load_data())


@pytest.mark.parametrize(
    ("question", "said", "never"),
    [
        ("We came by train today. How long is lost property kept?", ["sixty days"], "train"),
        (
            "Did more visiting boats come in 2023 or in 2022, and how many more?",
            ["difference **55", "“In 2023"],
            NOT_FOUND,
        ),
        ("What do the rules say about divers?", ["flag", "sunset"], "Lost property"),
        ("Roughly, what are all those papers of mine about?", ["boats.csv", "rules.md"], NOT_FOUND),
        ("In which files do the visiting boats turn up?", ["rules.md"], NOT_FOUND),
        ("How many boats are listed?", ["**5** of 5"], "values"),
    ],
)
def test_a_question_in_words_that_no_rule_has_is_answered(
    harbour: VectorStoreIndex, llm: LlamaCpp, question: str, said: list[str], never: str
) -> None:
    response = asked(harbour, llm, question)
    for words in said:
        assert words in response.text, response.text
    assert never not in response.text


def test_a_count_does_not_ignore_a_number_that_is_told(
    samples: VectorStoreIndex, llm: LlamaCpp
) -> None:
    counts = "How many ferry fares are there?"
    told = asked(samples, llm, f"I have 5 crowns. {counts}")
    assert "**11** of 11 rows" not in told.text
    assert "**11** of 11 rows" in asked(samples, llm, f"We are on the quay. {counts}").text


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("Anything about the seals, please", ["seal"]),
        ("Collect all that is said about the fog horn.", ["fog horn", "1887"]),
        ("Is there anything in my papers about the cat? Tell me everything.", ["Bosun"]),
    ],
)
def test_a_request_for_what_is_said_is_not_refused_where_the_documents_have_its_words(
    samples: VectorStoreIndex, llm: LlamaCpp, request_: str, said: list[str]
) -> None:
    answer = asked(samples, llm, request_)
    assert answer.trace.kind and answer.trace.kind.kind == "overview"
    assert all(each in answer.text for each in said)
    assert NOT_FOUND not in answer.notes


@pytest.mark.parametrize(
    "request_", ["Anything about the swimming pool of the bakery, please", "Tell me a joke"]
)
def test_a_request_with_a_word_that_no_document_has_is_refused(
    samples: VectorStoreIndex, llm: LlamaCpp, request_: str
) -> None:
    answer = asked(samples, llm, request_)
    assert (answer.text, NOT_FOUND in answer.notes) == ("", True)
