import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import EmptyDocumentError, PasswordNeededError
from engine.workspace.ingestion import ChangedFile, Ingestor, Stage, Upload, safe_name


def settle(upload: Upload) -> Upload:
    deadline = time.monotonic() + 5
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
    assert entered.wait(5)
    seen: list[tuple[str, bytes]] = []

    def look(upload: Upload) -> Packed:
        seen.append((upload.name, upload.path.read_bytes()))
        return []

    again = Ingestor(tmp_path, look)
    (upload,) = again.uploads("novels")
    assert settle(upload).stage is Stage.READY
    assert seen == [("a.txt", b"text")]
    hang.set()


def test_half_an_arrival_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir(parents=True)
    (tmp_path / "half" / "a.txt").write_bytes(b"x")
    assert Ingestor(tmp_path, ignore).uploads("default") == []
    assert not (tmp_path / "half").exists()


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

    monkeypatch.setattr(Path, "write_bytes", full)
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


def test_stages_are_timed(started: Started) -> None:
    def take(upload: Upload) -> Packed:
        upload.enter(Stage.READING, 0, 2)
        time.sleep(0.05)
        upload.enter(Stage.EMBEDDING, 1, 4)
        assert upload.seconds_left is not None
        return []

    upload = settle(started(take).add("default", "a.txt", b"x"))
    assert upload.seconds[Stage.READING] >= 0.05
    assert upload.seconds[Stage.EMBEDDING] < 0.05


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\docs\\report.pdf", "report.pdf"),
        ("....", "file"),
        ("", "file"),
        ("a\0b\n.txt", "ab.txt"),
        ("x" * 300 + ".pdf", "x" * 100 + ".pdf"),
        ("Müller – Bericht.pdf", "Müller – Bericht.pdf"),
    ],
)
def test_a_file_name_is_made_safe(given: str, kept: str) -> None:
    assert safe_name(given) == kept
