"""A waiting budget: which share of the answers came in time.

The field calls such a limit a service level objective, and the answers in time goodput.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.measuring.findings import two
from engine.measuring.record import Measurement, Outcome, Session
from engine.measuring.schedule import Role
from engine.measuring.statistics import Estimate, share_of, shares_differ


@dataclass(frozen=True, slots=True)
class WaitingBudget:
    """The longest acceptable waits, in seconds since the question: until the first words, and
    until the whole answer. 0: no limit."""

    first: float
    whole: float

    def kept_by(self, run: Measurement) -> bool:
        """Whether a run was in time. An answer that failed was not."""
        first, whole = run.metrics.ttft, run.metrics.e2el
        if run.outcome is not Outcome.DONE or first is None or whole is None:
            return False
        return (not self.first or first <= self.first) and (not self.whole or whole <= self.whole)


@dataclass(frozen=True, slots=True)
class Kept:
    """The shares of answers in time, 0 to 1, one for each lane; None where a lane has no run.

    differ: whether the two shares differ beyond chance, by the pairs of runs.
    """

    shares: list[Estimate | None]
    differ: bool


def kept(sessions: Iterable[Session], budget: WaitingBudget) -> Kept:
    """The shares over all runs of these sessions, which should have the same settings."""
    sessions = list(sessions)

    def share(lane: int) -> Estimate | None:
        runs = [run for each in sessions for run in _judged(each) if run.lane == lane]
        return share_of(sum(map(budget.kept_by, runs)), len(runs)) if runs else None

    pairs = [
        (budget.kept_by(first), budget.kept_by(second))
        for each in sessions
        for first, second in each.pairs
    ]
    only_first = sum(one and not other for one, other in pairs)
    only_second = sum(other and not one for one, other in pairs)
    lanes = range(len(sessions[0].setup.lanes))
    return Kept([share(lane) for lane in lanes], shares_differ(only_first, only_second))


def _judged(session: Session) -> list[Measurement]:
    """The runs that count, and those that failed."""
    return [
        each
        for each in session.measurements
        if each.counts or (each.outcome is Outcome.FAILED and each.trial.role is Role.MEASURED)
    ]


def verdict_on(found: Kept, names: Sequence[str]) -> str:
    """The finding in one sentence without its full stop. names: of the lanes."""
    said = [
        f"{name} in {round(share.value * share.count)} of {share.count}"
        for name, share in zip(names, found.shares, strict=True)
        if share
    ]
    if not said:
        return "No answer was measured"
    text = f"Answers in time: {', '.join(said)}"
    if len(said) == 1 or len({share.value for share in found.shares if share}) == 1:
        return text
    chance = "is more than chance" if found.differ else "may be chance"
    return f"{text}. The difference {chance}"


def percent(share: Estimate) -> str:
    """ "92 % (65 to 99)": the share and its 95 % interval."""
    text = f"{share.value * 100:.0f} %"
    if share.low is None or share.high is None:
        return text
    return f"{text} ({share.low * 100:.0f} to {share.high * 100:.0f})"


def described(budget: WaitingBudget) -> str:
    """ "the first words within 1.0 s and the whole answer within 5.0 s"."""
    parts = [
        f"{what} within {two(limit)} s"
        for what, limit in (("the first words", budget.first), ("the whole answer", budget.whole))
        if limit
    ]
    return " and ".join(parts) or "any time"
