"""What is measured in which order, and what may be concluded from it: all without a clock."""

import math
from dataclasses import replace
from itertools import product
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.measuring import Figures, Kind, Measurement, Mode, Role, Session, Setup, Step
from engine.measuring.findings import compare, first_words_of, latency_map, two, verdict
from engine.measuring.latency_model import Point, check, fit, typical_error, worst_error
from engine.measuring.schedule import (
    MAP_LENGTHS,
    READERS,
    comparison_steps,
    map_steps,
    readers_steps,
)
from engine.measuring.statistics import middle_of, ratio_of

SETUP = Setup("When?", "default")
S, B = Mode.STREAMING, Mode.BLOCKING


def run(mode: Mode, ttft: float, e2el: float, pair: int | None = 0, **step: int) -> Measurement:
    figures = Figures(ttft=ttft, e2el=e2el, prompt_tokens=100, output_tokens=10)
    return Measurement(0, replace(Step(mode, 3, 128, pair=pair), **step), figures)  # type: ignore[arg-type]


def session(*measurements: Measurement, kind: Kind = Kind.COMPARISON) -> Session:
    return Session("id", kind, 0.0, SETUP, {}, measurements=list(measurements))


def pairs(times: list[tuple[float, float]]) -> Session:
    """A session of (streaming E2EL, non-streaming E2EL) pairs; streaming's first words at 0.2."""
    runs = []
    for number, (streamed, blocked) in enumerate(times):
        runs += [run(S, 0.2, streamed, number), run(B, blocked, blocked, number)]
    return session(*runs)


# ---- Schedules


def test_the_order_is_abba_after_a_warm_up() -> None:
    steps = comparison_steps(SETUP, 4)
    assert [step.mode for step in steps[1:]] == [S, B, B, S, S, B, B, S]
    assert [step.pair for step in steps[1:]] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert steps[0].role is Role.WARM_UP
    assert all(step.role is Role.MEASURED for step in steps[1:])


def test_a_drift_at_a_steady_pace_favours_neither_mode() -> None:
    steps = comparison_steps(SETUP, 6)[1:]
    places = {mode: [n for n, step in enumerate(steps) if step.mode is mode] for mode in Mode}
    assert sum(places[S]) == sum(places[B])


@pytest.mark.parametrize("available", [0, 1, 2, 4, 100])
def test_the_map_measures_its_corners_and_holds_out_points_between_them(available: int) -> None:
    steps = map_steps(available)
    at = {role: {(s.passages, s.length) for s in steps if s.role is role} for role in Role}
    rows = {passages for passages, _ in at[Role.MEASURED]}
    assert at[Role.MEASURED] == set(product(rows, (MAP_LENGTHS[0], MAP_LENGTHS[-1])))
    assert not at[Role.MEASURED] & at[Role.HELD_OUT]
    assert all(min(rows) <= passages <= max(rows) for passages, _ in at[Role.HELD_OUT])
    assert max(rows) <= max(1, available)
    assert steps[1:] == steps[:0:-1], "there and back again"
    assert all(step.exact for step in steps)


def test_a_step_weighs_what_it_reads_and_writes_for_everybody() -> None:
    step = map_steps(100)[0]
    assert replace(step, length=2 * step.length).work > step.work
    assert replace(step, passages=8).work > step.work
    assert replace(step, readers=4).work == 4 * step.work


def test_readers_come_in_each_number_and_mode_equally_often() -> None:
    steps = readers_steps(SETUP)[1:]
    for readers, mode in product(READERS, Mode):
        assert sum(step.readers == readers and step.mode is mode for step in steps) == 2


# ---- Statistics


def test_the_middle_of_known_differences_is_the_hand_computed_one() -> None:
    # Walsh averages of 1, 2, 4: 1, 1.5, 2, 2.5, 3, 4. Their median is 2.25.
    assert middle_of([4.0, 1.0, 2.0]).value == 2.25


def test_six_pairs_give_the_range_as_interval_and_five_give_none() -> None:
    six = middle_of([3.0, 1.0, 2.0, 5.0, 4.0, 9.0])
    assert (six.low, six.high) == (1.0, 9.0)
    assert middle_of([3.0, 1.0, 2.0, 5.0, 4.0]).low is None


def test_the_interval_of_ten_pairs_is_the_one_in_the_tables() -> None:
    # n = 10, 95 %: the critical rank sum is 8, so the 9th Walsh average from either end.
    means = sorted((a + b) / 2 for a in range(1, 11) for b in range(a, 11))
    interval = middle_of([float(n) for n in range(1, 11)])
    assert (interval.low, interval.high) == (means[8], means[-9])


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=25))
def test_the_middle_lies_in_its_interval_and_turns_with_the_signs(values: list[float]) -> None:
    estimate = middle_of(values)
    turned = middle_of([-value for value in values])
    assert turned.value == pytest.approx(-estimate.value)
    if estimate.low is not None and estimate.high is not None:
        assert min(values) <= estimate.low <= estimate.value <= estimate.high <= max(values)


