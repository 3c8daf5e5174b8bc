"""Storage under attack: killed at random moments, damaged file by file, on a disk that fills up.

Each test prints rows of a table: what was tried, how often, how often it healed, what was lost.
The quick version runs with the ordinary tests, the long one with `make soak`.
"""

import functools
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import pytest

from engine.errors import FirstTokenError
from engine.workspace.ingestion import Stage
from tests.making import zipped
from tests.opened import Opened

quick = pytest.param(1, id="quick")
soak = functools.partial(pytest.param, marks=pytest.mark.soak)

# Started once, with what takes long to load: a child costs less then.
children = multiprocessing.get_context("forkserver")
children.set_forkserver_preload(["tests.opened", "pytest"])

UNPACKED = 12  # files in each ZIP


def row(what: str, tried: int, healed: int, lost: int) -> None:
    print(f"| {what} | {tried} | {healed} | {lost} |")


def text(number: int) -> bytes:
    """A document of several passages that no other number has."""
    lines = (f"Entry {line} of log {number} says that the ice was thin." for line in range(60))
    return "\n\n".join(lines).encode()


def zip_names(number: int) -> set[str]:
    return {f"z{number}-{each}.txt" for each in range(UNPACKED)}


# In a child. Each change is reported before it begins and after it has ended.


def ingesting(app: Opened, pipe: "Pipe[object, object]", start: int) -> None:
    for number in range(start, start + 300):
        pipe.send(("adding", [f"{number}.txt"]))
        app.ingestor.add("default", f"{number}.txt", text(number))
        pipe.send(("added", [f"{number}.txt"]))
        if number % 3 == 2:  # else the rest would only wait in the queue
            app.settle()


def unpacking(app: Opened, pipe: "Pipe[object, object]", start: int) -> None:
    files = {name: f"This is {name}." for name in zip_names(start)}
    pipe.send(("adding", list(files)))
    app.ingestor.add("default", f"{start}.zip", zipped(files))
    pipe.send(("added", list(files)))
    time.sleep(60)


def deleting(app: Opened, pipe: "Pipe[object, object]", start: int) -> None:
    for number in range(start, start + 6):
        pipe.send(("adding", [f"{number}.txt"]))
        app.add(f"{number}.txt", text(number)[:400])
        pipe.send(("added", [f"{number}.txt"]))
    pipe.send("now")
    for source in app.library.documents("default"):
        pipe.send(("deleting", [source.file_name]))
        app.library.delete("default", [source.source_id])
        pipe.send(("deleted", [source.file_name]))


def opening(app: Opened, pipe: "Pipe[object, object]", start: int) -> None:
    ingesting(app, pipe, start)


WORK = {work.__name__: work for work in (ingesting, unpacking, deleting, opening)}


def child(folder: Path, work: str, start: int, pipe: "Pipe[object, object]") -> None:
    if work == "opening":
        pipe.send("now")
    app = Opened(folder)
    if work in ("ingesting", "unpacking"):
        pipe.send("now")
    WORK[work](app, pipe, start)


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("rounds", [quick, soak(25)])
def test_killed_at_a_random_moment_nothing_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], work: str, rounds: int
) -> None:
    chance = random.Random(work)
    added: set[str] = set()  # for certain
    unsure: set[str] = set()  # being added or deleted at that moment
    lost: set[str] = set()
    healed = 0
    for number in range(rounds):
        ours, theirs = children.Pipe()
        process = children.Process(target=child, args=(tmp_path, work, 1000 * number, theirs))
        process.start()
        theirs.close()
        deadline = None
        while deadline is None or time.monotonic() < deadline:
            if not ours.poll(0.01):
                assert process.is_alive() or deadline, "the child ended by itself"
                continue
            try:
                told = ours.recv()
            except EOFError:
                break
            if told == "now":
                deadline = time.monotonic() + chance.uniform(0, 2.5)
            else:
                heed(told, added, unsure)
        process.kill()
        process.join()
        assert process.exitcode in (-signal.SIGKILL, 0), "killed, or through with its work"
        while ours.poll():
            try:
                heed(ours.recv(), added, unsure)
            except EOFError:
                break
        app = Opened(tmp_path)
        app.settle()
        names = app.names()
        lost |= added - set(names)
        problems = [each for each in app.ingestor.uploads("default") if each.stage is Stage.FAILED]
        assert len(names) == len(set(names)), "each document once"
        assert not set(names) - added - unsure, "nothing that was deleted"
        assert not problems
        assert not list((tmp_path / "incoming").iterdir())
        assert not app.library.notices
        added, unsure = set(names), set()
        app = app.restarted()
        assert not app.library.repairs()
        assert app.names() == names
        app.close()
        healed += 1
    with capsys.disabled():
        row(f"killed while {work}", rounds, healed, len(lost))
    assert not lost


def heed(told: tuple[str, list[str]], added: set[str], unsure: set[str]) -> None:
    what, names = told
    if what == "added":
        added.update(names)
        unsure.difference_update(names)
    elif what == "deleted":
        unsure.difference_update(names)
    else:
        added.difference_update(names)
        unsure.update(names)


def truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def make_unreadable(path: Path) -> None:
    if os.geteuid():
        path.chmod(0)
    else:  # root reads everything; a folder cannot be read as a file
        path.unlink()
        path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: path.write_bytes(random.Random(1).randbytes(5000)),
    "truncated": truncate,
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
    "unreadable": make_unreadable,
    "foreign": lambda path: path.write_bytes(b"%PDF-1.7 something else"),
}


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a library with documents, one in the trash, and an upload not yet taken."""
    folder = tmp_path_factory.mktemp("intact")
    app = Opened(folder)
    for number in range(4):
        assert app.add(f"{number}.txt", text(number)[:800]).stage is Stage.READY
    (gone,) = [each for each in app.library.documents("default") if each.file_name == "3.txt"]
    app.library.delete("default", [gone.source_id])
    app.close()
    waiting = folder / "incoming" / "waiting"
    waiting.mkdir()
    (waiting / ".upload.json").write_text('{"collection": "default"}')
    (waiting / "4.txt").write_bytes(text(4)[:800])
    return folder


@pytest.mark.soak
@pytest.mark.parametrize("damage", DAMAGES)
def test_each_file_damaged_before_a_start_is_healed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], intact: Path, damage: str
) -> None:
    """All but the documents themselves: those are the truth."""
    files = [
        each.relative_to(intact)
        for each in sorted(intact.rglob("*"))
        if each.is_file() and each.suffix != ".txt"
    ]
    healed = lost = 0
    for number, file in enumerate(files):
        folder = tmp_path / str(number)
        shutil.copytree(intact, folder)
        DAMAGES[damage](folder / file)
        app = Opened(folder)
        app.settle()
        expected = {"0.txt", "1.txt", "2.txt", "4.txt"}
        kept = {each.name for each in (folder / "set-aside").rglob("*.txt")}
        names = set(app.names())
        lost += len(expected - names - kept)
        assert names <= expected, f"{file}: what was deleted is back"
        hits = app.library.index("default").as_retriever(1).retrieve("Log 2, entry 3?")
        assert hits, file
        assert app.add("new.txt", b"The lamp was lit in 1702.").stage is Stage.READY, file
        app = app.restarted()
        assert set(app.names()) == names | {"new.txt"}, file
        assert not app.library.repairs(), file
        app.close()
        healed += 1
    with capsys.disabled():
        row(f"a file {damage}", len(files), healed, lost)
    assert not lost


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB, for root on Linux."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if os.geteuid() or shutil.which("mount") is None or subprocess.run(command).returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("rounds", [quick, soak(40)])
def test_a_disk_that_is_full_at_a_random_byte_loses_nothing(
    small_disk: Path, capsys: pytest.CaptureFixture[str], rounds: int
) -> None:
    chance = random.Random(0)
    app = Opened(small_disk / "app")
    ballast = small_disk / "ballast"
    lost: set[str] = set()
    healed = refused = 0
    for number in range(rounds):
        upload = app.add(f"before{number}.txt", text(3 * number)[:800])
        assert upload.stage is Stage.READY, upload.message
        before = set(app.names())
        fill(ballast, chance.choice([0, 0, chance.randrange(4096), chance.randrange(400_000)]))
        doomed = app.library.documents("default")[0]
        uploads = []
        files = {f"in{number}-{each}.txt": f"{number} {each}" * 40 for each in range(5)}
        for name, content in (
            (f"during{number}.txt", text(3 * number + 1)),
            (f"{number}.zip", zipped(files)),
        ):
            try:
                uploads.append(app.add(name, content))
            except (OSError, FirstTokenError):
                refused += 1
        during = {
            each.name
            for each in app.ingestor.uploads("default")
            if each.stage is Stage.READY and not each.files
        }
        app.library.delete("default", [doomed.source_id])
        expected = (before | during) - {doomed.file_name}
        assert set(app.names()) == expected
        for each in app.ingestor.uploads("default"):
            app.ingestor.dismiss(each)
        app = app.restarted()
        app.settle()
        lost |= expected - set(app.names())
        assert doomed.file_name not in app.names()
        app.library.empty_trash()
        ballast.unlink()
        app = app.restarted()
        app.settle()
        lost |= expected - set(app.names())
        assert doomed.file_name not in app.names()
        for source in app.library.documents("default")[4:]:
            app.library.delete("default", [source.source_id])
        app.library.empty_trash()
        for each in app.ingestor.uploads("default"):
            app.ingestor.dismiss(each)
        healed += 1
    app.close()
    with capsys.disabled():
        row(f"a full disk ({refused} uploads refused)", rounds, healed, len(lost))
    assert not lost


def fill(file: Path, left: int) -> None:
    """Leave about `left` bytes."""
    with file.open("wb", buffering=0) as opened:
        try:
            while True:
                opened.write(b"x" * 4096)
        except OSError:
            pass
        if left:
            opened.truncate(max(0, opened.tell() - left))


def test_a_disk_that_cannot_be_written_can_be_read_and_asked(small_disk: Path) -> None:
    app = Opened(small_disk / "app")
    assert app.add("0.txt", text(0)[:800]).stage is Stage.READY
    (source,) = app.library.documents("default")
    app.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    app = Opened(small_disk / "app")
    assert app.library.passages("default", source.source_id)
    assert app.library.index("default").as_retriever(1).retrieve("Log 0, entry 3?")
    original = app.library.original("default", source.source_id)
    assert original is not None
    assert original.read_bytes() == text(0)[:800]
    with pytest.raises(OSError, match="Read-only"):
        app.add("1.txt", b"x")
    with pytest.raises(FirstTokenError, match="could not be deleted"):
        app.library.delete("default", [source.source_id])
    assert len(app.library.notices) == 1
    app.close()
