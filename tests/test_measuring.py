"""Schedules, statistics and findings: pure functions of hand-made runs."""

from dataclasses import replace
from typing import Any

import pytest

from engine.measuring import (
    Chunk,
    Experiment,
    Lane,
    Measurement,
    Mode,
    Role,
    Session,
    Setup,
    Transport,
    Trial,
)
from engine.measuring.findings import (
    compare,
    likely_range,
    same_text,
    two,
    verdict,
)
from engine.measuring.goodput import WaitingBudget, kept, verdict_on
from engine.measuring.record import Outcome
from engine.measuring.schedule import comparison_trials, names_of
from engine.measuring.statistics import (
    Estimate,
)
from engine.timing import Trace

SETUP = Setup(("When?",), "default")
S, B = 0, 1  # the lanes: streaming and non-streaming


def run(
    lane: int, ttft: float, e2el: float, pair: int | None = 0, text: str = "It was.", **trial: Any
) -> Measurement:
    """A run of ten tokens at a steady pace, with these metrics."""
    trace = Trace()
    call = trace.begin_call("answer")
    call.prompt_tokens, call.output_tokens = 100, 10
    call.token_times = [ttft + (e2el - ttft) * number / 9 for number in range(10)]
    trace.chunk_times = [ttft, e2el] if lane == S else [ttft]
    chunks = tuple(
        Chunk(text if number == 0 else "", time, time)
        for number, time in enumerate(trace.chunk_times)
    )
    return Measurement(0, Trial(lane, pair=pair, **trial), trace, chunks)


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
    assert [trial.lane for trial in trials[1:]] == [S, B, B, S, S, B, B, S]
    assert [trial.pair for trial in trials[1:]] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert trials[0].role is Role.WARM_UP
    assert all(trial.role is Role.MEASURED for trial in trials[1:])


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_every_question_is_asked_equally_often_in_a_fixed_order_and_lanes_alternate(
    count: int,
) -> None:
    setup = replace(SETUP, questions=tuple(f"{n}?" for n in range(count)))
    trials = [each for each in comparison_trials(setup, 6) if each.role is Role.MEASURED]
    rounds = -(-6 // count)
    assert [each.question for each in trials[::2]] == list(range(count)) * rounds
    assert len({each.pair for each in trials}) == rounds * count
    for question in range(count):
        first = [each.lane for each in trials[::2] if each.question == question]
        assert abs(first.count(S) - first.count(B)) <= 1, "no question favours a lane"


def test_a_drift_at_a_steady_pace_favours_neither_lane() -> None:
    trials = comparison_trials(SETUP, 6)[1:]
    places = {lane: [n for n, trial in enumerate(trials) if trial.lane == lane] for lane in (S, B)}
    assert sum(places[S]) == sum(places[B])


def test_each_model_and_transport_is_warmed_up_and_kept_states_need_every_question() -> None:
    def warm_ups(*lanes: Lane) -> list[tuple[int, int]]:
        setup = replace(SETUP, questions=("a", "b"), lanes=lanes)
        trials = comparison_trials(setup, 1)
        return [(t.lane, t.question) for t in trials if t.role is Role.WARM_UP]

    http = Transport.HTTP
    assert warm_ups(Lane(), Lane(Mode.BLOCKING)) == [(0, 0)]
    assert warm_ups(Lane(), Lane(transport=http)) == [(0, 0), (1, 0)]
    assert warm_ups(Lane(), Lane(model="other")) == [(0, 0), (1, 0)]
    assert warm_ups(Lane(), Lane(warm=True)) == [(1, 0), (1, 1)]


def test_lanes_are_named_by_what_distinguishes_them() -> None:
    http = Transport.HTTP
    assert names_of((Lane(), Lane(Mode.BLOCKING))) == ["streaming", "non-streaming"]
    assert names_of((Lane(), Lane(transport=http))) == ["in process", "over HTTP"]
    assert names_of((Lane(warm=True), Lane())) == ["kept states", "nothing kept"]
    assert names_of((Lane(model="a"), Lane(Mode.BLOCKING, model="b"))) == [
        "a, streaming",
        "b, non-streaming",
    ]
    assert names_of((Lane(), Lane())) == ["streaming (1)", "streaming (2)"]


# ---- Findings


def test_a_difference_in_every_pair_is_claimed_with_its_size() -> None:
    found = compare(pairs([(1.08, 1.0)] * 6))
    assert found and verdict(SETUP, found) == (
        "Streaming shows the first words 5.0 times sooner; the whole answer takes 8.0 % longer"
    )


def test_totals_within_five_percent_are_called_alike() -> None:
    found = compare(pairs([(1.01, 1.0), (0.99, 1.0)] * 4))
    assert found and "takes equally long" in verdict(SETUP, found)


def test_totals_that_scatter_widely_are_not_called_alike() -> None:
    found = compare(pairs([(1.5, 1.0), (0.7, 1.0)] * 3))
    assert found and "the whole answer shows no clear difference" in verdict(SETUP, found)
    assert likely_range(found.extra) == "between 30 % less and 50 % more time"


def test_a_streaming_that_is_slower_is_said_to_be() -> None:
    runs = [each for n in range(6) for each in (run(S, 2.0, 2.0, n), run(B, 1.0, 1.0, n))]
    found = compare(session(*runs))
    assert (
        found
        and "2.0 times later" in verdict(SETUP, found)
        and "100 % longer" in verdict(SETUP, found)
    )


def test_too_few_pairs_tell_nothing_however_clear_they_look() -> None:
    found = compare(pairs([(1.0, 5.0)] * 5))
    assert found and not found.enough_pairs
    assert verdict(SETUP, found) == "Too few runs for a finding: 5 of the 6 pairs that are needed"


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


def test_lanes_that_differ_in_more_than_the_mode_are_named_in_the_finding() -> None:
    setup = replace(SETUP, lanes=(Lane(), Lane(transport=Transport.HTTP)))
    found = compare(pairs([(1.0, 1.02)] * 6))
    assert found
    found = replace(
        found, words=replace(found.words, second=0.204, ratio=Estimate(1.02, 1.01, 1.03, 6))
    )
    assert verdict(setup, found) == (
        "In process against over HTTP: the first words come 2.0 % sooner; "
        "the whole answer takes equally long"
    )


def test_first_words_within_five_percent_come_at_the_same_time() -> None:
    found = compare(pairs([(1.0, 1.0)] * 6))
    assert found
    alike = replace(found, words=replace(found.words, ratio=Estimate(1.0, 0.97, 1.03, 6)))
    assert "at the same time" in verdict(replace(SETUP, lanes=(Lane(), Lane())), alike)


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
    assert [share and share.value for share in found.shares] == [1, 0]
    assert found.differ
    said = "Answers in time: streaming in 6 of 6, non-streaming in 0 of 6"
    assert verdict_on(found, SETUP.names) == f"{said}. The difference is more than chance"


def test_few_pairs_that_differ_may_be_chance() -> None:
    found = kept([pairs([(2.0, 2.0)] * 5)], WaitingBudget(1.0, 5.0))
    assert not found.differ and "may be chance" in verdict_on(found, SETUP.names)


def test_a_failed_answer_is_not_in_time_and_the_warm_up_does_not_count() -> None:
    failed = replace(run(S, 0.2, 1.0, 1), outcome=Outcome.FAILED)
    warm_up = run(S, 9.0, 9.0, None, role=Role.WARM_UP)
    found = kept([session(warm_up, run(S, 0.2, 1.0), failed)], WaitingBudget(1.0, 5.0))
    streaming, blocking = found.shares
    assert streaming and (streaming.value, streaming.count) == (0.5, 2)
    assert blocking is None
