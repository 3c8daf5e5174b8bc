"""The number of threads of a step and of tokens in a slice, adapted to earlier steps.

Calibration at set-up gives starting values. Another program that uses a core changes the fastest
choice within seconds, so the choice follows the durations of recent steps.
"""

import threading
from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Literal

StepKind = Literal["read"] | int  # a slice of a prompt, or the next token of that many answers


class ThreadChoice:
    """How many threads compute a step quickest.

    A second core may make one token a little quicker on an idle machine, and much slower where
    another program uses that core: threads wait for the slowest of them several hundred times a
    token. So the count that was quickest recently is used, and another is tried now and then.

    `measured`: seconds for the next token of one answer, by number of threads, from calibration.
    """

    # The median of this many steps decides. Other programs make about one step in five longer.
    WINDOW = 9
    # A trial is enough steps in a row to change the median. A count that lost by little is tried
    # in one of OFTEN steps, one that lost by more than MUCH in one of RARELY.
    TRIAL = 5
    OFTEN, RARELY = 128, 512
    MUCH = 1.1
    HOPELESS = 2.0  # a trial ends when its first step takes this many times the best

    def __init__(self, measured: Mapping[int, float] | None = None) -> None:
        self._seconds: dict[tuple[StepKind, int], deque[float]] = {
            (1, threads): deque([seconds] * 3, maxlen=self.WINDOW)
            for threads, seconds in (measured or {}).items()
        }
        self._steps = 0
        self._lock = threading.Lock()

    def choose(self, step: StepKind, most: int) -> int:
        """Threads for a step, at most `most`."""
        with self._lock:
            self._steps += 1
            costs = {count: self._cost(step, count) for count in _candidates(step, most)}
            best = min(costs, key=lambda count: costs[count])
            for place, (count, cost) in enumerate(costs.items()):
                interval = self.RARELY if cost > self.MUCH * costs[best] else self.OFTEN
                turn, number = divmod(self._steps % interval, self.TRIAL)
                known = self._seconds.get((step, count))
                newest = known[-1] if known else 0.0
                hopeless = number and newest > self.HOPELESS * costs[best]
                if turn == place + 1 and not hopeless:
                    return count
            return best

    def record(self, step: StepKind, threads: int, seconds: float) -> None:
        """`seconds`: for the step, or for each of its tokens, as long as it is always the same."""
        with self._lock:
            self._seconds.setdefault((step, threads), deque(maxlen=self.WINDOW)).append(seconds)

    def _cost(self, step: StepKind, threads: int) -> float:
        """Recent seconds; 0 where too little is known, so that this count is tried next."""
        known = self._seconds.get((step, threads), ())
        return median(known) if len(known) >= 3 else 0.0


def _candidates(step: StepKind, most: int) -> list[int]:
    """A slice scales with the cores, though not with two threads to a core. A token may not
    scale at all."""
    if step == "read":
        return [most, most // 2] if most >= 4 else [most]
    return thread_counts(most)


def thread_counts(most: int) -> list[int]:
    """1, 2, 4, … and `most`."""
    return [*(2**n for n in range(most.bit_length()) if 2**n < most), most]


class SliceChoice:
    """How many prompt tokens are computed before other jobs have their turn.

    `largest`: of a job that nobody waits beside. Stop interrupts a step, so it sets no limit.
    """

    # Other contexts compute beside it, and now and then find both cores taken.
    BESIDE_SECONDS = 0.06
    # Somebody in the same context reads along, and sees each slice as a pause: 0.03 s made the 99th
    # percentile of gaps 97 ms in one context (2-core AMD EPYC, default model), the goal is 50 ms.
    SHARED_SECONDS = 0.015
    SMALLEST = 8
    _START_RATE = 400.0  # tokens/s, until a slice has been measured
    _WEIGHT = 0.3  # of the newest measurement

    def __init__(self, largest: int) -> None:
        self.largest = max(self.SMALLEST, largest)
        self._rates: dict[int, float] = {}
        self._lock = threading.Lock()

    def choose(self, threads: int, seconds: float) -> int:
        """Tokens that take about so long."""
        with self._lock:
            size = int(self._rates.get(threads, self._START_RATE) * seconds)
        return min(max(size, self.SMALLEST), self.largest)

    def record(self, threads: int, tokens: int, seconds: float) -> None:
        if tokens < self.SMALLEST:
            return  # the rest of a prompt says little about a rate
        with self._lock:
            known = self._rates.get(threads, tokens / seconds)
            self._rates[threads] = known + self._WEIGHT * (tokens / seconds - known)
