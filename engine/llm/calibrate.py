"""Calibrate: how long the steps of a model take on this machine.

A loaded model goes in, Figures come out; tuning.py chooses from them. Contexts, sequence numbers
and options are those of real answers, so that llama.cpp takes the same path. Small models do
best with contexts side by side, one thread each; large ones, which memory bandwidth limits, with
several answers in one step of one context.
"""

import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace

from engine.errors import LLMError
from engine.llm.context import Context, Entry
from engine.llm.model import Model
from engine.llm.pace import thread_counts
from engine.llm.tuning import BATCH, DEFAULT_WINDOW, Figures, fitted, layouts, open_context

__all__ = ["BATCH", "Figures", "measure"]

_READ = 128  # tokens in each sequence before its steps are timed: a short prompt
_STEPS = 6  # timed, at most, of one kind
_STEP_SECONDS = 0.3  # after which no further step of this kind is timed
_ROUNDS = 3  # the quickest counts: other programs slow some of them down
_SLICES = (32, 64, 128, 256, 512)
_SLICE_SECONDS = 1.0  # after a slice of this length, no larger one is tried
_MEMORY = 8 * 2**30  # bytes, where the caller does not say


def measure(model: Model, threads: int, memory: int = _MEMORY) -> Figures:
    """Time the steps. It takes about 5 s, and longer for models of billions of parameters.

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

    with closing(open_context(model, batched)) as context:
        slices = _slices(context, [size for size in _SLICES if size <= largest], threads)
        for sequence in range(batched.sequences):
            _read(context, sequence, threads)
        pair = _token(context, list(range(min(2, batched.sequences))), 1)
        everybody = list(range(batched.sequences))
        batch = _token(context, everybody, threads) * BATCH / len(everybody)

    contexts = [open_context(model, beside) for _ in range(beside.contexts)]
    try:
        for context in contexts:
            _read(context, 0, threads)
        by_threads = [(n, _token(contexts[0], [0], n)) for n in thread_counts(threads)]
        side_by_side = min(_at_once(contexts) for _ in range(_ROUNDS))
    finally:
        for context in contexts:
            context.close()

    flash_prefill = flash_single = 0.0
    with (
        suppress(LLMError),  # not every model can do without the attention matrix
        closing(open_context(model, replace(beside, flash_attention=True))) as context,
    ):
        best = int(max(slices, key=lambda each: each[1])[0])
        flash_prefill = _slices(context, [best], threads)[0][1]
        _read(context, 0, threads)
        flash_single = min(_token(context, [0], n) for n in thread_counts(threads))

    return Figures(
        single=by_threads[0][1],
        pair=pair,
        batch=batch,
        side_by_side=side_by_side,
        by_threads=by_threads,
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
        while not seconds or (len(seconds) < _ROUNDS and sum(seconds) < _STEP_SECONDS):
            context.trim(0, 0)
            began = time.perf_counter()
            context.decode([Entry(0, at, 0, at == size - 1) for at in range(size)])
            seconds.append(time.perf_counter() - began)
        measured.append((size, size / min(seconds)))
        if min(seconds) > _SLICE_SECONDS:
            break
    context.trim(0, 0)
    return measured


def _read(context: Context, sequence: int, threads: int) -> None:
    context.use_threads(threads)
    context.decode([Entry(0, at, sequence, False) for at in range(_READ)])


def _token(context: Context, sequences: Sequence[int], threads: int) -> float:
    """Seconds of the step that computes the next token in each of these sequences."""
    context.use_threads(threads)
    seconds: list[float] = []
    for step in range(1 + _STEPS):
        entries = [Entry(0, _READ + step, sequence, True) for sequence in sequences]
        began = time.perf_counter()
        context.decode(entries)
        seconds.append(time.perf_counter() - began)
        if step and sum(seconds) > _STEP_SECONDS:
            break
    for sequence in sequences:
        context.trim(sequence, _READ)
    return min(seconds[1:])  # the first step warms up


def _at_once(contexts: Sequence[Context]) -> float:
    """Seconds of a token while every context computes with one thread: those of the slowest."""
    seconds: list[float] = []
    threads = [
        threading.Thread(target=lambda c=context: seconds.append(_token(c, [0], 1)))
        for context in contexts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(seconds)
