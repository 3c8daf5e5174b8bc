"""The library: originals are the truth, the index is rebuilt from them, deleting is deliberate."""

import io
import os
import shutil
import sqlite3
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import StoreError
from engine.reading import ReadingProcess
from engine.reading.kept_pages import RECOGNISED
from engine.store import Collection, Store
from engine.store.connection import Connection
from engine.workspace import library as library_module
from engine.workspace.adding import Adder
from engine.workspace.ingestion import Ingestor, Stage, Upload
from engine.workspace.originals import Originals
from tests.making import pdf, pdf_lines, rewritten, zipped
from tests.on_a_server import embedded_only, lose_index
from tests.opened import BREAD, FERRY, MILL, Opened

FILES = Path(__file__).parent / "files"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    made: list[Opened] = []

    def make(before: Opened | None = None, qdrant_url: str = "") -> Opened:
        app = before.restarted(qdrant_url) if before else Opened(tmp_path / "app", qdrant_url)
        made.append(app)
        return app

    yield make
    for each in made:
        each.close()


Made = Callable[..., Opened]


def filled(opened: Made) -> Opened:
    app = opened()
    for name, content in (("mill.txt", MILL), ("bread.txt", BREAD), ("ferry.txt", FERRY)):
        assert app.add(name, content).stage is Stage.READY
    return app


def source_id(app: Opened, name: str, collection: str = "default") -> str:
    (found,) = [s.source_id for s in app.library.documents(collection) if s.file_name == name]
    return found


def damage_point(folder: Path) -> None:
    with sqlite3.connect(folder / "collection" / "default" / "storage.sqlite") as db:
        db.execute("UPDATE points SET point = x'800495' WHERE rowid = 2")


def lose_point(folder: Path) -> None:
    with sqlite3.connect(folder / "collection" / "default" / "storage.sqlite") as db:
        db.execute("DELETE FROM points WHERE rowid = 2")


def replace_by_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_bytes(b"x")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "the folder is gone": shutil.rmtree,
    "meta.json is gone": lambda index: (index / "meta.json").unlink(),
    "meta.json is cut": lambda index: (index / "meta.json").write_text('{"collections": {"de'),
    "records are gone": lambda index: shutil.rmtree(index / "collection" / "default.sources"),
    "points are gone": lambda index: shutil.rmtree(index / "collection" / "default"),
    "points are garbage": lambda index: (
        index / "collection" / "default" / "storage.sqlite"
    ).write_bytes(os.urandom(9999)),
    "one point is damaged": damage_point,
    "one point is lost": lose_point,
    "a file in its place": replace_by_a_file,
}


@embedded_only
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_index_is_rebuilt_and_finds_the_same(
    opened: Made, damage: Callable[[Path], object]
) -> None:
    app = filled(opened)
    before = app.answers(), app.library.documents("default")
    app.close()
    damage(app.folder / "qdrant")
    app = opened(app)
    app.settle()
    assert app.library.repairs() == []
    assert (app.answers(), app.library.documents("default")) == before
    for notice in app.library.notices:
        assert "being rebuilt" in notice
        (place,) = (app.folder / "set-aside").iterdir()
        assert str(place) in notice
    app = opened(app)
    assert app.library.notices == []
    assert app.library.repairs() == []


