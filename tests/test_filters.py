"""Ask only these: filters act in the search itself, by document, folder, tag and collection."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine import Document, Filters, VectorStoreIndex
from engine.agent.tools import call_tool
from engine.config import Config
from engine.run import Run
from engine.workspace import Conversation, Turn, Workspace
from engine.workspace.ingestion import safe_directory
from pages.parts import resources
from tests.api_server import wait_until
from tests.browser import ROOT
from tests.opened import Opened
from tests.scripted import ScriptedLLM

TOWNS = ("Bergen", "Turku", "Porto", "Galway", "Gdynia", "Varna", "Odense", "Cadiz")


def documents() -> list[Document]:
    """Many that answer the question, in two folders."""
    return [
        Document(
            f"The ferry from {town} leaves at {hour} o'clock.",
            {
                "file_name": f"{town}.txt",
                "directory": "north/2025" if hour % 2 else "northern",
            },
            source_id=town,
        )
        for hour, town in enumerate(TOWNS, start=1)
    ]


@pytest.fixture(scope="module")
def index() -> VectorStoreIndex:
    return VectorStoreIndex.from_documents(documents())


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (Filters(), set(TOWNS)),
        (Filters(source_ids=("Porto",)), {"Porto"}),
        (Filters(file_names=("Turku.txt", "Varna.txt")), {"Turku", "Varna"}),
        (Filters(directories=("north",)), set(TOWNS[::2])),
        (Filters(("Turku",), directories=("north/2025",)), {*TOWNS[::2], "Turku"}),
        (Filters(directories=("nor",)), set()),
        (Filters(source_ids=("deleted",)), set()),
    ],
)
def test_only_documents_that_match_are_found_by_either_search(
    index: VectorStoreIndex, filters: Filters, found: set[str]
) -> None:
    retriever = index.as_retriever(20, rerank=False, filters=filters)
    results = retriever.retrieve("When does the ferry from Bergen leave?")
    assert {each.node.source_id for each in results} == found


def test_a_filter_finds_what_it_would_find_among_its_documents_alone(
    index: VectorStoreIndex,
) -> None:
    """The cosines are the same, and so is their order; deleted and new documents count at once."""
    one = index.collection.search_dense(index.embed_model.embed_query("ferry"), 20)
    some = index.collection.search_dense(
        index.embed_model.embed_query("ferry"), 3, frozenset(TOWNS[2:])
    )
    kept = {source.source_id: set(source.point_ids) for source in index.collection.sources()}
    wanted = [hit for hit in one if any(hit.point_id in kept[town] for town in TOWNS[2:])][:3]
    assert [hit.point_id for hit in some] == [hit.point_id for hit in wanted]
    assert [hit.score for hit in some] == pytest.approx([hit.score for hit in wanted], abs=1e-5)
    extra = Document("The ferry from Riga leaves at night.", {}, source_id="Riga")
    index.insert([extra])
    only = index.as_retriever(5, filters=Filters(("Riga",)))
    assert [each.node.source_id for each in only.retrieve("ferry")] == ["Riga"]
    index.delete("Riga")
    assert only.retrieve("ferry") == []


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("reports/2025", "reports/2025"),
        ("../../etc/./x", "etc/x"),
        ("a\\b\\c", "a/b/c"),
        ("/", ""),
        ("x/" * 50, "/".join(["x"] * 20)),
    ],
)
def test_a_directory_stays_inside_and_short(path: str, kept: str) -> None:
    assert safe_directory(path) == kept


# ---- Several collections, and tags


def test_several_indexes_are_searched_together_and_a_document_in_two_counts_once() -> None:
    north, south = documents()[:3], documents()[2:5]
    one, two = VectorStoreIndex.from_documents(north), VectorStoreIndex.from_documents(south)
    retriever = one.as_retriever(20, rerank=False, also=[two])
    found = retriever.retrieve("When does the ferry leave?")
    assert sorted(each.node.source_id for each in found) == sorted(TOWNS[:5])
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    only = one.as_retriever(20, also=[two], filters=Filters(source_ids=("Turku", "Gdynia")))
    found = only.retrieve("When does the ferry from Gdynia leave?")
    assert [each.node.source_id for each in found] == ["Gdynia", "Turku"]
    assert found[0].evidence, "the passages of both are reranked together"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(tmp_path)
    opened.library.create("letters")
    opened.add("ferry.txt", b"The ferry to Sula leaves at noon.")
    opened.add("mill.txt", b"The mill was built in 1684.")
    opened.add("letter.txt", b"Dear Ana, the ferry to Sula was late again.", "letters")
    yield opened
    opened.close()


def source_id(opened: Opened, name: str, collection: str = "default") -> str:
    found = opened.library.documents(collection)
    return next(each.source_id for each in found if each.file_name == name)


def names_found(opened: Opened, filters: Filters) -> set[str]:
    found = opened.library.retriever("default", 10, filters).retrieve("Is the ferry to Sula late?")
    return {each.node.label for each in found}


def test_collections_and_tags_say_which_documents_are_searched(library: Opened) -> None:
    library.library.tag("default", source_id(library, "ferry.txt"), ["travel", " travel ", ""])
    library.library.tag("letters", source_id(library, "letter.txt", "letters"), ["travel"])
    both = ("default", "letters")
    assert names_found(library, Filters()) == {"ferry.txt", "mill.txt"}
    assert names_found(library, Filters(tags=("travel",))) == {"ferry.txt"}
    assert names_found(library, Filters(collections=("letters",))) == {"letter.txt"}
    assert names_found(library, Filters(collections=both, tags=("travel",))) == {
        "ferry.txt (default)",
        "letter.txt (letters)",
    }
    assert len(names_found(library, Filters(collections=both))) == 3


@pytest.mark.parametrize(
    ("question", "said", "labels"),
    [
        ("What is the cheapest fare?", "**3 crowns**", {"fares.csv (letters)"}),
        ("Summarise the letter", "was late again", {"letter.txt (letters)"}),
        ("Which documents do I have?", "**fares.csv** (in letters, 1 passage,", set()),
        ("What does the ferry note say about Sula?", "at noon", {"ferry.txt (default)"}),
    ],
)
def test_summaries_and_tables_are_found_in_several_collections(
    library: Opened, question: str, said: str, labels: set[str]
) -> None:
    fares = "Fare,Price\nAdult,14 crowns\nChild,7 crowns\nDog,3 crowns\n"
    library.add("fares.csv", fares.encode(), "letters")
    kinds = library.library.kinds("default", 3, Filters(collections=("default", "letters")))
    treated = kinds.treat(question, Run())
    assert treated is not None and said in "".join(treated.text), treated
    assert labels <= {each.node.label for each in treated.sources}
    assert (
        library.library.kinds("default", 3, Filters()).treat("What is the cheapest fare?", Run())
        is None
    )


def test_tags_stay_when_the_index_is_rebuilt_and_when_the_file_is_replaced(
    library: Opened,
) -> None:
    mill = source_id(library, "mill.txt")
    library.library.tag("default", mill, ["buildings"])
    library.library.rename("default", mill, "old mill.txt", "papers")
    library.close()
    for file in sorted((library.folder / "qdrant").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    again = Opened(library.folder)
    again.settle()
    (found,) = [each for each in again.library.documents("default") if each.source_id == mill]
    assert (found.tags, found.path) == (("buildings",), "papers/old mill.txt")
    upload = again.ingestor.add(
        "default", "old mill.txt", b"The mill was built in 1685.", "replace", "papers"
    )
    again.settle()
    (found,) = [
        each for each in again.library.documents("default") if each.source_id == upload.source_id
    ]
    assert found.tags == ("buildings",)
    again.close()


# ---- The Ask page


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    opened = Workspace(tmp_path, Config(data_dir=tmp_path), ScriptedLLM(["At", " noon."]))
    monkeypatch.setattr(resources, "_opened", [opened])
    opened.library.create("letters")
    opened.ingestor.add("default", "ferry.txt", b"The ferry to Sula leaves at noon.", "", "sea")
    opened.ingestor.add("default", "mill.txt", b"The mill was built in 1684 by Alys Fenn.")
    opened.ingestor.add("letters", "letter.txt", b"Dear Ana, the ferry to Sula was late again.")
    wait_until(lambda: not opened.ingestor.busy)
    yield opened
    opened.close()


def ask(app: AppTest, question: str) -> AppTest:
    return app.chat_input[0].set_value(question).run()


def last_turn(workspace: Workspace, conversation: Conversation) -> Turn:
    wait_until(lambda: workspace.running(conversation.id) is None)
    return workspace.turns(conversation.id)[-1]


def test_a_choice_on_the_ask_page_is_shown_and_stays_for_follow_ups(workspace: Workspace) -> None:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
    (only,) = [each for each in app.multiselect if each.label == "Ask only these"]
    assert set(only.options) == {"sea/", "sea/ferry.txt", "mill.txt"}
    only.set_value(["folder:sea"]).run()
    ask(app, "Who built the mill?")
    (conversation,) = workspace.conversations.list("default")
    turn = last_turn(workspace, conversation)
    assert turn.filters == Filters(directories=("sea",))
    assert {each.node.file_name for each in turn.sources} == {"ferry.txt"}
    app.run()
    assert any("Only sea/" in each.value for each in app.caption)
    ask(app, "And when does it leave?")
    follow_up = last_turn(workspace, conversation)
    assert follow_up.filters == turn.filters
    assert {each.node.file_name for each in follow_up.sources} == {"ferry.txt"}


def test_several_collections_are_asked_and_their_originals_found(workspace: Workspace) -> None:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
    (places,) = [each for each in app.multiselect if each.label == "Collections"]
    places.set_value(["default", "letters"]).run()
    ask(app, "Was the ferry to Sula late?")
    (conversation,) = workspace.conversations.list("default")
    turn = last_turn(workspace, conversation)
    assert turn.filters.collections == ("default", "letters")
    letter = next(each.node for each in turn.sources if each.node.file_name == "letter.txt")
    assert letter.label == "letter.txt (letters)"
    kept = workspace.library.copy_of("default", letter.source_id)
    assert kept is not None and kept.read_bytes().startswith(b"Dear Ana")
    assert Turn.from_dict(turn.to_dict()).filters == turn.filters


def test_an_agent_searches_only_what_was_chosen(workspace: Workspace) -> None:
    def found(filters: Filters) -> set[str]:
        search = workspace.agents.tools("default", filters)[0]
        outcome = call_tool(search, {"query": "Was the ferry to Sula late?"}, Run())
        return {each.node.file_name for each in outcome.output.sources}

    assert found(Filters(collections=("letters",))) == {"letter.txt"}
    assert found(Filters()) == {"ferry.txt"}  # not the letter, which is in another collection
    handler = workspace.agents.start("default", "Is it late?", Filters(directories=("sea",)))
    run = workspace.agents.find(handler.id)
    assert run and workspace.library.described("default", run.filters) == ["sea/"]


def test_old_turns_and_new_ones_keep_their_choice() -> None:
    old = Turn("1", "Who?", settings={"filters": {"source_ids": ["x"], "directories": []}})
    assert old.filters == Filters(source_ids=("x",))
    new = Turn("1", "Who?", settings={"filters": asdict(Filters(tags=("a",)))})
    assert new.filters == Filters(tags=("a",))
