"""Model: the weights and vocabulary of one GGUF file, shared by all threads."""

import ctypes
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.errors import LLMError
from engine.llm.binding import clear_log, last_log, llama_cpp

_PART = re.compile(r"-\d{5}-of-\d{5}$")  # of a model that is split into several files
_QUANTIZATION = re.compile(r"[-._](I?Q\d\w*|B?F16|F32|MXFP4\w*)$", re.IGNORECASE)


class Model:
    """The weights and vocabulary of one GGUF file.

    `extra_buffers` lets llama.cpp repack weights for the processor's matrix instructions, which
    `engine.llm.probe` found to work here.

    Raises:
        LLMError: llama.cpp could not load the file.
    """

    def __init__(self, path: Path, gpu_layers: int = 0, extra_buffers: bool = True) -> None:
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.use_extra_bufts = extra_buffers
        self.path, self.gpu_layers, self.extra_buffers = path, gpu_layers, extra_buffers
        clear_log()
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise LLMError(
                f"{path.name} could not be loaded: it is damaged, or not a GGUF model that this "
                f"llama.cpp knows. Choose another model on the Models page. ({last_log()})"
            )
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self.vocabulary_size: int = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self.trained_context: int = llama_cpp.llama_model_n_ctx_train(self._model)
        self.bytes: int = llama_cpp.llama_model_size(self._model)
        self.bos: int = llama_cpp.llama_vocab_bos(self._vocab)
        self.adds_bos: bool = llama_cpp.llama_vocab_get_add_bos(self._vocab)
        self.parameters: int = llama_cpp.llama_model_n_params(self._model)
        self.ends = frozenset(
            token
            for token in range(self.vocabulary_size)
            if llama_cpp.llama_vocab_is_eog(self._vocab, token)
        )
        self._pieces: dict[int, bytes] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The file's name without its quantization, under which users know the model.

        `general.name` in the file is often the label of a training run.
        """
        whole = _PART.sub("", self.path.stem)
        return _QUANTIZATION.sub("", whole) or whole

    @property
    def chat_template(self) -> str | None:
        """The chat template in the file, in Jinja."""
        text = llama_cpp.llama_model_chat_template(self._model, None)
        return text.decode("utf-8", "replace") if text else None

    @property
    def can_write(self) -> bool:
        """Whether it writes text. Embedding models and encoder-decoder models do not."""
        return bool(
            llama_cpp.llama_model_has_decoder(self._model)
            and not llama_cpp.llama_model_has_encoder(self._model)
            and self.vocabulary_size > 0
        )

    @property
    def keeps_every_token(self) -> bool:
        """Whether the state of a prompt contains the states of all its beginnings, which needs a
        model without recurrent layers."""
        return not (
            llama_cpp.llama_model_is_recurrent(self._model)
            or llama_cpp.llama_model_is_hybrid(self._model)
        )

    def cache_bytes_per_token(self) -> int:
        """The size of the key-value cache in f16: two bytes for each number of keys and values."""
        heads = llama_cpp.llama_model_n_head(self._model) or 1
        kv_heads = llama_cpp.llama_model_n_head_kv(self._model) or heads
        width = llama_cpp.llama_model_n_embd(self._model) // heads * kv_heads
        return int(2 * 2 * width * llama_cpp.llama_model_n_layer(self._model))

    def tokenise(self, text: str, special: bool = False) -> list[int]:
        """The tokens of the text, without tokens added before or after it.

        With `special`, markers such as <|im_end|> become control tokens. Use it only for trusted
        text.
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
        """Whether this token ends an answer. Safe to call after `close`."""
        return token in self.ends

    def is_control(self, token: int) -> bool:
        with self.in_use() as vocabulary:
            return bool(llama_cpp.llama_vocab_is_control(vocabulary, token))

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
            with self.in_use() as vocabulary:
                count = llama_cpp.llama_token_to_piece(vocabulary, token, buffer, size, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            size = -count
