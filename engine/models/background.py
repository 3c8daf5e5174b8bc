"""BackgroundSwitch: another choice takes over while First Token runs, on a thread of its own.

    chosen → fetched, checked, opened (the subclass) → in use → saved for the next start

What is in use goes on until the new one is open. If anything fails, it stays.
"""

import logging
import threading
from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Generic, TypeVar

from engine.errors import Cancelled, FirstTokenError, LLMError
from engine.run import Run

log = logging.getLogger(__name__)

Choice = TypeVar("Choice")


class Step(StrEnum):
    IDLE = "idle"
    FETCHING = "fetching"
    WAITING = "waiting"
    PROVING = "proving"
    LOADING = "loading"
    DONE = "done"
    FAILED = "failed"

    @property
    def at_work(self) -> bool:
        return self not in (Step.IDLE, Step.DONE, Step.FAILED)


class BackgroundSwitch(ABC, Generic[Choice]):
    """One switch at a time. Safe to use from any thread.

    `current` is in use; `name` is what a page calls the last choice. `message`: why the last switch
    failed, or what its user has to know.
    """

    busy: str
    """The sentence for a second switch during the first."""
    stays: str
    """The sentence after that of a failure: what is used now."""

    def __init__(self, current: Choice) -> None:
        self.current = current
        self.step, self.message, self.name = Step.IDLE, "", ""
        self._run = Run()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def _exchange(self, choice: Choice, run: Run) -> None:
        """Open what was chosen and let it take over. Sets `step`.

        Raises:
            FirstTokenError: it cannot be used; says why.
            Cancelled: `run` was cancelled.
        """

    @abstractmethod
    def _save(self, choice: Choice) -> None:
        """Keep the choice for the next start. Raises OSError."""

    def begin(self, choice: Choice, name: str = "") -> None:
        """Switch in the background.

        Raises:
            LLMError: another switch is going on.
        """
        with self._lock:
            if self.step.at_work:
                raise LLMError(self.busy)
            self.step, self.message, self.name = Step.WAITING, "", name
            self._run = Run()
            self._thread = threading.Thread(
                target=self._work, args=(choice, self._run), name="switching", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Keep what is in use. Too late once the new one has been opened."""
        self._run.cancel()

    def close(self) -> None:
        self.stop()
        if self._thread:
            self._thread.join(10)

    def _work(self, choice: Choice, run: Run) -> None:
        try:
            self._exchange(choice, run)
        except Cancelled:
            self.step = Step.IDLE
        except FirstTokenError as error:
            log.exception("The model could not be switched")
            self.message, self.step = f"{error} {self.stays}", Step.FAILED
        except Exception as error:
            log.exception("The model could not be switched")
            reason = f"The model could not be opened ({type(error).__name__}; the log says more)."
            self.message, self.step = f"{reason} {self.stays}", Step.FAILED
        else:
            self.current = choice
            try:
                self._save(choice)
            except OSError as error:
                log.exception("The choice of a model could not be saved")
                self.message = (
                    f"The choice could not be saved ({error.strerror}): at the next start, the "
                    "earlier model is used again. Make room on the disk, and choose again."
                )
            self.step = Step.DONE
