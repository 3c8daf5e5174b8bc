"""The number of threads of a step and of tokens in a slice, adapted to earlier steps.

Calibration at set-up gives starting values. Another program that uses a core changes the fastest
choice within seconds, so the choice follows the durations of recent steps.
"""

import math
import threading
from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Literal

StepKind = Literal["read"] | int  # a slice of a prompt, or the next token of that many answers


class ThreadChoice:
    """The number of threads with which a step takes the least time.

    On an idle machine, a second core makes a token slightly faster. If another program uses that
    core, it makes the token much slower, because threads wait for the slowest of them several
    hundred times a token. Therefore the count that was fastest recently is used, and the others
    are tried again. The first trial comes soon after a loss, because other programs come and go
    within seconds. Each further loss doubles the wait.

    `measured`: seconds for the next token of one answer, by number of threads, from calibration.
    """

    # The median of this many steps decides. Other programs make about one step in five longer.
    WINDOW = 9
    TRIAL = 3  # steps in a row
    FIRST, RAREST = 16, 512  # steps between two trials: after one loss, after many
    SLOWER = 1.3  # if the best count becomes this much slower, the others are tried at once
    HOPELESS = 2.0  # a trial ends when its first step takes this many times the best

    def __init__(self, measured: Mapping[int, float] | None = None) -> None:
        self._known: dict[tuple[StepKind, int], _Known] = {}
        for threads, seconds in (measured or {}).items():
            self._of(1, threads).seconds.extend([seconds] * self.TRIAL)
        self._lock = threading.Lock()

    def choose(self, step: StepKind, most: int) -> int:
        """Threads for a step, at most `most`."""
        with self._lock:
            known = {count: self._of(step, count) for count in _candidates(step, most)}
            for count in sorted(known, reverse=True):
                if len(known[count].seconds) < self.TRIAL:
                    return count
            best = min(known, key=lambda count: known[count].cost)
            for count, each in known.items():
                if count != best and each.continues_trial(known[best].cost):
                    return count
            return min(known, key=lambda count: known[count].cost)  # a trial may have changed it

    def record(self, step: StepKind, threads: int, seconds: float) -> None:
        """`seconds`: for the step, or for each of its tokens, as long as it is always the same."""
        with self._lock:
            self._of(step, threads).record(seconds)

    def _of(self, step: StepKind, threads: int) -> "_Known":
        known = self._known.get((step, threads))
        if known is None:
            known = self._known[step, threads] = _Known()
        return known


class _Known:
    """The recent durations of one kind of step with one number of threads, and its trials."""

    def __init__(self) -> None:
        self.seconds: deque[float] = deque(maxlen=ThreadChoice.WINDOW)
        self._trial: list[float] | None = None  # the durations of the trial that goes on
        self._interval = ThreadChoice.FIRST
        self._waited = 0
        self._lost_to = math.inf

    @property
    def cost(self) -> float:
        return median(self.seconds)

    def record(self, seconds: float) -> None:
        if self._trial is None:
            self.seconds.append(seconds)
        else:
            self._trial.append(seconds)

    def continues_trial(self, best: float) -> bool:
        """Whether the next step belongs to a trial of this count, of which another is the best
        with a cost of `best`. To be asked before each step."""
        if self._trial is None:
            self._waited += 1
            if best > ThreadChoice.SLOWER * self._lost_to:
                self._interval = ThreadChoice.FIRST
            elif self._waited < self._interval:
                return False
            self._trial = []
        hopeless = len(self._trial) == 1 and self._trial[0] > ThreadChoice.HOPELESS * best
        if len(self._trial) < ThreadChoice.TRIAL and not hopeless:
            return True
        if hopeless:
            self.seconds.append(self._trial[0])
        else:
            self.seconds = deque(self._trial, ThreadChoice.WINDOW)
        won = self.cost < best
        self._interval = (
            ThreadChoice.FIRST if won else min(2 * self._interval, ThreadChoice.RAREST)
        )
        self._waited, self._lost_to, self._trial = 0, best, None
        return False


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
