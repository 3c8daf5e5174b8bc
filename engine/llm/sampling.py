"""Logits → the next token, according to GenerationOptions.

A grammar is first applied to the likeliest token, and to the whole vocabulary only if it forbids
that token. llama.cpp ends the process when a grammar gets a token that it forbids, so each token is
checked against the grammar first.
"""

import ctypes
import functools
import json
import math
import re
from typing import Any

import numpy as np
from llama_cpp.llama_grammar import json_schema_to_gbnf
from numpy.typing import NDArray

from engine.errors import GenerationError, LLMError
from engine.llm.base import GenerationOptions
from engine.llm.binding import clear_log, last_log, llama_cpp
from engine.llm.model import Model

_TOKEN = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_PENALTY_WINDOW = 64  # the last tokens that a repeat penalty covers: llama.cpp's default


_Handle = Any  # an opaque pointer to a llama_sampler


class _Candidates:
    """A llama_token_data_array over a NumPy array."""

    def __init__(self, size: int) -> None:
        self.data = np.zeros(size, _TOKEN)
        self._ids = np.arange(size, dtype=np.int32)
        pointer = self.data.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data))
        self.struct = llama_cpp.llama_token_data_array(pointer, size, -1, False)

    def fill(self, logits: NDArray[np.float32]) -> None:
        self.data["id"], self.data["logit"], self.data["p"] = self._ids, logits, 0
        self.struct.size, self.struct.selected, self.struct.sorted = len(self.data), -1, False

    def fill_one(self, token: int) -> None:
        self.data[0] = (token, 0, 0)
        self.struct.size, self.struct.selected, self.struct.sorted = 1, -1, False

    def apply(self, sampler: _Handle) -> None:
        llama_cpp.llama_sampler_apply(sampler, ctypes.byref(self.struct))

    @property
    def selected(self) -> int:
        """The chosen token, or -1 if every token is forbidden."""
        place = self.struct.selected
        if not 0 <= place < self.struct.size or self.data[place]["logit"] == -math.inf:
            return -1
        return int(self.data[place]["id"])


class Sampler:
    """Chooses the tokens of one answer, one after the other. Call `close` at the end.

    Raises:
        LLMError: an option is out of its range, or the grammar is not valid GBNF.
    """

    def __init__(self, model: Model, options: GenerationOptions) -> None:
        check_options(options)
        self._model = model
        self._forbidden = list(model.ends) if options.ignore_eos else None
        self._grammar = _grammar_sampler(model, options)
        self._greedy = options.temperature == 0 and options.repeat_penalty == 1
        self._chain = None if self._greedy and not self._grammar else _chain(model, options)

    @functools.cached_property
    def _candidates(self) -> _Candidates:
        return _Candidates(self._model.vocabulary_size)

    def next(self, logits: NDArray[np.float32]) -> int:
        """The next token.

        Raises:
            GenerationError: the grammar allows no token of this model.
        """
        if self._forbidden is not None:
            logits = logits.copy()
            logits[self._forbidden] = -math.inf
        token = self._choose(logits)
        if self._grammar and not self._allows(token):
            token = self._choose_allowed(logits)
        if self._grammar and not self._model.is_end(token):
            llama_cpp.llama_sampler_accept(self._grammar, token)
        if self._chain:
            llama_cpp.llama_sampler_accept(self._chain, token)
        return token

    def close(self) -> None:
        for sampler in (self._grammar, self._chain):
            if sampler:
                llama_cpp.llama_sampler_free(sampler)
        self._grammar = self._chain = None

    def _choose(self, logits: NDArray[np.float32]) -> int:
        if self._greedy:
            return int(logits.argmax())  # takes a tenth of the sampler chain's time
        self._candidates.fill(logits)
        self._candidates.apply(self._chain)
        return self._candidates.selected

    def _allows(self, token: int) -> bool:
        self._candidates.fill_one(token)
        self._candidates.apply(self._grammar)
        return bool(self._candidates.data[0]["logit"] != -math.inf)

    def _choose_allowed(self, logits: NDArray[np.float32]) -> int:
        self._candidates.fill(logits)
        self._candidates.apply(self._grammar)
        if not (self._candidates.data["logit"] > -math.inf).any():
            raise GenerationError("The grammar allows no further token.")
        self._candidates.apply(self._chain)
        return self._candidates.selected


def check_options(options: GenerationOptions) -> None:
    """Raise LLMError if an option is out of its range."""
    limits = {
        "max_tokens": (options.max_tokens, 1, math.inf),
        "temperature": (options.temperature, 0, 100),
        "top_p": (options.top_p, 0, 1),
        "min_p": (options.min_p, 0, 1),
        "repeat_penalty": (options.repeat_penalty, 0.01, 100),
        "seed": (options.seed, 0, 2**32 - 1),
    }
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:  # false for NaN too
            raise LLMError(f"{name} must be between {low} and {high}, not {value}.")


def _chain(model: Model, options: GenerationOptions) -> _Handle:
    params = llama_cpp.llama_sampler_chain_default_params()
    chain = llama_cpp.llama_sampler_chain_init(params)
    for sampler in _steps(model, options):
        llama_cpp.llama_sampler_chain_add(chain, sampler)
    return chain


def _steps(model: Model, options: GenerationOptions) -> list[_Handle]:
    steps = []
    if options.repeat_penalty != 1:
        steps.append(
            llama_cpp.llama_sampler_init_penalties(
                model.vocabulary_size, _PENALTY_WINDOW, options.repeat_penalty, 0, 0
            )
        )
    if options.temperature == 0:
        return [*steps, llama_cpp.llama_sampler_init_greedy()]
    return [
        *steps,
        llama_cpp.llama_sampler_init_top_p(options.top_p, 1),
        llama_cpp.llama_sampler_init_min_p(options.min_p, 1),
        llama_cpp.llama_sampler_init_temp(options.temperature),
        llama_cpp.llama_sampler_init_dist(options.seed),
    ]


def _grammar_sampler(model: Model, options: GenerationOptions) -> _Handle | None:
    grammar = options.grammar
    if options.json_schema is not None:
        grammar = schema_grammar(options.json_schema)
    if grammar is None:
        return None
    _check_grammar(grammar)
    clear_log()
    with model.in_use() as vocabulary:
        sampler = llama_cpp.llama_sampler_init_grammar(vocabulary, grammar.encode(), b"root")
    if not sampler:
        raise LLMError(f"The grammar cannot be used: {last_log()}.")
    return sampler


# A repetition {m,n}; or a literal, a character class or a comment, in which {m,n} is plain text.
_REPETITION = re.compile(
    r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\n]*|\{\s*(\d+)\s*,\s*(\d+)\s*\}'
)


def _check_grammar(grammar: str) -> None:
    """Refuse faults that llama.cpp accepts silently: an empty grammar, a NUL character, which cuts
    the grammar, and a repetition that takes unlimited memory."""
    if not grammar.strip() or "\0" in grammar:
        raise LLMError("The grammar cannot be used: it is empty, or holds a NUL character.")
    for found in _REPETITION.finditer(grammar):
        if found[1] and int(found[2]) < int(found[1]):
            raise LLMError(f"The grammar cannot be used: {found[0]} ends before it begins.")


def schema_grammar(schema: dict[str, object]) -> str:
    """GBNF for JSON that fits the schema, except for bounds of numbers, which need a later check.

    Raises:
        LLMError: llama.cpp's converter does not support the schema.
    """
    try:
        return str(json_schema_to_gbnf(json.dumps(schema)))
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as e:
        raise LLMError(f"The JSON schema cannot be used: {e or type(e).__name__}.") from e
