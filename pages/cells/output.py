"""What one cell prints, kept apart from what all others print at the same time.

`sys.stdout` becomes, once, a router: it writes where the context of the writer says, and for
everybody else where it always went. A thread has a context of its own, and an event loop's tasks
have a copy of their loop's. It does not know what is printed.
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
_routing = threading.Lock()


class Output(io.TextIOBase):
    """Text as a terminal shows it: a carriage return begins the line anew.

    Once closed to writers by `refuse`, writing raises Cancelled: so a loop that prints ends.
    """

    def __init__(self) -> None:
        self._text = ""
        self._refused = False
        self._changed = threading.Condition()

    @property
    def text(self) -> str:
        return self._text

    def write(self, text: str) -> int:
        with self._changed:
            if self._refused:
                raise Cancelled
            self._text += text
            if "\r" in text:
                self._text = re.sub(r"[^\n]*\r(?!\n)", "", self._text)
            self._changed.notify_all()
        return len(text)

    def writable(self) -> bool:
        return True

    def refuse(self) -> None:
        with self._changed:
            self._refused = True

    def wait_for(self, seconds: float) -> None:
        """Block until something more is written, at most so long."""
        with self._changed:
            self._changed.wait(seconds)

    @contextmanager
    def taking_prints(self) -> Iterator[None]:
        """What this thread and its tasks print inside goes here."""
        _route()
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


class _Router(io.TextIOBase):
    """Standard output, for each to his own."""

    def __init__(self, usual: TextIO) -> None:
        self._usual = usual

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


def _route() -> None:
    with _routing:
        if not isinstance(sys.stdout, _Router):
            sys.stdout = _Router(sys.stdout)
