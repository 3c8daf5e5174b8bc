"""Load: how many tokens a second all readers get together, how long each waits, where it saturates.

A closed loop has a fixed number of readers, each of whom asks again when an answer has ended: the
slower the answers, the fewer the questions, so it never shows a queue. In an open loop questions
come at random moments, however long the answers take, and wait for each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from engine.english import counted
from engine.measuring.findings import two
from engine.measuring.record import Measurement, Session
from engine.measuring.statistics import Estimate, percentile

# More readers that add less than this share of tokens a second add nothing that somebody notices.
NOTICED = 0.1


@dataclass(frozen=True, slots=True)
class Level:
    """One load and what it led to. readers: of a closed loop. load, rate: of an open loop.

    tokens, answers: a second, of all readers together. first, whole: medians in seconds. first_90:
    the 90th percentile, if there are enough answers. runs: the answers in the order of asking.
    """

    readers: int
    load: float
    rate: float
    tokens: float
    answers: float
    first: float
    whole: float
    first_90: Estimate | None
    runs: list[Measurement]

    @property
    def name(self) -> str:
        return f"{two(self.rate)} a second" if self.load else counted(self.readers, "reader")


def levels(session: Session, lane: int = 0) -> list[Level]:
    """The levels of a lane in the order of the schedule."""
    by_trial: dict[tuple[int, float], dict[int, list[Measurement]]] = {}
    for each in session.of(lane):
        level = by_trial.setdefault((each.trial.readers, each.trial.load), {})
        level.setdefault(each.run, []).append(each)
    return [_level(list(trials.values())) for trials in by_trial.values()]


def _level(trials: Sequence[Sequence[Measurement]]) -> Level:
    runs = [run for trial in trials for run in trial]
    trial = runs[0].trial
    firsts = [run.metrics.ttft or 0.0 for run in runs]
    rates = [_together(each) for each in trials]
    return Level(
        trial.readers,
        trial.load,
        trial.rate,
        median(tokens for tokens, _ in rates),
        median(answers for _, answers in rates),
        median(firsts),
        median(run.metrics.e2el or 0.0 for run in runs),
        percentile(firsts, 90),
        runs,
    )


def _together(runs: Sequence[Measurement]) -> tuple[float, float]:
    """Tokens and answers a second while all readers were served.

    A closed loop counts from the moment at which all readers have asked until the first of them has
    nothing to ask any more; an open loop counts from the first question to the last.
    """
    trial = runs[0].trial
    asked = sorted(run.trace.submitted_at for run in runs)
    ended = sorted(run.trace.submitted_at + (run.metrics.e2el or 0.0) for run in runs)
    if trial.load:
        begin, end = asked[0], asked[-1]
    else:
        begin = asked[min(trial.readers, len(asked)) - 1]
        end = ended[max(0, len(ended) - trial.readers)]
    if end <= begin:
        begin, end = asked[0], ended[-1]
    tokens = sum(
        begin < run.trace.submitted_at + time <= end
        for run in runs
        for time in run.trace.calls[-1].token_times
    )
    answers = sum(begin < when <= end for when in ended)
    return tokens / (end - begin), answers / (end - begin)


def capacity(session: Session) -> float:
    """The highest rate of the closed loops, in answers a second.

    Raises:
        ValueError: no closed loop has ended.
    """
    return max(level.answers for level in levels(session) if not level.load)


def saturation(found: Sequence[Level]) -> Level | None:
    """The fewest readers who get as many tokens together as any more readers; None if even the last
    level added some, or there is only one."""
    closed = sorted((level for level in found if not level.load), key=lambda level: level.readers)
    if len(closed) < 2:
        return None
    best = max(level.tokens for level in closed)
    first = next(level for level in closed if level.tokens * (1 + NOTICED) >= best)
    return None if first is closed[-1] else first


def finding(found: Sequence[Level]) -> str:
    """Where it saturates, in one sentence without its full stop."""
    closed = sorted((level for level in found if not level.load), key=lambda level: level.readers)
    if not closed:
        return "No answer was measured under load"
    one, most = closed[0], closed[-1]
    waits = (
        f"the first words come after {two(one.first)} s with {one.name} and after "
        f"{two(most.first)} s with {most.readers}"
    )
    if len(closed) == 1:
        return f"With {one.name}, {two(one.tokens)} tokens a second"
    if at := saturation(found):
        return (
            f"{counted(at.readers, 'reader')} use all of this computer, "
            f"{two(at.tokens)} tokens a second together: more readers only wait longer; {waits}"
        ).replace("1 reader use", "1 reader uses")
    return (
        f"Up to {most.name} get more tokens a second together the more they are, "
        f"{two(most.tokens)} at the end; {waits}"
    )


def queue_finding(found: Sequence[Level]) -> str:
    """What the open loops show, in one sentence without its full stop; empty without them."""
    opened = [level for level in found if level.load]
    if not opened:
        return ""
    said = [f"{two(level.first)} s at {level.load:.0%} of the highest rate" for level in opened]
    text = f"If questions come at random moments, half of the first words take {', '.join(said)}"
    last = opened[-1]
    quarter = max(1, len(last.runs) // 4)
    firsts = [run.metrics.ttft or 0.0 for run in last.runs]
    early, late = median(firsts[:quarter]), median(firsts[-quarter:])
    if last.load > 1 and late > early:
        text += (
            f". Above 100 % the queue grows: the first questions waited {two(early)} s, the last "
            f"ones {two(late)} s"
        )
    return text
