import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.errors import EmptyDocumentError, PasswordNeededError, StoreError
from engine.workspace import ingestion
from engine.workspace.ingestion import ChangedFile, Ingestor, Stage, Upload, safe_name


def settle(upload: Upload) -> Upload:
    deadline = time.monotonic() + 30
    while not (upload.stage.ended or upload.stage.needs_answer) and time.monotonic() < deadline:
        time.sleep(0.005)
    return upload


Packed = list[tuple[str, Path]]


def ignore(upload: Upload) -> Packed:
    upload.passages = 1
    return []


@pytest.fixture
def started(tmp_path: Path) -> Callable[[Callable[[Upload], Packed]], Ingestor]:
    return lambda take: Ingestor(tmp_path / "incoming", take)


Started = Callable[[Callable[[Upload], Packed]], Ingestor]


def test_a_bad_file_says_why_and_the_others_still_go_in(started: Started) -> None:
    def take(upload: Upload) -> Packed:
        if upload.name == "bad.pdf":
            raise EmptyDocumentError("bad.pdf has no text.")
        if upload.name == "broken.pdf":
            raise RuntimeError("boom")
        return []

    ingestor = started(take)
    names = ["a.txt", "bad.pdf", "broken.pdf", "b.txt"]
    uploads = [ingestor.add("default", name, b"x") for name in names]
    stages = [settle(upload).stage for upload in uploads]
    assert stages == [Stage.READY, Stage.FAILED, Stage.FAILED, Stage.READY]
    assert uploads[1].message == "bad.pdf has no text."
    assert "boom" in uploads[2].message


def test_a_locked_file_waits_for_its_password_and_holds_up_nobody(started: Started) -> None:
    def take(upload: Upload) -> Packed:
        if upload.name == "locked.pdf" and upload.password != "sesame":
            raise PasswordNeededError("It needs its password.")
        return []

    ingestor = started(take)
    locked, other = ingestor.add("default", "locked.pdf", b"x"), ingestor.add("default", "o", b"x")
    assert settle(other).stage is Stage.READY
    assert settle(locked).stage is Stage.LOCKED
    ingestor.unlock(locked, "wrong")
    assert settle(locked).stage is Stage.LOCKED
    ingestor.unlock(locked, "sesame")
    assert settle(locked).stage is Stage.READY


@pytest.mark.parametrize("keep_both", [True, False])
def test_a_changed_file_asks_before_it_replaces(started: Started, keep_both: bool) -> None:
    def take(upload: Upload) -> Packed:
        if not upload.replaces and not upload.keep_both:
            raise ChangedFile(upload.name, "old-source")
        return []

    ingestor = started(take)
    upload = settle(ingestor.add("default", "a.txt", b"x"))
    assert upload.stage is Stage.CHANGED
    ingestor.decide(upload, keep_both)
    assert settle(upload).stage is Stage.READY
    assert upload.replaces == (None if keep_both else "old-source")


def test_a_file_cut_off_by_a_crash_is_taken_up_at_the_next_start(tmp_path: Path) -> None:
    hang, entered = threading.Event(), threading.Event()

    def never_ends(_: Upload) -> Packed:
        entered.set()
        hang.wait(10)
        return []

    Ingestor(tmp_path, never_ends).add("novels", "a.txt", b"text")
    assert entered.wait(30)
    seen: list[tuple[str, bytes]] = []

    def look(upload: Upload) -> Packed:
        seen.append((upload.name, upload.path.read_bytes()))
        return []

    again = Ingestor(tmp_path, look)
    (upload,) = again.uploads("novels")
    assert settle(upload).stage is Stage.READY
    assert seen == [("a.txt", b"text")]
    hang.set()


def arrived(folder: Path, name: str, **record: object) -> Path:
    """An upload as a process leaves it that ends before it has begun to work on it."""
    folder.mkdir(parents=True)
    (folder / ".upload.json").write_text(json.dumps({"collection": "default", **record}))
    (folder / name).write_bytes(b"x")
    return folder


def test_half_an_arrival_is_cleared_away(tmp_path: Path) -> None:
    half = arrived(tmp_path / "incoming" / "half", ".part")
    assert Ingestor(half.parent, ignore).uploads("default") == []
    assert not half.exists()


