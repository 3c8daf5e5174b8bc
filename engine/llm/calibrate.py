"""Calibrate: how long steps of a model take on this machine, side by side and batched.

In goes a loaded model, out come seconds a step. Small models do best with contexts side by
side, a thread each; large ones, bound by memory, with several answers in one batch of one
context. It does not choose.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

from engine.llm.context import Context, ContextSize, Entry
from engine.llm.model import Model

BATCH = 4  # answers at once: a household, or Compare's largest number of readers
_READ = 16  # tokens in each sequence before the steps that are timed
_STEPS = 6  # timed, at most, in each of several rounds
_ROUNDS = 4  # the quickest counts: others are slowed by other programs
_SECONDS = 2.0  # after which no further round begins


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds for one step. `single`, `pair`: one and two answers, one thread. `batch`: BATCH
    answers, all threads. `side_by_side`: one answer in each of as many contexts as there are
    threads, all at the same time."""

    single: float
    pair: float
    batch: float
    side_by_side: float


def measure(model: Model, threads: int) -> Figures:
    contexts = [_context(model, 1) for _ in range(threads)]
    shared = _context(model, BATCH)
    try:
        began, rounds = time.perf_counter(), list[Figures]()
        while len(rounds) < _ROUNDS and time.perf_counter() - began < _SECONDS:
            rounds.append(_measure_once(shared, contexts, threads))
    finally:
        for context in (shared, *contexts):
            context.close()
    return Figures(*(min(values) for values in zip(*map(astuple, rounds), strict=True)))


def _measure_once(shared: Context, contexts: Sequence[Context], threads: int) -> Figures:
    return Figures(
        single=_quickest(shared, 1, threads=1),
        pair=_quickest(shared, 2, threads=1),
        batch=_quickest(shared, BATCH, threads),
        side_by_side=_at_once([_timing(context) for context in contexts]),
    )


def _context(model: Model, sequences: int) -> Context:
    size = ContextSize(window=256, batch=max(_READ, BATCH), sequences=sequences)
    context = Context(model, size, flash_attention=False, cache_type="f16")
    for sequence in range(sequences):
        context.decode([Entry(0, at, sequence, False) for at in range(_READ)])
    return context


def _timing(context: Context) -> Callable[[], float]:
    return lambda: _quickest(context, 1, threads=1)


def _at_once(timings: Sequence[Callable[[], float]]) -> float:
    """The slowest of several, each on a thread of its own."""
    results: list[float] = []
    threads = [
        threading.Thread(target=lambda timing=timing: results.append(timing()))
        for timing in timings
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(results)


def _quickest(context: Context, answers: int, threads: int) -> float:
    """The first step warms up and does not count."""
    context.use_threads(threads)
    durations = []
    for step in range(1 + _STEPS):
        entries = [Entry(0, _READ + step, sequence, True) for sequence in range(answers)]
        began = time.perf_counter()
        context.decode(entries)
        durations.append(time.perf_counter() - began)
        if step and sum(durations) > _SECONDS / _ROUNDS / 4:
            break
    for sequence in range(answers):
        context.trim(sequence, _READ)
    return min(durations[1:])
