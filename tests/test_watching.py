"""A watched folder: the collection follows it, and nothing in it is ever changed."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.config import Config
from engine.errors import ConfigError
from engine.workspace import watching
from engine.workspace.ingestion import Ingestor
from engine.workspace.library import Library
from engine.workspace.watching import Watcher
from tests.making import put

PATIENCE = 60.0


class Following:
    """A library with a watcher, and the folder that it follows."""

    def __init__(self, place: Path) -> None:
        self.place, self.folder = place, place / "papers"
        self.folder.mkdir(exist_ok=True)
        self.open()

    def open(self) -> None:
        app = self.place / "app"
        self.library = Library(app, Config(data_dir=app))
        self.ingestor = Ingestor(app / "incoming", self.library.take, self.library.index)
        self.watcher = Watcher(
            app / "watched.json", self.library, self.ingestor, self.library.delete
        )

    def close(self) -> None:
        self.watcher.close()
        self.ingestor.close()
        self.library.close()

    def paths(self) -> dict[str, str]:
        """Path → source id of the documents."""
        return {each.path: each.source_id for each in self.library.documents("default")}

    def wait(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < end, (self.paths(), self.watcher.folders("default"))
            time.sleep(0.02)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file counts as whole after a tenth of a second without a change."""
    monkeypatch.setattr(watching, "SETTLED", 0.1)


@pytest.fixture
def following(tmp_path: Path) -> Iterator[Following]:
    opened = Following(tmp_path)
    yield opened
    opened.close()


def test_files_that_come_change_move_and_go_are_followed(following: Following) -> None:
    folder = following.folder
    put(folder / "ferry.txt", "The ferry leaves at noon.")
    watched = following.watcher.add("default", str(folder), ["drafts/*"])
    following.wait(lambda: set(following.paths()) == {"papers/ferry.txt"})

    put(folder / "2025" / "mill.txt", "The mill grinds barley.")
    put(folder / "drafts" / "no.txt", "Not this one.")
    put(folder / ".hidden.txt", "Nor this.")
    following.wait(lambda: "papers/2025/mill.txt" in following.paths())

    first = following.paths()["papers/ferry.txt"]
    put(folder / "ferry.txt", "The ferry leaves at six.")
    following.wait(lambda: following.paths().get("papers/ferry.txt", first) != first)

    mill = following.paths()["papers/2025/mill.txt"]
    uploads = len(following.ingestor.uploads("default"))
    (folder / "2025" / "mill.txt").rename(folder / "old mill.txt")
    following.wait(lambda: following.paths().get("papers/old mill.txt") == mill)
    assert len(following.ingestor.uploads("default")) == uploads, "it was not embedded again"
    (node,) = following.library.passages("default", mill)
    assert node.file_name == "old mill.txt"
    assert following.library.original("default", mill) is not None

    (folder / "ferry.txt").unlink()
    following.wait(lambda: set(following.paths()) == {"papers/old mill.txt"})
    following.wait(lambda: any("ferry.txt was deleted" in line for line in watched.lines))
    assert {each.file_name for each in following.library.trash()} == {"ferry.txt"}


def test_changes_made_while_the_app_was_closed_are_found_at_its_start(tmp_path: Path) -> None:
    following = Following(tmp_path)
    put(following.folder / "a.txt", "One.")
    following.watcher.add("default", str(following.folder))
    following.wait(lambda: set(following.paths()) == {"papers/a.txt"})
    following.close()
    (following.folder / "a.txt").unlink()
    put(following.folder / "b.txt", "Two.")
    following.open()
    following.wait(lambda: set(following.paths()) == {"papers/b.txt"})
    following.close()


def test_links_are_not_followed_and_a_folder_that_is_gone_empties_nothing(
    following: Following, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "SCAN_EVERY", 0.2)  # the system reports nothing of a moved root
    put(tmp_path / "secret" / "s.txt", "A secret.")
    (following.folder / "link").symlink_to(tmp_path / "secret")
    (following.folder / "link.txt").symlink_to(tmp_path / "secret" / "s.txt")
    put(following.folder / "a.txt", "One.")
    watched = following.watcher.add("default", str(following.folder))
    following.wait(lambda: bool(following.paths()))
    assert set(following.paths()) == {"papers/a.txt"}
    following.folder.rename(tmp_path / "unmounted")
    following.wait(lambda: "is not there" in watched.problem)
    assert set(following.paths()) == {"papers/a.txt"}


def test_nothing_is_taken_while_it_is_paused(following: Following, tmp_path: Path) -> None:
    watched = following.watcher.add("default", str(following.folder))
    following.watcher.pause(watched, True)
    put(following.folder / "a.txt", "One.")
    put(tmp_path / "other" / "b.txt", "Two.")
    following.watcher.add("default", str(tmp_path / "other"))
    following.wait(lambda: "other/b.txt" in following.paths())  # both were due in the same scan
    assert "papers/a.txt" not in following.paths()
    following.watcher.pause(watched, False)
    following.wait(lambda: "papers/a.txt" in following.paths())


def test_a_folder_that_cannot_be_followed_says_why(following: Following, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no folder"):
        following.watcher.add("default", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="the data of First Token"):
        following.watcher.add("default", str(tmp_path))
    following.watcher.add("default", str(following.folder))
    with pytest.raises(ConfigError, match="is followed already"):
        following.watcher.add("default", str(following.folder))
