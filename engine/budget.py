"""The budget of the first token: how much of the passages is read before the answer begins.

Rates and counts go in, and a plan comes out. This module uses no model and no clock.

The possible readings are in a list, from the smallest (the best sentence) to the largest (all
passages). A reading costs the tokens that the model has not read before. The plan is the largest
reading whose first token is expected within the budget, or the smallest if there is none. It is
chosen by `cautious` seconds, which 9 of 10 earlier questions did not exceed. The plan's prediction
is in `seconds`, without that margin.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

# The number of recent questions from which a rate is computed: enough to smooth the effect of other
# programs, and few enough to follow their changes.
WINDOW = 24
# Tokens. Prompts often have nearly the same length, which does not determine the slope of a line.
# Therefore these two points of the first estimate are added, scaled to the measured times.
SHORT, LONG = 32, 512
# The assumed largest ratio of actual to predicted seconds, until enough questions are recorded
MARGIN = 1.15
# The share of questions whose actual seconds `cautious` covers
COVERED = 0.9


@dataclass(frozen=True, slots=True)
class Rate:
    """The seconds until a model's first token: `start` for any prompt, and `each` for every token
    that is in no kept state. The actual seconds are rarely more than `margin` times these."""

    start: float
    each: float
    margin: float = MARGIN

    def seconds(self, tokens: int) -> float:
        return self.start + self.each * tokens

    def cautious(self, tokens: int) -> float:
        return self.margin * self.seconds(tokens)

    def beside(self, others: int) -> "Rate":
        """The rate while `others` more requests share the processor."""
        return replace(self, start=self.start * (1 + others), each=self.each * (1 + others))


class RateEstimate:
    """A Rate that is estimated from earlier questions. Safe to use from many threads.

    `first`: an estimate for the time before the first question. Without it, `rate` is then None.
    """

    def __init__(self, first: Rate | None = None) -> None:
        self._first = first
        self._known: deque[tuple[int, float]] = deque(maxlen=WINDOW)
        self._lock = threading.Lock()

    def record(self, tokens: int, seconds: float) -> None:
        """Record that the first token came `seconds` after a prompt of which `tokens` were read."""
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
        # Other programs disturb about one question in five, so fit again without the worst fifth.
        known.sort(key=lambda each: abs(each[1] / rate.seconds(each[0]) - 1))
        rate = _line([*known[: max(1, len(known) * 4 // 5)], *anchors])
        if len(known) < WINDOW // 2:
            return rate
        excess = sorted(seconds / rate.seconds(tokens) for tokens, seconds in known)
        return replace(rate, margin=max(1.0, excess[int(COVERED * (len(excess) - 1))]))


def _line(points: Sequence[tuple[int, float]]) -> Rate:
    """The line with the least squared relative errors. Neither coefficient is negative."""
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
    """The index of the chosen reading, its unread tokens, and the predicted seconds from the
    question to the first token; and the same two numbers for the largest reading."""

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
    """The largest of `readings` readings that is expected within `budget`, or the smallest.

    `unread` returns the tokens that a reading costs, or None if it does not fit the context window.
    It is called from the largest reading down, and only as often as necessary. `spent`: seconds
    since the question. Without a budget, the largest reading that fits is chosen.
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
    """How many sentences can be reranked in time: at most `most`, at least `fewest`.

    rate: of the reranker, per sentence. spent, until: the present time and the time limit of the
    search, in seconds since the question.
    """
    if until is None or rate is None or rate.each <= 0:
        return most
    sentences = ((until - spent) / rate.margin - rate.start) / rate.each
    return max(fewest, min(most, int(sentences)))
