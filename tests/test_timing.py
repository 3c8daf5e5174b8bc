import time

import pytest

from engine.timing import Span, Trace


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


def test_a_span_is_timed_though_it_fails() -> None:
    trace = Trace()
    with pytest.raises(RuntimeError), trace.span("search"):
        time.sleep(0.02)
        raise RuntimeError
    assert trace.total("search") >= 0.02
    assert trace.total("rerank") == 0
