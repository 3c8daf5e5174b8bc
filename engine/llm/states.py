"""Kept prompt states, so that the beginning of a prompt is not read twice.

A state is the key-value cells of a sequence after some tokens. For a new prompt, the store finds
the state that shares the longest beginning with it. When the budget is full, the least recently
used state is dropped. Safe to use from many threads.
"""

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.llm.state_files import StateFiles


@dataclass(eq=False, slots=True)
class PromptState:
    """The state of a sequence after `tokens`, with `cells` in llama.cpp's format. A `pinned` state
    is kept in addition to a longer one that contains it, because many prompts begin with it."""

    tokens: NDArray[np.int32]
    cells: NDArray[np.uint8]
    pinned: bool
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

    `divisible`: whether the beginning of a state can be used without its end, which is true if the
    model keeps data for every token. `epoch`: the number of times that all states were dropped.
    """

    def __init__(self, budget: int, divisible: bool = True) -> None:
        self.budget, self._divisible = budget, divisible
        self._files: StateFiles | None = None
        self.epoch = 0
        self._states: list[PromptState] = []
        self._clock = itertools.count(1)
        self._lock = threading.Lock()

    def keep_in(self, files: StateFiles) -> None:
        """Read the states on disk, as long as there is room, and keep pinned states there."""
        epoch, self._files = self.epoch, files
        for tokens, cells in files.load():
            state = PromptState(tokens, cells, True, 0)  # the next to be dropped
            with self._lock:
                if epoch != self.epoch or self.size + state.size > self.budget:
                    return
                if self._best(tokens)[1] < len(tokens):
                    self._states.append(state)

    @property
    def size(self) -> int:
        """The size of all states in bytes."""
        return sum(state.size for state in list(self._states))

    def find(self, prompt: Sequence[int]) -> tuple[PromptState | None, int]:
        """The state that saves the most reading, and the number of its tokens that can be used."""
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
        pinned: bool = False,
        epoch: int | None = None,
    ) -> None:
        """Keep a state. It replaces states that are only a beginning of it.

        A state of an earlier `epoch` is not kept, because its text may have been dropped since.
        """
        state = PromptState(np.asarray(tokens, np.int32), cells, pinned, next(self._clock))
        if state.size > self.budget:
            return
        with self._lock:
            if epoch not in (None, self.epoch):
                return
            self._states = [old for old in self._states if not self._contains(state, old)]
            self._states.append(state)
            if pinned and self._files:
                self._files.save(state.tokens, cells)
            while self.size > self.budget:
                oldest = min(self._states, key=lambda each: each.used)
                self._states.remove(oldest)
                if oldest.pinned and self._files:
                    self._files.delete(oldest.tokens)

    def clear(self) -> None:
        """Drop everything, for good."""
        with self._lock:
            self._states.clear()
            self.epoch += 1
            if self._files:
                self._files.clear()

    def close(self) -> None:
        """Free the memory. What is on disk stays there."""
        with self._lock:
            self._states.clear()
            self.epoch += 1
            if self._files:
                self._files.close()

    def _contains(self, state: PromptState, other: PromptState) -> bool:
        return (
            self._divisible
            and not other.pinned
            and state.shared(other.tokens) == len(other.tokens)
        )

    def _best(self, prompt: NDArray[np.int32]) -> tuple[PromptState | None, int]:
        best: PromptState | None = None
        length = 0
        for state in self._states:
            shared = state.shared(prompt)
            if not self._divisible and shared < len(state.tokens):
                continue
            # Of two states that save the same amount, the smaller one is faster to restore.
            if shared > length or (best and shared == length and state.size < best.size):
                best, length = state, shared
        return best, length
