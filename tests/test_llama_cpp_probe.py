"""A model file from outside: a sentence for each fault, found in another process, remembered."""

import random
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from engine.config import Config
from engine.cores import Cores
from engine.errors import ConfigError, LLMError
from engine.llm import LlamaCpp
from engine.llm import probe as probing
from engine.llm.calibrate import Figures
from engine.llm.probe import Findings, probe
from engine.llm.tuning import Tuning, tuned

CORES = Cores(2)
GIB = 2**30


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "probed.json"


def text_entry(key: str, value: str) -> bytes:
    """A key and a text, as a GGUF header holds them (type 8)."""
    return b"".join(
        (
            struct.pack("<Q", len(key)),
            key.encode(),
            struct.pack("<IQ", 8, len(value)),
            value.encode(),
        )
    )


def gguf(*entries: bytes, tensors: int = 0, keys: int | None = None) -> bytes:
    count = len(entries) if keys is None else keys
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, count) + b"".join(entries)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GGUF",
        b"not a model",
        b"PK\x03\x04" + bytes(1000),
        gguf(),
        gguf(text_entry("general.architecture", "llama")),
        gguf(text_entry("general.architecture", "no-such-model")),
        gguf(keys=2**60),
        gguf(tensors=2**62),
        gguf(struct.pack("<Q", 2**63) + b"key"),
    ],
    ids=[
        "empty", "magic only", "text", "zip", "no keys", "no tensors", "unknown architecture",
        "endless keys", "endless tensors", "endless key",
    ],
)  # fmt: skip
def test_what_is_no_model_is_refused_in_a_sentence(
    tmp_path: Path, record: Path, content: bytes
) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(LLMError, match=r"bad\.gguf.*(CHAT_MODEL|llama.cpp)"):
        probe(path, CORES, record)
    assert not record.exists()


def test_a_missing_file_is_refused_in_a_sentence(tmp_path: Path, record: Path) -> None:
    with pytest.raises(LLMError, match="There is no model file"):
        probe(tmp_path / "nowhere.gguf", CORES, record)
    with pytest.raises(LLMError, match="There is no model file"):
        probe(tmp_path, CORES, record)


@pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 0.999])
def test_a_truncated_model_is_refused(
    tmp_path: Path, record: Path, chat_model_path: Path, share: float
) -> None:
    whole = chat_model_path.read_bytes()
    path = tmp_path / "short.gguf"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(LLMError, match=r"short\.gguf"):
        probe(path, CORES, record)


def test_damaged_headers_end_in_findings_or_a_sentence(
    tmp_path: Path, record: Path, chat_model_path: Path
) -> None:
    rng, whole = random.Random(3), bytearray(chat_model_path.read_bytes())
    for number in range(6):
        damaged = bytearray(whole)
        for _ in range(20):
            damaged[rng.randrange(2000)] = rng.randrange(256)
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(damaged)
        try:
            probe(path, CORES, record)
        except LLMError as error:
            assert path.name in str(error)
        path.unlink()


def test_a_model_that_does_not_end_its_first_token_is_given_up(
    record: Path, chat_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "_SECONDS", -1e6)
    with pytest.raises(LLMError, match="did not finish a first token"):
        probe(chat_model_path, CORES, record)


def test_findings_are_remembered_until_the_file_changes(
    record: Path, chat_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "model.gguf"
    copy.symlink_to(chat_model_path)
    found = probe(copy, CORES, record)
    assert found.trained_context == 8192
    assert found.cache_bytes == 23040
    assert min(vars_of(found.figures)) > 0

    def no_child(*_: object) -> dict[str, object]:
        raise AssertionError("it was probed again")

    monkeypatch.setattr(probing, "_run_child", no_child)
    assert probe(copy, CORES, record) == found
    with pytest.raises(AssertionError, match="probed again"):
        probe(copy, Cores(1), record)
    record.write_text("{damaged")
    with pytest.raises(AssertionError, match="probed again"):
        probe(copy, CORES, record)


def vars_of(figures: Figures) -> tuple[float, ...]:
    return (figures.single, figures.pair, figures.batch, figures.side_by_side)


def test_a_bad_file_never_reaches_our_process(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(gguf(tensors=2**62))
    with pytest.raises(LLMError, match=r"bad\.gguf"):
        LlamaCpp(path, config=Config(data_dir=tmp_path))


# What is chosen from the findings. The figures are of the small Q8_0 model on two cores.

SMALL = Findings(8192, 23040, Figures(0.0094, 0.0287, 0.0216, 0.0098))
# Bound by memory: another answer in a batch costs little, another context as much again.
LARGE = Findings(32768, 131072, Figures(0.30, 0.33, 0.20, 0.55))


def test_a_small_model_runs_side_by_side_and_a_large_one_in_batches() -> None:
    assert tuned(SMALL, 2, 24 * GIB) == Tuning(contexts=2, sequences=2, decode_batch=1)
    large = tuned(LARGE, 8, 64 * GIB)
    assert (large.contexts, large.sequences, large.decode_batch) == (1, 4, 4)


def test_one_core_has_one_context() -> None:
    tuning = tuned(SMALL, 1, 24 * GIB)
    assert (tuning.contexts, tuning.sequences) == (1, 4)


def test_the_window_is_as_wanted_and_never_more_than_was_trained() -> None:
    assert tuned(SMALL, 2, 24 * GIB, window=1000).window == 1000
    assert tuned(SMALL, 2, 24 * GIB, window=100_000).window == 8192
    assert tuned(replace(SMALL, trained_context=2048), 2, 24 * GIB).window == 2048


@pytest.mark.parametrize("memory", [1, 2, 4, 8])
def test_the_caches_fit_into_an_eighth_of_the_memory(memory: int) -> None:
    tuning = tuned(LARGE, 4, memory * GIB)
    size = tuning.contexts * tuning.sequences * tuning.window * LARGE.cache_bytes
    assert size <= memory * GIB / 8


def test_a_window_that_was_asked_for_is_kept_where_memory_is_short() -> None:
    tuning = tuned(LARGE, 4, 2 * GIB, window=8192)
    assert (tuning.window, tuning.contexts, tuning.sequences) == (8192, 1, 1)


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs flash attention"):
        Tuning(cache_type="q8_0")
    with pytest.raises(ConfigError, match="one of f16, q8_0"):
        Tuning(cache_type="q2")
    with pytest.raises(ConfigError, match="at least 1"):
        Tuning(contexts=0)
