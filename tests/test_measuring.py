"""Schedules, statistics and findings: pure functions of hand-made runs."""

from dataclasses import replace
from itertools import product
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.measuring import Chunk, Experiment, Measurement, Mode, Role, Session, Setup, Trial
from engine.measuring.findings import (
    compare,
    first_words_of,
    likely_range,
    same_text,
    two,
    verdict,
)
from engine.measuring.goodput import WaitingBudget, kept, verdict_on
from engine.measuring.record import Outcome
from engine.measuring.schedule import READERS, comparison_trials, readers_trials
from engine.measuring.statistics import hodges_lehmann, ratio_of, share_of, shares_differ
from engine.timing import Trace

SETUP = Setup("When?", "default")
S, B = Mode.STREAMING, Mode.BLOCKING


def run(
    mode: Mode, ttft: float, e2el: float, pair: int | None = 0, text: str = "It was.", **trial: Any
) -> Measurement:
    """A run of ten tokens at a steady pace, with these metrics."""
    trace = Trace()
    call = trace.begin_call("answer")
    call.prompt_tokens, call.output_tokens = 100, 10
    call.token_times = [ttft + (e2el - ttft) * number / 9 for number in range(10)]
    trace.chunk_times = [ttft, e2el] if mode is Mode.STREAMING else [ttft]
    chunks = tuple(
        Chunk(text if number == 0 else "", time, time)
        for number, time in enumerate(trace.chunk_times)
    )
    return Measurement(0, Trial(mode, 3, 128, pair=pair, **trial), trace, chunks)


def session(*measurements: Measurement) -> Session:
    return Session("id", Experiment.COMPARISON, 0.0, SETUP, {}, measurements=list(measurements))


def pairs(times: list[tuple[float, float]]) -> Session:
    """A session of (streaming E2EL, non-streaming E2EL) pairs; streaming's first words at 0.2."""
    runs = []
    for number, (streamed, blocked) in enumerate(times):
        runs += [run(S, 0.2, streamed, number), run(B, blocked, blocked, number)]
    return session(*runs)


# ---- Schedules


def test_the_order_is_abba_after_a_warm_up() -> None:
    trials = comparison_trials(SETUP, 4)
    assert [trial.mode for trial in trials[1:]] == [S, B, B, S, S, B, B, S]
    assert [trial.pair for trial in trials[1:]] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert trials[0].role is Role.WARM_UP
    assert all(trial.role is Role.MEASURED for trial in trials[1:])


def test_a_drift_at_a_steady_pace_favours_neither_mode() -> None:
    trials = comparison_trials(SETUP, 6)[1:]
    places = {mode: [n for n, trial in enumerate(trials) if trial.mode is mode] for mode in Mode}
    assert sum(places[S]) == sum(places[B])


def test_readers_come_in_each_number_and_mode_equally_often() -> None:
    trials = readers_trials(SETUP)[1:]
    for readers, mode in product(READERS, Mode):
        assert sum(trial.readers == readers and trial.mode is mode for trial in trials) == 2


# ---- Statistics


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


# ---- Findings


def test_a_difference_in_every_pair_is_claimed_with_its_size() -> None:
    found = compare(pairs([(1.08, 1.0)] * 6))
    assert found and verdict(found) == (
        "Streaming shows the first words 5.0 times sooner; the whole answer takes 8.0 % longer"
    )


def test_totals_within_five_percent_are_called_alike() -> None:
    found = compare(pairs([(1.01, 1.0), (0.99, 1.0)] * 4))
    assert found and "takes equally long" in verdict(found)


def test_totals_that_scatter_widely_are_not_called_alike() -> None:
    found = compare(pairs([(1.5, 1.0), (0.7, 1.0)] * 3))
    assert found and "the whole answer shows no clear difference" in verdict(found)
    assert likely_range(found.tax) == "between 30 % less and 50 % more time"


def test_a_streaming_that_is_slower_is_said_to_be() -> None:
    runs = [each for n in range(6) for each in (run(S, 2.0, 2.0, n), run(B, 1.0, 1.0, n))]
    found = compare(session(*runs))
    assert found and "2.0 times later" in verdict(found) and "100 % longer" in verdict(found)


def test_too_few_pairs_tell_nothing_however_clear_they_look() -> None:
    found = compare(pairs([(1.0, 5.0)] * 5))
    assert found and not found.enough_pairs
    assert verdict(found) == "Too few runs for a finding: 5 of the 6 pairs that are needed"


def test_only_whole_pairs_are_compared_and_no_warm_up() -> None:
    one = session(
        run(S, 0.1, 0.2, None, role=Role.WARM_UP),
        run(S, 0.2, 1.0, 0),
        run(B, 1.0, 1.0, 0),
        run(S, 0.2, 1.0, 1),
    )
    found = compare(one)
    assert found and found.pairs == 1
    assert len(one.counted) == 3
    assert compare(session(run(S, 0.2, 1.0))) is None


