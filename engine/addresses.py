"""Addresses: several servers that do the same, and which of them gets the next request.

The one with the fewest requests under way is chosen; of equal ones, each in its turn. One that
failed is left out for a while, unless all have failed.
"""

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

# Seconds that an address is left out after a failure. A restart of a server takes about as long.
LEFT_OUT = 10.0


def split_addresses(text: str) -> list[str]:
    """The addresses of a setting: with commas or blanks between them."""
    return [each.rstrip("/") for each in text.replace(",", " ").split()]


class Addresses:
    """Safe to use from any thread."""

    def __init__(self, addresses: Sequence[str]) -> None:
        """`addresses`: at least one."""
        self.all = list(dict.fromkeys(addresses))
        self._lock = threading.Lock()
        self._under_way = dict.fromkeys(self.all, 0)
        self._failed_at: dict[str, float] = {}
        self._turn = 0

    @contextmanager
    def one(self, tried: Collection[str] = ()) -> Iterator[str]:
        """The address for a request, which counts as under way within the block. Those in `tried`
        come last."""
        with self._lock:
            now = time.monotonic()
            turns = self.all[self._turn :] + self.all[: self._turn]
            self._turn = (self._turn + 1) % len(self.all)

            def rank(address: str) -> tuple[bool, bool, int]:
                left_out = now - self._failed_at.get(address, -LEFT_OUT) < LEFT_OUT
                return address in tried, left_out, self._under_way[address]

            chosen = min(turns, key=rank)
            self._under_way[chosen] += 1
        try:
            yield chosen
        finally:
            with self._lock:
                self._under_way[chosen] -= 1

    def failed(self, address: str) -> None:
        with self._lock:
            self._failed_at[address] = time.monotonic()

    def answered(self, address: str) -> None:
        with self._lock:
            self._failed_at.pop(address, None)
