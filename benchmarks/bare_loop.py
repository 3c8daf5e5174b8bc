"""A bare llama_decode loop: what the library gives with nothing around it. To compare with."""

import ctypes
import time
from collections.abc import Sequence

import numpy as np

from engine.llm.binding import llama_cpp
from engine.llm.model import Model


class BareLoop:
    """One context of its own on the same weights, greedy, with the same attention and cache."""

    def __init__(self, model: Model, threads: int, flash_attention: bool = False) -> None:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = 4096, 512, 512
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = int(flash_attention)
        params.no_perf = True
        self._context = llama_cpp.llama_init_from_model(model._model, params)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._vocabulary = model.vocabulary_size
        self._token = (ctypes.c_int32 * 1)()

    def rate(self, prompt: Sequence[int], tokens: int) -> float:
        """Tokens a second after the first one."""
        llama_cpp.llama_memory_clear(self._memory, False)
        array = (ctypes.c_int32 * len(prompt))(*prompt)
        llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(array, len(prompt)))
        token = self._greedy()
        began = time.perf_counter()
        for _ in range(tokens - 1):
            self._token[0] = token
            llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(self._token, 1))
            token = self._greedy()
        return (tokens - 1) / (time.perf_counter() - began)

    def prefill_rate(self, prompt: Sequence[int]) -> float:
        """Tokens a second of a prompt in one call."""
        llama_cpp.llama_memory_clear(self._memory, False)
        array = (ctypes.c_int32 * len(prompt))(*prompt)
        began = time.perf_counter()
        llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(array, len(prompt)))
        self._greedy()
        return len(prompt) / (time.perf_counter() - began)

    def _greedy(self) -> int:
        logits = llama_cpp.llama_get_logits_ith(self._context, -1)
        return int(np.ctypeslib.as_array(logits, shape=(self._vocabulary,)).argmax())
