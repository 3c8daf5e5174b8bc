"""Exactness: how a prompt must be cut so that every cut gives the same logits, bit by bit.

llama.cpp chooses a matrix kernel by the number of rows of a step, and kernels round differently.
Which numbers make a difference depends on the types of the weights, on extra buffers and on the
processor. With llama-cpp-python 0.3.36 on an AMD EPYC (Zen 4):

| weights | smallest slice | slices end at multiples of | largest exact batch |
| --- | --- | --- | --- |
| Q8_0, Q4_1 | 2 | 1 | any |
| K-quants in extra buffers (repacked) | 8 | 4 | 3 |
| K-quants without extra buffers (tiled kernels) | 8 | 1 | 7 |

So it is measured: `measure` computes a text in many ways, under stricter and stricter rules, until
all ways give the same logits.
"""

import itertools
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from engine.llm.context import Context, ContextSize, Entry
from engine.llm.model import Model
from engine.llm.slicing import ANSWERS, Exactness, Slicing

# From the least to the most restrictive. The last one is used where none is exact.
_RULES = (
    Slicing(2, 1), Slicing(8, 1), Slicing(4, 4), Slicing(8, 4), Slicing(16, 16), Slicing(32, 32),
)  # fmt: skip
_LONG, _SHORT = 79, 47  # tokens of the text; the short one for models that take longer than _SLOW
_SLOW = 0.4  # seconds for the long text
_HEAD = 16  # tokens in each sequence before the batches

Logits = NDArray[np.float32]


def measure(model: Model, text: Sequence[int], threads: int) -> Exactness:
    """Compute the text in many ways, without flash attention. It takes a few seconds."""
    size = ContextSize(window=256, batch=ANSWERS * _HEAD + _LONG, sequences=ANSWERS)
    with closing(Context(model, size, flash_attention=False, cache_type="f16")) as context:
        context.use_threads(threads)
        tokens = list(text[: min(_LONG, size.window, model.trained_context or _LONG)])
        began = time.perf_counter()
        whole = list(_rows(context, tokens, [len(tokens)]))
        if time.perf_counter() - began > _SLOW:
            tokens = tokens[:_SHORT]
            whole = list(_rows(context, tokens, [len(tokens)]))
        for rule in _RULES:
            exact = _is_exact(context, tokens, whole, rule, threads)
            if exact:
                break
        return Exactness(rule, exact, _exact_batch(context, tokens, threads))


def _is_exact(
    context: Context, tokens: list[int], whole: Sequence[Logits], rule: Slicing, threads: int
) -> bool:
    """Whether slices by this rule, and kept states, give the logits of one large slice."""
    length = len(tokens)
    chosen = random.Random(1)
    mixed = [chosen.randrange(1, 40) for _ in range(length)]
    for sizes in ([1] * length, mixed):
        context.use_threads(1 if sizes is mixed else threads)
        cut: list[int] = []
        while sum(cut) < length:
            cut.append(rule.end(sum(cut), length, sizes[len(cut)]) - sum(cut))
        if not _equal(whole, _rows(context, tokens, cut)):
            return False
    for kept in (length // 2, length - rule.smallest):
        list(_rows(context, tokens[:kept], [kept]))  # a shorter prompt
        reused = rule.reusable(kept, length)
        if reused:
            rest = _rows(context, tokens, [length - reused], first=reused)
            if not _equal(whole[reused:], rest):
                return False
    return True


def _rows(
    context: Context, tokens: Sequence[int], cut: Sequence[int], first: int = 0
) -> Iterator[Logits]:
    """The logits after each token, computed in slices of these sizes."""
    context.trim(0, first)
    for size in cut:
        entries = [Entry(tokens[at], at, 0, True) for at in range(first, first + size)]
        context.decode(entries)
        yield from (context.logits(index).copy() for index in range(size))
        first += size


def _equal(known: Sequence[Logits], found: Iterator[Logits]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(known, found, strict=True))


def _exact_batch(context: Context, tokens: Sequence[int], threads: int) -> int:
    """The largest number of answers whose next tokens can be computed together."""
    everybody = range(ANSWERS)
    for sequence in everybody:
        context.trim(sequence, 0)
    context.decode([Entry(tokens[at], at, each, True) for each in everybody for at in range(_HEAD)])

    def step(sequences: Sequence[int], shift: int) -> list[Logits]:
        """The logits of the next tokens, which differ between sequences."""
        context.decode(
            [Entry(tokens[_HEAD + shift + each], _HEAD, each, True) for each in sequences]
        )
        rows = [context.logits(index).copy() for index in range(len(sequences))]
        for each in sequences:
            context.trim(each, _HEAD)
        return rows

    shifts = (0, ANSWERS, 2 * ANSWERS)  # three tokens for each sequence
    alone = {shift: [step([each], shift)[0] for each in everybody] for shift in shifts}
    for answers in range(2, ANSWERS + 1):
        for shift, count in itertools.product(shifts, {1, threads}):
            context.use_threads(count)
            if not _equal(alone[shift][:answers], iter(step(range(answers), shift))):
                return answers - 1
    return ANSWERS
