"""Run: what one piece of work carries with it: its trace, how far it is, and whether to stop.

Everything that computes takes a Run, so that Stop works and progress shows in any stage. It
does not know what the work is.
"""

import secrets
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from engine.errors import Cancelled
from engine.timing import Span, Trace


class Phase(StrEnum):
    """Where an answer is. The value is the word a page shows."""

    QUEUED = "queued"
    SEARCHING = "searching"
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

    queued: `done` requests are ahead. reading: `done` of `total` prompt tokens are evaluated,
    `reused` of them from a kept state. writing: `done` tokens are written.
    """

    phase: Phase = Phase.QUEUED
    done: int = 0
    total: int = 0
    reused: int = 0

    def __str__(self) -> str:
        if self.phase is Phase.QUEUED and self.done:
            return f"queued behind {self.done}"
        if self.phase is Phase.READING and self.total:
            return f"reading {self.done} of {self.total} tokens"
        if self.phase is Phase.WRITING and self.done:
            return f"writing, {self.done} tokens"
        return str(self.phase)


class Run:
    """Handed down through every call that works on one answer.

    `id` is 8 hexadecimal digits, for the log and for the sentence that a page shows.
    """

    def __init__(self) -> None:
        self.id = secrets.token_hex(4)
        self.trace = Trace()
        self.progress = Progress()
        self.notes: list[str] = []
        self._cancelled = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        if group := _group.get():
            group.add(self)

    def span(self, name: str) -> AbstractContextManager[Span]:
        return self.trace.span(name)

    def report(self, phase: Phase, done: int = 0, total: int = 0, reused: int = 0) -> None:
        self.progress = Progress(phase, done, total, reused)

    def note(self, sentence: str) -> None:
        """Keep a sentence the reader of the answer should see; an empty one is none."""
        if sentence:
            self.notes.append(sentence)

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def check(self) -> None:
        """Raise Cancelled where somebody has stopped this run: call it between steps."""
        if self.cancelled:
            raise Cancelled

    def cancel(self) -> None:
        """Stop the work, from any thread, in any phase. Safe to repeat."""
        with self._lock:
            self._cancelled.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` once at cancel (at once if that has been). Returns its removal."""
        with self._lock:
            if not self.cancelled:
                self._callbacks.append(callback)
                return lambda: self._remove(callback)
        callback()
        return lambda: None

    def _remove(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)


class RunGroup:
    """Every run begun inside `with group:`, on that thread and its tasks, to stop them all.

    For who runs code that asks by itself. A run begun after `cancel` is stopped at once.
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
        """Stop them, from any thread. Safe to repeat."""
        with self._lock:
            self._cancelled = True
            runs = list(self._runs)
        for run in runs:
            run.cancel()


_group: ContextVar[RunGroup | None] = ContextVar("run_group", default=None)
