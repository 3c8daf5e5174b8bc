"""Estimates with confidence intervals: the difference between paired runs, a share.

The estimate of a difference is the Hodges–Lehmann estimator: the median of the means of every two
differences. Its interval is the exact interval of Wilcoxon's signed-rank test, which assumes that
differences are distributed symmetrically, but not that they are normal. With fewer than six pairs
there is no 95 % interval. The interval of a share is Wilson's, and two paired shares are compared
by McNemar's exact test.

The interval of a percentile lies between two of the sorted values (order statistics), and assumes
nothing about their distribution. It exists from 6 values for the 50th percentile, 29 for the 90th,
59 for the 95th, 299 for the 99th. With fewer, the percentile is not given at all.
Sources: Hollander, Wolfe, Chicken, Nonparametric Statistical Methods, 3rd ed., 3.2 and 3.3; Brown,
Cai, DasGupta, Interval Estimation for a Binomial Proportion, 2001; Hahn, Meeker, Statistical
Intervals, 5.2.
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


def values_needed(percent: int) -> int:
    """How many values a percentile needs: the fewest of which the lowest and the highest enclose it
    with 95 % confidence."""
    below = percent / 100
    count = 1
    while 1 - below**count - (1 - below) ** count < CONFIDENCE:
        count += 1
    return count


def percentile(values: Sequence[float], percent: int) -> Estimate | None:
    """A percentile with its interval; None with fewer values than it needs.

    The percentile is interpolated between the two nearest values, as numpy does by default.
    """
    count, below = len(values), percent / 100
    if count < values_needed(percent):
        return None
    ordered = sorted(values)
    place = below * (count - 1)
    lower = math.floor(place)
    upper = min(lower + 1, count - 1)
    value = ordered[lower] + (place - lower) * (ordered[upper] - ordered[lower])
    low, high = _enclosing(count, below)
    return Estimate(value, ordered[low], ordered[high], count)


def _enclosing(count: int, below: float) -> tuple[int, int]:
    """The places of two sorted values that enclose a percentile with at least 95 % confidence.

    The number of values below the percentile has a binomial distribution. Each tail may hold half
    of 1 − CONFIDENCE; if an end of the values is reached, the other tail may hold the rest.
    """
    chances = [_binomial(hits, count, below) for hits in range(count + 1)]
    allowed = 1 - CONFIDENCE

    def lowest(tail: float) -> int:
        """The highest place l with P(fewer than l + 1 values below) <= tail."""
        place, total = -1, 0.0
        for hits, chance in enumerate(chances):
            total += chance
            if total > tail:
                break
            place = hits
        return place

    def highest(tail: float) -> int:
        """The lowest place h with P(more than h values below) <= tail."""
        place, total = count, 0.0
        for hits in range(count, -1, -1):
            total += chances[hits]
            if total > tail:
                break
            place = hits - 1
        return place

    low, high = lowest(allowed / 2), highest(allowed / 2)
    if high > count - 1:
        high = count - 1
        low = lowest(allowed - chances[count])
    if low < 0:
        low = 0
        high = highest(allowed - chances[0])
    return low, high


def _binomial(hits: int, count: int, chance: float) -> float:
    """The probability of `hits` hits. By logarithms, since factorials of thousands overflow."""
    ways = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
    return math.exp(ways + hits * math.log(chance) + (count - hits) * math.log(1 - chance))


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
