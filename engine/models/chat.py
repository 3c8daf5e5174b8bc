"""ChatModel: the LLM that answers now. It can be exchanged while answers are written."""

import logging
import threading
import time
from collections.abc import Callable

from engine.llm.base import LLM

log = logging.getLogger(__name__)

_LOOK_AGAIN = 0.2  # seconds between two looks whether an exchanged model is still in use
# Seconds that it stays open at least: a caller that holds nothing may be about to ask it, while it
# still searches.
GRACE = 5.0


class Held:
    """A model that is not closed before `release`. Releasing twice does nothing."""

    def __init__(self, llm: LLM, release: Callable[[], None]) -> None:
        self.llm, self._release = llm, release
        self._released = False
        self._lock = threading.Lock()

    def release(self) -> None:
        with self._lock:
            if self._released:
                return
            self._released = True
        self._release()


class ChatModel:
    """Safe to use from any thread. `current` answers; what began with another ends with it.

    `also_in_use` says whether somebody else, who holds nothing, still works with a model.
    """

    def __init__(self, llm: LLM, also_in_use: Callable[[LLM], bool] = lambda _: False) -> None:
        self._current = llm
        self._holders: dict[int, int] = {}  # by the model's id(): how many hold it
        self._also_in_use = also_in_use
        self._retired: list[LLM] = []
        self._lock = threading.Lock()

    @property
    def current(self) -> LLM:
        return self._current

    @property
    def retiring(self) -> list[LLM]:
        """Exchanged models that still write answers, and keep their memory until then."""
        with self._lock:
            return list(self._retired)

    def hold(self) -> Held:
        """The current model, kept open until it is released."""
        with self._lock:
            llm = self._current
            self._holders[id(llm)] = self._holders.get(id(llm), 0) + 1

        def release() -> None:
            with self._lock:
                self._holders[id(llm)] -= 1

        return Held(llm, release)

    def exchange(self, new: LLM) -> None:
        """From now on `new` answers. The old one is closed when nobody needs it any more."""
        with self._lock:
            old, self._current = self._current, new
            self._retired.append(old)
        threading.Thread(target=self._retire, args=(old,), name="retiring", daemon=True).start()

    def _retire(self, old: LLM) -> None:
        time.sleep(GRACE)
        while self._in_use(old):
            time.sleep(_LOOK_AGAIN)
        try:
            getattr(old, "close", lambda: None)()
        except Exception:
            log.exception("A model could not be closed")
        with self._lock:
            self._retired.remove(old)
            self._holders.pop(id(old), None)

    def _in_use(self, old: LLM) -> bool:
        """Held, at work for somebody who does not hold it, or kept by an agent's run."""
        with self._lock:
            held = self._holders.get(id(old), 0)
        return bool(held or getattr(old, "jobs", 0) or self._also_in_use(old))
