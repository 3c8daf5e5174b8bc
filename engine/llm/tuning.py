"""Tuning: how the runtime is laid out on a machine, chosen from what calibration measured."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine.errors import ConfigError
from engine.llm.context import CACHE_TYPES, Context, ContextSize
from engine.llm.model import Model

if TYPE_CHECKING:
    from engine.llm.probe import Findings

BATCH = 4  # answers of one batch: a household, or the largest number of readers on Compare
DEFAULT_WINDOW = 4096  # tokens, where .env does not say: ten passages and a long answer
_SMALLEST_WINDOW = 512
_MOST_CONTEXTS = 4  # each needs a separate cache and buffers
_CACHE_SHARE = 1 / 8  # of the machine's memory, for all key-value caches
_BETTER = 1.25  # what batching must gain: on a busy machine figures vary by about 10 %
_ENOUGH = 0.97  # the smallest slice with this share of the best prefill rate is used
_FLASH_GAIN = 1.03  # what flash attention must gain for a typical answer


@dataclass(frozen=True, slots=True)
class Tuning:
    """contexts: threads that compute side by side, each with a context of its own.
    sequences: answers that one context works on in turns. window: tokens of one of them, prompt
    and answer together. decode_batch: answers of one context whose next tokens are computed in
    one step. largest_slice: prompt tokens computed in one step, at most.

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
    largest_slice: int = 128
    flash_attention: bool = False
    cache_type: str = "f16"

    def __post_init__(self) -> None:
        if min(self.contexts, self.sequences, self.window, self.decode_batch) < 1:
            raise ConfigError("Contexts, sequences, window and batch must each be at least 1.")
        if self.cache_type not in CACHE_TYPES:
            raise ConfigError(f"The cache type must be one of {', '.join(CACHE_TYPES)}.")
        if self.cache_type != "f16" and not self.flash_attention:
            raise ConfigError(f"A cache of type {self.cache_type} needs flash attention.")

    def steps_for_one_token_each(self, answers: int) -> int:
        """Steps in which one context computes the next token of so many of its answers."""
        return -(-answers // self.decode_batch)


@dataclass(frozen=True, slots=True)
class Figures:
    """What calibration measured. Seconds are those of one step, the quickest of several.

    single, pair: the next token of one and of two answers, one thread. batch: of BATCH answers in
    one step, all threads. side_by_side: of one answer in each of as many contexts as there are
    threads, all at the same time. by_threads: of one answer, as (threads, seconds).
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
    """The layout for a model, on so many cores and bytes of memory.

    `window` in tokens, 0 for a default; never more than the model was trained for.
    """
    trained = found.trained_context or DEFAULT_WINDOW
    figures = found.figures
    layout = replace(
        choose_layout(figures, cores),
        window=min(window or DEFAULT_WINDOW, trained),
        largest_slice=_slice_size(figures),
        flash_attention=not deterministic and figures.flash_gain >= _FLASH_GAIN,
    )
    return fitted(layout, found.cache_bytes, memory, keep_window=bool(window))


def layouts(cores: int) -> tuple[Tuning, Tuning]:
    """The two layouts that are compared: contexts side by side, and one context with batches."""
    contexts = min(cores, _MOST_CONTEXTS)
    return (
        Tuning(contexts=contexts, sequences=2),
        Tuning(contexts=1, sequences=BATCH, decode_batch=BATCH),
    )


def choose_layout(figures: Figures, cores: int) -> Tuning:
    """Side by side where that writes more tokens a second, else one context and batches."""
    beside, batched = layouts(cores)
    batch_rate, beside_rate = BATCH / figures.batch, cores / figures.side_by_side
    if cores > 1 and batch_rate < _BETTER * beside_rate:
        pairs_pay = figures.pair < 2 * figures.single / _BETTER
        return replace(beside, decode_batch=2 if pairs_pay else 1)
    batch_pays = batch_rate > _BETTER / figures.single
    return batched if batch_pays else replace(batched, decode_batch=1)


def _slice_size(figures: Figures) -> int:
    enough = [size for size, rate in figures.slices if rate >= _ENOUGH * figures.prefill]
    return int(min(enough, default=128))


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
    return replace(tuning, decode_batch=min(tuning.decode_batch, tuning.sequences))


def open_context(model: Model, tuning: Tuning) -> Context:
    """A context of this layout. Workers and calibration use the same one.

    Raises:
        LLMError: there is not enough memory.
    """
    batch = max(tuning.largest_slice, tuning.decode_batch)
    size = ContextSize(tuning.window, batch, tuning.sequences)
    return Context(model, size, tuning.flash_attention, tuning.cache_type)
