"""Records: the sources of a collection as this process knows them, and what it does with them.

Its lock is held only for work in memory, never during a wait for the disk or a server. Records that
are read may be outdated when they arrive: what this process has changed since then wins over them.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from engine.store.points import Source


@dataclass(slots=True)
class Hidden:
    """A source without a record, whose points have to be deleted. `recorded`: its record could not
    be deleted yet."""

    point_ids: list[str] = field(default_factory=list)
    recorded: bool = False


class Records:
    """Safe to use from many threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Condition(threading.RLock())
        self._sources: dict[str, Source] = {}
        self._writing: set[str] = set()
        self._hidden: dict[str, Hidden] = {}
        self._incomplete: set[str] = set()
        self._busy: set[str] = set()
        self._readings: dict[object, dict[str, Source | None]] = {}

    # What is known

    def all(self) -> list[Source]:
        with self._lock:
            return list(self._sources.values())

    def get(self, source_id: str) -> Source | None:
        return self._sources.get(source_id)

    def unknown(self, source_ids: Iterable[str]) -> set[str]:
        """Those that another process may have added."""
        with self._lock:
            ours = self._sources.keys() | self._writing | self._hidden.keys() | self._incomplete
            return set(source_ids) - ours

    def is_hidden(self, source_id: str) -> bool:
        return source_id in self._hidden

    def hidden(self) -> list[str]:
        with self._lock:
            return list(self._hidden)

    def hidden_points(self, source_id: str) -> list[str]:
        with self._lock:
            found = self._hidden.get(source_id)
            return list(found.point_ids) if found else []

    def incomplete(self) -> list[str]:
        with self._lock:
            return list(self._incomplete)

    # What was read

    def replace(self, read: Callable[[], Iterable[Source]]) -> None:
        """All that is known is what `read` gives."""
        with self._reading() as changed:
            found = {each.source_id: each for each in read()}
            with self._lock:
                for source_id, source in changed.items():
                    found.pop(source_id, None)
                    if source:
                        found[source_id] = source
                for source_id in self._incomplete:
                    found.pop(source_id, None)
                for source_id, hidden in list(self._hidden.items()):
                    if hidden.recorded:
                        found.pop(source_id, None)
                    elif source_id in found:  # another process has added it again
                        del self._hidden[source_id]
                self._sources = found

    def include(self, read: Callable[[], Iterable[Source]]) -> None:
        """What `read` gives is known, too."""
        with self._reading() as changed:
            found = list(read())
            with self._lock:
                for each in found:
                    if each.source_id not in changed and self.unknown([each.source_id]):
                        self._sources[each.source_id] = each

    @contextmanager
    def _reading(self) -> Iterator[dict[str, Source | None]]:
        """Collects what this process changes while it reads."""
        mark, changed = object(), dict[str, Source | None]()
        with self._lock:
            self._readings[mark] = changed
        try:
            yield changed
        finally:
            with self._lock:
                del self._readings[mark]

    # What this process changes

    @contextmanager
    def alone(self, source_id: str) -> Iterator[None]:
        """Only one thread at a time is in a block for the same source."""
        with self._lock:
            self._lock.wait_for(lambda: source_id not in self._busy)
            self._busy.add(source_id)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(source_id)
                self._lock.notify_all()

    def begin(self, source_id: str) -> bool:
        """Begin to write a source. False if it is there, or is being written."""
        with self._lock:
            if source_id in self._sources or source_id in self._writing:
                return False
            self._writing.add(source_id)
            return True

    def end(self, source_id: str) -> None:
        with self._lock:
            self._writing.discard(source_id)

    def put(self, source: Source) -> None:
        """Its record has been written."""
        with self._lock:
            self._hidden.pop(source.source_id, None)
            self._incomplete.discard(source.source_id)
            self._sources[source.source_id] = source
            self._note(source.source_id, source)

    def drop(self, source_id: str, point_ids: list[str], recorded: bool) -> None:
        """It is not found any more, and its points have to be deleted."""
        with self._lock:
            self._sources.pop(source_id, None)
            self._hidden[source_id] = Hidden(point_ids, recorded)
            self._note(source_id, None)

    def lose(self, source_id: str) -> None:
        """It has lost points: it is not found until it is written again."""
        with self._lock:
            self._sources.pop(source_id, None)
            self._incomplete.add(source_id)

    def found_whole(self, source_id: str) -> None:
        """It has got back the points that it had lost."""
        with self._lock:
            self._incomplete.discard(source_id)

    def unrecorded(self, source_id: str) -> None:
        """The record of a hidden source has been deleted."""
        with self._lock:
            if hidden := self._hidden.get(source_id):
                hidden.recorded = False
                self._note(source_id, None)  # it may have been read before

    def is_recorded(self, source_id: str) -> bool:
        """Whether the record of a hidden source has still to be deleted."""
        with self._lock:
            hidden = self._hidden.get(source_id)
            return hidden is not None and hidden.recorded

    def purged(self, source_id: str) -> None:
        """The points of a hidden source have been deleted."""
        with self._lock:
            self._hidden.pop(source_id, None)

    def _note(self, source_id: str, source: Source | None) -> None:
        for changed in self._readings.values():
            changed[source_id] = source
