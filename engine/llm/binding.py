"""llama.cpp, typed and guarded. No module outside of this package imports llama_cpp.

A Model holds weights and vocabulary and may be shared by threads. A Context holds the
key-value cache of several sequences and belongs to one thread. llama.cpp ends the process on
misuse (a batch over its size, a position over the context), so every call that could is
checked here first. Both are freed by `close`. It does not know what the tokens mean, nor who
computes next.
"""

import ctypes
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

# llama.cpp's threads meet some 400 times a token, and by default spin for milliseconds until all
# are there: where another program has one of the cores, each meeting lasts a turn of the
# scheduler. Two threads read a prompt at 29 tokens/s on two busy cores by default, at 102 with
# 1,000 spins, at 140 with none; on idle cores they wrote 128 tokens/s by default and with 1,000
# spins, and 59 with none. GNU OpenMP reads this once, when it is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from engine.errors import GenerationError, LLMError

_LOG_LINES: deque[str] = deque(maxlen=20)
_FLASH_OFF, _FLASH_ON = 0, 1  # LLAMA_FLASH_ATTN_TYPE_*
CACHE_TYPES = {"f16": llama_cpp.GGML_TYPE_F16, "q8_0": llama_cpp.GGML_TYPE_Q8_0}


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _keep_log(_level: int, text: bytes, _user_data: ctypes.c_void_p) -> None:
    _LOG_LINES.append(text.decode("utf-8", "replace"))


llama_cpp.llama_log_set(_keep_log, ctypes.c_void_p(0))
llama_cpp.llama_backend_init()
VERSION: str = llama_cpp.__version__


def clear_log() -> None:
    _LOG_LINES.clear()


def last_log() -> str:
    """What llama.cpp said last, for an error message."""
    return " ".join("".join(_LOG_LINES).split()[-40:])


# llama.cpp asks a C function, several hundred times a step, whether to give up. One of Python's
# would need Python's lock each time; strlen needs nothing, and is not 0 where a text has begun.
_C = ctypes.cdll.msvcrt if os.name == "nt" else ctypes.CDLL(None)
_IS_SET = llama_cpp.ggml_abort_callback(ctypes.cast(_C.strlen, ctypes.c_void_p).value)
_ABORTED = 2  # llama_decode's code for it


@dataclass(frozen=True, slots=True)
class Entry:
    """One token of a batch. `output`: its logits are wanted."""

    token: int
    position: int
    sequence: int
    output: bool


