"""Session and Measurement: the results of measuring, with their settings.

A session is what one click on the Compare page measures: a setup, and one measurement for each
answer. engine/timing.py computes the metrics of a measurement from its trace.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from statistics import median

from engine.measuring.schedule import Experiment, Role, Setup, Trial
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
    """A chunk of text, and two times in seconds since submit: when the engine, or over HTTP the
    connection, passed it on (`handed`), and when the reader had it (`received`)."""

    text: str
    handed: float
    received: float


@dataclass(frozen=True)  # without slots: cached_property needs a __dict__
class Measurement:
    """One answer to one reader.

    run: the index of the trial in the schedule. reader: the index among the requests of the trial.
    question: the index of its question. useful: the characters of the text until the sentence with
    the answer ends; 0 if that is not known.
    """

    run: int
    trial: Trial
    trace: Trace
    chunks: tuple[Chunk, ...] = ()
    reader: int = 0
    outcome: Outcome = Outcome.DONE
    error: str = ""
    question: int = 0
    useful: int = 0

    @cached_property
    def metrics(self) -> Metrics:
        return self.trace.metrics

    @property
    def lane(self) -> int:
        return self.trial.lane

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

    def of(self, lane: int) -> list[Measurement]:
        """The runs of a lane that count."""
        return [each for each in self.counted if each.lane == lane]

    def median(self, lane: int, metric: str) -> float | None:
        """The median of a field of Metrics over the runs of a lane; None if no run has it."""
        found = (getattr(each.metrics, metric) for each in self.of(lane))
        known = [value for value in found if value is not None]
        return float(median(known)) if known else None

    def typical_run(self, lane: int) -> Measurement | None:
        """The run closest to the medians of the lane, of those with token times.

        How far a run is from them: the larger of the distances of its first words and its whole
        answer, each as a share of the median.
        """

        def distance(run: Measurement) -> float:
            found = 0.0
            for metric in ("ttft", "e2el"):
                middle, value = self.median(lane, metric), getattr(run.metrics, metric)
                if middle and value is not None:
                    found = max(found, abs(value - middle) / middle)
            return found

        runs = [each for each in self.of(lane) if each.has_token_times]
        return min(runs, key=distance, default=None)

    @property
    def pairs(self) -> list[tuple[Measurement, Measurement]]:
        """(first lane, second lane) for each pair of runs in which both count."""
        by_pair: dict[int, dict[int, Measurement]] = {}
        for each in self.counted:
            if each.trial.pair is not None:
                by_pair.setdefault(each.trial.pair, {})[each.lane] = each
        return [(pair[0], pair[1]) for _, pair in sorted(by_pair.items()) if {0, 1} <= set(pair)]

    @property
    def unanswered(self) -> list[str]:
        """The questions for which nothing was found in the documents."""
        without = {each.question for each in self.measurements if not each.wrote}
        return [self.setup.questions[place] for place in sorted(without)]
