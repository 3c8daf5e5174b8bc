"""MeasuringJob: a session that is being measured, on its own thread.

Each run is written to the session's file as soon as it ends, so a Stop or a crash loses no run.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.errors import FirstTokenError, MeasuringError
from engine.measuring.files import end_line, run_lines, session_line
from engine.measuring.record import Measurement, Outcome, Session
from engine.measuring.runner import Runner
from engine.measuring.schedule import Role, Trial

log = logging.getLogger(__name__)

Describe = Callable[[], dict[str, str]]


class MeasuringJob:
    """A session that is being measured. Any thread may read it at any time."""

    def __init__(
        self, session: Session, trials: Sequence[Trial], runner: Runner, file: Path
    ) -> None:
        self.session = session
        self._trials, self._runner, self._file = trials, runner, file
        self._began = time.perf_counter()
        self._stopped = threading.Event()
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
        answers = [trial.readers for trial in self._trials]
        return sum(answers[: self._taken]) / sum(answers)

    @property
    def seconds_left(self) -> float | None:
        """An estimate from the pace so far; None before the first trial has ended."""
        if not self._taken:
            return None
        return (time.perf_counter() - self._began) * (1 / self.done - 1)

    @property
    def progress(self) -> str:
        """The number, the mode and the phase of the current run, in words."""
        now = min(self._taken, len(self._trials) - 1)
        trial = self._trials[now]
        mode = trial.mode if trial.role is Role.MEASURED else f"{trial.role}, {trial.mode}"
        return f"run {now + 1} of {len(self._trials)}: {mode}, {self._runner.progress}"

    def stop(self) -> None:
        """Stop the session. The runs that have ended are kept."""
        self._stopped.set()
        self._runner.stop()

    def work(self, describe: Describe) -> None:
        """Run the trials until the last one has ended or one has a problem."""
        session = self.session
        try:
            session.fingerprint = describe()
            self._append(session_line(session))
            for run, trial in enumerate(self._trials):
                if self._stopped.is_set():
                    break
                for each in self._runner.take(run, trial):
                    if each.outcome is not Outcome.STOPPED:
                        self._keep(each)
                self._taken = run + 1
            outcome = Outcome.STOPPED if self._stopped.is_set() else Outcome.DONE
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

    def _keep(self, each: Measurement) -> None:
        self.session.measurements.append(each)
        self._append(run_lines(each))
        if each.outcome is Outcome.FAILED:
            raise MeasuringError(each.error or "The model ended without a message. Try again.")
        if not each.wrote:
            raise MeasuringError(
                "There was no answer to measure: nothing was found for this question in your "
                "documents. Ask about something that they contain."
            )

    def _append(self, lines: str) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(lines)
