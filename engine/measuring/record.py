"""Session and Measurement: the results of measuring, with their settings.

A session is what one click on the Compare page measures: a setup, and one measurement for each
reader of each trial. engine/timing.py computes the metrics of a measurement from its trace.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from statistics import median

from engine.measuring.schedule import Experiment, Mode, Role, Setup, Trial
from engine.timing import Metrics, Trace, unaccounted, waterfall


class Outcome(StrEnum):
    """How a run or a session ended. The value is the word that a page shows."""

    RUNNING = "running"
    DONE = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # First Token ended before the session did


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of text, and two times in seconds since submit: when the engine passed it on
    (`handed`), and when a reader outside the engine received it (`received`)."""

    text: str
    handed: float
    received: float


@dataclass(frozen=True)  # without slots: cached_property needs a __dict__
class Measurement:
    """One answer to one reader.

    `run` is the index of the trial in the schedule. `reader` is the index of the reader among the
    readers that asked at the same time.
    """

    run: int
    trial: Trial
    trace: Trace
    chunks: tuple[Chunk, ...] = ()
    reader: int = 0
    outcome: Outcome = Outcome.DONE
    error: str = ""

    @cached_property
    def metrics(self) -> Metrics:
        return self.trace.metrics

    @property
    def mode(self) -> Mode:
        return self.trial.mode

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def seen_first(self) -> float | None:
        """Seconds until the reader received the first text, by the reader's own clock."""
        return self.chunks[0].received if self.chunks else None

    @property
    def seen_last(self) -> float | None:
        """Seconds until the reader received the last text, by the reader's own clock."""
        return self.chunks[-1].received if self.chunks else None

    @property
    def unaccounted(self) -> float | None:
        """Seconds in which no named stage was running."""
        return unaccounted(waterfall(self.trace, self.seen_last)) if self.chunks else None

    @property
    def wrote(self) -> bool:
        """Whether there are tokens, with times after the submit."""
        metrics = self.metrics
        return metrics.output_tokens > 0 and bool(metrics.ttft) and bool(metrics.e2el)

    @property
    def counts(self) -> bool:
        """Whether the results include it: it finished, has text, and is not the warm-up."""
        finished = self.outcome is Outcome.DONE and self.wrote
        return finished and self.trial.role is Role.MEASURED

    @property
    def has_token_times(self) -> bool:
        """Whether the time of every token is known. A server that does not stream reports none."""
        times = self.trace.calls[-1].token_times if self.trace.calls else []
        return bool(times) and times[-1] > 0


@dataclass(slots=True)
class Session:
    """The results of one click on the Compare page. `started` is in seconds since 1970.

    `planned` is the number of trials in the schedule.
    """

    id: str
    experiment: Experiment
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

    def median(self, mode: Mode, metric: str) -> float | None:
        """The median of a field of Metrics over the runs of a mode; None if no run has it."""
        found = (getattr(each.metrics, metric) for each in self.of(mode))
        known = [value for value in found if value is not None]
        return float(median(known)) if known else None

    def typical_run(self, mode: Mode) -> Measurement | None:
        """The run closest to the medians of the mode, of those with token times.

        How far a run is from them: the larger of the distances of its first words and its whole
        answer, each as a share of the median.
        """

        def distance(run: Measurement) -> float:
            found = 0.0
            for metric in ("ttft", "e2el"):
                middle, value = self.median(mode, metric), getattr(run.metrics, metric)
                if middle and value is not None:
                    found = max(found, abs(value - middle) / middle)
            return found

        runs = [each for each in self.of(mode) if each.has_token_times]
        return min(runs, key=distance, default=None)

    @property
    def pairs(self) -> list[tuple[Measurement, Measurement]]:
        """(streaming, non-streaming) for each pair of single readers in which both count."""
        by_pair: dict[int, dict[Mode, Measurement]] = {}
        for each in self.counted:
            if each.trial.pair is not None and each.trial.readers == 1:
                by_pair.setdefault(each.trial.pair, {})[each.mode] = each
        both = (pair for _, pair in sorted(by_pair.items()) if len(pair) == len(Mode))
        return [(pair[Mode.STREAMING], pair[Mode.BLOCKING]) for pair in both]
