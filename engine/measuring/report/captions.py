"""The small print of charts: model, machine, lengths, what was warm, which run is shown."""

from collections.abc import Iterable, Sequence

from engine.measuring.findings import two
from engine.measuring.record import Measurement, Outcome, Session
from engine.measuring.schedule import Role, Transport

ENDED_EARLY = {
    Outcome.STOPPED: "stopped early",
    Outcome.INTERRUPTED: "interrupted",
    Outcome.FAILED: "failed early",
}


def about(session: Session, runs: Sequence[Measurement]) -> str:
    """Model, machine, tokens, what was reused, and an early end."""
    known = session.fingerprint
    models = [known.get("model file", known.get("model", "unknown model"))]
    if second := known.get("second model file", known.get("second model")):
        models.append(second)
    parts = [
        " and ".join(models),
        f"{known.get('processor', 'unknown machine')}, {known.get('cores', '?')} cores",
        f"{span(each.metrics.prompt_tokens for each in runs)} prompt tokens",
        f"{span(each.metrics.output_tokens for each in runs)} answer tokens",
        f"{span(each.metrics.reused_tokens for each in runs)} tokens from kept states",
        ENDED_EARLY.get(session.outcome, ""),
        "imported" if session.imported else "",
    ]
    return " · ".join(part for part in parts if part)


def span(counts: Iterable[int]) -> str:
    """One count if all are equal, otherwise the lowest and the highest."""
    ends = sorted(counts) or [0]
    return " to ".join(dict.fromkeys((str(ends[0]), str(ends[-1]))))


def what_was_warm(session: Session, run: Measurement) -> str:
    """What a run found ready: "model; connection; 60 of 71 prompt tokens"."""
    if run.trial.role is Role.WARM_UP:
        return "nothing for certain: this is a warm-up"
    lane, metrics = session.setup.lanes[run.lane], run.metrics
    parts = ["model"]
    if lane.transport is Transport.HTTP:
        parts.append("connection")
    kept = f"{metrics.reused_tokens} of {metrics.prompt_tokens} prompt tokens"
    return "; ".join([*parts, kept])


def which_run(session: Session, run: Measurement) -> str:
    """Which of the runs of its lane is shown, and how close it is to their medians."""
    runs = session.of(run.lane)
    name = f"{session.setup.names[run.lane]} run {runs.index(run) + 1} of {len(runs)}"
    if len(runs) == 1:
        return name
    metrics = ("first words", "ttft"), ("whole answer", "e2el")
    close = [
        f"{what} {two(getattr(run.metrics, metric))} s (median {two(middle)} s)"
        for what, metric in metrics
        if (middle := session.median(run.lane, metric))
    ]
    return f"{name}, the closest to the medians: {', '.join(close)}"