def test_documents_can_be_added_while_others_are_rebuilt(
    opened: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = filled(opened)
    app.close()
    lose_index(app.folder / "qdrant")
    gate, real = threading.Event(), Adder.add_again

    def slow(self: Adder, upload: Upload) -> None:
        gate.wait(30)
        real(self, upload)

    monkeypatch.setattr(Adder, "add_again", slow)
    app = opened(app)
    assert [each.stage for each in app.library.repairs("default")] == [Stage.WAITING] * 3
    new = app.ingestor.add("default", "new.txt", b"The lamp was lit in 1702.")
    twin = app.ingestor.add("default", "again.txt", MILL)
    while not (new.stage.ended and twin.stage.ended):
        time.sleep(0.01)
    assert new.stage is Stage.READY
    assert "is there already, as mill.txt" in twin.message
    assert app.names() == ["new.txt"]
    gate.set()
    app.settle()
    assert app.names() == ["bread.txt", "ferry.txt", "mill.txt", "new.txt"]


def test_a_scan_whose_index_is_rebuilt_is_not_recognised_again(
    opened: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened()
    app.ingestor.add("default", "notice.webp", FILES / "photo.webp")
    app.settle()

    def passages() -> list[tuple[str, Any]]:
        nodes = app.library.passages("default", source_id(app, "notice.webp"))
        return [(node.text, node.metadata["lines"]) for node in nodes]

    before = passages()
    app.close()
    lose_index(app.folder / "qdrant")
    asked: list[str] = []
    real = ReadingProcess.ask

    def noting(self: ReadingProcess, request: dict[str, Any], *rest: Any) -> Any:
        asked.append(request["task"])
        return real(self, request, *rest)

    monkeypatch.setattr(ReadingProcess, "ask", noting)
    app = opened(app)
    app.settle()
    assert passages() == before
    assert asked == ["count_frames"]
    app.library.delete("default", [source_id(app, "notice.webp")])
    app.library.empty_trash()
    assert not list(app.folder.rglob(RECOGNISED))


def test_another_store_never_costs_an_original(
    opened: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = filled(opened)
    kept = sorted((app.folder / "files").rglob("*.txt"))
    server = Store(Connection())
    with monkeypatch.context() as patch:
        patch.setattr(library_module, "open_store", lambda *_, **__: server)
        app = opened(app, qdrant_url="http://server:6333")
        app.settle()
        assert app.names() == ["bread.txt", "ferry.txt", "mill.txt"], "indexed on the server too"
        app.library.delete("default", [source_id(app, "ferry.txt")])
    assert set(kept) - set((app.folder / "files").rglob("*.txt")) == {
        each for each in kept if each.name == "ferry.txt"
    }
    app = opened(app)
    app.settle()
    assert app.names() == ["bread.txt", "mill.txt"], "what was deleted stays deleted"


def test_a_library_of_an_earlier_version_is_read(opened: Made) -> None:
    app = filled(opened)
    app.close()
    for record in (app.folder / "files").rglob(".document.json"):
        record.unlink()
    lose_index(app.folder / "qdrant")
    app = opened(app)
    app.settle()
    assert app.names() == ["bread.txt", "ferry.txt", "mill.txt"]


def test_foreign_files_among_the_originals_are_left_alone(opened: Made) -> None:
    app = filled(opened)
    files = app.folder / "files"
    foreign = [files / ".DS_Store", files / "default" / ".DS_Store", files / "mine" / "a.txt"]
    foreign.append(files / "default" / source_id(app, "mill.txt") / ".DS_Store")
    (files / "mine").mkdir()
    for each in foreign:
        each.write_bytes(b"x")
    app = opened(app)
    app.settle()
    assert all(each.exists() for each in foreign)
    original = app.library.original("default", source_id(app, "mill.txt"))
    assert original is not None
    assert original.read_bytes() == MILL
    assert app.library.collections() == ["default"]


def test_a_locked_original_is_kept_and_asks_for_its_password(
    opened: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened()
    secret = rewritten(
        pdf(pdf_lines("The harbour opens at six.")),
        lambda writer: writer.encrypt("sesame", algorithm="AES-128"),
    )
    locked = app.ingestor.add("default", "locked.pdf", secret)
    while not locked.stage.needs_answer:
        time.sleep(0.01)
    app.ingestor.unlock(locked, "sesame")
    app.settle()
    assert app.names() == ["locked.pdf"]
    app.close()
    assert b"sesame" not in b"".join(
        each.read_bytes() for each in app.folder.rglob("*") if each.is_file()
    )
    lose_index(app.folder / "qdrant")
    app = opened(app)
    app.settle()
    (repair,) = app.library.repairs("default")
    assert repair.stage is Stage.LOCKED
    assert repair.path.exists()
    app.library.repair(repair, "sesame")
    app.settle()
    assert app.names() == ["locked.pdf"]


def test_an_original_that_has_changed_is_named_and_kept(opened: Made) -> None:
    app = filled(opened)
    original = app.library.original("default", source_id(app, "mill.txt"))
    assert original is not None
    app.close()
    lose_index(app.folder / "qdrant")
    original.write_bytes(b"Something else.")
    app = opened(app)
    app.settle()
    (failed,) = [each for each in app.library.repairs() if each.stage is Stage.FAILED]
    assert "mill.txt has changed since it was added" in failed.message
    assert original.exists()
    assert app.names() == ["bread.txt", "ferry.txt"]


# Deleting


def test_a_deletion_can_be_undone_at_once_and_also_later(
    opened: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = filled(opened)
    before = app.answers(), app.library.documents("default")
    mill = source_id(app, "mill.txt")
    app.library.delete("default", [mill])
    assert app.names() == ["bread.txt", "ferry.txt"]
    assert app.library.original("default", mill) is None
    assert [each.file_name for each in app.library.trash()] == ["mill.txt"]
    assert app.library.restore("default", [mill]) == [mill]
    assert app.library.repairs() == [], "at once: nothing to index"
    assert (app.answers(), app.library.documents("default")) == before
    app.library.delete("default", [mill])
    app = opened(app)
    assert app.names() == ["bread.txt", "ferry.txt"]
    assert app.library.restore("default", [mill]) == [mill]
    app.settle()
    assert (app.answers(), app.library.documents("default")) == before
    assert app.library.restore("default", [mill]) == []
    assert app.library.trash() == []


def test_what_was_deleted_and_added_again_is_there_once(opened: Made) -> None:
    app = filled(opened)
    mill = source_id(app, "mill.txt")
    app.library.delete("default", [mill])
    assert app.add("mill.txt", MILL).stage is Stage.READY
    assert app.library.restore("default", [mill]) == []
    assert app.names() == ["bread.txt", "ferry.txt", "mill.txt"]
    app = opened(app)
    app.settle()
    assert app.names() == ["bread.txt", "ferry.txt", "mill.txt"]


def test_the_trash_is_kept_for_30_days_and_can_be_emptied(opened: Made) -> None:
    app = filled(opened)
    app.library.delete("default", [source_id(app, "mill.txt"), source_id(app, "bread.txt")])
    app.close()
    trash = app.folder / "trash"
    old = next(each for each in trash.iterdir() if (each / "mill.txt").exists())
    old.rename(trash / f"2020-01-01T00-00-00-000000~{old.name.partition('~')[2]}")
    (trash / "foreign").mkdir()
    app = opened(app)
    assert [each.file_name for each in app.library.trash()] == ["bread.txt"]
    assert app.library.trash()[0].size == len(BREAD)
    app.library.empty_trash()
    assert [each.name for each in trash.iterdir()] == ["foreign"]
    assert app.names() == ["ferry.txt"]


def test_emptying_the_trash_is_final(opened: Made) -> None:
    app = filled(opened)
    mill = source_id(app, "mill.txt")
    app.library.delete("default", [mill])
    app.library.empty_trash()
    assert app.library.restore("default", [mill]) == []
    assert app.library.trash() == []
    assert app.names() == ["bread.txt", "ferry.txt"]


def test_a_deletion_that_the_store_refuses_is_finished_at_the_next_start(
    opened: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: the file has gone to the trash, and the record cannot be deleted."""
    app = filled(opened)
    mill = source_id(app, "mill.txt")

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(app.library._store._connection.client, "delete", full)
        app.library.delete("default", [mill])
        assert app.names() == ["bread.txt", "ferry.txt"]
    app = opened(app)
    app.settle()
    assert app.names() == ["bread.txt", "ferry.txt"]
    assert [each.file_name for each in app.library.trash()] == ["mill.txt"]


def test_a_deleted_collection_stays_deleted_and_comes_back_when_restored(opened: Made) -> None:
    app = opened()
    app.library.create("letters")
    app.add("mill.txt", MILL, "letters")
    mill = source_id(app, "mill.txt", "letters")
    stale = app.library.index("letters")
    app.ingestor.drop("letters")
    app.library.delete_collection("letters")
    for read in (
        lambda: app.library.documents("letters"),
        lambda: app.library.passages("letters", mill),
        lambda: app.ingestor.add("letters", "bread.txt", BREAD),
        lambda: stale.as_retriever().retrieve("Who built the mill?"),
    ):
        with pytest.raises(StoreError, match=r"'letters' .*(deleted|not exist).*[Cc]hoose another"):
            read()
    assert app.library.collections() == ["default"]
    app = opened(app)
    assert app.library.collections() == ["default"]
    assert app.library.restore("letters", [mill]) == [mill]
    app.settle()
    assert app.names("letters") == ["mill.txt"]


def test_an_upload_whose_collection_is_deleted_under_it_leaves_nothing(
    opened: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened()
    app.library.create("letters")
    real = Originals.stage

    def deleted_meanwhile(*args: object, **kwargs: object) -> object:
        staged = real(*args, **kwargs)  # type: ignore[arg-type]
        app.library.delete_collection("letters")
        return staged

    monkeypatch.setattr(Originals, "stage", deleted_meanwhile)
    upload = app.add("mill.txt", MILL, "letters")
    assert upload.stage is Stage.FAILED
    assert "deleted" in upload.message
    app = opened(app)
    assert app.library.collections() == ["default"]
    assert not list((app.folder / "files").rglob("mill.txt"))


# Interrupted uploads


class Killed(BaseException):
    pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    ("owner", "method"),
    [(Originals, "stage"), (Collection, "adding"), (Originals, "commit"), (Ingestor, "_end")],
)
@pytest.mark.parametrize("after", [False, True])
def test_a_document_cut_off_anywhere_is_there_exactly_once(
    opened: Made, monkeypatch: pytest.MonkeyPatch, owner: type, method: str, after: bool
) -> None:
    app = opened()
    real = getattr(owner, method)
    hit: list[bool] = []

    def dying(*args: object, **kwargs: object) -> object:
        if after:
            real(*args, **kwargs)
        hit.append(True)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, dying)
        patch.setattr(Originals, "drop", lambda *_: None)  # a killed process tidies nothing
        patch.setattr(Collection, "delete", lambda *_: None)
        app.ingestor.add("default", "mill.txt", MILL)
        while not hit:
            time.sleep(0.01)
        app.ingestor._thread.join(30)
    app = opened(app)
    app.settle()
    assert app.names() == ["mill.txt"]
    assert len(list((app.folder / "files").rglob("mill.txt"))) == 1
    assert [each.stage for each in app.ingestor.uploads("default")] in ([Stage.READY], [])
    assert list((app.folder / "incoming").iterdir()) == []
    app = opened(app)
    assert app.library.repairs() == []
    assert app.names() == ["mill.txt"]


def nested(levels: int, content: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        if levels == 1:
            archive.writestr("deep.txt", content)
        else:
            archive.writestr("inner.zip", nested(levels - 1, content))
    return data.getvalue()


def test_zips_are_unpacked_three_deep_and_no_deeper(opened: Made) -> None:
    app = opened()
    app.add("three.zip", nested(3, MILL))
    assert app.names() == ["deep.txt"]
    app.add("four.zip", nested(4, BREAD))
    assert app.names() == ["deep.txt"]
    last = app.ingestor.uploads("default")[-1]
    assert last.stage is Stage.FAILED
    assert "within 3 others" in last.message


def test_a_bomb_of_zips_ends_with_the_common_budget(
    opened: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.workspace.ingestion.UNPACKED_BYTES", 3_000_000)
    app = opened()
    inner = zipped({"a.txt": "a" * 1_000_000})
    app.add("bomb.zip", zipped({f"{number}.zip": inner for number in range(10)}))
    failed = [each for each in app.ingestor.uploads("default") if each.stage is Stage.FAILED]
    assert len([each for each in failed if "may still be unpacked" in each.message]) >= 7
    assert list((app.folder / "incoming").iterdir()) == []


def test_a_zip_of_which_nothing_could_be_taken_says_so(opened: Made) -> None:
    data = bytearray(zipped({"a.txt": "harmless " * 100}))
    data[38:42] = b"\xff" * 4  # in the packed content, behind its header
    upload = opened().add("broken.zip", bytes(data))
    assert upload.stage is Stage.FAILED
    assert "broken.zip could not be unpacked" in upload.message


def test_a_long_chinese_name_is_kept(opened: Made) -> None:
    app = opened()
    upload = app.add("山" * 120 + ".txt", MILL)
    assert upload.stage is Stage.READY, upload.message
    assert app.names() == ["山" * 66 + ".txt"]


def test_a_full_disk_in_an_upload_is_a_sentence_without_a_path(
    opened: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/secret/path")

    app = opened()
    monkeypatch.setattr(Originals, "stage", full)
    upload = app.add("mill.txt", MILL)
    assert upload.stage is Stage.FAILED
    assert "The disk is full" in upload.message or "the disk is full" in upload.message
    assert "/secret" not in upload.message


@embedded_only
def test_a_folder_that_cannot_be_written_can_be_read_and_asked(
    opened: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = filled(opened)
    before = app.answers()
    mill = source_id(app, "mill.txt")
    app.close()
    monkeypatch.setattr("os.access", lambda *_: False)
    app = opened(app)
    assert app.answers() == before
    (notice,) = app.library.notices
    assert "cannot be written" in notice
    upload = app.add("new.txt", b"The lamp was lit in 1702.")
    assert upload.stage is Stage.FAILED
    assert "cannot be written" in upload.message
    assert app.library.original("default", mill) is not None
