"""Preparing: while the model is idle, it reads the passages that prompts may begin with.

A prompt that has whole passages begins with the best one. If the model has already read that
passage, the first token waits only for the rest of the prompt. Prompts that have single sentences
need no preparing. Questions have priority over preparing.

A large model takes seconds for a passage, and the memory for kept states is limited. Therefore the
passages that recent questions found are read first, then the passages next to them, then all
others,
with the latest documents first, while there is room.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from engine.errors import Cancelled, FirstTokenError, StoreError
from engine.llm.base import LLM, ContextFormat
from engine.prompting import passage_prompt
from engine.run import Run
from engine.schema import ChatMessage, Node

log = logging.getLogger(__name__)

Place = tuple[str, str]
"""A collection's name and a source's id."""

# The number of recently found passages that are remembered: three for each of ten questions
RECENT = 30
# The share of the memory for states that is reserved for the states of questions
SPARED = 0.25


class Preparer:
    """A thread that prepares passages with the model.

    `passages` returns the passages of a document, in order. `everything` returns all documents,
    the latest first.
    """

    def __init__(
        self,
        llm: LLM,
        passages: Callable[[str, str], list[Node]],
        everything: Callable[[], Sequence[Place]],
    ) -> None:
        self._llm, self._passages, self._everything = llm, passages, everything
        self._recent: deque[tuple[Place, int]] = deque(maxlen=RECENT)  # the latest first
        self._read: dict[Place, dict[int, list[ChatMessage]]] = {}
        self._run = Run()
        self._changed = threading.Condition()
        self._version = 0  # of the list of passages to read
        self._closing = False
        self._thread: threading.Thread | None = None
        if self.useful:
            self._thread = threading.Thread(target=self._work, name="preparing", daemon=True)
            self._thread.start()
            self._begin_again()

    @property
    def useful(self) -> bool:
        """Whether this model's prompts begin with whole passages."""
        return self._llm.metadata.context_format is ContextFormat.PASSAGES

    def added(self) -> None:
        """Call this after documents were added."""
        self._begin_again()

    def found(self, collection: str, nodes: Sequence[Node]) -> None:
        """Call this with the passages that a question found, best first. Similar questions will
        find them too, so they are prepared first."""
        with self._changed:
            for node in reversed(nodes):
                wanted = ((collection, node.source_id), node.position)
                if wanted in self._recent:
                    self._recent.remove(wanted)
                self._recent.appendleft(wanted)
        self._begin_again()

    def forget(self) -> None:
        """Drop all prepared passages, and start again with the present documents."""
        self._run.cancel()
        self._run = Run()
        self._read = {}
        self._llm.forget()
        self._begin_again()

    def prepared(self, collection: str, source_id: str) -> int:
        """How many of a document's passages are prepared now."""
        beginnings = list(self._read.get((collection, source_id), {}).values())
        return sum(self._llm.prepared(each) == 1.0 for each in beginnings)

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._run.cancel()
        if self._thread:
            self._thread.join(30)

    def _begin_again(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def _work(self) -> None:
        done = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._version != done)  # noqa: B023
                if self._closing:
                    return
                done, run = self._version, self._run
            try:
                self._prepare(done, run)
            except Cancelled:
                continue
            except FirstTokenError as error:  # such as a collection that was deleted
                log.info("Preparing stopped: %s", error)
            except Exception:  # questions work without preparing, so the thread continues
                log.exception("Preparing failed")

    def _prepare(self, version: int, run: Run) -> None:
        """Read the wanted passages in order, until the list changes or the memory is full."""
        for place, node, important in self._wanted():
            if self._version != version:
                return
            beginning = passage_prompt(node.text)
            if self._llm.prepared(beginning) < 1.0:
                if not important and self._llm.state_room < SPARED:
                    return
                self._llm.prepare(beginning, run)
                run.check()
            self._read.setdefault(place, {})[node.position] = beginning

    def _wanted(self) -> Iterator[tuple[Place, Node, bool]]:
        """The passages to read: (document, passage, whether older states may be dropped for it)."""
        with self._changed:
            recent = list(self._recent)
        for reach in (0, 1):
            for place, position in recent:
                try:
                    nodes = self._passages(*place)
                except StoreError:
                    continue  # the collection has been deleted
                for node in nodes:
                    if abs(node.position - position) == reach:
                        yield place, node, True
        for place in self._everything():
            for node in self._passages(*place):
                yield place, node, False
