"""Job: one session while it is being measured, on a thread of its own.

Each run is written to the session's file as it ends, so that a Stop or a crash loses nothing
that was measured. It does not know who looks, nor which sessions there are.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from engine.errors import FirstTokenError, MeasuringError
from engine.measuring.jsonl import end_line, run_lines, session_line
from engine.measuring.record import Measurement, Outcome, Session
from engine.measuring.runner import Runner
from engine.measuring.schedule import Role, Step

log = logging.getLogger(__name__)

Describe = Callable[[], dict[str, str]]


class Job:
    """A session while it is being measured. Read by anyone at any time."""

    def __init__(self, session: Session, steps: Sequence[Step], runner: Runner, file: Path) -> None:
        self.session = session
        self._steps, self._runner, self._file = steps, runner, file
        self._began = time.perf_counter()
        self._stopped = threading.Event()
        self._taken = 0

    @property
    def running(self) -> bool:
        return self.session.outcome is Outcome.RUNNING

    @property
    def done(self) -> float:
        """The share of the work that is done, 0 to 1."""
        work = [step.work for step in self._steps]
        return sum(work[: self._taken]) / sum(work)

    @property
    def taken(self) -> int:
        """Steps that have ended."""
        return self._taken

    @property
    def seconds_left(self) -> float | None:
        """An estimate from the pace so far; None before the first step has ended."""
        if not self._taken:
            return None
        return (time.perf_counter() - self._began) * (1 / self.done - 1)

    @property
    def progress(self) -> str:
        """What is being measured, in words."""
        now = min(self._taken, len(self._steps) - 1)
        step = self._steps[now]
        word = step.mode if step.role is Role.MEASURED else f"{step.role}, {step.mode}"
        return f"run {now + 1} of {len(self._steps)}: {word}, {self._runner.progress}"

    def stop(self) -> None:
        """End after what was measured so far, which stays."""
        self._stopped.set()
        self._runner.stop()

    def work(self, describe: Describe) -> None:
        """Measure every step, to the end or to the first problem."""
        session = self.session
        try:
            session.fingerprint = describe()
            self._append([session_line(session)])
            self._take_steps()
            session.outcome = Outcome.STOPPED if self._stopped.is_set() else Outcome.DONE
        except Exception as fault:  # whatever it is, the page must hear of it
            log.exception("Measuring session %s failed", session.id[:8])
            session.problem = _explained(fault)
            session.outcome = Outcome.FAILED
        with suppress(OSError):
            self._append([end_line(session)])
            if not session.counted:  # nothing to show, nothing to take along
                self._file.unlink(missing_ok=True)

    def _take_steps(self) -> None:
        for run, step in enumerate(self._steps):
            if self._stopped.is_set():
                return
            for each in self._runner.take(run, step):
                if each.outcome is not Outcome.STOPPED:
                    self._keep(each)
            self._taken = run + 1

    def _keep(self, each: Measurement) -> None:
        self.session.measurements.append(each)
        self._append(run_lines(each))
        if each.outcome is Outcome.FAILED:
            raise MeasuringError(each.error or "The model gave up without a word. Try again.")
        if not each.wrote:
            raise MeasuringError(
                "There was no answer to measure: nothing was found for this question in your "
                "documents. Ask something that they speak of."
            )

    def _append(self, lines: Sequence[dict[str, object]]) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))


def _explained(fault: Exception) -> str:
    if isinstance(fault, OSError):
        return f"The runs could not be kept ({fault.strerror or fault}). Make room, and try again."
    expected = isinstance(fault, FirstTokenError | NotImplementedError | ValueError)
    return str(fault) if expected else f"Measuring failed: {fault!r}. Try again."
