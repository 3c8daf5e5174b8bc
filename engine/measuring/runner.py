"""Runs the trials of a session: who asks what, and when.

Each reader asks on a thread of its own.
"""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from engine.measuring.asking import Asker
from engine.measuring.record import Measurement
from engine.measuring.schedule import Setup, Trial
from engine.run import Run

SEED = 1  # of the moments at which an open loop asks, so that every session has the same ones
LATE = "late start"
"""A stage of an open loop: from the moment at which the question was due until it was asked."""


class Runner:
    """Runs the trials of one session, one after the other, until it is stopped."""

    def __init__(self, askers: Sequence[Asker], setup: Setup, run: Run) -> None:
        self._askers, self._setup, self._run = askers, setup, run
        self._ended = 0

    def take(self, number: int, trial: Trial) -> list[Measurement]:
        """Run a trial, and wait for every answer. `number` is its index in the schedule.

        Raises:
            NotImplementedError: the model cannot stream.
            ValueError: the question is empty.
            FirstTokenError: the collection cannot be opened, or the app not be reached.
        """
        self._ended = 0
        if trial.requests == 1:
            return [self._ask(number, trial, 0)]
        asked = self._at_random(number, trial) if trial.load else self._in_turn(number, trial)
        return sorted(asked, key=lambda each: each.reader)

    def progress(self, trial: Trial) -> str:
        """How far the trial is, in words."""
        if trial.requests > 1:
            return f"{self._ended} of {trial.requests} answers"
        return self._askers[trial.lane].progress

    def _in_turn(self, number: int, trial: Trial) -> list[Measurement]:
        """A closed loop: each reader asks the next question when its answer has ended."""
        requests: Iterator[int] = iter(range(trial.requests))
        lock = threading.Lock()

        def read() -> list[Measurement]:
            found = []
            while not self._run.cancelled:
                with lock:
                    request = next(requests, None)
                if request is None:
                    break
                found.append(self._ask(number, trial, request))
            return found

        with ThreadPoolExecutor(trial.readers, thread_name_prefix="reader") as pool:
            readers = [pool.submit(read) for _ in range(trial.readers)]
            return [each for reader in readers for each in reader.result()]

    def _at_random(self, number: int, trial: Trial) -> list[Measurement]:
        """An open loop: questions come when they come, however long the answers take."""
        began = time.perf_counter()
        with ThreadPoolExecutor(trial.requests, thread_name_prefix="reader") as pool:
            asked = []
            for request, due in enumerate(arrivals(trial.rate, trial.requests)):
                time.sleep(max(0.0, began + due - time.perf_counter()))
                if self._run.cancelled:
                    break
                asked.append(pool.submit(self._ask, number, trial, request, began + due))
            return [each.result() for each in asked]

    def _ask(
        self, number: int, trial: Trial, request: int, due: float | None = None
    ) -> Measurement:
        question = (trial.question + request) % len(self._setup.questions)
        late = 0.0 if due is None else max(0.0, time.perf_counter() - due)
        asked = self._askers[trial.lane].ask(self._setup.questions[question], self._run)
        if late:
            asked = asked.counted_from(late, LATE)
        self._ended += 1
        return Measurement(
            number, trial, asked.trace, asked.chunks, request, asked.outcome, asked.error, question
        )


def arrivals(rate: float, requests: int) -> list[float]:
    """The moments of a Poisson process, in seconds from its begin: `rate` a second on average."""
    source = random.Random(SEED)
    moments, now = [], 0.0
    for _ in range(requests):
        now += source.expovariate(rate)
        moments.append(now)
    return moments
