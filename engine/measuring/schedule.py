"""The schedule of a session: its runs, their modes and their order.

The order is ABBA: streaming, non-streaming, non-streaming, streaming. A machine that becomes
steadily slower then favours neither mode. Every schedule begins with a warm-up run, which is kept
but does not count: the first question after a start also loads the model, and with a warm cache the
warm-up run fills the cache.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from engine.config import LONGEST_WAIT
from engine.llm.base import ContextFormat

READERS = (1, 2, 4)

Count = Annotated[int, Field(ge=0, lt=10**11)]
"""A count in a file. An import with a larger count is refused."""


class Mode(StrEnum):
    """How an answer reaches its reader. The value is the word that a page shows."""

    STREAMING = "streaming"
    BLOCKING = "non-streaming"


class Experiment(StrEnum):
    """What a session measures. The value is the word that a page shows."""

    COMPARISON = "comparison"
    READERS = "readers"


class Role(StrEnum):
    WARM_UP = "warm-up"
    MEASURED = "measured"


@dataclass(frozen=True, slots=True)
class Setup:
    """The question and the settings of a session.

    passages: how many are retrieved. context_format: how they go into the prompt; None for the
    format that suits the model. length: the longest answer, in tokens. warm: cached prompt states
    may be used. first_token_budget: the longest wait for the first word, in seconds; 0 for no
    limit.
    """

    question: str
    collection: str
    passages: Count = 3
    context_format: Annotated[ContextFormat | None, Field(alias="packing")] = None
    length: Count = 128
    warm: bool = False
    first_token_budget: Annotated[float, Field(ge=0, le=LONGEST_WAIT)] = 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One run: `readers` readers ask the question at the same time.

    Trials with the same `pair` are compared with each other.
    """

    mode: Mode
    passages: Count
    length: Count
    readers: Count = 1
    pair: Count | None = None
    role: Role = Role.MEASURED


def comparison_trials(setup: Setup, pairs: int) -> list[Trial]:
    """A warm-up, then `pairs` pairs; every other pair is in reverse order."""
    return [
        _warm_up(setup),
        *(
            Trial(mode, setup.passages, setup.length, pair=pair)
            for pair in range(pairs)
            for mode in _order(pair)
        ),
    ]


def readers_trials(setup: Setup) -> list[Trial]:
    """A warm-up, then both modes with 1, 2 and 4 readers, in ABBA order for each number."""
    return [
        _warm_up(setup),
        *(
            Trial(mode, setup.passages, setup.length, readers, pair=2 * place + turn)
            for place, readers in enumerate(READERS)
            for turn in (0, 1)
            for mode in _order(turn)
        ),
    ]


def _warm_up(setup: Setup) -> Trial:
    return Trial(Mode.STREAMING, setup.passages, setup.length, role=Role.WARM_UP)


def _order(pair: int) -> tuple[Mode, Mode]:
    first, second = Mode.STREAMING, Mode.BLOCKING
    return (first, second) if pair % 2 == 0 else (second, first)
