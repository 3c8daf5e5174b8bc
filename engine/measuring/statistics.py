"""Pairs of runs → how much they differ, and how sure that is. Pure.

The estimate is Hodges and Lehmann's: the median of the means of every two differences. Its
interval is the exact one of Wilcoxon's signed-rank test: no normal distribution is assumed, only
that differences lie evenly around their middle. Below six pairs no interval of 95 % exists.
Sources: Hollander, Wolfe, Chicken, Nonparametric Statistical Methods, 3rd ed., 3.2 and 3.3.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from statistics import median

CONFIDENCE = 0.95
FEWEST_PAIRS = 6  # 2 / 2**6 is the first below 1 - CONFIDENCE


@dataclass(frozen=True, slots=True)
class Estimate:
    """A middle, and where it lies with 95 % confidence: None with too few pairs to tell."""

    value: float
    low: float | None
    high: float | None
    pairs: int

    def excludes(self, value: float) -> bool:
        """Whether the pairs tell the middle apart from `value`."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high


def middle_of(differences: Sequence[float]) -> Estimate:
    """The middle of paired differences.

    Raises:
        ValueError: there is none.
    """
    if not differences:
        raise ValueError("There is no pair to compare.")
    pairs = len(differences)
    means = sorted((a + b) / 2 for a, b in combinations_with_replacement(differences, 2))
    outside = _outside(pairs)
    if outside is None:
        return Estimate(median(means), None, None, pairs)
    return Estimate(median(means), means[outside], means[-1 - outside], pairs)


def ratio_of(pairs: Sequence[tuple[float, float]]) -> Estimate:
    """The middle of first / second, each above 0: taken on logarithms, where twice as long and
    half as long weigh the same."""
    logs = middle_of([math.log(first / second) for first, second in pairs])
    low = None if logs.low is None else math.exp(logs.low)
    high = None if logs.high is None else math.exp(logs.high)
    return Estimate(math.exp(logs.value), low, high, logs.pairs)


def _outside(pairs: int) -> int | None:
    """How many of the sorted means lie outside the interval at each end; None: too few pairs.

    The rank sum of the pairs with a positive difference is as likely as the number of ways to
    pick ranks of that sum; the tail of each end may hold half of what the confidence leaves.
    """
    if pairs < FEWEST_PAIRS:
        return None
    tail, allowed = 0.0, (1 - CONFIDENCE) / 2
    for rank_sum, likely in enumerate(_rank_sums(pairs)):
        tail += likely
        if tail > allowed:
            return rank_sum - 1
    raise AssertionError("the tail of a distribution reaches 1")


def _rank_sums(pairs: int) -> list[float]:
    """The likelihood of each signed-rank sum, from 0, where neither sign is likelier."""
    likely = [1.0]
    for rank in range(1, pairs + 1):
        longer = [0.0] * rank
        likely = [(a + b) / 2 for a, b in zip(likely + longer, longer + likely, strict=True)]
    return likely
