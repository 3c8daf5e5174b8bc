"""Estimates and their intervals: hand-computed values, tables, and known distributions."""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.measuring.statistics import (
    hodges_lehmann,
    percentile,
    ratio_of,
    share_of,
    shares_differ,
    values_needed,
)


def test_the_middle_of_known_differences_is_the_hand_computed_one() -> None:
    # Walsh averages of 1, 2, 4: 1, 1.5, 2, 2.5, 3, 4. Their median is 2.25.
    assert hodges_lehmann([4.0, 1.0, 2.0]).value == 2.25


def test_six_pairs_give_the_range_as_interval_and_five_give_none() -> None:
    six = hodges_lehmann([3.0, 1.0, 2.0, 5.0, 4.0, 9.0])
    assert (six.low, six.high) == (1.0, 9.0)
    assert hodges_lehmann([3.0, 1.0, 2.0, 5.0, 4.0]).low is None


def test_the_interval_of_ten_pairs_is_the_one_in_the_tables() -> None:
    # n = 10, 95 %: the critical rank sum is 8, so the 9th Walsh average from either end.
    means = sorted((a + b) / 2 for a in range(1, 11) for b in range(a, 11))
    interval = hodges_lehmann([float(n) for n in range(1, 11)])
    assert (interval.low, interval.high) == (means[8], means[-9])


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=25))
def test_the_middle_lies_in_its_interval_and_turns_with_the_signs(values: list[float]) -> None:
    estimate = hodges_lehmann(values)
    turned = hodges_lehmann([-value for value in values])
    assert turned.value == pytest.approx(-estimate.value)
    if estimate.low is not None and estimate.high is not None:
        assert min(values) <= estimate.low <= estimate.value <= estimate.high <= max(values)


def test_nothing_to_compare_is_said_not_guessed() -> None:
    with pytest.raises(ValueError, match="no pair"):
        hodges_lehmann([])


def test_a_ratio_weighs_twice_and_half_the_same() -> None:
    assert ratio_of([(2.0, 1.0), (1.0, 2.0)]).value == pytest.approx(1)
    assert ratio_of([(3.0, 1.0)] * 6).value == pytest.approx(3)


def test_a_share_has_the_interval_of_the_tables() -> None:
    # Newcombe 1998, table I: 81 of 263 by Wilson's score method: 0.2553 to 0.3662
    share = share_of(81, 263)
    assert [share.low, share.high] == pytest.approx([0.2553, 0.3662], abs=5e-5)
    assert share_of(0, 20).low == 0 and share_of(20, 20).high == 1


def test_paired_shares_differ_from_six_pairs_of_one_kind_on() -> None:
    assert not shares_differ(5, 0) and shares_differ(6, 0) and shares_differ(0, 6)
    assert not shares_differ(8, 2) and shares_differ(9, 1)
    assert not shares_differ(0, 0)


# ---- Percentiles and coverage


def test_a_percentile_is_refused_with_fewer_values_than_enclose_it() -> None:
    assert [values_needed(percent) for percent in (50, 90, 95, 99)] == [6, 29, 59, 299]
    assert percentile([1.0] * 28, 90) is None and percentile([1.0] * 29, 90)
    assert percentile([1.0] * 40, 99) is None, "no p99 from forty runs"


def test_a_percentile_is_interpolated_as_numpy_does() -> None:
    values = [float(number**2) for number in range(100)]
    for percent in (50, 90, 95):
        found = percentile(values, percent)
        assert found and found.value == pytest.approx(np.percentile(values, percent))


def test_the_interval_of_a_median_is_the_one_in_the_tables() -> None:
    # The sign test's interval, Conover, table A3: for n = 20 from the 6th to the 15th value
    found = percentile([float(number) for number in range(1, 21)], 50)
    assert found and (found.low, found.high) == (6.0, 15.0)


SAMPLES = 1500  # of each distribution; the share of them has a standard error of 0.6 %
# A sample of so many values, and the quantile of the distribution
DRAWN: dict[str, tuple[Callable[[Any, int], Any], Callable[[float], float]]] = {
    "normal": (lambda source, n: source.normal(1.0, 0.2, n), NormalDist(1.0, 0.2).inv_cdf),
    "exponential": (lambda source, n: source.exponential(1.0, n), lambda p: -math.log(1 - p)),
    "uniform": (lambda source, n: source.uniform(0, 1, n), lambda p: p),
}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize(("percent", "count"), [(50, 6), (50, 25), (90, 29), (90, 60), (95, 80)])
def test_the_interval_of_a_percentile_covers_it_in_95_of_100_samples(
    name: str, percent: int, count: int
) -> None:
    draw, quantile = DRAWN[name]
    source, truth = np.random.default_rng(percent * count), quantile(percent / 100)
    hits = 0
    for _ in range(SAMPLES):
        found = percentile(list(draw(source, count)), percent)
        assert found and found.low is not None and found.high is not None
        hits += found.low <= truth <= found.high
    assert hits / SAMPLES > 0.935


@pytest.mark.parametrize("count", [6, 12])
@pytest.mark.parametrize("name", ["normal", "uniform"])
def test_the_interval_of_a_difference_covers_it_in_95_of_100_samples(name: str, count: int) -> None:
    draw, quantile = DRAWN[name]
    source, hits = np.random.default_rng(count), 0
    for _ in range(SAMPLES):
        found = hodges_lehmann(list(draw(source, count)))
        assert found.low is not None and found.high is not None
        hits += found.low <= quantile(0.5) <= found.high
    assert 0.935 < hits / SAMPLES < 0.99


@pytest.mark.parametrize(("chance", "count"), [(0.1, 30), (0.5, 12), (0.9, 40)])
def test_the_interval_of_a_share_covers_it_in_95_of_100_samples(chance: float, count: int) -> None:
    source, hits = np.random.default_rng(count), 0
    for drawn in source.binomial(count, chance, SAMPLES):
        found = share_of(int(drawn), count)
        assert found.low is not None and found.high is not None
        hits += found.low <= chance <= found.high
    assert 0.92 < hits / SAMPLES < 0.99


def test_equal_lanes_are_rarely_told_apart() -> None:
    """Pairs without a difference: a finding in about 5 of 100 sessions."""
    source = np.random.default_rng(1)
    told = sum(hodges_lehmann(list(source.normal(0, 1, 10))).excludes(0) for _ in range(SAMPLES))
    assert told / SAMPLES < 0.065
