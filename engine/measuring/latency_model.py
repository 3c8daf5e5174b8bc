"""A few measured answers → how long any other would take. Pure.

Time to first token grows with the prompt at the pace of the prefill, and the rest with the
answer at the pace of the decode:

    TTFT = overhead + prompt tokens / prefill rate
    E2EL = TTFT + (answer tokens - 1) / decode rate

Overhead is everything that does not depend on either: embedding, search, reranking, hand-over.
Fitted by least squares. What the formula leaves out (attention grows with the square of the
prompt, decode slows as the context fills) shows in the error at points it has not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np


@dataclass(frozen=True, slots=True)
class Point:
    """One answer: tokens evaluated and written, seconds to the first text and to the last."""

    prompt_tokens: int
    output_tokens: int
    ttft: float
    e2el: float


@dataclass(frozen=True, slots=True)
class LatencyModel:
    """`overhead` in seconds; rates in tokens a second."""

    overhead: float
    prefill_rate: float
    decode_rate: float

    def ttft(self, prompt_tokens: float) -> float:
        return self.overhead + prompt_tokens / self.prefill_rate

    def e2el(self, prompt_tokens: float, output_tokens: float) -> float:
        return self.ttft(prompt_tokens) + self.spared(output_tokens)

    def spared(self, output_tokens: float) -> float:
        """Seconds of waiting that streaming spares: the time between first token and last."""
        return max(0.0, output_tokens - 1) / self.decode_rate


@dataclass(frozen=True, slots=True)
class Check:
    """The model against a point it was not fitted to: seconds, and shares of what was measured."""

    point: Point
    ttft: float
    e2el: float

    @property
    def errors(self) -> tuple[float, float]:
        """(TTFT, E2EL): 0.05 where the model says 5 % more or less than was measured."""
        point = self.point
        return abs(self.ttft / point.ttft - 1), abs(self.e2el / point.e2el - 1)


def fit(points: Sequence[Point]) -> LatencyModel:
    """Raises ValueError where no point has a second token, so that there is no pace to see."""
    longer = [point for point in points if point.output_tokens > 1 and point.e2el > point.ttft]
    if not longer:
        raise ValueError("Every answer had one token: there is no pace to measure.")
    steps = np.array([point.output_tokens - 1 for point in longer], float)
    seconds = np.array([point.e2el - point.ttft for point in longer])
    each = float(steps @ seconds / (steps @ steps))
    overhead, slope = _line(points)
    return LatencyModel(overhead, 1 / slope if slope > 0 else float("inf"), 1 / each)


def check(model: LatencyModel, held_out: Sequence[Point]) -> list[Check]:
    return [
        Check(p, model.ttft(p.prompt_tokens), model.e2el(p.prompt_tokens, p.output_tokens))
        for p in held_out
    ]


def typical_error(checks: Sequence[Check]) -> float:
    """The median over all points and both times."""
    return median(error for each in checks for error in each.errors)


def worst_error(checks: Sequence[Check]) -> float:
    return max(error for each in checks for error in each.errors)


def _line(points: Sequence[Point]) -> tuple[float, float]:
    """(overhead, seconds a prompt token); flat where the prompts are alike or noise wins."""
    prompts = np.array([point.prompt_tokens for point in points], float)
    firsts = np.array([point.ttft for point in points])
    if len(set(prompts)) < 2:
        return fmean(firsts), 0.0
    slope, overhead = np.polyfit(prompts, firsts, 1)
    return (float(overhead), float(slope)) if slope > 0 else (fmean(firsts), 0.0)
