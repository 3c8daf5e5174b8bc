"""Estimates with confidence intervals: the difference between paired runs, a share.

The estimate of a difference is the Hodges–Lehmann estimator: the median of the means of every two
differences. Its interval is the exact interval of Wilcoxon's signed-rank test, which assumes that
differences are distributed symmetrically, but not that they are normal. With fewer than six pairs
there is no 95 % interval. The interval of a share is Wilson's, and two paired shares are compared
by McNemar's exact test.
Sources: Hollander, Wolfe, Chicken, Nonparametric Statistical Methods, 3rd ed., 3.2 and 3.3; Brown,
Cai, DasGupta, Interval Estimation for a Binomial Proportion, 2001.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from statistics import NormalDist, median

CONFIDENCE = 0.95
FEWEST_PAIRS = 6  # the smallest n for which 2 / 2**n < 1 - CONFIDENCE


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate with its 95 % confidence interval, whose limits are None with too few values.

    count: how many pairs or runs it was computed from.
    """

    value: float
    low: float | None
    high: float | None
    count: int

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
    return Estimate(math.exp(logs.value), low, high, logs.count)


def share_of(hits: int, count: int) -> Estimate:
    """The share of `count` runs that are hits, 0 to 1, with Wilson's interval.

    Raises:
        ValueError: there are no runs.
    """
    if not count:
        raise ValueError("There is no run to judge.")
    share = hits / count
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    half = z / (1 + z * z / count) * spread
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half), count)


def shares_differ(only_first: int, only_second: int) -> bool:
    """Whether two paired shares differ: McNemar's exact test.

    The arguments count the pairs in which only the first, or only the second, is a hit.
    """
    count, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(count, hits) for hits in range(fewer + 1)) * 0.5**count
    return 2 * tail <= 1 - CONFIDENCE


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
