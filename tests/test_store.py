"""The store: sources that are whole or not there, whatever happens, and found when they are."""

import itertools
import multiprocessing
import os
import pickle
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from qdrant_client import models
from qdrant_client.local.persistence import CollectionPersistence as Disk

from engine.errors import DuplicateDocumentError, StoreError, StoreInUseError
from engine.lexical import Terms, passage_terms, question_terms
from engine.schema import Node, new_id
from engine.store import (
    Collection,
    DamagedStoreError,
    QdrantServer,
    Source,
    Store,
    points,
)
from engine.store import open_store as open_embedded
from engine.store.connection import Connection
from engine.store.disk import unpacked
from tests.on_a_server import URL, embedded_only, open_store, store_at

MODEL, DIMENSION = "test-model", 8
WORDS = ("amber", "birch", "cedar", "delta", "fjord", "grove", "heron", "knoll", "maple")


def passages(source_id: str, count: int) -> tuple[list[Node], NDArray[np.float32], list[Terms]]:
    random = np.random.default_rng(sum(map(ord, source_id)))
    texts = [f"{source_id} " + " ".join(random.choice(WORDS, 5)) for _ in range(count)]
    vectors = random.standard_normal((count, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    nodes = [
        Node(text, {"file_name": f"{source_id}.txt", "page_label": "3"}, f"{source_id}-{number}",
             source_id, number)
        for number, text in enumerate(texts)
    ]  # fmt: skip
    return nodes, vectors, [passage_terms(text) for text in texts]


def add(collection: Collection, source_id: str, count: int = 5) -> None:
    with collection.adding(Source(source_id, f"{source_id}.txt", passages=count)) as writer:
        writer.add(*passages(source_id, count))


def found(collection: Collection, source_id: str, count: int = 5) -> set[str]:
    """Sources among the hits of both searches, asked with that source's own first passage."""
    nodes, vectors, _ = passages(source_id, count)
    hits = collection.search_dense(vectors[0], 100)
    hits += collection.search_terms(question_terms(nodes[0].text), 100)
    return {node.source_id for node in collection.nodes([hit.point_id for hit in hits]) if node}


def opened(store: Store) -> Collection:
    return store.collection("notes", MODEL, DIMENSION)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "qdrant"


class InMemoryServer(Connection):
    embedded = False


@contextmanager
def on_a_server() -> Iterator[Store]:
    """With TEST_QDRANT_URL, on that server; else the same calls, answered by Qdrant's client in
    memory."""
    yield store_at(f"test-{new_id()}") if URL else Store(InMemoryServer())


@pytest.fixture
def server() -> Iterator[Store]:
    with on_a_server() as store:
        yield store


@pytest.fixture(params=["embedded", "server"])
def collection(request: pytest.FixtureRequest) -> Iterator[Collection]:
    if request.param == "embedded":
        yield opened(open_embedded())
        return
    with on_a_server() as store:
        yield opened(store)


def points_in(folder: Path) -> int:
    """Counted behind the store's back."""
    if URL:
        store = open_store(folder)
        count = store._connection.client.count(f"{store._prefix}notes").count
        store.close()
        return count
    with sqlite3.connect(folder / "collection" / "notes" / "storage.sqlite") as db:
        return int(db.execute("SELECT count(*) FROM points").fetchone()[0])


def test_a_passage_comes_back_as_it_went_in_also_after_a_restart(folder: Path) -> None:
    store = open_store(folder)
    add(opened(store), "a")
    store.close()
    store = open_store(folder)
    collection = opened(store)
    nodes, vectors, _ = passages("a", 5)
    best = collection.search_dense(vectors[3], 2)[0]
    assert best.score == pytest.approx(1.0, abs=1e-5)
    assert collection.nodes([best.point_id]) == [nodes[3]]
    assert collection.nodes_of("a") == nodes
    assert [(each.file_name, each.passages) for each in collection.sources()] == [("a.txt", 5)]
    store.close()


def test_both_searches_find_a_passage_by_itself(collection: Collection) -> None:
    add(collection, "a")
    add(collection, "b")
    nodes, vectors, terms = passages("b", 5)
    for number, node in enumerate(nodes):
        by_meaning = collection.search_dense(vectors[number], 1)
        by_words = collection.search_terms(terms[number], 1)
        assert collection.nodes([by_meaning[0].point_id, by_words[0].point_id]) == [node, node]


def test_what_is_unfinished_is_never_found(collection: Collection) -> None:
    add(collection, "a")
    nodes, vectors, terms = passages("b", 40)
    with collection.adding(Source("b", "b.txt", passages=40)) as writer:
        writer.add(nodes[:39], vectors[:39], terms[:39])
        assert found(collection, "b", 40) == {"a"}
        assert len(collection.search_dense(vectors[0], 5)) == 5, "hidden ones take no places"
        assert [each.source_id for each in collection.sources()] == ["a"]
        writer.add(nodes[39:], vectors[39:], terms[39:])
    assert found(collection, "b", 40) == {"a", "b"}
    assert collection.passages == 45


def test_a_source_whose_writing_fails_is_not_there_at_all(folder: Path) -> None:
    store = open_store(folder)
    collection = opened(store)
    add(collection, "a")
    with (
        pytest.raises(ZeroDivisionError),
        collection.adding(Source("b", "b", passages=9)) as writer,
    ):
        writer.add(*passages("b", 8))
        raise ZeroDivisionError
    assert found(collection, "b", 9) == {"a"}
    assert points_in(folder) == 5
    add(collection, "b")
    assert found(collection, "b") == {"a", "b"}
    store.close()


def test_a_source_that_is_there_is_not_written_twice(collection: Collection) -> None:
    add(collection, "a")
    with pytest.raises(DuplicateDocumentError, match=r"a\.txt is in the collection already"):
        add(collection, "a")
    assert collection.passages == 5
    assert found(collection, "a") == {"a"}


def test_a_deleted_source_is_gone_and_the_others_are_not(folder: Path) -> None:
    store = open_store(folder)
    collection = opened(store)
    add(collection, "a", 40)
    add(collection, "b")
    assert collection.delete("a")
    assert not collection.delete("a")
    assert found(collection, "a", 40) == {"b"}
    assert points_in(folder) == 5
    add(collection, "a")
    assert found(collection, "a") == {"a", "b"}
    store.close()


# Started once, with what takes long to load: a child costs milliseconds then.
children = multiprocessing.get_context("forkserver")
children.set_forkserver_preload(["engine.store", "pytest"])


def die_at_write(n: int, folder: Path, work: Callable[[Collection], object]) -> None:
    """In a child: killed, with no chance to tidy up, when about to write for the nth time."""
    writes = itertools.count(1)

    def deadly(write: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*arguments: Any) -> None:
            if next(writes) == n:
                os.kill(os.getpid(), signal.SIGKILL)
            write(*arguments)

        return wrapped

    collection = opened(open_store(folder))
    client: Any = collection._connection.client
    if URL:
        collection.step = 1
        client.upsert, client.delete = deadly(client.upsert), deadly(client.delete)
    else:
        Disk.persist, Disk.delete = deadly(Disk.persist), deadly(Disk.delete)  # type: ignore[method-assign]
    work(collection)


def add_b(collection: Collection) -> None:
    add(collection, "b", 20)


def delete_b(collection: Collection) -> None:
    collection.delete("b")


# Adding is 21 writes: 20 points, then the record. Deleting is the record, then 20 points.
@pytest.mark.parametrize(
    ("work", "n"),
    [(add_b, 1), (add_b, 2), (add_b, 9), (add_b, 21), (delete_b, 2), (delete_b, 9), (delete_b, 21)],
)
def test_killed_halfway_a_source_is_not_there_at_the_next_start(
    folder: Path,
    work: Callable[[Collection], object],
    n: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.store.server_points.ABANDONED_AFTER", timedelta(0))
    store = open_store(folder)
    add(opened(store), "a")
    if work is delete_b:
        add_b(opened(store))
    store.close()
    process = children.Process(target=die_at_write, args=(n, folder, work))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    left = 25 - (n - 2) if work is delete_b else 5 + (n - 1)
    assert points_in(folder) == left, "killed where it was meant to be"
    store = open_store(folder)
    collection = opened(store)
    assert [each.source_id for each in collection.sources()] == ["a"]
    assert found(collection, "b", 20) == {"a"}
    assert points_in(folder) == 5
    store.close()


def hold(folder: Path, pipe: "Pipe[str, str]") -> None:
    """In a child: keep the folder until told to end."""
    add(opened(open_store(folder)), "a")
    pipe.send("open")
    pipe.recv()


@embedded_only
def test_a_second_process_on_the_folder_is_told_so(folder: Path) -> None:
    ours, theirs = children.Pipe()
    process = children.Process(target=hold, args=(folder, theirs))
    process.start()
    theirs.close()  # so that a child that dies is no endless wait
    assert ours.recv() == "open"
    with pytest.raises(StoreInUseError, match=r"Another process .* Close the other"):
        open_store(folder)
    ours.send("end")
    process.join(60)
    store = open_store(folder)
    assert found(opened(store), "a") == {"a"}
    store.close()


@embedded_only
def test_two_users_of_a_folder_in_one_process_share_it(folder: Path) -> None:
    one, other = open_store(folder), open_store(str(folder))
    assert opened(one) is opened(other)
    one.close()
    again = open_store(folder)
    assert again is not one
    again.close()


@embedded_only
def test_a_full_disk_loses_nothing(folder: Path) -> None:
    store = open_store(folder)
    collection = opened(store)
    add(collection, "a")
    limit_pages(collection, 1)  # as small as it is, that is
    with pytest.raises(StoreError, match=r"disk is full.* Make room"):
        add(collection, "b", 200)
    assert found(collection, "a") == found(collection, "b", 200) == {"a"}
    limit_pages(collection, 1_000_000)
    add(collection, "b", 200)
    assert found(collection, "b", 200) == {"a", "b"}
    store.close()


def limit_pages(collection: Collection, count: int) -> None:
    """SQLite itself refuses to let the file grow: the same fault as a full disk's."""
    client: Any = collection._connection.client
    storage = client._client.collections["notes"].storage.storage
    storage.execute(f"PRAGMA max_page_count={count}")


def test_another_embedding_model_is_refused_with_a_way_out(folder: Path) -> None:
    store = open_store(folder)
    add(opened(store), "a")
    for model, dimension in (("other", DIMENSION), (MODEL, 16)):
        with pytest.raises(StoreError, match="filled with the embedding model test-model"):
            store.collection("notes", model, dimension)
    store.close()


def test_a_collection_of_something_else_is_left_alone(folder: Path) -> None:
    store = open_store(folder)
    store._connection.client.create_collection(f"{store._prefix}notes", vectors_config={})
    with pytest.raises(StoreError, match="not made by this version"):
        opened(store)
    assert store.collections() == []
    store.close()


@pytest.mark.parametrize("name", ["", "..", "a/b", "x.sources", "a" * 101, "\n"])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(StoreError, match="cannot name a collection"):
        open_store().collection(name, MODEL, DIMENSION)


@embedded_only
def test_a_damaged_folder_is_named(folder: Path) -> None:
    folder.mkdir()
    (folder / "meta.json").write_text('{"collections": {"no')
    with pytest.raises(StoreError, match="cannot be opened"):
        open_store(folder)


def test_collections_are_apart(folder: Path) -> None:
    store = open_store(folder)
    one, other = opened(store), store.collection("Other things 2", MODEL, DIMENSION)
    add(one, "a")
    add(other, "b")
    assert store.collections() == ["Other things 2", "notes"]
    assert found(one, "a") == {"a"}
    assert found(other, "a") == {"b"}
    store.delete_collection("notes")
    assert store.collections() == ["Other things 2"]
    assert opened(store).sources() == []
    store.close()


def test_a_collection_whose_deletion_was_cut_short_starts_empty(folder: Path) -> None:
    store = open_store(folder)
    collection = opened(store)
    add(collection, "a")
    # killed before the second step
    collection._connection.client.delete_collection(collection.name)
    store.close()
    store = open_store(folder)
    assert store.collections() == []
    assert opened(store).sources() == []
    store.close()


def test_questions_and_changes_at_once_see_only_whole_sources(collection: Collection) -> None:
    add(collection, "a")
    faults: list[BaseException] = []
    changed = threading.Event()

    def change() -> None:
        for number in range(6):
            add(collection, f"b{number}", 30)
            collection.delete(f"b{number}")
        changed.set()

    def ask() -> None:
        while not changed.is_set():
            assert "a" in found(collection, "a")
            for source in collection.sources():
                assert len(collection.nodes_of(source.source_id)) in (source.passages, 0)

    def kept(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as fault:
            faults.append(fault)
            changed.set()

    threads = [threading.Thread(target=kept, args=(work,)) for work in (change, ask, ask)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_a_source_added_again_while_it_is_being_deleted_is_whole(
    monkeypatch: pytest.MonkeyPatch, collection: Collection
) -> None:
    add(collection, "a", 100)
    client = collection._connection.client
    delete, deleting = client.delete, threading.Event()

    def slow(*arguments: Any) -> None:
        delete(*arguments)
        deleting.set()
        threading.Event().wait(0.02)

    monkeypatch.setattr(client, "delete", slow)
    thread = threading.Thread(target=collection.delete, args=("a",))
    thread.start()
    deleting.wait(30)
    add(collection, "a", 100)
    thread.join()
    assert len(collection.nodes_of("a")) == collection.passages == 100


def test_the_embedded_search_by_terms_gives_what_a_server_gives(
    server: Store,
) -> None:
    collection, on_server = opened(open_embedded()), opened(server)
    for source_id in "abc":
        add(collection, source_id, 20)
        add(on_server, source_id, 20)
    for question in ("amber birch", "a heron", "grove grove knoll maple", "nothing"):
        ours = collection.search_terms(question_terms(question), 60)
        theirs = on_server.search_terms(question_terms(question), 60)
        assert [hit.score for hit in ours] == pytest.approx([hit.score for hit in theirs], rel=1e-4)
        scores = {hit.point_id: hit.score for hit in theirs}
        assert {hit.point_id: hit.score for hit in ours} == pytest.approx(scores, rel=1e-4)


def test_on_a_server_a_young_unfinished_source_is_left_to_whoever_writes_it(
    server: Store,
) -> None:
    theirs = opened(server)
    ours = Store(server._connection)
    nodes, vectors, terms = passages("a", 5)
    with theirs.adding(Source("a", "a.txt", passages=5)) as writer:
        writer.add(nodes, vectors, terms)
        assert opened(ours).sources() == []
        assert found(opened(ours), "a") == set()
    assert found(opened(ours), "a") == {"a"}
    assert [each.source_id for each in opened(ours).sources()] == ["a"]


def test_on_a_server_a_search_beside_an_ingestion_reads_no_list_of_sources(
    monkeypatch: pytest.MonkeyPatch, server: Store
) -> None:
    ours = opened(server)
    theirs = opened(Store(server._connection))
    for number in range(20):
        add(ours, f"known{number}")
    client = server._connection.client
    calls: list[str] = []

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            calls.append(name)
            return real(*arguments, **named)

        return call

    for name in ("scroll", "retrieve"):
        monkeypatch.setattr(client, name, counted(name, getattr(client, name)))
    nodes, vectors, terms = passages("b", 60)
    with theirs.adding(Source("b", "b.txt", passages=60)) as writer:
        writer.add(nodes, vectors, terms)
        calls.clear()
        assert len(ours.search_dense(vectors[0], 10)) == 10, "hidden passages take no places"
        assert "scroll" not in calls
        assert len(calls) <= 3, "one read of the unknown sources for each round of the search"


def test_on_a_server_what_was_abandoned_long_ago_is_deleted_at_opening(
    monkeypatch: pytest.MonkeyPatch, server: Store
) -> None:
    collection = opened(server)
    add(collection, "a")
    monkeypatch.setattr("engine.store.server_points.ABANDONED_AFTER", timedelta(0))
    client, name = server._connection.client, collection.name
    with collection.adding(Source("b", "b.txt", passages=5)) as writer:
        writer.add(*passages("b", 5))
        assert client.count(name).count == 10
        opened(Store(server._connection))
        assert client.count(name).count == 5
        writer.add(*passages("b", 0))
        with pytest.raises(StoreError, match=r"b\.txt was not stored completely"):
            collection._check_complete(Source("b", "b.txt", passages=5))
        writer.terms.clear()
        writer.add(*passages("b", 5))


def test_on_a_server_points_of_another_division_of_the_text_are_deleted(server: Store) -> None:
    collection = opened(server)
    nodes, vectors, terms = passages("a", 9)
    with collection.adding(Source("a", "a.txt", passages=5)) as writer:
        # a process that ended had divided it into 9 passages
        collection._connection.client.upsert(
            collection.name,
            points.points(Source("a", "a.txt", passages=9).point_ids, nodes, vectors, terms),
        )
        writer.add(nodes[:5], vectors[:5], terms[:5])
    assert collection._connection.client.count(collection.name).count == 5


def test_on_a_server_a_source_that_has_lost_a_point_is_written_again(server: Store) -> None:
    add(opened(server), "a")
    add(opened(server), "b")
    lost = Source("a", "a.txt", passages=5).point_ids[2]
    server._connection.client.delete(opened(server).name, [lost])
    again = opened(Store(server._connection))
    assert [each.source_id for each in again.incomplete] == ["a"]
    assert found(again, "a") == {"b"}
    assert [each.source_id for each in again.sources()] == ["b"]
    add(again, "a")
    assert found(again, "a") == {"a", "b"}
    assert len(again.nodes_of("a")) == 5


def test_on_a_server_a_source_whose_record_got_no_answer_is_not_there(
    server: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = opened(server)
    client = server._connection.client
    upsert = client.upsert

    def unanswered(name: str, points: Any) -> None:
        upsert(name, points)
        if name.endswith(".sources"):
            raise TimeoutError("no answer came")

    with monkeypatch.context() as patch:
        patch.setattr(client, "upsert", unanswered)
        with pytest.raises(StoreError, match="no answer came"):
            add(collection, "a")
    for each in (collection, opened(Store(server._connection))):
        assert (each.sources(), found(each, "a")) == ([], set())
    assert client.count(collection.name).count == 0
    add(collection, "a")
    assert found(collection, "a") == {"a"}


def test_on_a_server_no_search_waits_for_another(
    server: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = opened(server)
    add(collection, "a")
    client = server._connection.client
    query, meeting = client.query_batch_points, threading.Barrier(3)
    monkeypatch.setattr(server._connection, "held", nullcontext)  # of the client in memory

    def together(*arguments: Any, **named: Any) -> Any:
        meeting.wait(30)
        return query(*arguments, **named)

    monkeypatch.setattr(client, "query_batch_points", together)
    _, vectors, terms = passages("a", 5)
    with ThreadPoolExecutor(3) as threads:
        searches = [threads.submit(collection.search, vectors[0], terms[0], 1) for _ in range(3)]
        assert [search.result() for search in searches] == [searches[0].result()] * 3


def test_libraries_with_different_prefixes_share_a_server(server: Store) -> None:
    other = Store(server._connection)
    other._prefix = f"other-{server._prefix.removesuffix('+')}+"
    add(opened(server), "a")
    assert other.collections() == []
    add(opened(other), "b")
    assert (server.collections(), other.collections()) == (["notes"], ["notes"])
    assert found(opened(server), "a") == {"a"}
    other.delete_collection("notes")
    assert [each.source_id for each in opened(server).sources()] == ["a"]
    with pytest.raises(StoreError, match="does not exist"):
        other.collection("notes", MODEL, DIMENSION, create=False)


def test_on_a_server_a_collection_that_another_process_has_deleted_is_named(server: Store) -> None:
    if not URL:
        pytest.skip("The client in memory raises an error of its own.")
    stale = opened(server)
    Store(server._connection).delete_collection("notes")
    _, vectors, _ = passages("a", 5)
    with pytest.raises(StoreError, match="'notes' was deleted"):
        stale.search_dense(vectors[0], 5)
    add(opened(server), "a")
    assert found(opened(server), "a") == {"a"}


def test_a_hidden_source_comes_back_at_once(folder: Path) -> None:
    store = open_store(folder)
    collection = opened(store)
    add(collection, "a")
    add(collection, "b")
    (b,) = [each for each in collection.sources() if each.source_id == "b"]
    ids = b.point_ids
    assert collection.hide("b")
    assert found(collection, "b") == {"a"}
    assert collection.nodes(ids) == [None] * 5
    assert points_in(folder) == 10
    assert collection.unhide(b)
    assert found(collection, "b") == {"a", "b"}
    assert collection.nodes_of("b") == passages("b", 5)[0]
    collection.hide("b")
    collection.purge("b")
    assert not collection.unhide(b)
    assert found(collection, "b") == {"a"}
    store.close()


def test_a_source_hidden_when_the_app_ends_is_deleted_at_the_next_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.server_points.ABANDONED_AFTER", timedelta(0))
    store = open_store(folder)
    add(opened(store), "a")
    add(opened(store), "b")
    opened(store).hide("b")
    store.close()
    store = open_store(folder)
    assert found(opened(store), "b") == {"a"}
    assert points_in(folder) == 5
    store.close()


def test_a_deleted_collection_is_not_made_by_reading_it(folder: Path) -> None:
    store = open_store(folder)
    stale = opened(store)
    add(stale, "a")
    store.delete_collection("notes")
    with pytest.raises(StoreError, match="'notes' does not exist"):
        store.collection("notes", MODEL, DIMENSION, create=False)
    with pytest.raises(StoreError, match="'notes' was deleted"):
        stale.sources()
    with pytest.raises(StoreError, match="'notes' was deleted"):
        add(stale, "b")
    assert store.collections() == []
    store.close()


def test_names_that_differ_only_in_case_are_refused(folder: Path) -> None:
    store = open_store(folder)
    opened(store)
    with pytest.raises(StoreError, match=r"'notes' already.* 'NOTES' differs only"):
        store.collection("NOTES", MODEL, DIMENSION)
    store.close()


class Planted:
    """Unpickling it makes a file."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.proof),)


def plant(folder: Path, content: bytes) -> None:
    """Overwrite one point behind the store's back."""
    with sqlite3.connect(folder / "collection" / "notes" / "storage.sqlite") as db:
        db.execute("UPDATE points SET point = ? WHERE rowid = 3", (content,))


@embedded_only
def test_a_planted_point_runs_nothing(folder: Path, tmp_path: Path) -> None:
    store = open_store(folder)
    add(opened(store), "a")
    store.close()
    plant(folder, pickle.dumps(Planted(tmp_path / "proof")))
    with pytest.raises(DamagedStoreError, match=r"damaged.*mkdir"):
        open_store(folder)
    assert not (tmp_path / "proof").exists()


def truncate_to(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


POINTS, RECORDS = "collection/notes/storage.sqlite", "collection/notes.sources/storage.sqlite"


@embedded_only
@pytest.mark.parametrize("file", ["meta.json", POINTS, RECORDS])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(os.urandom(5000)),
        lambda path: truncate_to(path, path.stat().st_size // 2),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: path.write_bytes(b"%PDF-1.7 a foreign file"),
    ],
    ids=["garbage", "truncated", "empty", "missing", "unreadable", "foreign"],
)
def test_a_damaged_folder_is_set_aside_and_an_empty_one_is_opened(
    folder: Path, tmp_path: Path, file: str, damage: Callable[[Path], object]
) -> None:
    store = open_store(folder)
    add(opened(store), "a", 40)
    store.close()
    damage(folder / file)
    store = open_store(folder, aside=tmp_path)
    assert store.set_aside is not None
    assert (store.set_aside / "collection" / "notes").is_dir()
    assert opened(store).sources() == []
    add(opened(store), "a")
    store.close()
    store = open_store(folder, aside=tmp_path)
    assert store.set_aside is None
    assert found(opened(store), "a") == {"a"}
    store.close()


@embedded_only
def test_one_damaged_point_counts_as_damage(folder: Path, tmp_path: Path) -> None:
    store = open_store(folder)
    add(opened(store), "a")
    store.close()
    plant(folder, b"\x80\x04nonsense")
    store = open_store(folder, aside=tmp_path)
    assert store.set_aside
    store.close()


@embedded_only
def test_a_point_with_one_wrong_byte_counts_as_damage(folder: Path, tmp_path: Path) -> None:
    store = open_store(folder)
    add(opened(store), "a")
    store.close()
    with sqlite3.connect(folder / POINTS) as db:
        (row,) = db.execute("SELECT point FROM points WHERE rowid = 3").fetchone()
    plant(folder, row[:70] + bytes([row[70] ^ 1]) + row[71:])
    with pytest.raises(DamagedStoreError, match="checksum"):
        open_store(folder)


def as_pickles(file: Path) -> None:
    """Write the points as an earlier version did."""
    with sqlite3.connect(file) as db:
        for key, value in db.execute("SELECT id, point FROM points").fetchall():
            row = unpacked(value)
            vector: Any = {}
            if row.dense:
                terms = models.SparseVector(
                    indices=np.frombuffer(row.terms, "<u4").tolist(),
                    values=np.frombuffer(row.weights, "<f4").tolist(),
                )
                vector = {"dense": np.frombuffer(row.dense, "<f4").tolist(), "terms": terms}
            point = pickle.dumps(models.PointStruct(id=row.id, vector=vector, payload=row.facts))
            db.execute("UPDATE points SET point = ? WHERE id = ?", (point, key))


@embedded_only
def test_points_of_an_earlier_version_are_read_and_kept_as_rows(folder: Path) -> None:
    store = open_store(folder)
    add(opened(store), "a")
    store.close()
    for file in (POINTS, RECORDS):
        as_pickles(folder / file)
    store = open_store(folder)
    assert found(opened(store), "a") == {"a"}
    nodes, _, _ = passages("a", 5)
    assert [node.text for node in opened(store).nodes_of("a")] == [node.text for node in nodes]
    store.close()
    for file in (POINTS, RECORDS):
        with sqlite3.connect(folder / file) as db:
            kept = [value for (value,) in db.execute("SELECT point FROM points")]
        assert not [value for value in kept if value.startswith(b"\x80")]
    store = open_store(folder)
    assert found(opened(store), "a") == {"a"}
    assert opened(store).delete("a")
    assert found(opened(store), "a") == set()
    store.close()


def test_a_source_gets_another_name_and_tags_and_keeps_its_passages(folder: Path) -> None:
    store = open_store(folder)
    add(opened(store), "a", 40)
    source = opened(store).sources()[0]
    opened(store).change(replace(source, file_name="b.txt", directory="papers", tags=("new",)))
    for _ in range(2):  # also at the next opening
        (changed,) = opened(store).sources()
        assert (changed.path, changed.tags) == ("papers/b.txt", ("new",))
        nodes = opened(store).nodes_of("a")
        assert len(nodes) == 40 and {node.file_name for node in nodes} == {"b.txt"}
        assert nodes[0].metadata["page_label"] == "3"
        assert found(opened(store), "a") == {"a"}
        store.close()
        store = open_store(folder)
    with pytest.raises(StoreError, match="is not in the collection any more"):
        opened(store).change(replace(source, source_id="c"))
    store.close()


@embedded_only
def test_a_source_that_has_lost_a_point_is_not_found_and_named(folder: Path) -> None:
    store = open_store(folder)
    add(opened(store), "a")
    add(opened(store), "b")
    store.close()
    with sqlite3.connect(folder / POINTS) as db:
        db.execute("DELETE FROM points WHERE rowid = 3")
    store = open_store(folder)
    assert [each.source_id for each in opened(store).incomplete] == ["a"]
    assert found(opened(store), "a") == {"b"}
    add(opened(store), "a")
    assert found(opened(store), "a") == {"a", "b"}
    store.close()


@embedded_only
def test_a_folder_in_use_is_never_set_aside(folder: Path, tmp_path: Path) -> None:
    ours, theirs = children.Pipe()
    process = children.Process(target=hold, args=(folder, theirs))
    process.start()
    theirs.close()
    assert ours.recv() == "open"
    (folder / "meta.json").write_text("damaged while it is open")
    with pytest.raises(StoreInUseError):
        open_store(folder, aside=tmp_path)
    assert not (tmp_path / "set-aside").exists()
    ours.send("end")
    process.join(60)


@embedded_only
def test_a_folder_that_cannot_be_written_can_be_searched(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(folder)
    add(opened(store), "a")
    store.close()
    before = sorted((each, each.stat().st_mtime_ns) for each in folder.rglob("*"))
    monkeypatch.setattr("os.access", lambda *_: False)
    store = open_store(folder)
    assert store.read_only
    assert found(opened(store), "a") == {"a"}
    with pytest.raises(StoreError, match="cannot be written"):
        add(opened(store), "b")
    with pytest.raises(StoreError, match="cannot be written"):
        opened(store).delete("a")
    assert found(opened(store), "a") == {"a"}
    store.close()
    assert sorted((each, each.stat().st_mtime_ns) for each in folder.rglob("*")) == before


def test_a_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.server.READ_PATIENCE", 0.2)
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:9"):
        opened(open_store(server=QdrantServer("http://127.0.0.1:9")))
