"""Traces: the metrics and the waterfall of hand-made records."""

import pytest

from engine.timing import (
    UNACCOUNTED,
    Span,
    Trace,
    streaming_tax,
    time_waiting,
    unaccounted,
    waterfall,
)


def recorded(token_times: list[float], chunk_times: list[float] | None = None) -> Trace:
    """An answer of 100 prompt tokens, 40 of them reused, read in 0.3 s."""
    trace = Trace()
    call = trace.begin_call("answer")
    call.prompt_tokens, call.reused_tokens = 100, 40
    call.token_times, call.output_tokens = token_times, len(token_times)
    trace.spans = [Span("search", 0.0, 0.1), Span("prefill", 0.2, 0.5, call=0)]
    trace.chunk_times = token_times if chunk_times is None else chunk_times
    trace.ended = 2.0
    return trace


def test_metrics_of_a_hand_made_record_are_the_hand_computed_ones() -> None:
    metrics = recorded([0.5, 0.6, 0.7, 1.0, 1.1]).metrics
    assert metrics.ttft == 0.5
    assert metrics.e2el == 1.1
    assert metrics.tpot == pytest.approx(0.15)
    assert metrics.itl == pytest.approx((0.1, 0.1, 0.3, 0.1))
    assert metrics.itl_median == pytest.approx(0.1)
    assert metrics.longest_stall == pytest.approx(0.3)
    assert metrics.prefill_rate == pytest.approx(200)
    assert metrics.decode_rate == pytest.approx(4 / 0.6)
    assert (metrics.prompt_tokens, metrics.reused_tokens, metrics.output_tokens) == (100, 40, 5)


def test_one_token_has_a_first_token_and_no_rate() -> None:
    metrics = recorded([0.5]).metrics
    assert (metrics.ttft, metrics.e2el) == (0.5, 0.5)
    assert (metrics.tpot, metrics.itl, metrics.longest_stall, metrics.decode_rate) == (
        None,
        (),
        None,
        None,
    )


def test_no_token_has_a_total_and_no_first_token() -> None:
    metrics = recorded([]).metrics
    assert (metrics.ttft, metrics.tpot, metrics.decode_rate) == (None, None, None)
    assert metrics.e2el == 2.0


def test_an_answer_that_is_not_streamed_has_its_first_text_at_its_end() -> None:
    metrics = recorded([0.5, 0.6, 0.7], chunk_times=[0.71]).metrics
    assert metrics.ttft == metrics.e2el == 0.71


def test_only_the_last_call_counts_and_earlier_prefills_are_not_its_own() -> None:
    trace = recorded([0.5, 0.6])
    trace.begin_call("refine").prompt_tokens = 30
    trace.spans.append(Span("prefill", 1.0, 1.1, call=1))
    trace.calls[-1].token_times = [1.1, 1.2, 1.3]
    trace.calls[-1].output_tokens = 3
    trace.chunk_times = [1.1, 1.2, 1.3]
    assert trace.metrics.prefill_rate == pytest.approx(300)
    assert trace.metrics.ttft == 1.1


def test_a_record_that_was_written_and_read_again_gives_the_same_metrics() -> None:
    trace = recorded([0.5, 0.6, 0.7, 1.0])
    assert Trace.from_dict(trace.to_dict()).metrics == trace.metrics


def test_a_span_is_timed_though_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    monkeypatch.setattr("engine.timing.time.perf_counter", lambda: now[0])
    trace = Trace()
    with pytest.raises(RuntimeError), trace.span("search"):
        now[0] += 0.5
        raise RuntimeError
    assert trace.total("search") == 0.5
    assert trace.total("rerank") == 0


def durations(trace: Trace, received: float | None = None) -> dict[str, float]:
    """Seconds by stage, those of one name added up."""
    spent: dict[str, float] = {}
    for stage in waterfall(trace, received):
        spent[stage.name] = spent.get(stage.name, 0.0) + stage.duration
    return spent


