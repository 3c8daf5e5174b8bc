"""Kept prompt states: what a context knew after some tokens, so that nothing is read twice.

In go the tokens of a prompt and the cells of a sequence that has read them; out comes the
state that shares the longest beginning with a new prompt, exact to the token. The least
recently used go first where the budget is full. Safe to use from many threads. It does not
know what the tokens say.
"""

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(eq=False, slots=True)
class State:
    """A sequence after `tokens`. `cells` is llama.cpp's own form. `lasting`: many prompts begin
    so, and it is worth its place beside a longer one that contains it."""

    tokens: NDArray[np.int32]
    cells: NDArray[np.uint8]
    lasting: bool
    used: int

    @property
    def size(self) -> int:
        return self.cells.nbytes + self.tokens.nbytes

    def shared(self, prompt: NDArray[np.int32]) -> int:
        """How many first tokens the prompt has in common with this state."""
        length = min(len(self.tokens), len(prompt))
        differs = np.flatnonzero(self.tokens[:length] != prompt[:length])
        return int(differs[0]) if len(differs) else length


class StateStore:
    """States within `budget` bytes.

    `divisible`: a state's beginning can be used without its end, as it can wherever the model
    keeps something for every token. `epoch` counts how often all was dropped.
    """

    def __init__(self, budget: int, divisible: bool = True) -> None:
        self.budget, self._divisible = budget, divisible
        self.epoch = 0
        self._states: list[State] = []
        self._clock = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes held."""
        return sum(state.size for state in list(self._states))

    def find(self, prompt: Sequence[int]) -> tuple[State | None, int]:
        """The state that saves the most reading, and how many tokens of it hold."""
        tokens = np.asarray(prompt, np.int32)
        with self._lock:
            best, length = self._best(tokens)
            if best:
                best.used = next(self._clock)
            return best, length

    def kept(self, prompt: Sequence[int]) -> int:
        """How many of the prompt's tokens need not be read again."""
        with self._lock:
            return self._best(np.asarray(prompt, np.int32))[1]

    def add(
        self,
        tokens: Sequence[int],
        cells: NDArray[np.uint8],
        lasting: bool = False,
        epoch: int | None = None,
    ) -> None:
        """Keep a state, in place of those that are no more than its beginning.

        One of an earlier `epoch` is not kept: it may be of a text that was to be dropped.
        """
        state = State(np.asarray(tokens, np.int32), cells, lasting, next(self._clock))
        if state.size > self.budget:
            return
        with self._lock:
            if epoch not in (None, self.epoch):
                return
            self._states = [old for old in self._states if not self._contains(state, old)]
            self._states.append(state)
            while self.size > self.budget:
                self._states.remove(min(self._states, key=lambda each: each.used))

    def clear(self) -> None:
        with self._lock:
            self._states.clear()
            self.epoch += 1

    def _contains(self, state: State, other: State) -> bool:
        return (
            self._divisible
            and not other.lasting
            and state.shared(other.tokens) == len(other.tokens)
        )

    def _best(self, prompt: NDArray[np.int32]) -> tuple[State | None, int]:
        best: State | None = None
        length = 0
        for state in self._states:
            shared = state.shared(prompt)
            if not self._divisible and shared < len(state.tokens):
                continue
            # Of two that save as much, the smaller is quicker to restore.
            if shared > length or (best and shared == length and state.size < best.size):
                best, length = state, shared
        return best, length
