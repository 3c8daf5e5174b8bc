"""Run: the trace, the progress and the Stop of one piece of work.

Every function that computes takes a Run, so that progress shows and Stop works in each stage.
"""

import logging
import secrets
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from engine.errors import Cancelled
from engine.timing import Span, Trace

log = logging.getLogger(__name__)


class Phase(StrEnum):
    """Where an answer or an agent's run is. The value is the word that a page shows."""

    QUEUED = "queued"
    SEARCHING = "searching"
    SUMMARISING = "summarising"
    READING = "reading"
    WRITING = "writing"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        return self in (Phase.DONE, Phase.STOPPED, Phase.FAILED)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the current phase is.

    queued: `done` requests are ahead. summarising: `done` of `total` parts are read. reading:
    `done` of `total` prompt tokens are evaluated, `reused` of them from a kept state. writing:
    `done` tokens are written.
    """

    phase: Phase = Phase.QUEUED
    done: int = 0
    total: int = 0
    reused: int = 0

    def __str__(self) -> str:
        if self.phase is Phase.QUEUED and self.done:
            return f"queued behind {self.done}"
        if self.phase is Phase.SUMMARISING and self.total:
            return f"read {self.done} of {self.total} parts"
        if self.phase is Phase.READING and self.total:
            return f"reading {self.done} of {self.total} tokens"
        if self.phase is Phase.WRITING and self.done:
            return f"writing, {self.done} tokens"
        return str(self.phase)


class Run:
    """Passed to every call that works on one answer. Safe to use from any thread.

    `id` is 8 hexadecimal digits, for the log and for the sentence that a page shows. `notes` are
    sentences for the reader of the answer. `search_until`: when a search should have ended, in
    seconds since submit, for the first token to keep its budget; None: whenever it does.
    """

    def __init__(self) -> None:
        self.id = secrets.token_hex(4)
        self.trace = Trace()
        self.progress = Progress()
        self.notes: list[str] = []
        self.search_until: float | None = None
        self._cancelled = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    @classmethod
    def begin(cls) -> Self:
        """A new run, which belongs to the `RunGroup` that this code runs in, if any."""
        run = cls()
        if group := _group.get():
            group.add(run)
        return run

    def span(self, name: str) -> AbstractContextManager[Span]:
        return self.trace.span(name)

    def report(self, phase: Phase, done: int = 0, total: int = 0, reused: int = 0) -> None:
        self.progress = Progress(phase, done, total, reused)

    def note(self, sentence: str) -> None:
        """Keep a sentence for the reader of the answer, once. An empty one is ignored."""
        if sentence and sentence not in self.notes:
            self.notes.append(sentence)

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def check(self) -> None:
        """Raise Cancelled if this run has been stopped. Call it between steps."""
        if self.cancelled:
            raise Cancelled

    def cancel(self) -> None:
        """Stop the work, in any phase. A second call does nothing."""
        with self._lock:
            self._cancelled.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            _call(callback)

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` at cancel, or now if it is cancelled. Returns a function to undo this.

        A callback that raises is logged; the others are still called.
        """
        with self._lock:
            cancelled = self.cancelled
            if not cancelled:
                self._callbacks.append(callback)
        if cancelled:
            _call(callback)

        def remove() -> None:
            with self._lock:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)

        return remove


def _call(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:
        log.exception("A callback of a stopped run failed")


class RunGroup:
    """The runs that `Run.begin` makes inside `with group:`, to stop them together.

    Use it to run code that starts answers and agents without passing a run, such as the cell of a
    notebook. A context variable carries the group into the tasks of that code. A run that begins
    after `cancel` is stopped at once.
    """

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._cancelled = False
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._before = _group.set(self)

    def __exit__(self, *_: object) -> None:
        _group.reset(self._before)

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def add(self, run: Run) -> None:
        with self._lock:
            self._runs.append(run)
        if self._cancelled:
            run.cancel()

    def cancel(self) -> None:
        """Stop the runs, from any thread. A second call does nothing."""
        with self._lock:
            self._cancelled = True
            runs = list(self._runs)
        for run in runs:
            run.cancel()


_group: ContextVar[RunGroup | None] = ContextVar("run_group", default=None)