def test_the_waterfall_names_every_second_up_to_the_last_text_and_the_rest_is_unaccounted() -> None:
    trace = recorded([0.52, 0.6, 0.7, 1.0], chunk_times=[0.53, 0.61, 0.71, 1.02])
    trace.spans += [Span("queue", 0.15, 0.2, call=0), Span("decode", 0.5, 1.1, call=0)]
    assert durations(trace) == pytest.approx(
        {
            "search": 0.1,
            UNACCOUNTED: 0.05,
            "queue": 0.05,
            "prefill": 0.3,
            "first token": 0.02,
            "decode": 0.48,
            "hand-over": 0.02,
        }
    )
    stages = waterfall(trace)
    assert sum(stage.duration for stage in stages) == pytest.approx(1.02)
    assert [stage.start for stage in stages] == sorted(stage.start for stage in stages)
    assert unaccounted(stages) == pytest.approx(0.05)


def test_what_the_reader_saw_late_is_hand_over() -> None:
    trace = recorded([0.5, 0.6])
    trace.spans.append(Span("decode", 0.5, 0.6, call=0))
    assert durations(trace, received=0.9)["hand-over"] == pytest.approx(0.3)


def test_stages_that_overlap_leave_no_gap_and_none_below_zero() -> None:
    trace = recorded([0.6])
    trace.spans = [Span("search", 0.0, 0.5), Span("embed", 0.1, 0.2), Span("prefill", 0.4, 0.6)]
    assert unaccounted(waterfall(trace)) == 0


def test_earlier_calls_have_their_own_first_token_and_decode() -> None:
    trace = recorded([0.52, 0.6])
    trace.spans.append(Span("decode", 0.5, 0.6, call=0))
    trace.begin_call("refine").token_times = [0.9, 1.0]
    trace.spans += [Span("prefill", 0.6, 0.9, call=1), Span("decode", 0.9, 1.0, call=1)]
    trace.chunk_times = [0.9, 1.0]
    calls = [(stage.name, stage.call) for stage in waterfall(trace) if stage.name == "decode"]
    assert calls == [("decode", 0), ("decode", 1)]


def test_no_token_has_a_waterfall_to_its_end_and_no_decode() -> None:
    spent = durations(recorded([]))
    assert "decode" not in spent
    assert sum(spent.values()) == pytest.approx(2.0)


def test_a_trace_of_nothing_has_an_empty_waterfall() -> None:
    assert waterfall(Trace()) == []


def test_a_stage_that_never_ended_reaches_to_the_last_text() -> None:
    trace = recorded([0.5])
    trace.spans = [Span("search", 0.0, None)]
    assert durations(trace)["search"] == pytest.approx(0.5)


def test_the_streaming_tax_is_what_the_whole_takes_longer() -> None:
    assert streaming_tax(1.01, 1.0) == pytest.approx(0.01)
    assert streaming_tax(0.9, 1.0) == pytest.approx(-0.1)


def test_a_slow_reader_waits_for_the_first_token_only() -> None:
    assert time_waiting([0.5, 0.6, 0.7, 0.8], seconds_each=0.2) == 0.5


def test_a_fast_reader_waits_at_every_token() -> None:
    assert time_waiting([0.5, 0.7, 0.9], seconds_each=0.1) == pytest.approx(0.5 + 0.1 + 0.1)


def test_a_reader_waits_where_the_stream_stalls_and_they_catch_up() -> None:
    # Three tokens by 0.7 last until 1.1; the next one comes at 2.0.
    assert time_waiting([0.5, 0.6, 0.7, 2.0], seconds_each=0.2) == pytest.approx(0.5 + 0.9)


def test_who_gets_all_at_once_waits_for_all() -> None:
    assert time_waiting([1.5] * 10, seconds_each=0.2) == 1.5
    assert time_waiting([], seconds_each=0.2) == 0