class Model:
    """The weights and vocabulary of one GGUF file.

    Raises:
        LLMError: llama.cpp could not load the file.
    """

    def __init__(self, path: Path, gpu_layers: int = 0) -> None:
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        self.path = path
        clear_log()
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise LLMError(
                f"{path.name} could not be loaded: it is damaged, or not a GGUF model that this "
                f"llama.cpp knows. Name another file as CHAT_MODEL in .env. ({last_log()})"
            )
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self.vocabulary_size: int = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self.trained_context: int = llama_cpp.llama_model_n_ctx_train(self._model)
        self.bytes: int = llama_cpp.llama_model_size(self._model)
        self.bos: int = llama_cpp.llama_vocab_bos(self._vocab)
        self.adds_bos: bool = llama_cpp.llama_vocab_get_add_bos(self._vocab)
        self.parameters: int = llama_cpp.llama_model_n_params(self._model)
        self._pieces: dict[int, bytes] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._metadata("general.name") or self.path.stem

    @property
    def chat_template(self) -> str | None:
        """The file's own template, in Jinja."""
        text = llama_cpp.llama_model_chat_template(self._model, None)
        return text.decode("utf-8", "replace") if text else None

    @property
    def can_write(self) -> bool:
        """It writes text: not an encoder of embeddings, not one that needs an encoder first."""
        return bool(
            llama_cpp.llama_model_has_decoder(self._model)
            and not llama_cpp.llama_model_has_encoder(self._model)
            and self.vocabulary_size > 0
        )

    @property
    def keeps_every_token(self) -> bool:
        """The state of a prompt holds that of its every beginning (no recurrent layers)."""
        return not (
            llama_cpp.llama_model_is_recurrent(self._model)
            or llama_cpp.llama_model_is_hybrid(self._model)
        )

    def cache_bytes_per_token(self) -> int:
        """Size of the key-value cache in f16: two bytes a number, keys and values."""
        heads = llama_cpp.llama_model_n_head(self._model) or 1
        kv_heads = llama_cpp.llama_model_n_head_kv(self._model) or heads
        width = llama_cpp.llama_model_n_embd(self._model) // heads * kv_heads
        return int(2 * 2 * width * llama_cpp.llama_model_n_layer(self._model))

    def tokenise(self, text: str, special: bool = False) -> list[int]:
        """Tokens of the text alone: nothing is put in front or behind.

        With `special`, markers such as <|im_end|> become their control tokens: for trusted
        text only.
        """
        encoded = text.encode("utf-8", "replace")
        room = len(encoded) + 8
        tokens = (ctypes.c_int32 * room)()
        with self.in_use():
            count = llama_cpp.llama_tokenize(
                self._vocab, encoded, len(encoded), tokens, room, False, special
            )
        if count < 0:
            raise LLMError(f"The model's tokeniser failed on a text of {len(text)} characters.")
        return list(tokens[:count])

    @contextmanager
    def in_use(self) -> Iterator[Any]:
        """The vocabulary, which is not freed inside the block.

        Raises:
            LLMError: it has been freed.
        """
        with self._lock:
            if not self._vocab:
                raise LLMError("This model has been closed.")
            yield self._vocab

    def piece(self, token: int) -> bytes:
        """The token's bytes, which may be a part of a character; empty for control tokens."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._render(token, special=False)
        return known

    def text(self, token: int) -> str:
        """The token as its vocabulary writes it, control tokens included."""
        return self._render(token, special=True).decode("utf-8", "replace")

    def is_end(self, token: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_eog(self._vocab, token))

    @cached_property
    def ends(self) -> NDArray[np.intp]:
        """Every token that ends an answer."""
        return np.flatnonzero([self.is_end(token) for token in range(self.vocabulary_size)])

    def is_control(self, token: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_control(self._vocab, token))

    def close(self) -> None:
        """Free the weights. Every context must have been closed before."""
        with self._lock:
            if self._model:
                llama_cpp.llama_model_free(self._model)
                self._model = self._vocab = None

    def _render(self, token: int, special: bool) -> bytes:
        if not 0 <= token < self.vocabulary_size:
            return b""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, size, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            size = -count

    def _metadata(self, key: str) -> str:
        buffer = ctypes.create_string_buffer(256)
        count = llama_cpp.llama_model_meta_val_str(self._model, key.encode(), buffer, 256)
        return buffer.value.decode("utf-8", "replace") if count > 0 else ""


@dataclass(frozen=True, slots=True)
class ContextSize:
    """window: tokens of one sequence. batch: tokens computed at once, at most."""

    window: int
    batch: int
    sequences: int


class Context:
    """The key-value cache of `size.sequences` sequences. To be used by one thread.

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
        # Each sequence has cells of its own. In cells that sequences share, sums are formed in
        # another order when others are there, and the same question gets other words.
        params.kv_unified = False
        params.swa_full = True  # keep what a sliding window has passed: beginnings can be reused
        params.no_perf = True
        self._give_up = ctypes.create_string_buffer(2)
        params.abort_callback = _IS_SET
        params.abort_callback_data = ctypes.cast(self._give_up, ctypes.c_void_p)
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
        """Compute one batch; False where it was interrupted, and nothing of it counts.

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
        """Make the present or the next `decode` give up. From any thread."""
        self._give_up[0] = b"x"

    def resume(self) -> None:
        """No longer give up."""
        self._give_up[0] = b"\0"

    def logits(self, index: int) -> NDArray[np.float32]:
        """The logits of the batch's entry `index`: valid until the next `decode`."""
        pointer = llama_cpp.llama_get_logits_ith(self._context, index)
        if not pointer:
            raise GenerationError("The model gave no output for a step.")
        address = ctypes.addressof(pointer.contents)
        if address not in self._outputs:  # llama.cpp writes to the same place again and again
            size = self.model.vocabulary_size
            self._outputs[address] = np.ctypeslib.as_array(pointer, shape=(size,))
        return self._outputs[address]

    def trim(self, sequence: int, length: int) -> None:
        """Forget a sequence's tokens from position `length` on."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1)

    def read_state(self, sequence: int) -> NDArray[np.uint8]:
        """The sequence's cells, to be kept outside of the context, which may be another's."""
        size = llama_cpp.llama_state_seq_get_size(self._context, sequence)
        state = np.empty(size, np.uint8)
        count = llama_cpp.llama_state_seq_get_data(
            self._context, state.ctypes.data_as(_BYTES), size, sequence
        )
        return state[:count]

    def write_state(self, sequence: int, state: NDArray[np.uint8]) -> bool:
        """Put kept cells in place of the sequence's own; False where they do not fit."""
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


_BYTES = ctypes.POINTER(ctypes.c_uint8)


class _Batch:
    """Arrays for llama_batch, filled anew for each step: each token in one sequence."""

    def __init__(self, size: int) -> None:
        self._tokens = np.zeros(size, np.int32)
        self._positions = np.zeros(size, np.int32)
        self._counts = np.ones(size, np.int32)
        self._sequences = np.zeros(size, np.int32)
        self._outputs = np.zeros(size, np.int8)
        # llama_batch wants, for each token, a pointer to its list of sequences: here of one.
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
