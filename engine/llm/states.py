"""Kept prompt states: what a context knew after some tokens, so that nothing is read twice.

In go the tokens of a sequence and its cells; out comes the longest beginning that a new prompt
shares, exact to the token. Beginnings are shared: the kept states form a tree, whose segments
each hold the cells of their own tokens only, so a system prompt stands in memory once.

    [system prompt] ─┬─ [passage A] ─┬─ [question 1, answer 1]
                     │               └─ [question 2, answer 2]
                     └─ [passage B] ─── [question 3, answer 3]

The least recently used ends of branches go first where the budget is full. Safe to use from
many threads. It does not know what the tokens say.
"""

import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]
Cells = NDArray[np.uint8]


@dataclass(eq=False, slots=True)
class Segment:
    """Cells of `tokens`, from position `start` on. They hold only after all ancestors' tokens."""

    start: int
    tokens: Tokens
    cells: Cells
    parent: "Segment | None" = None
    children: list["Segment"] = field(default_factory=list)
    used: int = 0

    @property
    def size(self) -> int:
        return self.cells.nbytes + self.tokens.nbytes

    def shared(self, prompt: Tokens) -> int:
        """The position up to which the prompt agrees with this segment."""
        ours, theirs = self.tokens, prompt[self.start : self.start + len(self.tokens)]
        differs = np.flatnonzero(ours[: len(theirs)] != theirs)
        return self.start + (int(differs[0]) if len(differs) else len(theirs))


@dataclass(frozen=True, slots=True)
class Part:
    """Cells of a segment to be used up to position `end` (exclusive), from `start` on."""

    start: int
    end: int
    cells: Cells


class StateStore:
    """Segments within `budget` bytes."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._root = Segment(0, np.empty(0, np.int32), np.empty(0, np.uint8))
        self._clock = itertools.count(1)
        self._lock = threading.Lock()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._size

    def find(self, prompt: Sequence[int]) -> list[Part]:
        """Parts whose cells, put together, are the longest kept beginning of the prompt."""
        tokens = np.asarray(prompt, np.int32)
        with self._lock:
            path, end = self._walk(tokens)
            self._touch(path)
            ends = [*(segment.start for segment in path[1:]), end]
            return [Part(s.start, e, s.cells) for s, e in zip(path, ends, strict=False)]

    def kept(self, prompt: Sequence[int]) -> int:
        """How many of the prompt's tokens need not be read again."""
        with self._lock:
            return self._walk(np.asarray(prompt, np.int32))[1]

    def add(self, tokens: Sequence[int], start: int, cells: Cells) -> None:
        """Keep cells of `tokens[start:]`. What comes before `start` must be kept already."""
        known = np.asarray(tokens, np.int32)
        with self._lock:
            path, end = self._walk(known)
            if end == start and start < len(known):  # else another thread was quicker
                parent = path[-1] if path else self._root
                segment = Segment(start, known[start:].copy(), cells, parent)
                parent.children.append(segment)
                self._size += segment.size
                self._touch([*path, segment])
                self._make_room()

    def clear(self) -> None:
        with self._lock:
            self._root.children.clear()
            self._size = 0

    def _walk(self, prompt: Tokens) -> tuple[list[Segment], int]:
        """The path of segments to the longest shared beginning, and its length."""
        path: list[Segment] = []
        at, end = self._root, 0
        while True:
            # Siblings part where they differ, so at most one of them goes on as the prompt does.
            longer = [
                (child.shared(prompt), child)
                for child in at.children
                if child.start <= end < len(prompt) and child.tokens[0] == prompt[child.start]
            ]
            if not longer:
                return path, end
            end, at = max(longer, key=lambda each: each[0])
            path.append(at)

    def _touch(self, path: Sequence[Segment]) -> None:
        now = next(self._clock)
        for segment in path:
            segment.used = now

    def _make_room(self) -> None:
        while self._size > self.budget:
            oldest = min(self._ends(self._root), key=lambda segment: segment.used)
            assert oldest.parent is not None
            oldest.parent.children.remove(oldest)
            self._size -= oldest.size

    def _ends(self, segment: Segment) -> Iterator[Segment]:
        """Segments that no other builds on."""
        for child in segment.children:
            if child.children:
                yield from self._ends(child)
            else:
                yield child
