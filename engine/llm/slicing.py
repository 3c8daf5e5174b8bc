"""Slicing: where a prompt may be cut into steps, so that every cut gives the same logits.

Which rule that takes for a model on this machine is measured (`engine.llm.exactness`).
"""

from dataclasses import dataclass

ANSWERS = 8  # at once, in one context, at most


@dataclass(frozen=True, slots=True)
class Slicing:
    """smallest: tokens in a slice, at least. grid: slices end at multiples of it; the last slice
    of a prompt ends with the prompt."""

    smallest: int = 2
    grid: int = 1

    def floor(self, length: int) -> int:
        return length - length % self.grid

    def end(self, position: int, stop: int, size: int) -> int:
        """Where a slice of about `size` tokens ends, of what is left from `position` to `stop`."""
        end = min(position + max(size, self.smallest), stop)
        if end < stop:
            # What is left must be large enough for a slice of its own.
            end = self.floor(min(end, stop - self.smallest))
        return end if end - position >= self.smallest else self._least_end(position, stop)

    def _least_end(self, position: int, stop: int) -> int:
        end = position + self.smallest
        end += -end % self.grid
        return end if stop - end >= self.smallest else stop

    def reusable(self, kept: int, length: int) -> int:
        """How many tokens of a kept state of `kept` tokens a prompt of `length` can begin with,
        where these are the same."""
        return self.floor(max(0, min(kept, length - self.smallest)))


@dataclass(frozen=True, slots=True)
class Exactness:
    """slicing: the rule that makes prompts exact. exact: whether one was found. batch: the
    largest number of answers in one step that all get what each of them gets alone."""

    slicing: Slicing = Slicing()
    exact: bool = True
    batch: int = ANSWERS


EXACT = Exactness()  # whatever is computed together
