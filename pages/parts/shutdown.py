"""Shutdown: from SIGTERM or Ctrl-C to the end of the process, in order and in time.

The server's handler would end the process with the signal and interrupt its work. Here the first
signal begins an orderly shutdown: no new work begins, running work is stopped and saved, and the
process ends with status 0 within LIMIT. A second Ctrl-C ends it at once.

The process ends by `os._exit`, because threads of llama.cpp and onnxruntime may still run native
code, which would abort the process ("terminate called") when the interpreter shuts down.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

log = logging.getLogger(__name__)

LIMIT = 9.0  # seconds; systemd and Docker kill after 10 or more
INTERRUPTED = 130  # the exit status of a program that Ctrl-C has ended


class Shutdown:
    """Waits for a signal, then calls `close` on a new thread and ends the process.

    The first signal is also passed to the handlers that were installed before, such as the
    server's.
    """

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self.begun = False
        # A signal handler may interrupt any code of the main thread, also while it holds a lock.
        # Writing to a pipe needs none.
        self._wake_read, self._wake_write = os.pipe()
        self._previous: dict[int, Callable[[int, FrameType | None], object]] = {}
        threading.Thread(target=self._wait, name="shutdown", daemon=True).start()

    def install(self) -> None:
        """Handle SIGTERM and SIGINT from now on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            previous = signal.signal(number, self._handle)
            if callable(previous):
                self._previous[number] = previous

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.begun:
            if number == signal.SIGINT:
                os._exit(INTERRUPTED)
            return
        self.begun = True
        os.write(self._wake_write, b"x")
        previous = self._previous.get(number)
        if previous is not None and previous is not signal.default_int_handler:
            previous(number, frame)

    def _wait(self) -> None:
        os.read(self._wake_read, 1)
        print("Stopping. Press Ctrl-C again to end at once.", file=sys.stderr, flush=True)
        log.info("Stopping")
        worker = threading.Thread(target=self._close_all, name="closing", daemon=True)
        worker.start()
        worker.join(LIMIT)
        if worker.is_alive():
            names = ", ".join(sorted({thread.name for thread in threading.enumerate()}))
            log.warning("Stopped before all work had ended; threads: %s", names)
        else:
            log.info("Stopped")
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    def _close_all(self) -> None:
        try:
            self._close()
        except Exception:
            log.exception("Not everything could be closed")
