"""A model file from outside: a sentence for each fault, found in another process, remembered."""

import json
import random
import shutil
import struct
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.synthetic import Shape, write_model
from engine.config import Config, load_config
from engine.cores import Cores
from engine.errors import ConfigError, LLMError
from engine.llm import GenerationOptions, LlamaCpp
from engine.llm import probe as probing
from engine.llm.calibrate import Figures
from engine.llm.probe import DoesNotRunError, Findings, _Child, probe, probe_fastest
from engine.llm.slicing import EXACT, Exactness, Slicing
from engine.llm.switches import Switches
from engine.llm.tuning import Tuning, tuned
from engine.machine import Processor, fingerprint, llama_version, processor
from engine.weights import (
    CHAT,
    EMBEDDER,
    QUICKEST,
    RECORD,
    RERANKER,
    ensure_weights,
    has_known_checksum,
)
from scripts import models

CORES = Cores(2)
GIB = 2**30


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, chat_model_path: Path) -> Path:
    """A model with random weights, so small that it is proved within two seconds."""
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    write_model(path, Shape(2, 256, 512, 4, 2, 64), chat_model_path, "Q8_0")
    return path


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
def test_a_file_that_is_not_a_model_is_refused_in_a_sentence(
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
    tmp_path: Path, record: Path, tiny_model: Path, share: float
) -> None:
    whole = tiny_model.read_bytes()
    path = tmp_path / "short.gguf"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(LLMError, match=r"short\.gguf"):
        probe(path, CORES, record)


def test_damaged_headers_end_in_findings_or_a_sentence(
    tmp_path: Path, record: Path, tiny_model: Path
) -> None:
    rng, whole = random.Random(3), bytearray(tiny_model.read_bytes())
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


def test_a_model_that_does_not_end_its_test_is_given_up(
    record: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "_SECONDS", -1e6)
    with pytest.raises(LLMError, match="did not finish a short test"):
        probe(tiny_model, CORES, record)


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Once called, nothing is probed any more."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("it was probed again")

    return lambda: monkeypatch.setattr(probing, "_run", fail)


def test_findings_are_remembered_until_file_machine_or_build_change(
    record: Path,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_child: Callable[[], None],
) -> None:
    copy = tmp_path / "model.gguf"
    copy.symlink_to(tiny_model)
    found = probe(copy, CORES, record)
    assert found.trained_context == 8192
    assert found.cache_bytes == 1024
    assert min(vars_of(found.figures)) > 0
    assert min(found.prefill, found.decode) > 0

    no_child()
    assert probe(copy, CORES, record) == found
    with pytest.raises(AssertionError, match="probed again"):
        probe(copy, Cores(1), record)
    with monkeypatch.context() as other_build:
        other_build.setattr(probing, "fingerprint", lambda: "another")
        with pytest.raises(AssertionError, match="probed again"):
            probe(copy, CORES, record)
    record.write_text("{damaged")
    with pytest.raises(AssertionError, match="probed again"):
        probe(copy, CORES, record)


def vars_of(figures: Figures) -> tuple[float, ...]:
    return (figures.single, figures.pair, figures.batch, figures.side_by_side)


