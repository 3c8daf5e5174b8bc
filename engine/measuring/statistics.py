"""The difference between paired runs, with a confidence interval.

The estimate is the Hodges–Lehmann estimator: the median of the means of every two differences.
Its interval is the exact interval of Wilcoxon's signed-rank test, which assumes that differences
are distributed symmetrically, but not that they are normal. With fewer than six pairs there is no
95 % interval.
Sources: Hollander, Wolfe, Chicken, Nonparametric Statistical Methods, 3rd ed., 3.2 and 3.3.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from statistics import median

CONFIDENCE = 0.95
FEWEST_PAIRS = 6  # the smallest n for which 2 / 2**n < 1 - CONFIDENCE


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate with its 95 % confidence interval, whose limits are None with too few pairs."""

    value: float
    low: float | None
    high: float | None
    pairs: int

    def excludes(self, value: float) -> bool:
        """Whether `value` lies outside the interval."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high


def hodges_lehmann(differences: Sequence[float]) -> Estimate:
    """The Hodges–Lehmann estimate of paired differences.

    Raises:
        ValueError: there are no differences.
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
    """The estimate of first / second, for values above 0.

    It is computed from logarithms, so that the ratios 2 and 1/2 have the same weight.
    """
    logs = hodges_lehmann([math.log(first / second) for first, second in pairs])
    low = None if logs.low is None else math.exp(logs.low)
    high = None if logs.high is None else math.exp(logs.high)
    return Estimate(math.exp(logs.value), low, high, logs.pairs)


def _outside(pairs: int) -> int | None:
    """How many of the sorted means are outside the interval at each end; None with too few pairs.

    The probability of a rank sum is proportional to the number of sets of ranks with that sum.
    Each tail may hold half of 1 − CONFIDENCE.
    """
    if pairs < FEWEST_PAIRS:
        return None
    tail, allowed = 0.0, (1 - CONFIDENCE) / 2
    for rank_sum, chance in enumerate(_rank_sums(pairs)):
        tail += chance
        if tail > allowed:
            return rank_sum - 1
    raise AssertionError("the tail of a distribution reaches 1")


def _rank_sums(pairs: int) -> list[float]:
    """The probability of each signed-rank sum, from 0, if both signs are equally likely."""
    chances = [1.0]
    for rank in range(1, pairs + 1):
        longer = [0.0] * rank
        chances = [(a + b) / 2 for a, b in zip(chances + longer, longer + chances, strict=True)]
    return chances
