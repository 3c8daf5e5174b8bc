"""Tuning: how the runtime is laid out on a machine, chosen from what calibration measured."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine.errors import ConfigError
from engine.llm.context import CACHE_TYPES, Context, ContextSize
from engine.llm.model import Model
from engine.llm.slicing import ANSWERS, EXACT, Slicing

if TYPE_CHECKING:
    from engine.llm.probe import Findings

BATCH = 4  # answers of the batch that is measured: a household, the most readers on Compare
DEFAULT_WINDOW = 4096  # tokens, where .env does not say: ten passages and a long answer
_SMALLEST_WINDOW = 512
_MOST_CONTEXTS = 4  # each needs a separate cache and buffers
_CACHE_SHARE = 1 / 8  # of the machine's memory, for all key-value caches
_BETTER = 1.25  # what batching must gain: on a busy machine figures vary by about 10 %
_GATHERED = 1.1  # what batches of four must gain for answers to be gathered
# What they must gain for one context to be enough: a second one keeps pauses short, because it
# reads a prompt while the first one writes.
_ONE_CONTEXT = 2.0
_ENOUGH = 0.97  # the smallest slice with this share of the best prefill rate is used
# Best for the shape of Qwen2.5-1.5B in Q4_K_M, by 5 % over 128 (2-core Intel Xeon).
_LARGE_SLICE = 256
_FLASH_GAIN = 1.03  # what flash attention must gain for a typical answer


@dataclass(frozen=True, slots=True)
class Tuning:
    """contexts: threads that compute side by side, each with a context of its own.
    sequences: answers that one context works on. window: tokens of one of them, prompt and answer
    together. decode_batch: answers of one context whose next tokens are computed in one step, at
    most; batch_from: and at least, otherwise one after the other. largest_slice: prompt tokens
    computed in one step, at most. smallest_slice, slice_grid: see engine.llm.slicing.

    gather_from: the number of answers from which the first context writes in batches, one answer
    for each of its sequences. The other contexts read prompts and write the rest. 0: never.

    flash_attention is off unless DETERMINISTIC is off. With it, the number of threads and the
    size of slices change how sums are rounded, and so now and then a word of the answer
    (docs/architecture.md, Exactness). Without it the same question gets the same words whatever
    else the machine does.

    cache_type: f16, or q8_0, which halves the cache and needs flash attention.

    Raises:
        ConfigError: these settings do not go together.
    """

    contexts: int = 2
    sequences: int = 2
    window: int = DEFAULT_WINDOW
    decode_batch: int = 1
    batch_from: int = 2
    gather_from: int = 0
    largest_slice: int = 128
    smallest_slice: int = 2
    slice_grid: int = 1
    flash_attention: bool = False
    cache_type: str = "f16"

    def __post_init__(self) -> None:
        if min(self.contexts, self.sequences, self.window, self.decode_batch) < 1:
            raise ConfigError("Contexts, sequences, window and batch must each be at least 1.")
        if self.cache_type not in CACHE_TYPES:
            raise ConfigError(f"The cache type must be one of {', '.join(CACHE_TYPES)}.")
        if self.cache_type != "f16" and not self.flash_attention:
            raise ConfigError(f"A cache of type {self.cache_type} needs flash attention.")

    @property
    def slicing(self) -> Slicing:
        return Slicing(self.smallest_slice, self.slice_grid)

    def batches(self, answers: int) -> list[int]:
        """The sizes of the steps in which one context computes the next token of each answer."""
        if answers < self.batch_from:
            return [1] * answers
        whole, rest = divmod(answers, self.decode_batch)
        return [self.decode_batch] * whole + ([rest] if rest else [])


@dataclass(frozen=True, slots=True)
class Figures:
    """What calibration measured. Seconds are those of one step, the quickest of several.

    single, pair: the next token of one and of two answers, one thread. batch, large_batch: of
    BATCH and of ANSWERS answers in one step, all threads. side_by_side: of one answer in each of
    as many contexts as there are threads, all at the same time. by_threads: of one answer, as
    (threads, seconds).
    slices: prefill with all threads, as (tokens in a slice, tokens/s).
    flash_single, flash_prefill: with flash attention, the quickest of by_threads and of slices.
    """

    single: float
    pair: float
    batch: float
    side_by_side: float
    by_threads: Sequence[Sequence[float]] = field(default=())
    slices: Sequence[Sequence[float]] = field(default=())
    flash_single: float = 0.0
    flash_prefill: float = 0.0
    large_batch: float = 0.0

    @property
    def prefill(self) -> float:
        """Tokens/s, in slices of the best size; 0 where it was not measured."""
        return max((rate for _, rate in self.slices), default=0.0)

    @property
    def alone(self) -> float:
        """Seconds for a token of one answer with the best number of threads."""
        return min((seconds for _, seconds in self.by_threads), default=self.single)

    @property
    def flash_gain(self) -> float:
        """How many times as quick a typical answer (150 tokens read, 40 written) is with flash
        attention; 1 where it was not measured."""
        if not (self.prefill and self.flash_prefill and self.flash_single):
            return 1.0
        plain = 150 / self.prefill + 40 * self.alone
        return plain / (150 / self.flash_prefill + 40 * self.flash_single)


def tuned(
    found: "Findings", cores: int, memory: int, window: int = 0, deterministic: bool = True
) -> Tuning:
    """The layout for a model on a machine with `cores` and `memory` (bytes).

    `window` is in tokens. 0 is the default, and the model's trained context is the upper limit.
    """
    trained = found.trained_context or DEFAULT_WINDOW
    figures = found.figures
    exact = found.exactness if deterministic else EXACT
    layout = replace(
        choose_layout(figures, cores, exact.batch),
        window=min(window or DEFAULT_WINDOW, trained),
        largest_slice=max(_slice_size(figures), 2 * exact.slicing.smallest),
        smallest_slice=exact.slicing.smallest,
        slice_grid=exact.slicing.grid,
        flash_attention=not deterministic and figures.flash_gain >= _FLASH_GAIN,
    )
    return fitted(layout, found.cache_bytes, memory, keep_window=bool(window))


def layouts(cores: int) -> tuple[Tuning, Tuning]:
    """The two layouts that are compared: contexts side by side, and one context with batches."""
    contexts = min(cores, _MOST_CONTEXTS)
    return (
        Tuning(contexts=contexts, sequences=2),
        Tuning(contexts=1, sequences=ANSWERS, decode_batch=ANSWERS),
    )


def choose_layout(figures: Figures, cores: int, largest_batch: int = ANSWERS) -> Tuning:
    """Contexts side by side, unless batches in one context write twice as many tokens a second.

    Where batches gain less than that, the answers are gathered into batches when there are enough
    of them. No batch is larger than `largest_batch`.
    """
    beside, batched = layouts(cores)
    size = min(BATCH, largest_batch)
    # Smaller batches are not measured; each further answer costs about the same.
    seconds = figures.batch - (figures.batch - figures.alone) * (BATCH - size) / (BATCH - 1)
    batch_rate, beside_rate = size / seconds, beside.contexts / figures.side_by_side
    if beside.contexts > 1 and batch_rate < _ONE_CONTEXT * beside_rate:
        pairs_pay = largest_batch > 1 and figures.pair < 2 * figures.single / _BETTER
        if batch_rate < _GATHERED * beside_rate:
            return replace(beside, decode_batch=2 if pairs_pay else 1)
        # All contexts have as many sequences: llama.cpp moves cells only between such contexts.
        return replace(
            beside,
            sequences=BATCH,
            decode_batch=size,
            batch_from=2 if pairs_pay else BATCH - 1,
            gather_from=BATCH,
        )
    if batch_rate * figures.alone < _BETTER:
        return replace(batched, decode_batch=1)
    eight_pay = figures.large_batch and ANSWERS / figures.large_batch > batch_rate
    return replace(batched, decode_batch=min(ANSWERS if eight_pay else BATCH, largest_batch))


def _slice_size(figures: Figures) -> int:
    """The smallest size with almost the best rate. Larger sizes are not measured with a model that
    takes long for them: it reads in slices of _LARGE_SLICE."""
    if not figures.slices:
        return 128
    enough = [size for size, rate in figures.slices if rate >= _ENOUGH * figures.prefill]
    largest = max(size for size, _ in figures.slices)
    return int(_LARGE_SLICE if largest < _LARGE_SLICE else min(enough))


def fitted(tuning: Tuning, token_bytes: int, memory: int, keep_window: bool = False) -> Tuning:
    """Fewer answers at once, then (unless it was asked for) a smaller window, until the caches
    fit into their share of the memory."""
    room = int(memory * _CACHE_SHARE)
    while tuning.contexts * tuning.sequences * tuning.window * token_bytes > room:
        if tuning.sequences > 1:
            tuning = replace(tuning, sequences=tuning.sequences // 2)
        elif tuning.contexts > 1:
            tuning = replace(tuning, contexts=tuning.contexts // 2)
        elif not keep_window and tuning.window >= 2 * _SMALLEST_WINDOW:
            tuning = replace(tuning, window=tuning.window // 2)
        else:
            break
    gathers = tuning.contexts > 1 and tuning.sequences >= tuning.gather_from
    return replace(
        tuning,
        decode_batch=min(tuning.decode_batch, tuning.sequences),
        gather_from=tuning.gather_from if gathers else 0,
    )


def open_context(model: Model, tuning: Tuning) -> Context:
    """A context of this layout. Workers and calibration use the same one.

    Raises:
        LLMError: there is not enough memory.
    """
    batch = max(tuning.largest_slice, tuning.decode_batch)
    size = ContextSize(tuning.window, batch, tuning.sequences)
    return Context(model, size, tuning.flash_attention, tuning.cache_type)
