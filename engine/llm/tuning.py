"""How the runtime uses this machine: contexts, threads, slices. It computes nothing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    """contexts: threads that compute, each with a context of its own, side by side.
    sequences: answers that one context works on in turns. window: tokens of a context, shared
    by its sequences, and the longest prompt. slice_alone, slice_shared: prompt tokens computed
    between two looks at Stop, with nobody else there and with others waiting.
    decode_threads: threads for one token, where they are free. decode_batch: answers whose next
    tokens are computed in one batch.
    """

    contexts: int = 2
    sequences: int = 4
    window: int = 8192
    slice_alone: int = 64
    slice_shared: int = 32
    decode_threads: int = 1
    decode_batch: int = 1
    flash_attention: bool = True
    cache_type: str = "f16"
