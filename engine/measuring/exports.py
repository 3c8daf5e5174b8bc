"""A session in the formats of other tools: vLLM's summary, AIPerf's lines, a Chrome trace.

The names of the fields are those of `vllm bench serve --save-result`, of AIPerf's
profile_export.jsonl and of the Trace Event Format, which Perfetto and chrome://tracing open. What
these formats have no field for is in fields that begin with first_token.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from statistics import fmean, median, stdev
from typing import Any

from engine.measuring.goodput import WaitingBudget
from engine.measuring.record import Measurement, Outcome, Session
from engine.measuring.runner import SEED
from engine.measuring.schedule import Experiment, Mode
from engine.measuring.statistics import percentile
from engine.timing import waterfall

PERCENTILES = (50, 90, 95, 99)  # each is left out with too few runs


def to_vllm_json(session: Session, budget: WaitingBudget) -> str:
    """A JSON object, or for several lanes and loads a list of them, as vLLM's benchmark saves it.

    budget: for `request_goodput`.
    """
    parts: dict[tuple[int, int, float], list[Measurement]] = {}
    for each in session.counted:
        trial = each.trial
        parts.setdefault((each.lane, trial.readers, trial.load), []).append(each)
    found = [_vllm(session, runs, budget) for runs in parts.values()]
    return json.dumps(found[0] if len(found) == 1 else found, indent=1, ensure_ascii=False)


def _vllm(session: Session, runs: Sequence[Measurement], budget: WaitingBudget) -> dict[str, Any]:
    trial, lane = runs[0].trial, session.setup.lanes[runs[0].lane]
    begins = [run.trace.submitted_at for run in runs]
    ends = [run.trace.submitted_at + (run.metrics.e2el or 0.0) for run in runs]
    # One run after the other: the pauses between them, in which the other lane was asked, are none
    # of this lane's time.
    one_by_one = session.experiment is Experiment.COMPARISON
    busy = sum(run.metrics.e2el or 0.0 for run in runs)
    duration = busy if one_by_one else max(ends) - min(begins)
    prompt = sum(run.metrics.prompt_tokens for run in runs)
    written = sum(run.metrics.output_tokens for run in runs)
    good = sum(budget.kept_by(run) for run in runs)
    return {
        "date": datetime.fromtimestamp(session.started).strftime("%Y%m%d-%H%M%S"),
        "endpoint_type": "openai-chat",
        "backend": "openai-chat",
        "label": session.setup.names[runs[0].lane],
        "model_id": lane.model or session.fingerprint.get("model", ""),
        "tokenizer_id": None,
        "num_prompts": len(runs),
        "request_rate": trial.rate or "inf",
        "burstiness": 1.0,
        "max_concurrency": None if trial.load else trial.readers,
        "duration": duration,
        "completed": len(runs),
        "failed": 0,
        "total_input_tokens": prompt,
        "total_output_tokens": written,
        "request_throughput": _rate(len(runs), duration),
        "request_goodput": _rate(good, duration),
        "output_throughput": _rate(written, duration),
        "total_token_throughput": _rate(prompt + written, duration),
        **_statistics("ttft", [run.metrics.ttft for run in runs]),
        **_statistics("tpot", [run.metrics.tpot for run in runs]),
        **_statistics("itl", [gap for run in runs for gap in run.metrics.itl]),
        **_statistics("e2el", [run.metrics.e2el for run in runs]),
        "input_lens": [run.metrics.prompt_tokens for run in runs],
        "output_lens": [run.metrics.output_tokens for run in runs],
        "ttfts": [run.metrics.ttft for run in runs],
        "itls": [list(run.metrics.itl) for run in runs],
        "start_times": begins,
        "first_token_goodput_ttft_s": budget.first,
        "first_token_goodput_e2el_s": budget.whole,
        "first_token_streaming": lane.mode is Mode.STREAMING,
        "first_token_transport": str(lane.transport),
        "first_token_kept_states": lane.warm,
        "first_token_cached_tokens": [run.metrics.reused_tokens for run in runs],
        "first_token_arrival_seed": SEED if trial.load else None,
        "first_token_machine": session.fingerprint,
    }


def _rate(count: float, duration: float) -> float | None:
    return count / duration if duration else None


def _statistics(name: str, seconds: Sequence[float | None]) -> dict[str, float | None]:
    """Mean, median, deviation and percentiles in milliseconds. A percentile with too few values is
    left out; vLLM would give the highest value."""
    known = [value * 1000 for value in seconds if value is not None]
    found: dict[str, float | None] = {
        f"mean_{name}_ms": fmean(known) if known else None,
        f"median_{name}_ms": median(known) if known else None,
        f"std_{name}_ms": stdev(known) if len(known) > 1 else None,
    }
    for percent in PERCENTILES:
        if estimate := percentile(known, percent):
            found[f"p{percent}_{name}_ms"] = estimate.value
    return found


def to_aiperf_jsonl(session: Session) -> str:
    """A line for each request, as AIPerf writes them."""
    return "".join(
        json.dumps(_aiperf(session, each, number), ensure_ascii=False) + "\n"
        for number, each in enumerate(session.measurements)
    )


def _aiperf(session: Session, run: Measurement, number: int) -> dict[str, Any]:
    metrics, begin = run.metrics, run.trace.submitted_at
    streams = session.setup.lanes[run.lane].mode is Mode.STREAMING
    failed = run.outcome is not Outcome.DONE
    ended = metrics.e2el if metrics.e2el is not None else run.trace.ended

    def nanoseconds(seconds: float | None) -> int | None:
        return None if seconds is None else round((begin + seconds) * 1e9)

    values: dict[str, tuple[Any, str]] = {
        "input_sequence_length": (metrics.prompt_tokens, "tokens"),
        "output_token_count": (metrics.output_tokens, "tokens"),
        "output_sequence_length": (metrics.output_tokens, "tokens"),
        "request_latency": (_ms(metrics.e2el), "ms"),
    }
    if streams:
        times = [chunk.received for chunk in run.chunks]
        between = [_ms(late - early) for early, late in pairwise(times)]
        values["time_to_first_token"] = (_ms(metrics.ttft), "ms")
        values["inter_chunk_latency"] = (between, "ms")
        if metrics.tpot:  # AIPerf's inter-token latency is vLLM's time per output token
            values["inter_token_latency"] = (_ms(metrics.tpot), "ms")
            values["output_token_throughput_per_user"] = (1 / metrics.tpot, "tokens/sec/user")
    return {
        "metadata": {
            "session_num": number,
            "x_request_id": f"{session.id}-{number}",
            "x_correlation_id": f"{session.id}-{number}",
            "conversation_id": f"question-{run.question}",
            "turn_index": 0,
            "request_start_ns": nanoseconds(0.0),
            "request_ack_ns": nanoseconds(metrics.ttft) if streams else None,
            "request_end_ns": nanoseconds(ended),
            "worker_id": f"reader-{run.reader}",
            "record_processor_id": "first-token",
            "benchmark_phase": "profiling" if run.counts else "warmup",
            "was_cancelled": run.outcome is Outcome.STOPPED,
            "cancellation_time_ns": None,
            "first_token_lane": session.setup.names[run.lane],
            "first_token_cached_tokens": metrics.reused_tokens,
        },
        "metrics": {
            name: {"value": value, "unit": unit}
            for name, (value, unit) in values.items()
            if value is not None and not failed
        },
        "error": {"code": None, "type": "GenerationError", "message": run.error}
        if failed
        else None,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def to_chrome_trace(session: Session) -> str:
    """The waterfall of every run: a process for each lane, a thread for each run."""
    events: list[dict[str, Any]] = []
    for lane, name in enumerate(session.setup.names):
        events.append(_meta("process_name", lane, 0, name))
    for number, run in enumerate(session.measurements):
        name = f"{number}: {run.trial.role}, {session.setup.questions[run.question][:80]}"
        events.append(_meta("thread_name", run.lane, number, name))
        begin = (run.trace.submitted_at - session.started) * 1e6
        events += [
            {
                "name": segment.name,
                "cat": "answer",
                "ph": "X",
                "ts": begin + segment.start * 1e6,
                "dur": segment.duration * 1e6,
                "pid": run.lane,
                "tid": number,
                "args": {} if segment.call is None else {"call": segment.call},
            }
            for segment in waterfall(run.trace, run.seen_last)
        ]
        if run.metrics.ttft is not None:
            at = begin + run.metrics.ttft * 1e6
            place = {"pid": run.lane, "tid": number}
            events.append({"name": "first words", "ph": "i", "s": "t", "ts": at, **place})
    return json.dumps(
        {
            "traceEvents": events,
            "displayTimeUnit": "ms",
            "otherData": {"first_token_session": session.id, **session.fingerprint},
        },
        ensure_ascii=False,
    )


def _meta(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": process, "tid": thread, "args": {"name": name}}