def test_foreign_files_among_the_uploads_are_left_alone(tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    folder = arrived(incoming / "one", "a.txt")
    (folder / ".DS_Store").write_bytes(b"\0")
    (incoming / ".DS_Store").write_bytes(b"\0")
    (incoming / "foreign").mkdir()
    ingestor = Ingestor(incoming, ignore)
    (upload,) = ingestor.uploads("default")
    assert settle(upload).stage is Stage.READY
    assert ingestor.notices == []
    assert sorted(each.name for each in incoming.iterdir()) == [".DS_Store", "foreign"]


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b'{"collection"', None])
def test_an_upload_whose_record_is_damaged_is_set_aside(
    tmp_path: Path, record: bytes | None
) -> None:
    folder = arrived(tmp_path / "incoming" / "one", "a.txt")
    if record is None:
        (folder / ".upload.json").unlink()
    else:
        (folder / ".upload.json").write_bytes(record)
    other = arrived(tmp_path / "incoming" / "two", "b.txt")
    ingestor = Ingestor(folder.parent, ignore)
    (upload,) = ingestor.uploads("default")
    assert upload.name == "b.txt"
    assert settle(upload).stage is Stage.READY
    assert not other.exists()
    (notice,) = ingestor.notices
    (place,) = (tmp_path / "set-aside").iterdir()
    assert str(place) in notice
    assert "a.txt" in notice
    assert (place / "a.txt").read_bytes() == b"x"


def test_the_answer_about_a_changed_file_outlives_a_restart(tmp_path: Path) -> None:
    hang, entered = threading.Event(), threading.Event()

    def ask_then_hang(upload: Upload) -> Packed:
        if not upload.replaces:
            raise ChangedFile(upload.name, "old-source")
        entered.set()
        hang.wait(10)
        return []

    ingestor = Ingestor(tmp_path / "incoming", ask_then_hang)
    ingestor.decide(settle(ingestor.add("default", "a.txt", b"x")), keep_both=False)
    assert entered.wait(30)
    (upload,) = Ingestor(tmp_path / "incoming", ignore).uploads("default")
    assert upload.replaces == "old-source"
    hang.set()


