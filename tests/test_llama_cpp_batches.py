"""Answers of one context are computed together: one llama.cpp step for all that are writing.

Steps are counted inside llama.cpp: each computes the node "result_output" once.
"""

import ctypes
import itertools
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import llama_cpp
import pytest

from engine.llm import GenerationOptions, LlamaCpp
from engine.llm.context import Context, Entry
from engine.llm.tuning import Tuning
from engine.run import Run
from engine.schema import ChatMessage

BATCHED = Tuning(contexts=1, sequences=4, window=512, decode_batch=4)
QUESTIONS = ["Count to ten.", "Name a colour.", "Write a story.", "What is a lighthouse?"]


@dataclass
class Steps:
    """`computed`: steps inside llama.cpp. `asked`: the entries of each `Context.decode`."""

    computed: int = 0
    asked: list[list[Entry]] = field(default_factory=list)

    def check_that_nothing_was_split(self) -> None:
        """Each `decode` was one step, and all answers that were writing took part in it."""
        assert self.computed <= len(self.asked)  # fewer where a step was interrupted
        for before, after in itertools.pairwise(map(writers, self.asked)):
            assert not before or not after or before & after, f"{before}, then {after}"


def writers(entries: Sequence[Entry]) -> set[int]:
    """The sequences whose next token this step computed; none where it read a prompt."""
    wrote = all(entry.output and entry.position > 20 for entry in entries)
    return {entry.sequence for entry in entries} if wrote else set()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    counted = Steps()
    suffix = "dylib" if sys.platform == "darwin" else "so"
    base = Path(llama_cpp.__file__).parent / "lib" / f"libggml-base.{suffix}"
    name_of = ctypes.CDLL(str(base)).ggml_get_name
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.c_void_p]

    @llama_cpp.ggml_backend_sched_eval_callback  # type: ignore[untyped-decorator]
    def count(tensor: int, ask: bool, _data: object) -> bool:
        counted.computed += ask and name_of(tensor) == b"result_output"
        return False

    defaults = llama_cpp.llama_context_default_params

    def counting() -> object:
        params = defaults()
        params.cb_eval = count
        return params

    monkeypatch.setattr(llama_cpp, "llama_context_default_params", counting)
    monkeypatch.setattr(counted, "_kept", count, raising=False)  # ctypes does not keep it alive
    decode = Context.decode

    def recording(self: Context, entries: Sequence[Entry]) -> bool:
        counted.asked.append(list(entries))
        return decode(self, entries)

    monkeypatch.setattr(Context, "decode", recording)
    return counted


@pytest.fixture
def batching(chat_model_path: Path, steps: Steps) -> Iterator[LlamaCpp]:
    model = LlamaCpp(chat_model_path, tuning=BATCHED)
    steps.asked.clear()
    steps.computed = 0
    yield model
    model.close()


def write(llm: LlamaCpp, question: str, tokens: int, together: threading.Barrier) -> str:
    """So many tokens, in step with the others from the fourth token on."""
    options = GenerationOptions(max_tokens=tokens, ignore_eos=True, reuse=False)
    together.wait()
    return "".join(llm.stream_chat([ChatMessage("user", question)], options, Run()))


def write_all(llm: LlamaCpp, lengths: Sequence[int]) -> list[str]:
    together = threading.Barrier(len(lengths))
    pairs = zip(QUESTIONS, lengths, strict=False)
    with ThreadPoolExecutor(len(lengths)) as pool:
        return list(pool.map(lambda pair: write(llm, pair[0], pair[1], together), pairs))


@pytest.mark.parametrize("answers", [1, 2, 4])
def test_answers_together_take_the_steps_that_the_layout_predicts(
    batching: LlamaCpp, steps: Steps, answers: int
) -> None:
    write_all(batching, [60] * answers)
    written = [writers(entries) for entries in steps.asked]
    assert sum(map(len, written)) == answers * 59  # a prompt's last step gives the first token
    assert max(map(len, written)) == answers
    assert BATCHED.batches(answers) == [answers]
    steps.check_that_nothing_was_split()