# Faults of llama.cpp on this processor: see tests/faulty_llama.py.


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Makes llama.cpp faulty in every probe of this test."""

    def faulty(when: str, what: str) -> None:
        command = (sys.executable, "-m", "tests.faulty_llama", when, what)
        monkeypatch.setattr(probing, "_COMMAND", command)

    return faulty


@pytest.mark.parametrize("what", ["SIGSEGV", "SIGILL", "wrong"])
def test_a_code_path_that_fails_is_turned_off_and_this_is_remembered(
    record: Path,
    tiny_model: Path,
    breaks: Callable[[str, str], None],
    no_child: Callable[[], None],
    what: str,
) -> None:
    breaks("extra_buffers", what)
    found = probe(tiny_model, CORES, record)
    assert found.switches == Switches(extra_buffers=False)
    no_child()
    assert probe(tiny_model, CORES, record) == found
    line = models.report(tiny_model, found, remembered=True)
    assert "turned off: extra buffers" in line
    assert "earlier proof" in line


@pytest.mark.parametrize("path", ["flash_attention", "tiled_kernels"])
def test_every_code_path_can_be_turned_off(
    record: Path, tiny_model: Path, breaks: Callable[[str, str], None], path: str
) -> None:
    breaks(path, "SIGSEGV")
    found = probe(tiny_model, CORES, record)
    assert not getattr(found.switches, path)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("SIGSEGV", "it ends with SIGSEGV"),
        ("SIGILL", r"SIGILL \(an instruction that the processor does not have\)"),
        ("wrong", "its results are wrong"),
    ],
)
def test_if_nothing_helps_the_message_names_processor_and_version_and_not_the_intact_file(
    record: Path,
    tiny_model: Path,
    breaks: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    said: str,
) -> None:
    breaks("always", what)
    monkeypatch.setattr(probing, "has_known_checksum", lambda _: True)
    with pytest.raises(DoesNotRunError, match=said) as caught:
        probe(tiny_model, CORES, record)
    message = str(caught.value)
    here = processor()
    for part in (here.name, here.instruction_sets, llama_version(), "make rebuild"):
        assert part in message
    assert "The model file is intact." in message
    assert "damaged" not in message
    assert "CHAT_MODEL" not in message
    assert not record.exists()


def test_only_a_file_of_unknown_checksum_may_be_called_damaged(
    record: Path, chat_model_path: Path, tmp_path: Path, breaks: Callable[[str, str], None]
) -> None:
    own = tmp_path / "own.gguf"
    own.symlink_to(chat_model_path)
    breaks("always", "SIGSEGV")
    with pytest.raises(DoesNotRunError, match=r"damaged: choose another model"):
        probe(own, CORES, record)


def test_the_app_runs_the_model_with_the_switches_that_work(
    tiny_model: Path, tmp_path: Path, breaks: Callable[[str, str], None]
) -> None:
    breaks("extra_buffers", "SIGSEGV")
    llm = LlamaCpp(tiny_model, config=Config(data_dir=tmp_path))
    try:
        assert not llm._model.extra_buffers
        assert "extra buffers" in llm.settings["switched_off"]
        assert llm.complete("What is the capital of France?", GenerationOptions(max_tokens=4))
    finally:
        llm.close()


def test_llama_cpp_is_compiled_without_an_instruction_set_if_no_switch_helps(
    tiny_model: Path,
    tmp_path: Path,
    breaks: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The "compiler" is a program that notes what is left out; without AVX-512 it works."""
    here = Processor("Test processor", frozenset({"amx_tile", "avx512f"}))
    monkeypatch.setattr(models, "processor", lambda: here)
    program = f"import pathlib, sys; pathlib.Path({str(tmp_path)!r}, sys.argv[1]).touch()"
    monkeypatch.setattr(models, "REBUILD", (sys.executable, "-c", program))
    breaks(str(tmp_path / "avx512"), "SIGILL")
    config = Config(data_dir=tmp_path / "data", chat_model=tiny_model)
    models.prove(config)
    assert (tmp_path / "amx").exists()
    assert not (tmp_path / "native").exists()
    said = capsys.readouterr().out
    assert said.index("without amx") < said.index("without avx512") < said.index("computes correct")


