"""The output of one cell, separate from the prints of other threads at the same time.

While at least one cell runs, `sys.stdout` is a router. Prints in the context of a cell go to the
cell's output, and all others to the previous `sys.stdout`, which is restored afterwards. Each
thread has its own context; the tasks of an event loop have a copy of their loop's context.
"""

import io
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TextIO

from engine.errors import Cancelled

_current: ContextVar["Output | None"] = ContextVar("cell_output", default=None)


class Output(io.TextIOBase):
    """Text as a terminal shows it: text after a carriage return replaces the line.

    After `refuse`, writing raises Cancelled, which ends a loop that prints.
    """

    def __init__(self) -> None:
        self._text = ""
        self._refused = False
        self._lock = threading.Lock()

    @property
    def text(self) -> str:
        return self._text

    def write(self, text: str) -> int:
        with self._lock:
            if self._refused:
                raise Cancelled
            self._text += text
            if "\r" in text:
                self._text = re.sub(r"[^\n]*\r(?!\n)", "", self._text)
        return len(text)

    def writable(self) -> bool:
        return True

    def refuse(self) -> None:
        with self._lock:
            self._refused = True

    @contextmanager
    def taking_prints(self) -> Iterator[None]:
        """Inside the block, the prints of this thread and its tasks are written here."""
        _Router.install()
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)
            _Router.remove()


class _Router(io.TextIOBase):
    """Standard output while cells run."""

    _users = 0
    _installed: "_Router | None" = None
    _lock = threading.Lock()

    def __init__(self, usual: TextIO) -> None:
        self._usual = usual

    @classmethod
    def install(cls) -> None:
        with cls._lock:
            cls._users += 1
            if sys.stdout is not cls._installed or cls._installed is None:
                cls._installed = cls(sys.stdout)
                sys.stdout = cls._installed

    @classmethod
    def remove(cls) -> None:
        """The last cell restores the previous stream, unless it has been replaced since."""
        with cls._lock:
            cls._users -= 1
            if cls._users == 0 and cls._installed is not None:
                if sys.stdout is cls._installed:
                    sys.stdout = cls._installed._usual
                cls._installed = None

    @property
    def _target(self) -> TextIO | Output:
        return _current.get() or self._usual

    def write(self, text: str) -> int:
        return self._target.write(text)

    def flush(self) -> None:
        self._target.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._target.isatty()

    def fileno(self) -> int:
        return self._usual.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._usual.encoding
