"""Pace: how many threads and how many tokens a step takes, learnt from the steps before it.

A calibration at the start would hold for the machine as it was then; another program that
takes a core changes what is quickest within seconds. In come durations, out come sizes. It
does not know what is computed.
"""

import threading
from collections import deque
from statistics import median
from typing import Literal

Step = Literal["read"] | int  # a slice of a prompt, or the next token of so many answers


class ThreadChoice:
    """How many threads compute a step quickest.

    A second core helps one token a little where the machine is idle, and costs much where
    another program uses it: each thread waits for the slowest several hundred times a token.
    So the quickest of late is used, and another is tried now and then.
    """

    # A trial costs one step of a few times the length: one in 64 costs under 5 %. One that lost
    # clearly is tried one time in 512.
    TRIAL, RARE_TRIAL = 64, 512
    CLEARLY = 1.3

    def __init__(self) -> None:
        self._seconds: dict[tuple[Step, int], deque[float]] = {}
        self._steps = 0
        self._lock = threading.Lock()

    def choose(self, step: Step, most: int) -> int:
        """Threads for a step, at most `most`."""
        with self._lock:
            self._steps += 1
            costs = {count: self._cost(step, count) for count in _candidates(step, most)}
            best = min(costs, key=lambda count: costs[count])
            for count, cost in costs.items():
                clear = cost > self.CLEARLY * costs[best]
                # Each has a step of its own in the cycle, so that several are tried in turn.
                if self._steps % (self.RARE_TRIAL if clear else self.TRIAL) == count:
                    return count
            return best

    def record(self, step: Step, threads: int, seconds: float) -> None:
        """`seconds`: for the step, or for each of its tokens, as long as it is always the same."""
        with self._lock:
            self._seconds.setdefault((step, threads), deque(maxlen=5)).append(seconds)

    def _cost(self, step: Step, threads: int) -> float:
        """Of late, in seconds; 0 where too little is known, so that it is tried."""
        known = self._seconds.get((step, threads), ())
        return median(known) if len(known) >= 3 else 0.0


def _candidates(step: Step, most: int) -> list[int]:
    """A slice scales with the cores, though not with two threads to a core. A token may not
    scale at all."""
    if step == "read":
        return [most, most // 2] if most >= 4 else [most]
    return [*(2**n for n in range(most.bit_length()) if 2**n < most), most]


class SliceChoice:
    """How many prompt tokens are computed before others have their turn."""

    # Slices of 16, 24, 32, 48, 64, 80, 128 tokens read 509, 570, 605, 650, 687, 700, 710
    # tokens/s here, two threads. One that lasts longer than 0.1 s gains nothing, and whoever
    # comes meanwhile waits for its end.
    ALONE_SECONDS = 0.1
    # Others compute beside it, and now and then find both cores taken.
    BESIDE_SECONDS = 0.06
    # Somebody in the same context reads along, and sees each slice as a pause.
    SHARED_SECONDS = 0.03
    SMALLEST = 8
    _START_RATE = 400.0  # tokens/s, until something is known
    _WEIGHT = 0.3  # of the newest measurement

    def __init__(self, largest: int) -> None:
        self._largest = max(self.SMALLEST, largest)
        self._rates: dict[int, float] = {}
        self._lock = threading.Lock()

    def choose(self, threads: int, seconds: float) -> int:
        """Tokens that take about so long."""
        with self._lock:
            size = int(self._rates.get(threads, self._START_RATE) * seconds)
        return min(max(size, self.SMALLEST), self._largest)

    def record(self, threads: int, tokens: int, seconds: float) -> None:
        if tokens < self.SMALLEST:
            return  # a remainder says little about a rate
        with self._lock:
            known = self._rates.get(threads, tokens / seconds)
            self._rates[threads] = known + self._WEIGHT * (tokens / seconds - known)
