"""The same question gets the same logits, bit by bit, with K-quants too.

A model with random weights and small files: its answers are nonsense, and its kernels are those of
large models. Where extra buffers are in use, weights are repacked, and steps of four rows and more
are computed otherwise than single rows.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.synthetic import Shape, write_model
from engine.config import Config
from engine.llm import GenerationOptions, LlamaCpp, exactness, local
from engine.llm.model import Model
from engine.llm.probe import Findings
from engine.llm.proof import Text
from engine.llm.sampling import Sampler
from engine.llm.slicing import ANSWERS, Slicing
from engine.llm.switches import Switches
from engine.llm.tuning import Figures, Tuning
from engine.schema import ChatMessage

SYSTEM = ChatMessage("system", "You answer questions from the given text, in a few words.")
TEXT = "The lighthouse was built in 1874 from grey granite, and its lamp burned whale oil. "
PROMPTS = [
    [SYSTEM, ChatMessage("user", TEXT * (1 + number) + "Question: how high is it?"[number:])]
    for number in range(6)
]
COLD = GenerationOptions(max_tokens=12, ignore_eos=True, reuse=False)
WARM = GenerationOptions(max_tokens=12, ignore_eos=True)
FIGURES = Figures(0.002, 0.004, 0.006, 0.002)


@pytest.fixture(scope="module")
def k_quants(tmp_path_factory: pytest.TempPathFactory, chat_model_path: Path) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.Q4_K_M.gguf"
    write_model(path, Shape(4, 512, 1024, 4, 2), chat_model_path, "Q4_K_M")
    return path


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> dict[Sampler, list[str]]:
    """The logits of each answer, step by step, as hashes."""
    found: dict[Sampler, list[str]] = {}
    choose = Sampler.next

    def recording(self: Sampler, logits: NDArray[np.float32]) -> int:
        found.setdefault(self, []).append(hashlib.sha256(logits.tobytes()).hexdigest())
        return choose(self, logits)

    monkeypatch.setattr(Sampler, "next", recording)
    return found


@pytest.mark.parametrize("extra_buffers", [True, False])
def test_the_same_question_gets_the_same_logits_whatever_else_is_computed(
    k_quants: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    computed: dict[Sampler, list[str]],
    extra_buffers: bool,
) -> None:
    model = Model(k_quants, extra_buffers=extra_buffers)
    exact = exactness.measure(model, Text.of(model).tokens, threads=2)
    model.close()
    assert exact.exact
    switches = Switches(extra_buffers=extra_buffers)
    findings = Findings(8192, 1024, FIGURES, switches, exactness=exact)
    monkeypatch.setattr(local, "probe", lambda *_: findings)
    alone = Tuning(
        contexts=1,
        sequences=1,
        window=512,
        largest_slice=512,
        smallest_slice=exact.slicing.smallest,
        slice_grid=exact.slicing.grid,
    )
    beside = replace(alone, contexts=2, sequences=4, largest_slice=16)
    batched = replace(alone, sequences=ANSWERS, decode_batch=exact.batch)
    gathered = replace(batched, contexts=2, gather_from=3)
    known: set[tuple[str, ...]] = set()
    for tuning in (alone, beside, batched, gathered):
        llm = LlamaCpp(k_quants, tuning=tuning, config=Config(data_dir=tmp_path))
        for options in (COLD, WARM, WARM):
            computed.clear()
            with ThreadPoolExecutor(len(PROMPTS)) as pool:
                list(pool.map(partial(llm.chat, options=options), PROMPTS))
            found = {tuple(steps) for steps in computed.values()}
            known = known or found
            assert found == known, (tuning, options)
        llm.close()
    assert len(known) == len(PROMPTS)


@given(
    st.sampled_from([(2, 1), (8, 1), (4, 4), (8, 4), (16, 16), (32, 32)]),
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(0, 300),
)
def test_slices_cover_a_prompt_keep_to_the_rule_and_are_not_much_larger_than_asked(
    rule: tuple[int, int], length: int, size: int, kept: int
) -> None:
    slicing = Slicing(*rule)
    position = slicing.reusable(kept, length)
    assert position <= kept
    while position < length:
        end = slicing.end(position, length, size)
        assert end - position >= min(slicing.smallest, length)
        assert end - position <= max(size, 2 * slicing.smallest + slicing.grid - 2)
        assert end == length or end % slicing.grid == 0
        position = end
    assert position == length