@pytest.mark.parametrize("lengths", list(itertools.permutations((4, 9, 14, 19)))[::3])
def test_answers_that_end_in_any_order_are_still_computed_together(
    batching: LlamaCpp, steps: Steps, lengths: tuple[int, ...]
) -> None:
    write_all(batching, lengths)
    steps.check_that_nothing_was_split()


def test_an_answer_that_is_moved_to_another_sequence_keeps_its_words(
    batching: LlamaCpp, steps: Steps
) -> None:
    lengths = (20, 3, 20, 20)  # the second ends first: a gap
    moved = write_all(batching, lengths)
    alone: list[str] = []
    for question, length in zip(QUESTIONS, lengths, strict=True):
        options = GenerationOptions(max_tokens=length, ignore_eos=True, reuse=False)
        alone.append(batching.chat([ChatMessage("user", question)], options).content)
    assert moved == alone
    steps.check_that_nothing_was_split()


def test_a_prompt_that_is_read_between_two_answers_does_not_separate_them(
    batching: LlamaCpp, steps: Steps
) -> None:
    """The second of three answers ends, and a long prompt takes its sequence."""
    story = [ChatMessage("user", "Write a long story.")]
    endless = GenerationOptions(max_tokens=400, ignore_eos=True, reuse=False)
    short = GenerationOptions(max_tokens=20, ignore_eos=True, reuse=False)
    first, second, third = (batching.stream_chat(story, each) for each in (endless, short, endless))
    for answer in (first, second, third):
        next(answer)
    list(second)
    batching.chat([ChatMessage("user", "word " * 200)], short)
    first.close()  # type: ignore[attr-defined]
    third.close()  # type: ignore[attr-defined]
    assert any(len(writers(entries)) == 3 for entries in steps.asked)
    steps.check_that_nothing_was_split()


@pytest.fixture
def gathering(chat_model_path: Path, steps: Steps) -> Iterator[LlamaCpp]:
    tuning = replace(BATCHED, contexts=2, batch_from=3, gather_from=3)
    model = LlamaCpp(chat_model_path, tuning=tuning)
    steps.asked.clear()
    yield model
    model.close()


def test_answers_are_gathered_once_they_are_enough_and_keep_their_words(
    gathering: LlamaCpp, steps: Steps
) -> None:
    lengths = (60, 60, 30, 30)
    together = write_all(gathering, lengths)
    sizes = [len(writers(entries)) for entries in steps.asked]
    assert 4 in sizes  # all in the first context
    last_batch = max(at for at, size in enumerate(sizes) if size > 1)
    assert sizes[last_batch + 1 :].count(1) > 20  # two go on side by side
    alone: list[str] = []
    for question, length in zip(QUESTIONS, lengths, strict=True):
        options = GenerationOptions(max_tokens=length, ignore_eos=True, reuse=False)
        alone.append(gathering.chat([ChatMessage("user", question)], options).content)
    assert together == alone
    for worker in gathering._scheduler._workers:
        assert sorted(worker._free) == list(range(BATCHED.sequences))


def _take(count: int, answer: Iterator[str]) -> list[str]:
    return list(itertools.islice(answer, count))


def test_answers_that_move_can_be_stopped_at_any_moment(gathering: LlamaCpp) -> None:
    options = GenerationOptions(max_tokens=100, ignore_eos=True, reuse=False)
    for after in range(1, 9):
        answers = [
            gathering.stream_chat([ChatMessage("user", question)], options)
            for question in QUESTIONS
        ]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(partial(_take, after), answers))
        for each in answers:
            each.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 30
    while not gathering.idle:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    for worker in gathering._scheduler._workers:
        assert sorted(worker._free) == list(range(BATCHED.sequences))
