"""Calibrate: how long the steps of a model take on this machine.

A loaded model goes in, and Figures come out, from which tuning.py chooses. Contexts, sequence
numbers and options are those of real answers, so that llama.cpp uses the same code. Small models
are fastest with contexts side by side, each with one thread. Large models, which memory bandwidth
limits, are fastest with several answers in one step of one context.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from engine.errors import LLMError
from engine.llm.context import Context, Entry
from engine.llm.model import Model
from engine.llm.pace import thread_counts
from engine.llm.slicing import ANSWERS
from engine.llm.tuning import BATCH, DEFAULT_WINDOW, Figures, fitted, layouts, open_context

__all__ = ["BATCH", "Figures", "measure"]

_READ = 64  # tokens in each sequence before its steps are timed: a short prompt
# Steps of all kinds take turns, and of each kind the quickest counts: another program slows some
# of them down, and must not decide between the kinds.
_ROUNDS = 12
_ROUND_SECONDS = 2.0  # after which no further round begins
_SLICES = (32, 64, 128, 256, 512)
_SLICE_ROUNDS, _SLICE_SECONDS = 3, 0.3  # a slice of a size is repeated while that takes no longer
_LONGEST_SLICE = 1.0  # seconds; after a slice of this length, no larger one is tried
_MEMORY = 8 * 2**30  # bytes, where the caller does not say


def measure(
    model: Model, threads: int, memory: int = _MEMORY, flash_attention: bool = True
) -> Figures:
    """Time the steps. It takes about 5 s, and longer for models of billions of parameters.

    `memory`: the machine's, in bytes. Without `flash_attention`, which may be faulty on this
    processor, that is not measured.

    Raises:
        LLMError: there is not enough memory for the contexts.
    """
    token_bytes = model.cache_bytes_per_token()
    window = min(DEFAULT_WINDOW, model.trained_context or DEFAULT_WINDOW)
    largest = min(max(_SLICES), window)
    beside, batched = (
        fitted(replace(layout, window=window, largest_slice=largest), token_bytes, memory)
        for layout in layouts(threads)
    )

    everybody = list(range(batched.sequences))
    counts = thread_counts(threads)
    with ExitStack() as stack:
        shared = stack.enter_context(closing(open_context(model, batched)))
        slices = _slices(shared, [size for size in _SLICES if size <= largest], threads)
        for sequence in everybody:
            _read(shared, sequence, threads)
        contexts = [
            stack.enter_context(closing(open_context(model, beside)))
            for _ in range(beside.contexts)
        ]
        for context in contexts:
            _read(context, 0, threads)
        seconds = _quickest(
            {
                **{count: partial(_step, contexts[0], [0], count) for count in counts},
                "pair": partial(_step, shared, everybody[:2], 1),
                "batch": partial(_step, shared, everybody[:BATCH], threads),
                "large batch": partial(_step, shared, everybody, threads),
                "beside": partial(_at_once, contexts),
            }
        )

    flash_prefill = flash_single = 0.0
    with suppress(LLMError):  # llama.cpp cannot use it with every model
        if flash_attention:
            fused = replace(beside, flash_attention=True)
            with closing(open_context(model, fused)) as context:
                best = int(max(slices, key=lambda each: each[1])[0])
                flash_prefill = _slices(context, [best], threads)[0][1]
                _read(context, 0, threads)
                steps = {count: partial(_step, context, [0], count) for count in counts}
                flash_single = min(_quickest(steps).values())

    return Figures(
        single=seconds[1],
        pair=seconds["pair"],
        batch=seconds["batch"] * BATCH / len(everybody[:BATCH]),
        large_batch=seconds["large batch"] * ANSWERS / len(everybody),
        side_by_side=seconds["beside"],
        by_threads=[(count, seconds[count]) for count in counts],
        slices=slices,
        flash_single=flash_single,
        flash_prefill=flash_prefill,
    )


def _slices(context: Context, sizes: Sequence[int], threads: int) -> list[tuple[float, float]]:
    """(tokens, tokens/s) of slices at the beginning of a prompt, the smallest first."""
    context.use_threads(threads)
    context.decode([Entry(0, at, 0, False) for at in range(min(sizes))])  # warms up
    measured: list[tuple[float, float]] = []
    for size in sizes:
        seconds: list[float] = []
        while not seconds or (len(seconds) < _SLICE_ROUNDS and sum(seconds) < _SLICE_SECONDS):
            context.trim(0, 0)
            began = time.perf_counter()
            context.decode([Entry(0, at, 0, at == size - 1) for at in range(size)])
            seconds.append(time.perf_counter() - began)
        measured.append((size, size / min(seconds)))
        if min(seconds) > _LONGEST_SLICE:
            break
    context.trim(0, 0)
    return measured


def _read(context: Context, sequence: int, threads: int) -> None:
    context.use_threads(threads)
    context.decode([Entry(0, at, sequence, False) for at in range(_READ)])


def _quickest(steps: Mapping[Any, Callable[[], float]]) -> dict[Any, float]:
    """Seconds of the quickest step of each kind; the first round warms up and does not count."""
    for step in steps.values():
        step()
    seconds: dict[Any, list[float]] = {kind: [] for kind in steps}
    began = time.perf_counter()
    for _ in range(_ROUNDS):
        for kind, step in steps.items():
            seconds[kind].append(step())
        if time.perf_counter() - began > _ROUND_SECONDS:
            break
    return {kind: min(values) for kind, values in seconds.items()}


def _step(context: Context, sequences: Sequence[int], threads: int) -> float:
    """Seconds of the step that computes the next token in each of these sequences."""
    context.use_threads(threads)
    entries = [Entry(0, _READ, sequence, True) for sequence in sequences]
    began = time.perf_counter()
    context.decode(entries)
    seconds = time.perf_counter() - began
    for sequence in sequences:
        context.trim(sequence, _READ)
    return seconds


def _at_once(contexts: Sequence[Context]) -> float:
    """Seconds of a step while every context computes with one thread: those of the slowest."""
    seconds: list[float] = []
    together = threading.Barrier(len(contexts))

    def compute(context: Context) -> None:
        together.wait()
        seconds.append(_step(context, [0], 1))

    workers = [threading.Thread(target=compute, args=[context]) for context in contexts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return max(seconds)
