"""Live: work that one thread does while any number of readers follow it, hold it or stop it.

`Live` is the base class of an answer and of an agent's run. It owns the run, the stream of items
and the lease, and it ends the work.
"""

import logging
from typing import Generic, TypeVar

from engine.errors import Cancelled
from engine.lease import Lease
from engine.redacting import redact
from engine.run import Phase, Progress, Run
from engine.stream import Stream

log = logging.getLogger(__name__)

Item = TypeVar("Item")


class Live(Generic[Item]):
    """The work's thread appends to `stream` and calls `finish` once. Readers use the rest.

    When the last reader leaves early, the work stops, unless `hold` keeps it going.
    """

    kind = "work"
    """The name of this kind of work in the log."""

    def __init__(self) -> None:
        self.run = Run.begin()
        self.stream: Stream[Item] = Stream(on_abandoned=self._abandoned)
        self._lease = Lease(self.run.cancel, lambda: self.stream.has_readers)

    @property
    def phase(self) -> Phase:
        return self.run.progress.phase

    @property
    def progress(self) -> Progress:
        return self.run.progress

    @property
    def error(self) -> BaseException | None:
        """Why the work failed, or None."""
        return self.stream.error

    def cancel(self) -> None:
        """Stop, in any phase. The text written so far is kept."""
        self.run.cancel()

    def hold(self, seconds: float) -> None:
        """Keep the work going for `seconds` without readers. Call it again to renew the time.

        When the time is up and there is no reader, the work is stopped.
        """
        self._lease.hold(seconds)

    def wait_for(self, seconds: float) -> bool:
        """Block until something changes or the work ends. False if `seconds` passed before that."""
        return self.stream.wait_for_change(seconds)

    def finish(self, error: BaseException | None = None) -> None:
        """End as done (no error), stopped (Cancelled) or failed (any other error)."""
        stopped = isinstance(error, Cancelled)
        phase = Phase.STOPPED if stopped else Phase.FAILED if error else Phase.DONE
        try:
            self.run.trace.finish()
            self.run.report(phase)
            self._lease.end()
            reason = f"{type(error).__name__}: {redact(str(error))}; " if error else ""
            log.info("%s %s %s: %s%s", self.kind, self.run.id, phase, reason, _stages(self.run))
        finally:
            self.stream.end(None if stopped else error)

    def _abandoned(self) -> None:
        """The last reader has left before the end."""
        self._lease.abandoned()


def _stages(run: Run) -> str:
    """The seconds of each stage, and the tokens: no text of a document or a question."""
    names = dict.fromkeys(span.name for span in run.trace.spans)
    parts = [f"{name} {run.trace.total(name):.3f} s" for name in names]
    metrics = run.trace.metrics
    if metrics.ttft is not None:
        parts.append(f"first text after {metrics.ttft:.3f} s")
    parts.append(f"{metrics.output_tokens} tokens")
    parts.append(f"{run.trace.ended or 0.0:.3f} s in all")
    return ", ".join(parts)
