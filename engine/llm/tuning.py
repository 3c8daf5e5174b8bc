"""How the runtime uses this machine: contexts, slices, threads. It computes nothing."""

from collections import deque
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Tuning:
    """contexts: threads that compute side by side, each with a context of its own.
    sequences: answers that one context works on in turns. window: tokens of one of them, prompt
    and answer together. slice_alone, slice_shared: prompt tokens computed between two looks at
    Stop, with nobody else there and with others waiting. decode_batch: answers whose next
    tokens are computed in one batch. cache_type: f16 or q8_0.
    """

    contexts: int = 2
    sequences: int = 2
    window: int = 4096
    slice_alone: int = 48
    slice_shared: int = 16
    decode_batch: int = 1
    flash_attention: bool = False
    cache_type: str = "f16"


class ThreadChoice:
    """How many threads compute a token quickest, learnt from the steps themselves.

    A second core helps one token a little where the machine is idle, and costs much where
    another program uses it: each thread waits for the slowest several hundred times a token.
    So the quickest of late is used, and another is tried now and then.
    """

    # A trial costs one step of at most a few times the length. One in 64 is under 5 % at
    # three times the length; where it lost clearly, one in 512.
    TRIAL, RARE_TRIAL = 64, 512
    CLEARLY = 1.3

    def __init__(self) -> None:
        self._seconds: dict[tuple[int, int], deque[float]] = {}
        self._steps = 0

    def choose(self, batch: int, most: int) -> int:
        """Threads for a step of `batch` answers, of at most `most`."""
        self._steps += 1
        costs = {count: self._cost(batch, count) for count in {1, most}}
        best = min(costs, key=lambda count: costs[count])
        for count, cost in costs.items():
            if count != best and self._steps % self._interval(cost, costs[best]) == 0:
                return count
        return best

    def record(self, batch: int, threads: int, seconds: float) -> None:
        self._seconds.setdefault((batch, threads), deque(maxlen=5)).append(seconds)

    def _cost(self, batch: int, threads: int) -> float:
        """Of late, in seconds; 0 where too little is known, so that it is tried."""
        known = self._seconds.get((batch, threads), ())
        return median(known) if len(known) >= 3 else 0.0

    def _interval(self, cost: float, best: float) -> int:
        return self.RARE_TRIAL if cost > best * self.CLEARLY else self.TRIAL
