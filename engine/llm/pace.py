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

    # The median of so many steps: other programs make one in five or so much longer, and that
    # must not decide.
    WINDOW = 9
    # A trial is enough steps in a row to turn the median. One in 64 steps costs under 2 % where
    # the count had lost by little; where it had lost by much, one in 128 does.
    TRIAL = 5
    OFTEN, RARELY = 64, 128
    MUCH = 1.3
    HOPELESS = 2.0  # a trial ends where its first step takes so many times the best

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
            for place, (count, cost) in enumerate(costs.items()):
                interval = self.RARELY if cost > self.MUCH * costs[best] else self.OFTEN
                turn, number = divmod(self._steps % interval, self.TRIAL)
                hopeless = number and self._newest(step, count) > self.HOPELESS * costs[best]
                if turn == place + 1 and not hopeless:
                    return count
            return best

    def record(self, step: Step, threads: int, seconds: float) -> None:
        """`seconds`: for the step, or for each of its tokens, as long as it is always the same."""
        with self._lock:
            self._seconds.setdefault((step, threads), deque(maxlen=self.WINDOW)).append(seconds)

    def _cost(self, step: Step, threads: int) -> float:
        """Of late, in seconds; 0 where too little is known, so that it is tried."""
        known = self._seconds.get((step, threads), ())
        return median(known) if len(known) >= 3 else 0.0

    def _newest(self, step: Step, threads: int) -> float:
        known = self._seconds.get((step, threads))
        return known[-1] if known else 0.0


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
