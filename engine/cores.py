"""Cores: one budget for everything that computes, so that threads never outnumber the cores.

A step asks for a number of cores with a priority, and gets at least one of them as soon as one is
free. Steps are short (one token, one slice of a prompt, one batch of texts), because a step keeps
its cores until it ends.

Two rules decide which step is next:
1. Earliest deadline first. A step's deadline is its arrival plus the patience of its priority, so
   urgent steps come first, and no step waits without limit.
2. Background work does not use the cores that interactive steps have used within the last LINGER
   seconds: a decode gives its core back after each token and asks for it again at once.
   Background work may use them after all when its patience has run out.
"""

import functools
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from engine.config import default_config
from engine.errors import Cancelled
from engine.run import Run

# A decode releases its core for less than a millisecond between two tokens, and a search for a few
# milliseconds between two batches. 50 ms covers both and does not measurably slow ingestion.
LINGER = 0.05
# Python's switch interval: the seconds that a busy thread may run while others wait; 5 ms by
# default. The thread that computes an answer has to run several times per token, and a page's
# script is a busy thread. Beside one, an answer was written at 37 tokens/s with 5 ms, at 60 with 1
# ms, at 65 with 0.5 ms, at 71 with 0.1 ms, and without one at 95 (2-core AMD EPYC, default model).
SWITCH_INTERVAL = 0.0005


class Priority(Enum):
    """How urgent a step is. The value is its patience in seconds."""

    DECODE = 0.0  # a person reads along
    SEARCH = 0.01  # a person waits: embedding a question, reranking
    PREFILL = 0.02  # a person waits, and each step is longer
    BACKGROUND = 1.0  # ingestion, reading prompts ahead


class _Waiter:
    def __init__(self, wanted: int, priority: Priority) -> None:
        self.wanted = wanted
        self.interactive = priority is not Priority.BACKGROUND
        self.deadline = time.perf_counter() + priority.value
        self.granted = 0
        self.woken: threading.Event | None = None  # only a waiter that blocks has one


class Cores:
    """A budget of `total` cores. Safe to use from any thread. Do not nest `take` in one thread."""

    def __init__(self, total: int) -> None:
        self.total = max(1, total)
        self._free = self.total
        self._interactive = 0  # cores that interactive steps hold
        # [n]: when interactive steps last held n cores
        self._interactive_until = [float("-inf")] * (self.total + 1)
        self._waiters: list[_Waiter] = []  # by deadline
        self._lock = threading.Lock()

    @contextmanager
    def take(
        self, wanted: int = 1, priority: Priority = Priority.SEARCH, run: Run | None = None
    ) -> Iterator[int]:
        """Wait for a core, and hold it and up to `wanted` - 1 more inside the block.

        Yields the number of cores held: at least 1, and fewer than wanted if other steps wait.

        Raises:
            Cancelled: `run` was cancelled before a core was free.
        """
        waiter = _Waiter(min(max(wanted, 1), self.total), priority)
        with self._lock:
            self._enqueue(waiter)
            if not waiter.granted:
                waiter.woken = threading.Event()
        if waiter.woken:
            self._wait(waiter, waiter.woken, run)
        try:
            yield waiter.granted
        finally:
            with self._lock:
                self._release(waiter)

    @property
    def in_use(self) -> int:
        return self.total - self._free

    def _enqueue(self, waiter: _Waiter) -> None:
        self._waiters.append(waiter)
        if len(self._waiters) > 1:
            self._waiters.sort(key=lambda each: each.deadline)
        self._dispatch()

    def _wait(self, waiter: _Waiter, woken: threading.Event, run: Run | None) -> None:
        # Nothing wakes background work when the LINGER time ends, so it polls.
        interval = None if waiter.interactive else LINGER
        forget = run.on_cancel(woken.set) if run else None
        try:
            while not waiter.granted:
                woken.wait(interval)
                with self._lock:
                    self._dispatch()
                if run and run.cancelled and not waiter.granted:
                    raise Cancelled
        except BaseException:
            with self._lock:
                self._withdraw(waiter)
            raise
        finally:
            if forget:
                forget()

    def _withdraw(self, waiter: _Waiter) -> None:
        if waiter.granted:  # granted at the moment of the interruption
            self._release(waiter)
        else:
            self._waiters.remove(waiter)

    def _dispatch(self) -> None:
        """Grant what can be granted, the earliest deadline first."""
        now = time.perf_counter()
        for waiter in list(self._waiters):
            room = self._room_for(waiter, now)
            if room > 0:
                self._waiters.remove(waiter)
                others = sum(each.interactive for each in self._waiters)
                self._grant(waiter, max(1, min(waiter.wanted, room - others)))

    def _room_for(self, waiter: _Waiter, now: float) -> int:
        if waiter.interactive or waiter.deadline <= now:
            return self._free
        recent = max(
            (n for n in range(1, self.total + 1) if now - self._interactive_until[n] < LINGER),
            default=0,
        )
        return self._free + self._interactive - max(recent, self._interactive)

    def _grant(self, waiter: _Waiter, cores: int) -> None:
        waiter.granted = cores
        self._free -= cores
        if waiter.interactive:
            self._interactive += cores
        if waiter.woken:
            waiter.woken.set()

    def _release(self, waiter: _Waiter) -> None:
        if waiter.interactive:
            now = time.perf_counter()
            for level in range(self._interactive - waiter.granted + 1, self._interactive + 1):
                self._interactive_until[level] = now
            self._interactive -= waiter.granted
        self._free += waiter.granted
        if self._waiters:
            self._dispatch()


@functools.cache
def cores() -> Cores:
    """The process's one budget, of as many cores as the configuration allows."""
    return Cores(default_config().available_cores)


def switch_threads_often() -> None:
    """For the whole process, so only its entry points call this."""
    sys.setswitchinterval(SWITCH_INTERVAL)
