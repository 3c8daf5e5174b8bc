"""Tuning: how the runtime is laid out on a machine, from what a probe found. Pure."""

from dataclasses import dataclass, replace

from engine.errors import ConfigError
from engine.llm.calibrate import BATCH
from engine.llm.context import CACHE_TYPES
from engine.llm.probe import Findings

_WINDOW = 4096  # tokens, where .env does not say: ten passages and a long answer
_SMALLEST_WINDOW = 512
_MOST_CONTEXTS = 4  # each needs a cache and buffers of its own
_CACHE_SHARE = 1 / 8  # of the machine's memory, for all key-value caches
_BETTER = 1.25  # what batching must gain: on a busy machine figures vary by some 10 %


@dataclass(frozen=True, slots=True)
class Tuning:
    """contexts: threads that compute side by side, each with a context of its own.
    sequences: answers that one context works on in turns. window: tokens of one of them, prompt
    and answer together. decode_batch: answers of one context whose next tokens are computed in
    one batch. largest_slice: prompt tokens computed at once, at most.

    flash_attention is off by default: it makes a token 5 to 9 % quicker up to 300 tokens of
    prompt and none at 1,400 (2-core Zen 4, Q8_0), and lets the number of threads and the size
    of slices change the words of an answer. Without it the same question gets the same words
    whatever else the machine does.

    cache_type: f16, or q8_0, which halves the cache and needs flash attention.

    Raises:
        ConfigError: these settings do not go together.
    """

    contexts: int = 2
    sequences: int = 2
    window: int = _WINDOW
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


def tuned(found: Findings, cores: int, memory: int, window: int = 0) -> Tuning:
    """The layout for a model, on so many cores and bytes of memory.

    `window` in tokens, 0 for a default; never more than the model was trained for.
    """
    trained = found.trained_context or _WINDOW
    tuning = replace(_layout(found, cores), window=min(window or _WINDOW, trained))
    return _fitted(tuning, found.cache_bytes, int(memory * _CACHE_SHARE), bool(window))


def _layout(found: Findings, cores: int) -> Tuning:
    """Side by side where that writes more tokens a second, else one context and batches."""
    figures = found.figures
    batched, beside = BATCH / figures.batch, cores / figures.side_by_side
    if cores > 1 and batched < _BETTER * beside:
        pairs_pay = figures.pair < 2 * figures.single / _BETTER
        contexts = min(cores, _MOST_CONTEXTS)
        return Tuning(contexts=contexts, sequences=2, decode_batch=2 if pairs_pay else 1)
    pays = batched > _BETTER / figures.single
    return Tuning(contexts=1, sequences=BATCH, decode_batch=BATCH if pays else 1)


def _fitted(tuning: Tuning, token_bytes: int, room: int, window_is_wanted: bool) -> Tuning:
    """Fewer answers at once, then, unless it was asked for, a smaller window, until it fits."""
    while tuning.contexts * tuning.sequences * tuning.window * token_bytes > room:
        if tuning.sequences > 1:
            tuning = replace(tuning, sequences=tuning.sequences // 2)
        elif tuning.contexts > 1:
            tuning = replace(tuning, contexts=tuning.contexts // 2)
        elif not window_is_wanted and tuning.window >= 2 * _SMALLEST_WINDOW:
            tuning = replace(tuning, window=tuning.window // 2)
        else:
            break
    return replace(tuning, decode_batch=min(tuning.decode_batch, tuning.sequences))
