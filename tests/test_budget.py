"""The rule of the first token's budget, with invented rates: no model and no clock."""

import itertools
from collections.abc import Sequence

import pytest

from engine.budget import Plan, Rate, RateEstimate, affordable, plan

RATE = Rate(start=0.1, each=0.01, margin=1.0)  # seconds
COSTS = [20, 60, 150, 400]  # tokens of four readings


def chosen(
    budget: float | None, costs: Sequence[int | None] = COSTS, spent: float = 0.0
) -> Plan:
    return plan(len(costs), costs.__getitem__, RATE, spent, budget)


def test_the_largest_reading_within_the_budget_is_chosen() -> None:
    assert [chosen(budget).chosen for budget in (0.3, 0.7, 1.6, 4.1)] == [0, 1, 2, 3]


def test_the_smallest_reading_is_chosen_even_if_it_breaks_the_budget() -> None:
    smallest = chosen(0.01)
    assert (smallest.chosen, smallest.tokens, smallest.all_tokens) == (0, 20, 400)
    assert smallest.predicted == pytest.approx(0.3)
    assert smallest.all_predicted == pytest.approx(4.1)


def test_without_a_budget_everything_is_read() -> None:
    assert chosen(None).chosen == 3


def test_time_already_spent_counts() -> None:
    assert chosen(1.6, spent=0.5).chosen == 1
    assert chosen(1.6, spent=0.5).predicted == pytest.approx(1.2)


def test_a_larger_reading_that_has_been_read_before_costs_nothing() -> None:
    assert chosen(0.3, [20, 60, 10, 400]).chosen == 2


def test_a_reading_that_does_not_fit_the_context_is_left_out() -> None:
    assert chosen(None, [20, 60, 150, None]).chosen == 2
    assert chosen(None, [20, 60, 150, None]).all_tokens == 150
    assert chosen(9.0, [None, None]).chosen == 0


def test_a_larger_budget_never_reads_less() -> None:
    places = [chosen(tenths / 10).chosen for tenths in range(60)]
    assert all(a <= b for a, b in itertools.pairwise(places))


def test_the_margin_keeps_the_budget_and_does_not_change_the_prediction() -> None:
    careful = Rate(0.1, 0.01, margin=1.5)
    planned = plan(4, COSTS.__getitem__, careful, 0.0, 0.75)
    assert planned.chosen == 0
    assert planned.predicted == pytest.approx(0.3)


def test_others_who_are_served_slow_the_rate() -> None:
    assert RATE.beside(2).seconds(10) == pytest.approx(3 * RATE.seconds(10))


def test_before_the_first_question_the_first_estimate_holds() -> None:
    assert RateEstimate().rate is None
    assert RateEstimate(RATE).rate == RATE


def test_a_rate_is_learnt_from_prompts_of_different_lengths() -> None:
    estimate = RateEstimate(Rate(0.0, 0.001))
    for tokens in (30, 80, 200, 350, 500) * 4:
        estimate.record(tokens, 0.05 + 0.004 * tokens)
    rate = estimate.rate
    assert rate is not None
    assert rate.seconds(100) == pytest.approx(0.45, rel=0.05)
    assert rate.seconds(600) == pytest.approx(2.45, rel=0.05)


def test_from_prompts_of_one_length_the_first_estimate_gives_the_slope() -> None:
    estimate = RateEstimate(Rate(0.02, 0.002))
    for _ in range(10):
        estimate.record(50, 0.24)  # twice the first estimate
    rate = estimate.rate
    assert rate is not None
    assert rate.seconds(500) == pytest.approx(2.04, rel=0.05)


def test_a_server_is_known_after_its_first_answer() -> None:
    estimate = RateEstimate()
    estimate.record(100, 0.5)
    rate = estimate.rate
    assert rate is not None
    assert rate.seconds(200) == pytest.approx(1.0)


def test_a_disturbed_question_hardly_changes_the_rate() -> None:
    estimate = RateEstimate(RATE)
    for tokens in (40, 90, 140, 190, 240):
        estimate.record(tokens, RATE.seconds(tokens))
    estimate.record(100, 10 * RATE.seconds(100))
    rate = estimate.rate
    assert rate is not None
    assert rate.seconds(100) == pytest.approx(RATE.seconds(100), rel=0.1)


def test_the_rate_follows_a_machine_that_becomes_slower() -> None:
    estimate = RateEstimate(RATE)
    for factor in (1, 3):
        for tokens in range(20, 500, 20):
            estimate.record(tokens, factor * RATE.seconds(tokens))
    rate = estimate.rate
    assert rate is not None
    assert rate.seconds(100) == pytest.approx(3 * RATE.seconds(100), rel=0.1)


def test_the_margin_is_what_nine_of_ten_questions_kept() -> None:
    estimate = RateEstimate(RATE)
    for number in range(24):
        tokens = 20 + 20 * number
        estimate.record(tokens, RATE.seconds(tokens) * (1.3 if number % 6 == 0 else 1.0))
    rate = estimate.rate
    assert rate is not None
    assert 1.2 < rate.margin < 1.4


def test_fewer_sentences_are_reranked_where_time_is_short() -> None:
    each = Rate(0.0, 0.01, margin=1.0)  # seconds a sentence

    def sentences(until: float | None) -> int:
        return affordable(8, 2, each, spent=0.02, until=until)

    assert [sentences(until) for until in (None, 1.0, 0.075, -0.1)] == [8, 8, 5, 2]
    assert affordable(8, 2, None, 0.02, 0.05) == 8  # nothing is known yet