def test_the_typical_run_is_the_closest_to_both_medians() -> None:
    # The run with the median total has first words far from the median of the others.
    times = [(0.2, 1.0), (0.9, 2.0), (0.2, 3.0), (0.2, 2.1)]
    runs = [run(S, first, total, n) for n, (first, total) in enumerate(times)]
    chosen = session(*runs).typical_run(S)
    assert chosen and chosen.metrics.e2el == pytest.approx(2.1)
    assert session(*runs).typical_run(B) is None


def test_medians_are_of_the_runs_of_one_mode_and_missing_metrics_do_not_count() -> None:
    one = session(run(S, 0.2, 1.0), run(S, 0.4, 3.0), run(B, 5.0, 5.0))
    assert one.median(S, "e2el") == pytest.approx(2.0)
    assert one.median(B, "ttft") == 5.0
    assert session().median(S, "e2el") is None


def test_texts_that_differ_are_noticed() -> None:
    assert same_text(session(run(S, 0.2, 1.0), run(B, 1.0, 1.0)))
    assert not same_text(session(run(S, 0.2, 1.0), run(B, 1.0, 1.0, text="It was not.")))


def test_the_slowest_reader_of_each_round_counts() -> None:
    rounds = [
        replace(run(S, ttft, 1.0, readers=2), run=number)
        for number, ttfts in enumerate([(0.2, 0.4), (0.3, 0.6)])
        for ttft in ttfts
    ]
    assert first_words_of(session(*rounds), 2, S) == pytest.approx(median([0.4, 0.6]))
    assert first_words_of(session(*rounds), 4, S) is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.00042, "0.00042"),
        (0.042, "0.042"),
        (0.42, "0.42"),
        (0.999, "1.0"),
        (1.0, "1.0"),
        (4.25, "4.2"),
        (9.97, "10"),
        (42.4, "42"),
        (425.0, "420"),
        (1234.0, "1200"),
        (-0.5, "-0.50"),
    ],
)
def test_figures_are_shown_with_two_significant_digits(value: float, shown: str) -> None:
    assert two(value) == shown


# ---- A waiting budget


def test_an_answer_keeps_a_budget_up_to_its_limits_and_a_limit_of_zero_is_none() -> None:
    one = run(S, 0.5, 2.0)
    assert WaitingBudget(0.5, 2.0).kept_by(one)
    assert not WaitingBudget(0.4, 2.0).kept_by(one)
    assert not WaitingBudget(0.5, 1.9).kept_by(one)
    assert WaitingBudget(0, 2.0).kept_by(one) and WaitingBudget(0.5, 0).kept_by(one)
    assert not WaitingBudget(0, 0).kept_by(replace(one, outcome=Outcome.FAILED))


def test_the_first_words_of_an_answer_that_does_not_stream_come_with_its_last() -> None:
    found = kept([pairs([(2.0, 2.0)] * 6)], WaitingBudget(1.0, 5.0))
    assert found.streaming and found.blocking
    assert (found.streaming.value, found.blocking.value) == (1, 0)
    assert found.differ
    said = "Answers in time: streaming in 6 of 6, non-streaming in 0 of 6"
    assert verdict_on(found) == f"{said}. The difference is more than chance"


def test_few_pairs_that_differ_may_be_chance() -> None:
    found = kept([pairs([(2.0, 2.0)] * 5)], WaitingBudget(1.0, 5.0))
    assert not found.differ and "may be chance" in verdict_on(found)


def test_a_failed_answer_is_not_in_time_and_the_warm_up_does_not_count() -> None:
    failed = replace(run(S, 0.2, 1.0, 1), outcome=Outcome.FAILED)
    warm_up = run(S, 9.0, 9.0, None, role=Role.WARM_UP)
    found = kept([session(warm_up, run(S, 0.2, 1.0), failed)], WaitingBudget(1.0, 5.0))
    assert found.streaming and (found.streaming.value, found.streaming.count) == (0.5, 2)
    assert found.blocking is None


def test_a_share_has_the_interval_of_the_tables() -> None:
    # Newcombe 1998, table I: 81 of 263 by Wilson's score method: 0.2553 to 0.3662
    share = share_of(81, 263)
    assert [share.low, share.high] == pytest.approx([0.2553, 0.3662], abs=5e-5)
    assert share_of(0, 20).low == 0 and share_of(20, 20).high == 1


def test_paired_shares_differ_from_six_pairs_of_one_kind_on() -> None:
    assert not shares_differ(5, 0) and shares_differ(6, 0) and shares_differ(0, 6)
    assert not shares_differ(8, 2) and shares_differ(9, 1)
    assert not shares_differ(0, 0)