def test_uploads_of_a_deleted_collection_are_dropped(started: Started, tmp_path: Path) -> None:
    entered = threading.Event()

    def until_cancelled(upload: Upload) -> Packed:
        entered.set()
        while upload.collection == "letters":
            upload.run.check()
            time.sleep(0.005)
        return []

    ingestor = started(until_cancelled)
    for name in ("a", "b"):
        ingestor.add("letters", name, b"x")
    other = ingestor.add("default", "c", b"x")
    assert entered.wait(30)
    ingestor.drop("letters")
    assert settle(other).stage is Stage.READY
    assert ingestor.uploads("letters") == []
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_deleted_collection_takes_no_uploads(tmp_path: Path) -> None:
    def check(collection: str) -> None:
        raise StoreError(f"The collection {collection!r} was deleted.")

    with pytest.raises(StoreError, match="'letters' was deleted"):
        Ingestor(tmp_path, ignore, check).add("letters", "a.txt", b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_upload_stops_and_leaves_no_file(started: Started, tmp_path: Path) -> None:
    def until_cancelled(upload: Upload) -> Packed:
        while True:
            upload.run.check()
            time.sleep(0.005)

    ingestor = started(until_cancelled)
    upload, waiting = ingestor.add("default", "a", b"x"), ingestor.add("default", "b", b"x")
    ingestor.cancel(waiting)
    ingestor.cancel(upload)
    assert settle(upload).stage is settle(waiting).stage is Stage.STOPPED
    assert list((tmp_path / "incoming").iterdir()) == []


def test_closing_keeps_unfinished_files_for_the_next_start(
    started: Started, tmp_path: Path
) -> None:
    def until_cancelled(upload: Upload) -> Packed:
        while True:
            upload.run.check()
            time.sleep(0.005)

    ingestor = started(until_cancelled)
    ingestor.add("default", "a.txt", b"x")
    ingestor.close()
    assert [
        upload.name for upload in Ingestor(tmp_path / "incoming", ignore).uploads("default")
    ] == ["a.txt"]


def test_a_full_disk_says_so_and_leaves_nothing_behind(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingestor = started(ignore)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ingestion, "sync_file", full)
    with pytest.raises(OSError, match="No space"):
        ingestor.add("default", "a.txt", b"x")
    assert list((tmp_path / "incoming").iterdir()) == []


def test_the_files_packed_in_an_upload_become_uploads_of_their_own(started: Started) -> None:
    def take(upload: Upload) -> Packed:
        if upload.name != "all.zip":
            return []
        (upload.folder / "unpacked").mkdir()
        inner = upload.folder / "unpacked" / "a.txt"
        inner.write_bytes(b"inner")
        return [("a.txt", inner)]

    ingestor = started(take)
    assert settle(ingestor.add("default", "all.zip", b"x")).stage is Stage.READY
    _, inner = ingestor.uploads("default")
    assert inner.name == "a.txt"
    assert settle(inner).stage is Stage.READY


def unpack(upload: Upload, count: int) -> Packed:
    """Files 0.txt, 1.txt … as if unpacked from the upload; each holds its number."""
    files: Packed = []
    for number in range(count):
        path = upload.folder / "unpacked" / f"{number:04}" / f"{number}.txt"
        path.parent.mkdir(parents=True)
        path.write_text(str(number))
        files.append((path.name, path))
    return files


class Killed(BaseException):
    """Ends the ingesting thread as abruptly as a killed process would."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("where", ["unpacking", "recording", 0, 1, 7, 19])
def test_a_zip_cut_off_anywhere_arrives_exactly_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str | int
) -> None:
    dead = threading.Event()

    def die(*_: object, **__: object) -> None:
        dead.set()
        raise Killed

    def take(upload: Upload) -> Packed:
        if upload.name != "all.zip":
            return []
        files = unpack(upload, 20)
        if where == "unpacking" and not dead.is_set():
            die()
        return files

    real, renames = Path.rename, iter(range(1000))
    add = Ingestor(tmp_path / "incoming", take).add
    with monkeypatch.context() as patch:
        if where == "recording":
            patch.setattr("os.sync", die)
        elif isinstance(where, int):
            patch.setattr(
                Path,
                "rename",
                lambda self, to: (
                    die() if "unpacked" in self.parts and next(renames) == where else real(self, to)
                ),
            )
        add("default", "all.zip", b"x")
        assert dead.wait(30)
    seen: list[str] = []

    def look(upload: Upload) -> Packed:
        if upload.name != "all.zip":
            seen.append(upload.path.read_text())
        return take(upload)

    again = Ingestor(tmp_path / "incoming", look)
    deadline = time.monotonic() + 30
    while again.busy and time.monotonic() < deadline:
        time.sleep(0.005)
    assert sorted(seen, key=int) == [str(number) for number in range(20)]
    assert list((tmp_path / "incoming").iterdir()) == []


def test_zips_within_zips_share_one_budget(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingestion, "UNPACKED_FILES", 10)
    monkeypatch.setattr(ingestion, "UNPACKED_BYTES", 1000)
    left: list[tuple[int, int, int]] = []

    def take(upload: Upload) -> Packed:
        left.append((upload.depth, upload.files_left, upload.bytes_left))
        return unpack(upload, 2) if upload.depth < 2 else []

    ingestor = started(take)
    uploads = [ingestor.add("default", "all.zip", b"x")]
    while ingestor.busy:
        settle(uploads[0])
    assert left == [(0, 10, 1000), (1, 8, 998), (1, 6, 996), *[(2, 4, 994)] * 4]
    other = ingestor.add("default", "other.zip", b"x")
    assert other.bytes_left == ingestion.Upload.__dataclass_fields__["bytes_left"].default


def test_a_disk_that_fills_up_keeps_what_was_unpacked_for_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(upload: Upload) -> Packed:
        return unpack(upload, 5) if upload.name == "all.zip" else []

    real = Path.rename

    def full(self: Path, to: Path) -> Path:
        if self.name == "3.txt":
            raise OSError(28, "No space left on device")
        return real(self, to)

    ingestor = Ingestor(tmp_path / "incoming", take)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", full)
        upload = settle(ingestor.add("default", "all.zip", b"x"))
        while ingestor.busy:
            time.sleep(0.005)
    assert upload.stage is Stage.FAILED
    assert "disk is full" in upload.message
    assert str(tmp_path) not in upload.message
    ingestor.dismiss(upload)
    ingestor.close()
    again = Ingestor(tmp_path / "incoming", take)
    while again.busy:
        time.sleep(0.005)
    names = [each.name for each in again.uploads("default")]
    assert names[0] == "all.zip"
    assert sorted(names[1:]) == ["3.txt", "4.txt"]


def test_stages_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 11.0
    monkeypatch.setattr(ingestion, "time", SimpleNamespace(perf_counter=lambda: now))
    upload = Upload("a.txt", "default", Path("incoming"), _since=10.0)
    upload.enter(Stage.READING, 0, 2)
    now = 14.0
    upload.enter(Stage.EMBEDDING, 1, 4)
    now = 15.0
    assert upload.seconds_left == pytest.approx(3.0)
    now = 21.0
    upload.enter(Stage.READY)
    assert upload.seconds == {Stage.WAITING: 1.0, Stage.READING: 3.0, Stage.EMBEDDING: 7.0}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\docs\\report.pdf", "report.pdf"),
        ("....", "file"),
        ("", "file"),
        ("a\0b\n.txt", "ab.txt"),
        ("x" * 300 + ".pdf", "x" * 200 + ".pdf"),
        ("山" * 120 + ".pdf", "山" * 66 + ".pdf"),
        ("é" * 130, "é" * 120),
        ("Müller – Bericht.pdf", "Müller – Bericht.pdf"),
    ],
)
def test_a_file_name_is_made_safe(given: str, kept: str) -> None:
    assert safe_name(given) == kept
