"""Ask only these: filters act in the search itself, by document and by folder."""

import pytest

from engine import Document, Filters, VectorStoreIndex
from engine.workspace.ingestion import safe_directory

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

