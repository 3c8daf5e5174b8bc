"""Downloads from a hub on loopback: whole, broken, slow, lying, refused, and without room."""

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from engine.config import Config
from engine.errors import WeightsError
from engine.models.asking import Hub, HubError
from engine.models.files import ModelFile, ModelFiles, State, gguf_files, size_of
from tests.hub_server import FakeHub, Faults, hub_server

REPO, NAME = "maker/Model-GGUF", "model-Q8_0.gguf"
PARTS = [f"big-0000{number}-of-00002.gguf" for number in (1, 2)]
SECONDS = 60.0


@pytest.fixture(scope="module")
def served() -> Iterator[FakeHub]:
    content = b"GGUF" + random.Random(1).randbytes(3_000_000)
    files = {NAME: content, PARTS[0]: content[:700_000], PARTS[1]: content[1_000_000:1_300_000]}
    with hub_server({REPO: files, "maker/Empty": {"README.md": b"nothing"}}) as hub:
        yield hub


@pytest.fixture
def hub(served: FakeHub) -> FakeHub:
    served.faults = Faults()
    served.asked.clear()
    return served


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub's of this test's own, for the child process and for ours."""
    folder = tmp_path / "hub-cache"
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def models(tmp_path: Path, hub: FakeHub, cache: Path) -> Iterator[ModelFiles]:
    opened = ModelFiles(tmp_path, Hub(Config(hf_endpoint=hub.url)))
    yield opened
    opened.close()


def until(model: ModelFile, reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < deadline, f"{model.state}: {model.message}"
        time.sleep(0.02)


def ended(model: ModelFile) -> ModelFile:
    until(model, lambda: not model.state.at_work)
    return model


def whole_files(cache: Path) -> list[Path]:
    """What anybody who looks into the hub's cache takes for a whole file."""
    return [each for each in cache.rglob("*.gguf") if each.is_file()]


def test_a_download_is_verified_and_lies_in_the_hubs_own_cache(
    models: ModelFiles, hub: FakeHub, cache: Path
) -> None:
    model = ended(models.download(REPO, NAME))
    assert model.state is State.READY, model.message
    assert model.path and model.path.is_relative_to(cache)
    assert model.path.read_bytes() == hub.files[REPO][NAME]
    assert model.files[0].sha256 == hashlib.sha256(hub.files[REPO][NAME]).hexdigest()
    assert model.licence == "apache-2.0"


def test_a_broken_connection_goes_on_where_it_broke(models: ModelFiles, hub: FakeHub) -> None:
    hub.faults.break_at = [1_000_000, 2_000_000]
    model = ended(models.download(REPO, NAME))
    assert model.state is State.READY, model.message
    ranges = [headers.get("Range") for method, _, headers in hub.asked if method == "GET"]
    begun_at = [int(each.split("=")[1].rstrip("-")) for each in ranges if each]
    assert len(begun_at) == 2
    assert begun_at[0] > 700_000
    assert begun_at[1] > 1_700_000


def test_a_paused_download_goes_on_after_a_restart(
    models: ModelFiles, hub: FakeHub, cache: Path, tmp_path: Path
) -> None:
    hub.faults.hold_at = 1_500_000
    model = models.download(REPO, NAME)
    until(model, lambda: model.done > 500_000)
    models.pause(model)
    assert model.state is State.PAUSED
    assert not whole_files(cache)
    models.close()
    hub.faults.go_on.set()
    again = ModelFiles(tmp_path, Hub(Config(hf_endpoint=hub.url)))
    (kept,) = again.all()
    assert kept.state is State.PAUSED
    hub.asked.clear()
    ended(again.download(REPO, NAME))
    assert kept.path and kept.path.read_bytes() == hub.files[REPO][NAME]
    (first,) = [headers["Range"] for method, _, headers in hub.asked if method == "GET"]
    assert int(first.split("=")[1].rstrip("-")) > 500_000
    again.close()


def test_a_download_at_work_when_the_app_ends_is_paused_and_asks_nothing(
    models: ModelFiles, hub: FakeHub, tmp_path: Path
) -> None:
    hub.faults.hold_at = 0
    model = models.download(REPO, NAME)
    until(model, lambda: bool(model.files))
    killed = (tmp_path / "models.json").read_bytes()
    models.close()
    (tmp_path / "models.json").write_bytes(killed)  # as a process that was killed leaves it
    hub.asked.clear()
    again = ModelFiles(tmp_path, Hub(Config(hf_endpoint=hub.url)))
    assert [each.state for each in again.all()] == [State.PAUSED]
    again.close()
    assert hub.asked == []


@pytest.mark.parametrize(
    ("faults", "sentence"),
    [
        (Faults(wrong=True), "checksum differs"),
        (Faults(other_etag=True), "checksum differs"),
        (Faults(short=True), "less or more"),
        (Faults(status=500), "The hub failed"),
        (Faults(status=403, error_code="GatedRepo"), "accept their terms"),
        (Faults(status=401, error_code="RepoNotFound"), "HF_TOKEN"),
        (Faults(status=404, error_code="RepoNotFound"), "no model repository"),
    ],
)
def test_what_goes_wrong_gets_its_own_sentence_and_leaves_no_whole_file(
    models: ModelFiles, hub: FakeHub, cache: Path, faults: Faults, sentence: str
) -> None:
    hub.faults = faults
    model = ended(models.download(REPO, NAME))
    assert model.state is State.FAILED
    assert sentence in model.message
    assert model.path is None
    assert not whole_files(cache)
    hub.faults = Faults()
    ended(models.download(REPO, NAME))
    assert model.path and model.path.read_bytes() == hub.files[REPO][NAME]


