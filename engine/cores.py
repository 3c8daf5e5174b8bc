"""Cores: one budget for everything that computes, so that threads never outnumber the cores.

In goes how many cores a step could use and how urgent it is; out comes how many it may use,
as soon as one is free. A step is short (one token, one slice of a prompt, one batch of
texts), because a core that is taken is kept until the step ends. It does not know what the
steps do.

Two rules decide who is next:
1. Earliest deadline first. A waiter's deadline is its arrival plus its priority's patience,
   so the urgent come first, and nobody waits for ever.
2. Background work stays off the cores that people have used within the last LINGER seconds:
   somebody who reads along gives the core back after each token, and wants it again at once.
   Background work that has outwaited its patience is let in all the same.
"""

import functools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from engine.config import load_config
from engine.errors import Cancelled
from engine.run import Run

# Between two tokens a decode leaves its core for well under a millisecond, and between two
# batches a search for a few: 50 ms covers both, and costs ingestion nothing that can be seen.
LINGER = 0.05


class Priority(Enum):
    """How urgent a step is. The value is its patience in seconds."""

    DECODE = 0.0  # somebody is reading along
    SEARCH = 0.01  # somebody waits: embedding a question, reranking
    PREFILL = 0.02  # somebody waits, and each step is longer
    BACKGROUND = 1.0  # ingestion, preparing prompt states


class _Waiter:
    def __init__(self, wanted: int, priority: Priority) -> None:
        self.wanted = wanted
        self.for_person = priority is not Priority.BACKGROUND
        self.deadline = time.perf_counter() + priority.value
        self.granted = 0
        self.woken: threading.Event | None = None  # made where it has to wait, which is rare


class Cores:
    """A budget of `total` cores. Safe to use from any thread; not to be taken twice by one."""

    def __init__(self, total: int) -> None:
        self.total = max(1, total)
        self._free = self.total
        self._people = 0  # cores that steps for people hold
        self._people_until = [float("-inf")] * (self.total + 1)  # [n]: when they last held n
        self._waiters: list[_Waiter] = []  # by deadline
        self._lock = threading.Lock()

    @contextmanager
    def take(
        self, wanted: int = 1, priority: Priority = Priority.SEARCH, run: Run | None = None
    ) -> Iterator[int]:
        """Wait for a core, and use it and up to `wanted` - 1 more inside the block.

        Yields how many may be used: at least 1, and fewer than wanted where others wait.

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
        # Nobody wakes background work when the cores people used have rested: it looks itself.
        interval = None if waiter.for_person else LINGER
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
        if waiter.granted:  # it came together with the interruption
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
                others = sum(each.for_person for each in self._waiters)
                self._grant(waiter, max(1, min(waiter.wanted, room - others)))

    def _room_for(self, waiter: _Waiter, now: float) -> int:
        if waiter.for_person or waiter.deadline <= now:
            return self._free
        recent = max(
            (n for n in range(1, self.total + 1) if now - self._people_until[n] < LINGER),
            default=0,
        )
        return self._free + self._people - max(recent, self._people)

    def _grant(self, waiter: _Waiter, cores: int) -> None:
        waiter.granted = cores
        self._free -= cores
        if waiter.for_person:
            self._people += cores
        if waiter.woken:
            waiter.woken.set()

    def _release(self, waiter: _Waiter) -> None:
        if waiter.for_person:
            now = time.perf_counter()
            for level in range(self._people - waiter.granted + 1, self._people + 1):
                self._people_until[level] = now
            self._people -= waiter.granted
        self._free += waiter.granted
        if self._waiters:
            self._dispatch()


@functools.cache
def cores() -> Cores:
    """The process's one budget, of as many cores as the configuration allows."""
    return Cores(load_config().available_cores)
