"""The schedule of a session: the lanes it compares, its runs and their order.

The order is ABBA: first lane, second lane, second lane, first lane. A machine that becomes steadily
slower then favours neither lane. With several questions, all are asked in each round, and the order
of the lanes alternates between questions and between rounds.

Every schedule begins with warm-up runs, which are kept but do not count: the first question after a
start also loads the model, the first one over HTTP opens the connection, and a lane with kept
states needs the states of every question.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from engine.config import LONGEST_WAIT
from engine.llm.base import ContextFormat

MOST_QUESTIONS = 100
READERS = (1, 2, 4, 8)  # of the closed loops
LOADS = (0.5, 0.8, 1.2)  # of the open loops: shares of the highest rate of the closed loops

Count = Annotated[int, Field(ge=0, lt=10**11)]
"""A count in a file. An import with a larger count is refused."""
Rate = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class Mode(StrEnum):
    """How an answer reaches its reader. The value is the word that a page shows."""

    STREAMING = "streaming"
    BLOCKING = "non-streaming"


class Transport(StrEnum):
    """Where the reader of an answer is. The value is what a page shows."""

    PROCESS = "in process"
    HTTP = "over HTTP"
    BROWSER = "in the browser"


class Experiment(StrEnum):
    """What a session measures. The value is the word that a page shows."""

    COMPARISON = "comparison"
    LOAD = "load"


class Role(StrEnum):
    WARM_UP = "warm-up"
    MEASURED = "measured"


@dataclass(frozen=True, slots=True)
class Lane:
    """One of the things that a session compares: how answers are asked for and reach their reader.

    warm: kept prompt states may be used. model: the name of a model; empty for the one that answers
    in the app.
    """

    mode: Mode = Mode.STREAMING
    transport: Transport = Transport.PROCESS
    warm: bool = False
    model: str = ""

    @property
    def described(self) -> dict[str, str]:
        """Everything that distinguishes lanes, in words."""
        return {
            "model": self.model or "the app's model",
            "mode": str(self.mode),
            "transport": str(self.transport),
            "states": "kept states" if self.warm else "nothing kept",
        }


BOTH_MODES = (Lane(), Lane(Mode.BLOCKING))


def names_of(lanes: tuple[Lane, ...]) -> list[str]:
    """A name for each lane: what distinguishes it from the others; its mode if nothing does."""
    described = [lane.described for lane in lanes]
    differ = [name for name in described[0] if len({each[name] for each in described}) > 1]
    if not differ and len(lanes) > 1:
        return [f"{lane.mode} ({number})" for number, lane in enumerate(lanes, start=1)]
    return [", ".join(each[name] for name in differ or ["mode"]) for each in described]


@dataclass(frozen=True, slots=True)
class Setup:
    """The questions, the lanes and the settings of a session.

    passages: how many are retrieved. context_format: how they go into the prompt; None for the
    format that suits the model. length: the longest answer, in tokens. first_token_budget: the
    longest wait for the first word, in seconds; 0 for no limit.
    """

    questions: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_QUESTIONS)]
    collection: str
    passages: Count = 3
    context_format: ContextFormat | None = None
    length: Count = 128
    first_token_budget: Annotated[float, Field(ge=0, le=LONGEST_WAIT)] = 0.0
    lanes: Annotated[tuple[Lane, ...], Field(min_length=1, max_length=2)] = BOTH_MODES

    @property
    def names(self) -> list[str]:
        return names_of(self.lanes)


@dataclass(frozen=True, slots=True)
class Trial:
    """One step of a schedule: a question asked in a lane, once or under load.

    lane, question: their indices in the setup. Trials with the same `pair` are compared with each
    other. Under load, `requests` questions are asked, beginning with `question`: by `readers`, each
    of whom asks again as soon as an answer has ended (a closed loop), or, where `load` is not 0, at
    random moments (an open loop), `rate` a second on average. `load` is that rate as a share of the
    highest one of the closed loops before it, which is known only when those have run.
    """

    lane: Count = 0
    question: Count = 0
    pair: Count | None = None
    role: Role = Role.MEASURED
    readers: Count = 1
    requests: Count = 1
    load: Rate = 0.0
    rate: Rate = 0.0


def comparison_trials(setup: Setup, pairs: int) -> list[Trial]:
    """Warm-ups, then rounds of all questions: at least `pairs` pairs, equally many a question."""
    questions = len(setup.questions)
    rounds = math.ceil(pairs / questions)
    return [
        *_warm_ups(setup),
        *(
            Trial(lane, question, pair=turn * questions + question)
            for turn in range(rounds)
            for question in range(questions)
            for lane in _order(setup, turn + question)
        ),
    ]


def load_trials(setup: Setup, requests: int) -> list[Trial]:
    """Warm-ups, then closed loops of 1 to 8 readers, then open loops, all in the first lane.

    Each has `requests` requests, or three for each reader if that is more.
    """
    closed = [Trial(readers=each, requests=max(requests, 3 * each)) for each in READERS]
    return [
        *(each for each in _warm_ups(setup) if each.lane == 0),
        *closed,
        *(Trial(load=load, requests=requests) for load in LOADS),
    ]


def _warm_ups(setup: Setup) -> list[Trial]:
    """A run for each model and transport; for those with kept states, a run of every question."""
    lanes: dict[tuple[str, Transport], int] = {}
    for place, lane in enumerate(setup.lanes):
        before = lanes.setdefault((lane.model, lane.transport), place)
        if lane.warm and not setup.lanes[before].warm:
            lanes[lane.model, lane.transport] = place
    return [
        Trial(lane, question, role=Role.WARM_UP)
        for lane in lanes.values()
        for question in range(len(setup.questions) if setup.lanes[lane].warm else 1)
    ]


def _order(setup: Setup, turn: int) -> list[int]:
    lanes = list(range(len(setup.lanes)))
    return lanes if turn % 2 == 0 else lanes[::-1]
