"""Moving the search index: whole, checked, resumable, and nothing lost that happens meanwhile."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine import terminal
from engine.config import Config
from engine.errors import Cancelled, StoreError
from engine.run import Run
from engine.store import Store, open_store
from engine.store.copying import checksum, copy_store
from engine.workspace import library as library_module
from engine.workspace.moving import Gate, MoveStage
from engine.workspace.place import PLACE, load_place
from tests.on_a_server import URL
from tests.opened import BREAD, FERRY, MILL, Opened
from tests.test_store import add, found, on_a_server, opened


@pytest.fixture
def server() -> Iterator[Store]:
    with on_a_server() as store:
        yield store


def copied(source: Store, target: Store, run: Run | None = None) -> list[tuple[str, int, int]]:
    """Copy, and return the reports."""
    reports: list[tuple[str, int, int]] = []
    copy_store(source, target, lambda *each: reports.append(each), run or Run(), set())
    return reports


def sums(store: Store) -> dict[str, str]:
    collection = opened(store)
    return {each.source_id: checksum(collection, each) for each in collection.sources()}


def test_a_copy_has_the_same_passages_vectors_and_terms(tmp_path: Path, server: Store) -> None:
    here = open_store(tmp_path / "here")
    for name, count in (("a", 300), ("b", 5)):
        add(opened(here), name, count)
    before = {each: each.read_bytes() for each in (tmp_path / "here").rglob("*.sqlite")}
    reports = copied(here, server)
    assert reports[-1] == ("checking", 305, 305)
    assert ("copying", 256, 305) in reports, "progress within a document"
    back = open_store(tmp_path / "back")
    copied(server, back)
    assert sums(here) == sums(server) == sums(back)
    assert opened(here).sources() == opened(server).sources() == opened(back).sources()
    assert found(opened(server), "b") == found(opened(back), "b") == {"a", "b"}
    assert before == {each: each.read_bytes() for each in (tmp_path / "here").rglob("*.sqlite")}
    here.close()
    back.close()


def test_a_copy_that_was_stopped_goes_on_where_it_was(
    server: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = open_store()
    for name in "abc":
        add(opened(here), name, 20)
    run = Run()

    def stop(what: str, done: int, total: int) -> None:
        if done >= 40:
            run.cancel()

    with pytest.raises(Cancelled):
        copy_store(here, server, stop, run, set())
    assert {each.source_id for each in opened(server).sources()} == {"a", "b"}
    upsert, written = server._connection.client.upsert, []

    def counted(name: str, points: Any) -> None:
        written.extend(points)
        upsert(name, points)

    monkeypatch.setattr(server._connection.client, "upsert", counted)
    copied(here, server)
    assert len(written) == 21, "the third document and its record"
    assert sums(here) == sums(server)


def test_a_passage_that_differs_is_copied_again(server: Store) -> None:
    here = open_store()
    add(opened(here), "a")
    copied(here, server)
    point = opened(server).sources()[0].point_ids[2]
    server._connection.client.set_payload(opened(server).name, {"text": "not this"}, [point])
    assert sums(here) != sums(server)
    copied(here, server)
    assert sums(here) == sums(server)


def test_a_copy_that_always_differs_is_refused(
    server: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = open_store()
    add(opened(here), "a")
    monkeypatch.setattr("engine.store.copying.checksum", lambda *each: object())
    with pytest.raises(StoreError, match="stays where it was"):
        copied(here, server)


def test_the_gate_waits_for_those_inside_and_lets_nobody_in() -> None:
    gate, order = Gate(), list[str]()
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with gate:
            inside.set()
            leave.wait(30)
            order.append("left")

    def second() -> None:
        with gate:
            order.append("entered")

    one = threading.Thread(target=first)
    one.start()
    inside.wait(30)

    def close() -> None:
        gate.close(lambda: None)
        order.append("closed")

    closing = threading.Thread(target=close)
    closing.start()
    leave.set()
    closing.join(30)
    two = threading.Thread(target=second)
    two.start()
    order.append("open")
    gate.open()
    two.join(30)
    one.join(30)
    assert order == ["left", "closed", "open", "entered"]


# ---- The library


@pytest.fixture
def app(tmp_path: Path, server: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """A library in a folder, for which each address leads to the same server."""

    def open_there(path: Path, at: Any = None, aside: Path | None = None) -> Store:
        if at is None:
            return open_store(path, aside=aside)
        if server.server:
            return open_store(server=replace(at, prefix=server.server.prefix))
        there = Store(server._connection)
        there._prefix = server._prefix
        monkeypatch.setattr(Store, "server", property(lambda self: at if self is there else None))
        monkeypatch.setattr(there, "_adapt", lambda *_: None)
        monkeypatch.setattr(there, "close", lambda: None)
        return there

    monkeypatch.setattr(library_module, "open_store", open_there)
    app = Opened(tmp_path / "app")
    for name, content in (("mill.txt", MILL), ("bread.txt", BREAD), ("ferry.txt", FERRY)):
        app.add(name, content)
    yield app
    app.close()


def moved(app: Opened, url: str) -> None:
    move = app.library.begin_move(url)
    move.ended.wait(30)
    assert (move.stage, move.problem) == (MoveStage.DONE, "")
    assert move.done == move.total


ADDRESS = URL or "http://server:6333"


def test_a_library_moves_to_a_server_and_back(app: Opened) -> None:
    answers, kept = app.answers(), app.library.documents("default")
    moved(app, ADDRESS)
    assert app.library.server is not None
    assert (app.answers(), app.library.documents("default")) == (answers, kept)
    with pytest.raises(StoreError, match="is there already"):
        app.library.begin_move(ADDRESS)
    assert (app.folder / PLACE).stat().st_mode & 0o077 == 0, "the file may have a key"
    again = app.restarted()
    assert again.library.server is not None, "the place is kept"
    assert again.library.repairs() == []
    again.add("oats.txt", b"Oats are sold at the mill on Mondays.")
    ferry = next(s for s in again.library.documents("default") if s.file_name == "ferry.txt")
    again.library.delete("default", [ferry.source_id])
    moved(again, "")
    assert again.library.server is None
    assert again.names() == ["bread.txt", "mill.txt", "oats.txt"]
    again.close()


def test_what_was_deleted_on_a_server_stays_deleted_in_the_folder(app: Opened) -> None:
    app.add("oats.txt", b"Oats are sold at the mill on Mondays.")
    app.library.create("boats")
    moved(app, ADDRESS)
    gone = [s for s in app.library.documents("default") if s.file_name in ("ferry.txt", "oats.txt")]
    app.library.delete("default", [each.source_id for each in gone])
    app.library.delete_collection("boats")
    app.library.empty_trash()
    moved(app, "")
    assert app.names() == ["bread.txt", "mill.txt"]
    assert app.library.collections() == ["default"]


def test_what_changes_during_a_move_is_moved_too(
    app: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = {each.file_name: each.source_id for each in app.library.documents("default")}
    switch: Callable[..., None] = app.library._switch

    def late(*arguments: Any) -> None:
        app.add("oats.txt", b"Oats are sold at the mill on Mondays.")
        app.library.delete("default", [documents["ferry.txt"]])
        app.library.rename("default", documents["mill.txt"], "tide mill.txt", "")
        with pytest.raises(StoreError, match="is being moved"):
            app.library.delete_collection("default")
        switch(*arguments)

    monkeypatch.setattr(app.library, "_switch", late)
    moved(app, ADDRESS)
    assert app.names() == ["bread.txt", "oats.txt", "tide mill.txt"]
    assert app.answers()[0][0][0] == MILL.decode()


def test_a_place_that_cannot_be_saved_changes_nothing(
    app: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.workspace.place.write_whole", full)
    move = app.library.begin_move(ADDRESS)
    move.ended.wait(30)
    assert move.stage is MoveStage.FAILED and "stays where it was" in move.problem
    assert app.library.server is None
    assert len(app.names()) == 3
    app.add("oats.txt", b"Oats are sold at the mill on Mondays.")
    assert len(app.names()) == 4


def test_what_env_says_wins_when_it_changes(tmp_path: Path) -> None:
    (tmp_path / PLACE).write_text(
        '{"url": "http://a:1", "api_key": "k", "configured": "http://b:2"}'
    )
    chosen = load_place(tmp_path, Config(qdrant_url="http://b:2"))
    assert chosen and (chosen.url, chosen.api_key) == ("http://a:1", "k")
    changed = load_place(tmp_path, Config(qdrant_url="http://c:3", qdrant_api_key="q"))
    assert changed and (changed.url, changed.api_key) == ("http://c:3", "q")
    assert load_place(tmp_path, Config()) is None


def test_the_terminal_moves_the_index(
    app: Opened, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def opened_there(config: Config) -> Iterator[Any]:
        yield SimpleNamespace(library=app.library)

    monkeypatch.setattr("engine.api.serving.opened", opened_there)
    assert terminal.main(["move", ADDRESS.removeprefix("http://")]) == 1
    assert "must begin with http" in capsys.readouterr().err
    assert terminal.main(["move", ADDRESS]) == 0
    assert f"is at {ADDRESS} now: 3 passages" in capsys.readouterr().out
    assert terminal.main(["move", "embedded"]) == 0
    assert app.library.server is None