def test_nothing_to_compare_is_said_not_guessed() -> None:
    with pytest.raises(ValueError, match="no pair"):
        middle_of([])


def test_a_ratio_weighs_twice_and_half_the_same() -> None:
    assert ratio_of([(2.0, 1.0), (1.0, 2.0)]).value == pytest.approx(1)
    assert ratio_of([(3.0, 1.0)] * 6).value == pytest.approx(3)


# ---- Findings


def test_a_difference_in_every_pair_is_claimed_with_its_size() -> None:
    found = compare(pairs([(1.02, 1.0)] * 6))
    assert found and verdict(found) == (
        "Streaming shows the first words 5.0 times sooner; the whole answer takes 2.0 % longer "
        "(+2.0 % to +2.0 %)."
    )


def test_totals_within_five_percent_are_called_alike() -> None:
    found = compare(pairs([(1.01, 1.0), (0.99, 1.0)] * 4))
    assert found and "takes as long either way" in verdict(found)


def test_totals_that_scatter_widely_are_not_called_alike() -> None:
    found = compare(pairs([(1.5, 1.0), (0.7, 1.0)] * 3))
    assert found and "these runs do not tell" in verdict(found)


def test_a_streaming_that_is_slower_is_said_to_be() -> None:
    runs = [each for n in range(6) for each in (run(S, 2.0, 2.0, n), run(B, 1.0, 1.0, n))]
    found = compare(session(*runs))
    assert found and "2.0 times later" in verdict(found) and "100 % longer" in verdict(found)


def test_too_few_pairs_tell_nothing_however_clear_they_look() -> None:
    found = compare(pairs([(1.0, 5.0)] * 5))
    assert found and not found.enough
    assert verdict(found) == "Too few runs to tell: 5 pairs, and 1 more would do."


def test_only_whole_pairs_are_compared_and_no_warm_up() -> None:
    one = session(
        run(S, 0.1, 0.2, None, role=Role.WARM_UP),  # type: ignore[arg-type]
        run(S, 0.2, 1.0, 0),
        run(B, 1.0, 1.0, 0),
        run(S, 0.2, 1.0, 1),
    )
    found = compare(one)
    assert found and found.pairs == 1
    assert len(one.counted) == 3
    assert compare(session(run(S, 0.2, 1.0))) is None


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


# ---- The latency model


def point(prompt: int, output: int, overhead: float = 0.1) -> Point:
    """An answer at 500 tokens/s prefill and 50 tokens/s decode."""
    ttft = overhead + prompt / 500
    return Point(prompt, output, ttft, ttft + (output - 1) / 50)


CORNERS = [point(100, 16), point(1000, 16), point(100, 256), point(1000, 256)]


def test_the_rates_that_made_the_points_are_found_again() -> None:
    model = fit(CORNERS)
    assert model.overhead == pytest.approx(0.1)
    assert model.prefill_rate == pytest.approx(500)
    assert model.decode_rate == pytest.approx(50)


def test_held_out_points_of_the_same_kind_are_met_and_others_show_as_error() -> None:
    model = fit(CORNERS)
    assert worst_error(check(model, [point(400, 64)])) == pytest.approx(0, abs=1e-9)
    slower = replace(point(400, 64), e2el=point(400, 64).e2el * 2)
    checks = check(model, [slower])
    assert worst_error(checks) == pytest.approx(0.5)
    assert typical_error(checks) == pytest.approx(0.25)


def test_prompts_of_one_length_leave_the_prefill_flat_not_wild() -> None:
    model = fit([point(100, 16), point(100, 256)])
    assert math.isinf(model.prefill_rate)
    assert model.ttft(100) == pytest.approx(0.3)


def test_noise_that_makes_longer_prompts_quicker_gives_no_rate_below_zero() -> None:
    model = fit([Point(100, 16, 0.5, 1.0), Point(1000, 16, 0.4, 0.9)])
    assert math.isinf(model.prefill_rate)
    assert model.ttft(100) == model.ttft(1000) == pytest.approx(0.45)


def test_answers_of_one_token_show_no_pace() -> None:
    with pytest.raises(ValueError, match="one token"):
        fit([point(100, 1), point(1000, 1)])


def test_a_session_of_points_becomes_a_map_with_its_error() -> None:
    runs = []
    for step in map_steps(8):
        made = point(100 * step.passages, step.length)
        figures = Figures(
            ttft=made.ttft,
            e2el=made.e2el,
            prompt_tokens=made.prompt_tokens,
            output_tokens=made.output_tokens,
        )
        runs.append(Measurement(0, step, figures))
    fitted = latency_map(session(*runs, kind=Kind.MAP))
    assert fitted
    assert fitted.prompt_tokens == {1: 100, 3: 300, 8: 800}
    assert worst_error(fitted.checks) == pytest.approx(0, abs=1e-9)
    assert latency_map(session(kind=Kind.MAP)) is None
