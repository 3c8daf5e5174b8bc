"""ReadingProcess: starts the reading process, sends it requests, and ends it at its limits.

Requests and replies are JSON over a pipe. worker.py, at the other end, describes them.
"""

import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, Self

from engine import errors
from engine.cores import Priority, cores
from engine.errors import DocumentError, LimitExceededError
from engine.reading.limits import LIMITS, MEGABYTE, OUT_OF_MEMORY, PATIENCE, Limits

log = logging.getLogger(__name__)

_ROOT = Path(__file__).parents[2]
_TICK = 0.2  # seconds between two calls of `while_waiting`
_LONGEST_REPLY = 1_000_000_000  # bytes

Reason = Literal["time", "memory", "crash"]
Reply = dict[str, Any]

_CAUSES: dict[int, Reason] = {OUT_OF_MEMORY: "memory", -signal.SIGXCPU: "time"}
_ADVICE = "Split it, or save it again, from the program it came from or in another format."


class ProcessDied(Exception):  # noqa: N818 - an event; callers make an error of it
    """The reading process was ended, or has ended, before its last reply."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


@contextmanager
def errors_about(file_name: str, limits: Limits) -> Iterator[None]:
    """Turn errors in the block into DocumentErrors that begin with the file's name."""
    try:
        yield
    except ProcessDied as death:
        error = error_of(death.reason, limits)
        raise type(error)(f"{file_name} {error}") from death
    except DocumentError as error:
        raise type(error)(f"{file_name} {error}") from error
    except OSError as fault:
        raise DocumentError(f"{file_name} cannot be opened: {fault.strerror}.") from fault


def error_of(reason: Reason, limits: Limits) -> DocumentError:
    """An error whose text continues the file's name."""
    kind = DocumentError if reason == "crash" else LimitExceededError
    return kind(f"cannot be read: that {cost(reason, limits)}. {_ADVICE}")


def cost(reason: Reason, limits: Limits) -> str:
    return {
        "time": f"took more than {limits.seconds_per_step:g} s",
        "memory": f"took more than {limits.memory / MEGABYTE:g} MB of memory",
        "crash": "crashed the program that reads",
    }[reason]


class ReadingProcess:
    """Starts the process at the first request, and again after the process has died. For one thread
    at a time.

    Unless `urgent`, the process has a lower priority than the rest of the app.
    """

    def __init__(self, limits: Limits = LIMITS, urgent: bool = False) -> None:
        self.limits = limits
        self._niceness = 0 if urgent else 5
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def ask(
        self, request: dict[str, Any], while_waiting: Callable[[], None] = lambda: None
    ) -> Iterator[Reply]:
        """The replies, as they arrive. The process ends if `while_waiting` raises, or if the caller
        does not read all replies. If the process asks for cores, it gets its share of the app's.

        Raises:
            DocumentError: from the reading process; the text continues the file's name.
            ProcessDied: the process exceeded a limit of time or memory, or crashed.
        """
        end = time.monotonic() + self.limits.seconds_per_file
        answered = False
        cores_held = ExitStack()
        try:
            pipe = self._start()
            whole = {**request, "seconds": self.limits.seconds_per_step}
            with suppress(OSError):  # it has died, and `_receive` finds the reason
                pipe.send_bytes(json.dumps(whole).encode())
            while "done" not in (reply := self._receive(pipe, end, while_waiting)):
                cores_held.close()
                if "wants" in reply:
                    while_waiting()
                    granted = cores().take(reply["wants"], Priority.BACKGROUND)
                    with suppress(OSError):
                        pipe.send_bytes(json.dumps(cores_held.enter_context(granted)).encode())
                    continue
                if "error" in reply:
                    answered = True
                    if "traceback" in reply:
                        log.error("A file could not be read:\n%s", reply["traceback"])
                    raise getattr(errors, reply["error"])(reply["message"])
                yield reply
            answered = True
        finally:
            if not answered:
                self.close()
            cores_held.close()

    @property
    def pid(self) -> int | None:
        """None while it is not running."""
        return self._child.pid if self._child else None

    def close(self) -> None:
        if self._child and self._pipe:
            self._child.kill()
            self._child.wait()
            self._pipe.close()
        self._child = self._pipe = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> Connection:
        if self._pipe is None:
            ours, theirs = Pipe()
            arguments = [theirs.fileno(), self._niceness, self.limits.memory]
            with theirs:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", "engine.reading.worker", *map(str, arguments)],
                    cwd=_ROOT,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            self._pipe = ours
        return self._pipe

    def _receive(self, pipe: Connection, end: float, while_waiting: Callable[[], None]) -> Reply:
        end = min(end, time.monotonic() + PATIENCE * self.limits.seconds_per_step)
        try:
            while not pipe.poll(_TICK):
                while_waiting()
                if time.monotonic() > end:
                    raise ProcessDied("time")
            reply: Reply = json.loads(pipe.recv_bytes(_LONGEST_REPLY))
            if "has_data" in reply:
                reply["data"] = pipe.recv_bytes(_LONGEST_REPLY)
        except (EOFError, OSError) as fault:
            assert self._child
            raise ProcessDied(_CAUSES.get(self._child.wait(), "crash")) from fault
        return reply
