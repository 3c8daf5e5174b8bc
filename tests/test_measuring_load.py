"""Load: rates and waits of hand-made runs, where it saturates, what a queue looks like."""

from dataclasses import replace

import pytest

from engine.measuring import Chunk, Experiment, Measurement, Role, Session, Setup, Trial
from engine.measuring.load import capacity, finding, levels, queue_finding, saturation
from engine.measuring.report.loads import load
from engine.measuring.schedule import LOADS, READERS, load_trials
from engine.timing import Trace

SETUP = Setup(("When?",), "default")
TOKENS = 10  # of each answer


def answer(
    trial: Trial, run: int, reader: int, asked: float, first: float, last: float
) -> Measurement:
    """Asked at `asked`; ten tokens at a steady pace from `first` to `last` seconds after that."""
    trace = Trace()
    trace.submitted_at = asked
    call = trace.begin_call("answer")
    call.prompt_tokens, call.output_tokens = 100, TOKENS
    step = (last - first) / (TOKENS - 1)
    call.token_times = [first + step * number for number in range(TOKENS)]
    trace.chunk_times = call.token_times
    chunks = tuple(Chunk("It ", time, time) for time in call.token_times)
    return Measurement(run, trial, trace, chunks, reader)


def closed(readers: int, seconds: float, rounds: int = 4) -> list[Measurement]:
    """Readers whose every answer takes so long; they ask at the same moments."""
    trial = Trial(readers=readers, requests=readers * rounds)
    return [
        answer(trial, readers, turn * readers + reader, turn * seconds, seconds / 2, seconds)
        for turn in range(rounds)
        for reader in range(readers)
    ]


def session(*runs: list[Measurement]) -> Session:
    measured = [each for some in runs for each in some]
    return Session("id", Experiment.LOAD, 0.0, SETUP, {}, measurements=measured)


def test_a_schedule_has_closed_loops_then_open_ones_after_a_warm_up() -> None:
    trials = load_trials(SETUP, 8)
    assert trials[0].role is Role.WARM_UP
    loops = [each for each in trials if each.role is Role.MEASURED]
    assert [each.readers for each in loops if not each.load] == list(READERS)
    assert [each.requests for each in loops if not each.load] == [8, 8, 12, 24]
    assert [each.load for each in loops if each.load] == list(LOADS)


def test_the_rates_are_those_while_all_readers_are_served() -> None:
    found = {level.readers: level for level in levels(session(closed(1, 1.0), closed(4, 2.0)))}
    assert found[1].tokens == pytest.approx(10.0) and found[1].answers == pytest.approx(1.0)
    assert found[4].tokens == pytest.approx(20.0, rel=0.1)
    assert found[4].answers == pytest.approx(2.0, rel=0.1)
    assert (found[4].first, found[4].whole) == (1.0, 2.0)
    assert found[4].first_90 is None, "sixteen answers are too few for it"


def test_a_reader_who_ends_early_does_not_lower_the_rate() -> None:
    runs = closed(2, 1.0)
    alone = answer(runs[0].trial, 2, 8, 4.0, 0.5, 1.0)  # after all others have ended
    (level,) = levels(session([*runs, alone]))
    assert level.tokens == pytest.approx(20.0, rel=0.1)


def test_it_saturates_where_more_readers_get_no_more_tokens() -> None:
    runs = [closed(1, 1.0), closed(2, 1.05), closed(4, 2.1), closed(8, 4.2)]
    at = saturation(levels(session(*runs)))
    assert at and at.readers == 2
    said = finding(levels(session(*runs)))
    assert said.startswith("2 readers use all of this computer, 19 tokens a second together")
    assert "after 0.50 s with 1 reader and after 2.1 s with 8" in said


def test_a_single_reader_may_use_all_of_the_computer() -> None:
    said = finding(levels(session(closed(1, 1.0), closed(2, 2.0), closed(4, 4.0))))
    assert said.startswith("1 reader uses all of this computer")


def test_a_machine_with_room_left_is_said_to_have_it() -> None:
    found = levels(session(closed(1, 1.0), closed(2, 1.0), closed(4, 1.0), closed(8, 1.0)))
    assert saturation(found) is None
    assert finding(found).startswith("Up to 8 readers get more tokens a second together")


def test_an_overloaded_open_loop_shows_its_queue() -> None:
    trial = Trial(requests=8, load=1.2, rate=1.0)
    runs = [answer(trial, 5, n, float(n), 0.5 + n, 1.0 + n) for n in range(8)]
    found = levels(session(closed(1, 1.0), runs))
    assert [level.name for level in found] == ["1 reader", "1.0 a second"]
    said = queue_finding(found)
    assert "4.0 s at 120% of the highest rate" in said
    assert "the first questions waited 1.0 s, the last ones 7.0 s" in said
    assert queue_finding(levels(session(closed(1, 1.0)))) == ""


def test_the_rate_of_an_open_loop_is_a_share_of_what_closed_loops_reached() -> None:
    assert capacity(session(closed(1, 1.0), closed(4, 2.0))) == pytest.approx(2.0, rel=0.1)
    with pytest.raises(ValueError, match="empty"):
        capacity(session())


def test_readers_of_the_first_version_who_asked_together_have_a_level_each() -> None:
    together = replace(closed(1, 1.0)[0].trial, readers=4, requests=4)
    rounds = [
        answer(together, run, reader, run * 10.0, 0.5, 1.0 + reader / 10)
        for run in (1, 2)
        for reader in range(4)
    ]
    (level,) = levels(session(rounds))
    assert len(level.runs) == 8 and level.tokens > 30


def test_the_chart_has_a_mark_for_each_load_and_metric() -> None:
    trial = Trial(requests=8, load=0.5, rate=1.0)
    runs = [answer(trial, 5, n, float(n), 0.5, 1.0) for n in range(8)]
    section = load(session(closed(1, 1.0), closed(8, 4.0), runs))
    drawn = "".join(getattr(block, "html", "") for block in section.blocks)
    assert drawn.count('class="ft-dot"') == 4 and drawn.count('class="ft-ring"') == 2
    assert ">50%<" in drawn and ">8<" in drawn
