"""MeasuringJob: a session that is being measured, on its own thread.

Each run is written to the session's file as soon as it ends, so a Stop or a crash loses no run.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from engine.errors import Cancelled, FirstTokenError, MeasuringError
from engine.llm.base import LLM
from engine.measuring.asking import Means
from engine.measuring.files import end_line, run_lines, session_line
from engine.measuring.load import capacity
from engine.measuring.record import Outcome, Session
from engine.measuring.runner import Runner
from engine.measuring.schedule import Role, Trial
from engine.run import Run

log = logging.getLogger(__name__)

NOTHING_FOUND = (
    "There was no answer to measure: nothing was found for this question in your documents, or it "
    "was answered without the model. Ask about something that they contain."
)


class MeasuringJob:
    """A session that is being measured. Any thread may read it at any time."""

    def __init__(self, session: Session, trials: Sequence[Trial], means: Means, file: Path) -> None:
        self.session = session
        self._trials, self._means, self._file = trials, means, file
        self._began = time.perf_counter()
        self._run = Run()
        self._runner: Runner | None = None
        self._unanswered: set[int] = set()  # questions for which nothing is found
        self._taken = 0

    @property
    def running(self) -> bool:
        return self.session.outcome is Outcome.RUNNING

    @property
    def taken(self) -> int:
        """How many trials have ended."""
        return self._taken

    @property
    def done(self) -> float:
        """The share of the answers that are complete, 0 to 1."""
        answers = [trial.requests for trial in self._trials]
        return sum(answers[: self._taken]) / sum(answers)

    @property
    def seconds_left(self) -> float | None:
        """An estimate from the pace so far; None before the first trial has ended."""
        if not self._taken:
            return None
        return (time.perf_counter() - self._began) * (1 / self.done - 1)

    @property
    def progress(self) -> str:
        """The number, the lane and the phase of the current run, in words."""
        now = min(self._taken, len(self._trials) - 1)
        trial = self._trials[now]
        lane = self.session.setup.names[trial.lane]
        what = lane if trial.role is Role.MEASURED else f"{trial.role}, {lane}"
        how_far = self._runner.progress(trial) if self._runner else "loading"
        return f"run {now + 1} of {len(self._trials)}: {what}, {how_far}"

    def stop(self) -> None:
        """Stop the session. The runs that have ended are kept."""
        self._run.cancel()

    def work(self) -> None:
        """Run the trials until the last one has ended or one has a problem."""
        session = self.session
        try:
            with ExitStack() as stack:
                self._runner = self._open(stack)
                self._append(session_line(session))
                for run, trial in enumerate(self._trials):
                    if self._run.cancelled:
                        break
                    self._take(run, trial)
                    self._taken = run + 1
                if not session.counted and self._unanswered:
                    raise MeasuringError(NOTHING_FOUND)
            outcome = Outcome.STOPPED if self._run.cancelled else Outcome.DONE
        except Cancelled:
            outcome = Outcome.STOPPED
        except Exception as fault:  # the page shows it, whatever it is
            log.exception("A measurement ended early")
            if isinstance(fault, OSError):
                session.problem = (
                    f"The runs could not be saved ({fault.strerror or fault}). Free some disk "
                    "space, and try again."
                )
            elif isinstance(fault, FirstTokenError | NotImplementedError | ValueError):
                session.problem = str(fault)
            else:
                session.problem = f"The measurement failed: {fault!r}. Try again."
            outcome = Outcome.FAILED
        try:
            self._append(end_line(outcome, session.problem))
            if not session.counted:  # there is nothing to show or export
                self._file.unlink(missing_ok=True)
        except OSError:
            log.exception("The end of a session could not be written to %s", self._file.name)
        session.outcome = outcome  # last: from now on the session counts as ended

    def _open(self, stack: ExitStack) -> Runner:
        """Open the models of the lanes, and describe them."""
        setup, means = self.session.setup, self._means
        models: dict[str, LLM] = {}
        for lane in setup.lanes:
            if lane.model not in models:
                model = stack.enter_context(means.open_model(lane.model, self._run))
                facts = means.describe(model)
                known = self.session.fingerprint
                known |= facts if not models else _of_the_second(facts, known)
                models[lane.model] = model
        askers = []
        for lane in setup.lanes:
            askers.append(means.asker(setup, lane, models[lane.model]))
            stack.callback(askers[-1].close)
        return Runner(askers, setup, self._run)

    def _take(self, number: int, trial: Trial) -> None:
        assert self._runner
        if trial.requests == 1 and trial.question in self._unanswered:
            return
        if trial.load:
            trial = replace(trial, rate=trial.load * capacity(self.session))
        for each in self._runner.take(number, trial):
            if each.outcome is Outcome.STOPPED:
                continue
            if each.wrote:
                question = self.session.setup.questions[each.question]
                each = replace(each, useful=self._means.find_useful(question, each.text))
            self.session.measurements.append(each)
            self._append(run_lines(each))
            if each.outcome is Outcome.FAILED:
                raise MeasuringError(each.error or "The model ended without a message. Try again.")
            if not each.wrote:
                self._unanswered.add(each.question)
                if len(self.session.setup.questions) == 1:
                    raise MeasuringError(NOTHING_FOUND)

    def _append(self, lines: str) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(lines)


def _of_the_second(facts: dict[str, str], first: dict[str, str]) -> dict[str, str]:
    """What distinguishes the second model from the first."""
    return {f"second {name}": fact for name, fact in facts.items() if fact != first.get(name)}
