"""Session and Measurement: what was measured, how, and its figures.

A session is one click on a page: a setup, a schedule, and what came of each of its steps. The
figures of a run come from its trace (engine/timing.py); of one imported from a table, as they
were written there. It does not know how anything was measured.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from engine.measuring.schedule import Kind, Mode, Role, Setup, Step
from engine.timing import Trace, unaccounted, waterfall


class Outcome(StrEnum):
    """How a run or a session ended. The value is the word a page shows."""

    RUNNING = "running"
    DONE = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # First Token ended before it did


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of text; seconds since submit when the engine handed it over, and when a reader
    outside the engine had it."""

    text: str
    handed: float
    received: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One run in a row of numbers: seconds, tokens, tokens a second. None: there was none.

    `seen_first` and `seen_last` are the reader's own clock; `unaccounted` is the part of the
    time in no named stage.
    """

    ttft: float | None = None
    e2el: float | None = None
    tpot: float | None = None
    itl_median: float | None = None
    longest_stall: float | None = None
    prefill_rate: float | None = None
    decode_rate: float | None = None
    prompt_tokens: int = 0
    reused_tokens: int = 0
    output_tokens: int = 0
    seen_first: float | None = None
    seen_last: float | None = None
    unaccounted: float | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One answer to one reader. `run` counts steps, `reader` those who asked at once."""

    run: int
    step: Step
    figures: Figures
    reader: int = 0
    outcome: Outcome = Outcome.DONE
    error: str = ""
    trace: Trace | None = None
    chunks: tuple[Chunk, ...] = ()

    @property
    def mode(self) -> Mode:
        return self.step.mode

    @property
    def wrote(self) -> bool:
        """There are tokens, a first and a last, after the submit."""
        figures = self.figures
        return figures.output_tokens > 0 and bool(figures.ttft) and bool(figures.e2el)

    @property
    def counts(self) -> bool:
        """It belongs in the results: it ended by itself, wrote something, and is no warm-up."""
        whole = self.outcome is Outcome.DONE and self.wrote
        return whole and self.step.role is not Role.WARM_UP

    @property
    def recorded(self) -> bool:
        """The time of every token of the answer is there."""
        times = self.trace.calls[-1].token_times if self.trace and self.trace.calls else []
        return bool(times) and times[-1] > 0

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)


@dataclass(slots=True)
class Session:
    """What was measured in one go. `started` is seconds since 1970."""

    id: str
    kind: Kind
    started: float
    setup: Setup
    fingerprint: dict[str, str]
    planned: int = 0
    measurements: list[Measurement] = field(default_factory=list)
    outcome: Outcome = Outcome.RUNNING
    problem: str = ""
    imported: bool = False

    @property
    def counted(self) -> list[Measurement]:
        return [each for each in self.measurements if each.counts]

    def of(self, mode: Mode) -> list[Measurement]:
        return [each for each in self.counted if each.mode is mode]

    @property
    def pairs(self) -> list[tuple[Measurement, Measurement]]:
        """(streaming, non-streaming) of one reader each, where both count."""
        by_pair: dict[int, dict[Mode, Measurement]] = {}
        for each in self.counted:
            if each.step.pair is not None and each.step.readers == 1:
                by_pair.setdefault(each.step.pair, {})[each.mode] = each
        both = (pair for _, pair in sorted(by_pair.items()) if len(pair) == len(Mode))
        return [(pair[Mode.STREAMING], pair[Mode.BLOCKING]) for pair in both]

    @property
    def recorded(self) -> list[Measurement]:
        """Those that count and whose every token has its time."""
        return [each for each in self.counted if each.recorded]


def figures_of(trace: Trace, chunks: Iterable[Chunk]) -> Figures:
    """A run's figures, from its trace and from what its reader saw."""
    metrics = trace.metrics
    seen = [chunk.received for chunk in chunks]
    return Figures(
        ttft=metrics.ttft,
        e2el=metrics.e2el,
        tpot=metrics.tpot,
        itl_median=median(metrics.itl) if metrics.itl else None,
        longest_stall=metrics.longest_stall,
        prefill_rate=metrics.prefill_rate,
        decode_rate=metrics.decode_rate,
        prompt_tokens=metrics.prompt_tokens,
        reused_tokens=metrics.reused_tokens,
        output_tokens=metrics.output_tokens,
        seen_first=seen[0] if seen else None,
        seen_last=seen[-1] if seen else None,
        unaccounted=unaccounted(waterfall(trace, seen[-1])) if seen else None,
    )