def test_a_proof_that_fails_after_every_rebuild_fails_the_set_up(
    tiny_model: Path,
    tmp_path: Path,
    breaks: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(models, "REBUILD", (sys.executable, "-c", ""))
    monkeypatch.setattr(models, "processor", lambda: Processor("Test processor", frozenset()))
    breaks("always", "SIGSEGV")
    with pytest.raises(DoesNotRunError):
        models.prove(Config(data_dir=tmp_path, chat_model=tiny_model))


FIGURES = {"single": 0.01, "pair": 0.02, "batch": 0.03, "side_by_side": 0.02}
FACTS = {"trained_context": 1, "cache_bytes": 1}


def child(rates: list[float]) -> _Child:
    """A child that measured these rates of decoding, and five times as much of prefill."""
    right = {"divergence": 0.0, "continued": 1.0}
    trials = [{"prefill": 5 * rate, "decode": rate, **right} for rate in rates]
    return _Child(0, FACTS, trials, FIGURES, asdict(EXACT))


@pytest.mark.parametrize(("slow", "extra_buffers"), [(1, True), (3, True), (4, False)])
def test_only_a_way_that_is_slower_in_every_measurement_is_given_up(
    tmp_path: Path,
    record: Path,
    monkeypatch: pytest.MonkeyPatch,
    slow: int,
    extra_buffers: bool,
) -> None:
    """The first measurements with extra buffers are slow, as beside another program, or all."""
    file, measured = tmp_path / "model", list[Switches]()
    file.touch()

    def run(_path: Path, _threads: int, _layers: int, trials: list[Switches], **_: bool) -> _Child:
        rates = []
        for switches in trials:
            measured.append(switches)
            disturbed = switches.extra_buffers and measured.count(switches) <= slow
            rates.append(50.0 if disturbed else 100.0)
        return child(rates)

    monkeypatch.setattr(probing, "_run", run)
    assert probe(file, CORES, record).switches.extra_buffers == extra_buffers


@pytest.mark.parametrize("slower", ["Q8_0", "Q4_1"])
def test_of_two_files_the_quicker_one_is_used_if_it_is_much_quicker(
    tmp_path: Path, record: Path, monkeypatch: pytest.MonkeyPatch, slower: str
) -> None:
    usual, other = tmp_path / "Q8_0", tmp_path / "Q4_1"
    usual.touch()
    other.touch()

    def run(path: Path, *_: object, **__: bool) -> _Child:
        return child([100.0 if path.name == slower else 130.0] * 2)

    monkeypatch.setattr(probing, "_run", run)
    chosen, _ = probe_fastest([usual, other], CORES, record)
    assert chosen.name != slower
    assert list(json.loads(record.read_text())[QUICKEST].values()) == [chosen.name]


def test_the_fastest_file_that_was_measured_here_is_the_default_chat_model(
    tmp_path: Path, chat_model_path: Path
) -> None:
    """... and damage to it is found."""
    original = load_config().weights_dir.resolve()
    weights = tmp_path / "weights"
    shutil.copytree(original / CHAT.name, weights / CHAT.name)
    for folder in (EMBEDDER.name, RERANKER.name):
        (weights / folder).symlink_to(original / folder)
    (shipped,) = CHAT.contents(weights)
    (weights / RECORD).write_text(json.dumps({QUICKEST: {fingerprint(): shipped.name}}))
    assert ensure_weights(weights).chat_model == shipped
    assert has_known_checksum(shipped)
    with shipped.open("r+b") as file:
        file.write(b"X")
    assert not has_known_checksum(shipped)


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
    assert (large.contexts, large.sequences, large.decode_batch) == (1, 8, 4)


def test_answers_are_gathered_where_batches_of_many_are_quicker_than_contexts() -> None:
    """The figures of the same model on another machine of two cores."""
    figures = Figures(0.0110, 0.0302, 0.0221, 0.0129, large_batch=0.033)
    tuning = tuned(replace(SMALL, figures=figures), 2, 24 * GIB)
    assert (tuning.contexts, tuning.sequences, tuning.gather_from) == (2, 4, 4)
    assert [tuning.batches(answers) for answers in (1, 2, 4)] == [[1], [1, 1], [4]]
    assert tuned(replace(SMALL, figures=figures), 2, 1 * GIB).gather_from == 0  # no memory for it


def test_no_batch_is_larger_than_is_exact_unless_words_may_vary() -> None:
    figures = replace(LARGE.figures, by_threads=[(1, 0.30), (8, 0.15)])
    found = replace(LARGE, figures=figures, exactness=Exactness(Slicing(8, 4), True, batch=3))
    tuning = tuned(found, 8, 64 * GIB)
    assert (tuning.decode_batch, tuning.slicing) == (3, Slicing(8, 4))
    assert tuned(found, 8, 64 * GIB, deterministic=False).decode_batch == 4


def test_one_core_has_one_context() -> None:
    tuning = tuned(SMALL, 1, 24 * GIB)
    assert (tuning.contexts, tuning.sequences) == (1, 8)


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