def test_a_hub_that_is_not_there_and_a_disk_without_room(
    tmp_path: Path, hub: FakeHub, cache: Path
) -> None:
    nowhere = Hub(Config(hf_endpoint="http://127.0.0.1:9"))
    with pytest.raises(HubError, match="could not be reached"):
        nowhere.facts(REPO)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        Hub(Config(hf_endpoint=hub.url, hf_hub_offline=True)).facts(REPO)
    with pytest.raises(HubError, match="cannot be the name"):
        Hub(Config(hf_endpoint=hub.url)).facts("no/such/name")
    assert not any("no/such" in path for _, path, _ in hub.asked)


def test_a_full_disk_keeps_what_has_arrived(
    models: ModelFiles, hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # the child's file system: a limit on the size of files stands for a full disk
    (tmp_path / "sitecustomize.py").write_text(
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, -1))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    model = ended(models.download(REPO, NAME))
    assert model.state is State.FAILED
    assert "disk is full" in model.message
    assert not whole_files(cache)
    monkeypatch.delenv("PYTHONPATH")
    hub.asked.clear()
    ended(models.download(REPO, NAME))
    assert model.path and model.path.read_bytes() == hub.files[REPO][NAME]
    assert any("Range" in headers for _, _, headers in hub.asked)


def test_too_little_room_is_said_before_anything_is_fetched(
    models: ModelFiles, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import shutil\nreal = shutil.disk_usage\n"
        "shutil.disk_usage = lambda path: real(path)._replace(free=1_000_000)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    model = ended(models.download(REPO, NAME))
    assert "0.2 GB are needed, and 0.0 GB are free" in model.message
    assert not [path for method, path, _ in hub.asked if method == "GET" and "resolve" in path]


def test_a_split_model_comes_whole_or_not_at_all(
    models: ModelFiles, hub: FakeHub, cache: Path
) -> None:
    model = ended(models.download(REPO, PARTS[0]))
    assert model.path and model.path.name == PARTS[0]
    second = model.path.with_name(PARTS[1])
    assert second.read_bytes() == hub.files[REPO][PARTS[1]]
    assert model.size == 1_000_000
    facts = models.known_facts(REPO)
    assert facts and gguf_files(facts) == [NAME, PARTS[0]]
    assert size_of(facts, PARTS[0]) == 1_000_000


def test_a_wrong_file_name_is_answered_with_those_there_are(models: ModelFiles) -> None:
    model = ended(models.download(REPO, "other.gguf"))
    assert NAME in model.message
    assert "no GGUF file" in ended(models.download("maker/Empty", "x.gguf")).message


def test_deleting_frees_the_space_and_only_that(models: ModelFiles, cache: Path) -> None:
    first, second = ended(models.download(REPO, NAME)), ended(models.download(REPO, PARTS[0]))
    assert models.remove(first) == 3_000_004
    assert models.all() == [second]
    assert second.path and second.path.is_file()
    assert sum(each.stat().st_size for each in cache.rglob("blobs/*")) == 1_000_000


def test_a_cancelled_download_leaves_nothing(
    models: ModelFiles, hub: FakeHub, cache: Path
) -> None:
    hub.faults.hold_at = 1_500_000
    model = models.download(REPO, NAME)
    until(model, lambda: model.done > 500_000)
    assert models.remove(model) > 500_000
    assert models.all() == []
    assert not [each for each in cache.rglob("*") if each.is_file() and each.stat().st_size > 1000]


def test_a_file_of_the_users_own_is_checked_and_never_deleted(
    models: ModelFiles, tmp_path: Path
) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF and more")
    (tmp_path / "text.gguf").write_bytes(b"text")
    with pytest.raises(WeightsError, match="not a GGUF file"):
        models.add_local(tmp_path / "text.gguf")
    with pytest.raises(WeightsError, match="cannot be read"):
        models.add_local(tmp_path / "nowhere.gguf")
    model = models.add_local(own)
    assert model.path == own
    assert models.remove(model) == 0
    assert own.exists()


def test_a_damaged_list_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "models.json").write_text('{"models": [')
    opened = ModelFiles(tmp_path, Hub(Config()))
    assert opened.all() == []
    assert "damaged" in opened.notices[0]
    opened.close()


def test_the_token_goes_to_the_hub_and_into_no_sentence(
    tmp_path: Path, hub: FakeHub, cache: Path
) -> None:
    hub.faults.status = 500
    with pytest.raises(HubError) as caught:
        Hub(Config(hf_endpoint=hub.url, hf_token="hf_secretsecret")).facts(REPO)
    assert "secretsecret" not in str(caught.value)
    assert hub.asked[0][2]["authorization"] == "Bearer hf_secretsecret"
