"""Tuning: how the runtime is laid out on a machine. It computes nothing."""

from dataclasses import dataclass


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
    """

    contexts: int = 2
    sequences: int = 2
    window: int = 4096
    decode_batch: int = 1
    largest_slice: int = 128
    flash_attention: bool = False
    cache_type: str = "f16"
