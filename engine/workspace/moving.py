"""Moving: the search index from the library's folder to a Qdrant server, or back.

    copy → check counts and checksums → while nothing is changed: copy what has come since → switch

Until the switch, the index where it was answers, and nothing in it is changed. A move that was
stopped, or that failed, goes on where it was when it is begun again.
"""

import logging
import threading
from collections.abc import Callable
from enum import StrEnum
from functools import partial

from engine.errors import Cancelled, FirstTokenError
from engine.run import Run
from engine.store import QdrantServer, Store
from engine.store.copying import copy_store

log = logging.getLogger(__name__)


class MoveStage(StrEnum):
    CONNECTING = "connecting"
    COPYING = "copying"
    CHECKING = "checking"
    SWITCHING = "switching"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


class Move:
    """One move, in the background. `done` and `total` are passages. `problem`: a sentence.

    server: where the index goes; None: into the library's folder. `open_target` opens it. `switch`
    gets the new store and a function. While nothing is changed, it calls the function, and then
    lets the new store answer.
    """

    def __init__(
        self,
        source: Store,
        server: QdrantServer | None,
        open_target: Callable[[], Store],
        switch: Callable[[Store, Callable[[], None], Run], None],
    ) -> None:
        self.server = server
        self.stage, self.done, self.total, self.problem = MoveStage.CONNECTING, 0, 0, ""
        self.ended = threading.Event()
        self._source, self._open_target, self._switch = source, open_target, switch
        self._run = Run()
        self._thread = threading.Thread(target=self._work, name="moving", daemon=True)
        self._thread.start()

    @property
    def to(self) -> str:
        """Where the index goes, in words."""
        return self.server.shown if self.server else "this computer"

    def stop(self) -> None:
        """The index stays where it is. What was copied stays too."""
        self._run.cancel()

    def _work(self) -> None:
        target: Store | None = None
        copied: set[tuple[str, str]] = set()
        try:
            target = self._open_target()
            # A server may have others' documents. In the folder is what an earlier move has left.
            copy = partial(copy_store, self._source, target, exact=self.server is None)
            copy(self._report, self._run, copied)
            self.stage = MoveStage.SWITCHING
            finish = partial(copy, lambda *_: None, self._run, copied)
            self._switch(target, finish, self._run)
            self.stage = MoveStage.DONE
            log.info("The search index was moved to %s: %d passages", self.to, self.total)
        except Cancelled:
            self.stage = MoveStage.STOPPED
        except FirstTokenError as error:
            log.exception("The search index could not be moved")
            self.problem, self.stage = str(error), MoveStage.FAILED
        except Exception as error:
            log.exception("The search index could not be moved")
            self.problem = f"The index could not be moved ({type(error).__name__}). Try again."
            self.stage = MoveStage.FAILED
        finally:
            if target and self.stage is not MoveStage.DONE:
                target.close()
            self.ended.set()

    def _report(self, what: str, done: int, total: int) -> None:
        self.stage, self.done, self.total = MoveStage(what), done, total


class Gate:
    """Lets many threads change the index, or one move it. Safe to use from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def close(self, check: Callable[[], None]) -> None:
        """Wait until nobody is inside, and let nobody in. `check` raises to give up."""
        with self._changed:
            self._closed = True
            try:
                while self._inside:
                    check()
                    self._changed.wait(0.2)
            except BaseException:
                self.open()
                raise

    def open(self) -> None:
        with self._changed:
            self._closed = False
            self._changed.notify_all()
