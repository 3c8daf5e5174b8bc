"""A lease: work continues while it has a reader or a hold, and is stopped when it has neither."""

import threading
import time
from collections.abc import Callable

# Seconds. A timer that fires later than this stood still with its process: the machine was
# suspended, or others used all its cores. Nobody could renew the hold in that time.
LATE = 1.0


class Lease:
    """The lease of one piece of work. Safe to use from any thread.

    stop: ends the work. has_readers: whether somebody is reading its result.
    """

    def __init__(self, stop: Callable[[], None], has_readers: Callable[[], bool]) -> None:
        self._stop = stop
        self._has_readers = has_readers
        self._seconds = 0.0  # of the last hold
        self._held_until = 0.0
        self._ended = False
        self._watch: threading.Timer | None = None
        self._watch_ends = 0.0
        self._lock = threading.Lock()

    def hold(self, seconds: float) -> None:
        """Keep the work going for `seconds` from now, then stop it if nobody reads.

        A new hold replaces the earlier one, even if the earlier one would have lasted longer. If
        the process stood still until after its end, the hold begins again.
        """
        with self._lock:
            self._seconds = seconds
            self._held_until = time.monotonic() + seconds
            if self._watch is not None and self._held_until < self._watch_ends:
                self._watch.cancel()
                self._watch = None
            if self._watch is None and not self._ended:
                self._start_watch(seconds)

    def abandoned(self) -> None:
        """The last reader has left."""
        if time.monotonic() >= self._held_until:
            self._stop()

    def end(self) -> None:
        """The work has ended: nothing is left to stop."""
        with self._lock:
            self._ended = True
            if self._watch is not None:
                self._watch.cancel()

    def _start_watch(self, seconds: float) -> None:
        self._watch_ends = time.monotonic() + seconds
        self._watch = threading.Timer(seconds, self._ran_out)
        self._watch.daemon = True
        self._watch.start()

    def _ran_out(self) -> None:
        with self._lock:
            if self._ended or threading.current_thread() is not self._watch:
                return  # a later hold has started another watch
            now = time.monotonic()
            if now - self._watch_ends > LATE:
                self._held_until = max(self._held_until, now + self._seconds)
            left = self._held_until - now
            if left > 0:
                self._start_watch(left)
                return
            self._watch = None
        if not self._has_readers():
            self._stop()
