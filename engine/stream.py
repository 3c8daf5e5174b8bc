"""Stream: one writer, any number of readers, sync or async, live or afterwards.

The writer appends and never waits, so a slow reader loses nothing and slows nothing down. Each
reader keeps its own position and gets every item, then the end or the error. There is one reading
loop (`_steps`); sync and async readers differ only in how they wait.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _Wait:
    """A step of a reading loop: wait until there are more than `seen` items."""

    seen: int


class Stream(Generic[Item]):
    """Items in order, then an end or an error.

    `on_abandoned` is called when the last reader leaves before the end.
    """

    def __init__(self, on_abandoned: Callable[[], None] = lambda: None) -> None:
        self._items: list[Item] = []
        self._error: BaseException | None = None
        self._ended = False
        self._readers = 0
        self._changes = 0
        self._changed = threading.Condition()
        self._wakers: set[Callable[[], None]] = set()
        self._on_abandoned = on_abandoned

    def append(self, item: Item) -> None:
        with self._changed:
            self._items.append(item)
            self._wake()

    def end(self, error: BaseException | None = None) -> None:
        """No more items. With an error, each reader gets it after every item."""
        with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
                self._wake()

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def has_readers(self) -> bool:
        return self._readers > 0

    @property
    def error(self) -> BaseException | None:
        return self._error

    @property
    def items(self) -> list[Item]:
        """A copy of what has arrived so far."""
        return list(self._items)

    def wait(self, until: Callable[[], bool], timeout: float | None = None) -> bool:
        """Block until `until()` is true or the stream has ended. False if `timeout` came first.

        Threads that change the result of `until` call `notify` afterwards.
        """
        with self._changed:
            return self._changed.wait_for(lambda: until() or self._ended, timeout)

    def wait_for_change(self, timeout: float) -> bool:
        """Block until the next `append`, `notify` or `end`. False if `timeout` seconds passed."""
        with self._changed:
            seen = self._changes
            return self._changed.wait_for(lambda: self._changes > seen or self._ended, timeout)

    def notify(self) -> None:
        """Wake all waiting threads and tasks, so that they check their `until` again."""
        with self._changed:
            self._wake()

    def read(self) -> Generator[Item, None, None]:
        """Every item from the first, then the end or the error."""
        with _Reader(self):
            for step in self._steps():
                if isinstance(step, _Wait):
                    self.wait(partial(self._has_more_than, step.seen))
                else:
                    yield step

    async def read_async(self) -> AsyncGenerator[Item, None]:
        """`read`, without blocking the event loop."""
        with _Reader(self):
            for step in self._steps():
                if isinstance(step, _Wait):
                    await self.wait_async(partial(self._has_more_than, step.seen))
                else:
                    yield step

    async def wait_async(self, until: Callable[[], bool]) -> None:
        """`wait`, without blocking the event loop."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the reader's loop has closed
                loop.call_soon_threadsafe(woken.set)

        with self._changed:
            self._wakers.add(wake)
        try:
            while not (until() or self._ended):
                await woken.wait()
                woken.clear()
        finally:
            with self._changed:
                self._wakers.discard(wake)

    def _has_more_than(self, seen: int) -> bool:
        return len(self._items) > seen

    def _steps(self) -> Iterator[Item | _Wait]:
        seen = 0
        while True:
            ended = self._ended  # read before the items, so that no item before the end is missed
            while seen < len(self._items):
                seen += 1
                yield self._items[seen - 1]
            if ended:
                if self._error is not None:
                    raise self._error
                return
            yield _Wait(seen)

    def _wake(self) -> None:
        self._changes += 1
        self._changed.notify_all()
        for wake in self._wakers:
            wake()


class _Reader:
    """Counts a reader in and out, and calls `on_abandoned` when the last one leaves early."""

    def __init__(self, stream: Stream[Any]) -> None:
        self._stream = stream

    def __enter__(self) -> None:
        with self._stream._changed:
            self._stream._readers += 1

    def __exit__(self, *_: object) -> None:
        stream = self._stream
        with stream._changed:
            stream._readers -= 1
            abandoned = stream._readers == 0 and not stream._ended
        if abandoned:
            stream._on_abandoned()
