"""What is measured, and in which order. Pure: a schedule is a list of steps.

The order is ABBA throughout: streaming, non-streaming, non-streaming, streaming. A machine that
grows warmer or busier at a steady pace then favours neither. Every schedule begins with a
warm-up, which is kept and not counted: the first question after a start pays for what is loaded
on first use, and where the cache is to be warm, this is what warms it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.llm.base import Packing

# Passages and tokens at which the map is measured and shown. The corners are measured, a few
# points between them are held out, so the model is never checked outside what it was fitted to.
MAP_PASSAGES = (1, 2, 3, 5, 8)
MAP_LENGTHS = (16, 32, 64, 128, 256)
READERS = (1, 2, 4)


class Mode(StrEnum):
    """How an answer reaches its reader. The value is the word a page shows."""

    STREAMING = "streaming"
    BLOCKING = "non-streaming"


class Kind(StrEnum):
    COMPARISON = "comparison"
    MAP = "map"
    READERS = "readers"


class Role(StrEnum):
    WARM_UP = "warm-up"
    MEASURED = "measured"
    HELD_OUT = "held out"


@dataclass(frozen=True, slots=True)
class Setup:
    """What is asked of which collection, and how.

    passages: found for the question. packing: what of them goes into the prompt; None for what
    the model does best with. length: tokens of the answer at most. warm: kept prompt states may
    be read.
    """

    question: str
    collection: str
    passages: int = 3
    packing: Packing | None = None
    length: int = 128
    warm: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One question, asked by `readers` at once. Steps of one `pair` are compared.

    `exact`: the model writes `length` tokens, no fewer.
    """

    mode: Mode
    passages: int
    length: int
    readers: int = 1
    pair: int | None = None
    role: Role = Role.MEASURED
    exact: bool = False

    @property
    def work(self) -> int:
        """About how long it takes, in tokens written. Of a map with the default model, a whole
        passage took as long to read as 15 tokens to write, and all the rest as long as 25."""
        return self.readers * (self.length + 15 * self.passages + 25)


def comparison_steps(setup: Setup, pairs: int) -> list[Step]:
    """A warm-up, then so many pairs, every other one in turned order."""
    return [
        Step(Mode.STREAMING, setup.passages, setup.length, role=Role.WARM_UP),
        *(
            Step(mode, setup.passages, setup.length, pair=pair)
            for pair in range(pairs)
            for mode in _order(pair)
        ),
    ]


def map_steps(available: int) -> list[Step]:
    """Each corner and each held-out point of the map twice: there and back again.

    `available` is how many passages the collection holds. Only streaming runs are needed: one
    tells the first token and the last.
    """
    rows = [count for count in MAP_PASSAGES if count <= max(1, available)]
    there = [_point(*point, Role.MEASURED) for point in _corners(rows)]
    there += [_point(*point, Role.HELD_OUT) for point in _held_out(rows)]
    return [_point(rows[0], MAP_LENGTHS[0], Role.WARM_UP), *there, *reversed(there)]


def readers_steps(setup: Setup) -> list[Step]:
    """For 1, 2 and 4 readers at once: both modes, ABBA."""
    return [
        Step(Mode.STREAMING, setup.passages, setup.length, role=Role.WARM_UP),
        *(
            Step(mode, setup.passages, setup.length, readers, pair=2 * place + turn)
            for place, readers in enumerate(READERS)
            for turn in (0, 1)
            for mode in _order(turn)
        ),
    ]


def _order(pair: int) -> tuple[Mode, Mode]:
    forth = (Mode.STREAMING, Mode.BLOCKING)
    return forth if pair % 2 == 0 else (forth[1], forth[0])


def _corners(rows: Sequence[int]) -> list[tuple[int, int]]:
    ends = dict.fromkeys((rows[0], rows[-1]))
    return [(count, length) for count in ends for length in (MAP_LENGTHS[0], MAP_LENGTHS[-1])]


def _held_out(rows: Sequence[int]) -> list[tuple[int, int]]:
    middle = rows[len(rows) // 2]
    inner = MAP_LENGTHS[1:-1]
    return list(dict.fromkeys(zip((middle, rows[0], middle), inner, strict=True)))


def _point(passages: int, length: int, role: Role) -> Step:
    return Step(Mode.STREAMING, passages, length, role=role, exact=True)
