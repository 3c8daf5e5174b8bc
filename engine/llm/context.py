"""Context: computes batches of tokens, over the key-value cache of several sequences.

A context belongs to one thread. llama.cpp ends the process on wrong use (a batch larger than its
size, a position outside the context), so arguments are checked here first.
"""

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import GenerationError, LLMError
from engine.llm.binding import last_log, llama_cpp
from engine.llm.model import Model

_FLASH_OFF, _FLASH_ON = 0, 1  # LLAMA_FLASH_ATTN_TYPE_*
CACHE_TYPES = {"f16": llama_cpp.GGML_TYPE_F16, "q8_0": llama_cpp.GGML_TYPE_Q8_0}

# llama.cpp calls a C function several hundred times a step to ask whether to abort. A Python
# function would need the interpreter's lock each time. strlen does not: it returns 0 for an empty
# text (continue) and more than 0 for any other (abort).
_C = ctypes.cdll.msvcrt if os.name == "nt" else ctypes.CDLL(None)
_IS_SET = llama_cpp.ggml_abort_callback(ctypes.cast(_C.strlen, ctypes.c_void_p).value)
_BYTES = ctypes.POINTER(ctypes.c_uint8)
_ABORTED = 2  # the status of an interrupted llama_decode


@dataclass(frozen=True, slots=True)
class Entry:
    """One token of a batch. `output`: compute its logits."""

    token: int
    position: int
    sequence: int
    output: bool


@dataclass(frozen=True, slots=True)
class ContextSize:
    """window: tokens of one sequence. batch: tokens computed at once, at most."""

    window: int
    batch: int
    sequences: int


class Context:
    """The key-value cache of `size.sequences` sequences. Not thread-safe.

    Raises:
        LLMError: there is not enough memory.
    """

    def __init__(
        self, model: Model, size: ContextSize, flash_attention: bool, cache_type: str
    ) -> None:
        self.model, self.size = model, size
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = size.window * size.sequences
        params.n_batch = params.n_ubatch = size.batch
        params.n_seq_max = size.sequences
        params.n_threads = params.n_threads_batch = 1
        params.flash_attn_type = _FLASH_ON if flash_attention else _FLASH_OFF
        params.type_k = params.type_v = CACHE_TYPES[cache_type]
        # Each sequence has its own cells. Shared (unified) cells add numbers in another order while
        # they have other sequences, and the same question can get other words.
        params.kv_unified = False
        params.swa_full = True  # keep cells outside a sliding window, so beginnings can be reused
        params.no_perf = True
        self._abort = ctypes.create_string_buffer(2)
        params.abort_callback = _IS_SET
        params.abort_callback_data = ctypes.cast(self._abort, ctypes.c_void_p)
        self._context = llama_cpp.llama_init_from_model(model._model, params)
        if not self._context:
            raise LLMError(
                f"There is not enough memory for a context of {size.window} tokens. Set a "
                f"smaller CONTEXT_WINDOW in .env. ({last_log()})"
            )
        self.capacity: int = llama_cpp.llama_n_ctx_seq(self._context)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._outputs: dict[int, NDArray[np.float32]] = {}
        self._threads = 1
        self._batch = _Batch(size.batch)

    def use_threads(self, count: int) -> None:
        if count != self._threads:
            llama_cpp.llama_set_n_threads(self._context, count, count)
            self._threads = count

    def decode(self, entries: Sequence[Entry]) -> bool:
        """Compute one batch. Returns False if it was interrupted, and then has no effect.

        Raises:
            GenerationError: an entry is out of range, or llama.cpp could not compute it.
        """
        self._check(entries)
        self._batch.fill(entries)
        code = llama_cpp.llama_decode(self._context, self._batch.struct)
        if code == _ABORTED:
            for entry in entries:
                self.trim(entry.sequence, entry.position)
        elif code != 0:
            raise GenerationError(f"The model could not compute a step. ({code}: {last_log()})")
        return bool(code == 0)

    def interrupt(self) -> None:
        """Abort the current or the next `decode`. From any thread."""
        self._abort[0] = b"x"

    def resume(self) -> None:
        """Undo `interrupt`."""
        self._abort[0] = b"\0"

    def logits(self, index: int) -> NDArray[np.float32]:
        """The logits of the batch's entry `index`, one for each token of the vocabulary.

        Valid until the next `decode`.
        """
        pointer = llama_cpp.llama_get_logits_ith(self._context, index)
        if not pointer:
            raise GenerationError("The model gave no output for a step.")
        address = ctypes.addressof(pointer.contents)
        if address not in self._outputs:  # llama.cpp reuses the same memory
            size = self.model.vocabulary_size
            self._outputs[address] = np.ctypeslib.as_array(pointer, shape=(size,))
        return self._outputs[address]

    def trim(self, sequence: int, length: int) -> None:
        """Forget a sequence's tokens from position `length` on."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1)

    def read_state(self, sequence: int) -> NDArray[np.uint8]:
        """A copy of the sequence's cells, which any context of the same model can restore."""
        size = llama_cpp.llama_state_seq_get_size(self._context, sequence)
        state = np.empty(size, np.uint8)
        count = llama_cpp.llama_state_seq_get_data(
            self._context, state.ctypes.data_as(_BYTES), size, sequence
        )
        return state[:count]

    def write_state(self, sequence: int, state: NDArray[np.uint8]) -> bool:
        """Replace the sequence's cells by a copy from `read_state`. False if they do not fit."""
        count = llama_cpp.llama_state_seq_set_data(
            self._context, state.ctypes.data_as(_BYTES), state.size, sequence
        )
        return bool(count)

    def close(self) -> None:
        if self._context:
            llama_cpp.llama_free(self._context)
            self._context = self._memory = None

    def _check(self, entries: Sequence[Entry]) -> None:
        if not 0 < len(entries) <= self.size.batch:
            raise GenerationError(f"A batch of {len(entries)} tokens is outside 1 to its limit.")
        for entry in entries:
            if not (
                0 <= entry.token < self.model.vocabulary_size
                and 0 <= entry.position < self.capacity
                and 0 <= entry.sequence < self.size.sequences
            ):
                raise GenerationError(f"{entry} is outside the model's limits.")


class _Batch:
    """Arrays for llama_batch, which are reused for each step. Each token is in one sequence."""

    def __init__(self, size: int) -> None:
        self._tokens = np.zeros(size, np.int32)
        self._positions = np.zeros(size, np.int32)
        self._counts = np.ones(size, np.int32)
        self._sequences = np.zeros(size, np.int32)
        self._outputs = np.zeros(size, np.int8)
        # llama_batch has, for each token, a pointer to its list of sequences: here a list of one.
        base = self._sequences.ctypes.data
        self._lists = np.arange(base, base + 4 * size, 4, dtype=np.uintp)
        int32 = ctypes.POINTER(ctypes.c_int32)
        self.struct = llama_cpp.llama_batch(
            n_tokens=0,
            token=self._tokens.ctypes.data_as(int32),
            embd=None,
            pos=self._positions.ctypes.data_as(int32),
            n_seq_id=self._counts.ctypes.data_as(int32),
            seq_id=self._lists.ctypes.data_as(ctypes.POINTER(int32)),
            logits=self._outputs.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def fill(self, entries: Sequence[Entry]) -> None:
        self.struct.n_tokens = len(entries)
        for i, entry in enumerate(entries):
            self._tokens[i] = entry.token
            self._positions[i] = entry.position
            self._sequences[i] = entry.sequence
            self._outputs[i] = entry.output
