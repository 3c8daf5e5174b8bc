"""A first token within a budget: how much of what was found is read before the answer begins.

Rates and counts go in, a plan comes out. This module knows no model and no clock.

The rule: what can be read is a list of readings, from the smallest (the best sentence) to the
largest (every passage whole). Each costs the tokens that the model has not read before. The plan is
the largest reading whose first token is expected within the budget; if there is none, it is the
smallest. `cautious` seconds decide, which 9 of 10 earlier questions kept; `seconds` are predicted.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

# Recent questions that a rate is computed from: enough to smooth over other programs, few enough to
# follow them.
WINDOW = 24
# Tokens. Prompts are often of nearly one length. These two points of the first estimate, scaled to
# what was measured, then give the line its slope.
SHORT, LONG = 32, 512
# The actual seconds are at most so many times the predicted ones, until it is known from experience
MARGIN = 1.15
# The share of questions whose actual seconds `cautious` covers
COVERED = 0.9


@dataclass(frozen=True, slots=True)
class Rate:
    """Seconds until the first of a model's words: `start` for any prompt, and `each` for every
    token of it that is in no kept state. The actual ones are rarely more than `margin` times that.
    """

    start: float
    each: float
    margin: float = MARGIN

    def seconds(self, tokens: int) -> float:
        return self.start + self.each * tokens

    def cautious(self, tokens: int) -> float:
        return self.margin * self.seconds(tokens)

    def beside(self, others: int) -> "Rate":
        """The rate while so many others are served: they share the processor."""
        return replace(self, start=self.start * (1 + others), each=self.each * (1 + others))


class RateEstimate:
    """A Rate, learnt from what earlier questions took. Safe to use from many threads.

    `first`: an estimate from before the first question. Without one, nothing is known until then.
    """

    def __init__(self, first: Rate | None = None) -> None:
        self._first = first
        self._known: deque[tuple[int, float]] = deque(maxlen=WINDOW)
        self._lock = threading.Lock()

    def record(self, tokens: int, seconds: float) -> None:
        """A prompt of which so many tokens were read took so long to its first token."""
        if tokens > 0 and seconds > 0:
            with self._lock:
                self._known.append((tokens, seconds))

    @property
    def rate(self) -> Rate | None:
        with self._lock:
            known = list(self._known)
        if not known:
            return self._first
        shape = self._first or Rate(0.0, 1.0)
        scale = median(seconds / shape.seconds(tokens) for tokens, seconds in known)
        anchors = [(tokens, scale * shape.seconds(tokens)) for tokens in (SHORT, LONG)]
        rate = _line([*known, *anchors])
        # One question in five is disturbed by other programs: without the worst, once more.
        known.sort(key=lambda each: abs(each[1] / rate.seconds(each[0]) - 1))
        rate = _line([*known[: max(1, len(known) * 4 // 5)], *anchors])
        if len(known) < WINDOW // 2:
            return rate
        excess = sorted(seconds / rate.seconds(tokens) for tokens, seconds in known)
        return replace(rate, margin=max(1.0, excess[int(COVERED * (len(excess) - 1))]))


def _line(points: Sequence[tuple[int, float]]) -> Rate:
    """The line with the least relative errors, of weights 1 / seconds². No part is negative."""
    weights = [1 / seconds**2 for _, seconds in points]
    total = sum(weights)
    mean_x = sum(w * x for w, (x, _) in zip(weights, points, strict=True)) / total
    mean_y = sum(w * y for w, (_, y) in zip(weights, points, strict=True)) / total
    spread = sum(w * (x - mean_x) ** 2 for w, (x, _) in zip(weights, points, strict=True))
    slope = (
        sum(w * (x - mean_x) * (y - mean_y) for w, (x, y) in zip(weights, points, strict=True))
        / spread
    )
    if 0 <= slope * mean_x <= mean_y:
        return Rate(mean_y - slope * mean_x, slope)
    return Rate(0.0, mean_y / mean_x) if slope > 0 else Rate(mean_y, 0.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which reading was chosen, by its place, and what is predicted in seconds since the question:
    its first token, and that of the largest reading. The tokens are those still to be read."""

    chosen: int
    tokens: int
    predicted: float
    all_tokens: int
    all_predicted: float


def plan(
    readings: int,
    unread: Callable[[int], int | None],
    rate: Rate,
    spent: float,
    budget: float | None,
) -> Plan:
    """The largest of so many readings that is expected within `budget`, or else the smallest.

    `unread` gives the tokens that a reading costs, and None if it cannot be read at all, because
    it does not fit the model's context. It is called from the largest on, and no more often than
    necessary. `spent` are the seconds since the question. Without a budget, all is read.
    """
    largest: int | None = None
    for place in reversed(range(readings)):
        tokens = unread(place)
        if tokens is None and place:
            continue
        tokens = tokens or 0
        largest = tokens if largest is None else largest
        if not place or budget is None or spent + rate.cautious(tokens) <= budget:
            return Plan(
                place,
                tokens,
                spent + rate.seconds(tokens),
                largest,
                spent + rate.seconds(largest),
            )
    raise ValueError("There is nothing to read.")


def affordable(
    most: int, fewest: int, rate: Rate | None, spent: float, until: float | None
) -> int:
    """How many sentences are worth reranking: at most `most`, at least `fewest`.

    rate: that of reranking, by sentence. spent, until: seconds since the question, now and when
    the search should have ended.
    """
    if until is None or rate is None or rate.each <= 0:
        return most
    sentences = ((until - spent) / rate.margin - rate.start) / rate.each
    return max(fewest, min(most, int(sentences)))
