"""Answers as a browser drew them: each delay is in its stage, and the text is whole."""

import pytest

from engine.measuring.asking import TO_APP, TO_PAGE, TO_SCREEN, Asked, Drawn, as_drawn
from engine.measuring.record import Chunk
from engine.timing import Span, Trace, unaccounted, waterfall
from tests.test_measuring_runs import spent

ASKED = 1000.0  # when the engine began, in seconds since 1970
PIECES = ["It was ", "built in 1887."]


def answered() -> Asked:
    """An answer of two tokens, after a search and a prefill."""
    trace = Trace()
    trace.submitted_at = ASKED
    trace.spans = [Span("search", 0.0, 0.1), Span("prefill", 0.1, 0.5, call=0)]
    call = trace.begin_call("answer")
    call.prompt_tokens, call.output_tokens, call.token_times = 50, 2, [0.5, 0.8]
    trace.chunk_times, trace.ended = [0.5, 0.8], 0.8
    chunks = tuple(Chunk(t, at, at) for t, at in zip(PIECES, trace.chunk_times, strict=True))
    return Asked(trace, chunks)


def drawn(to_app: float = 0.0, to_page: float = 0.0, to_screen: float = 0.0) -> Asked:
    """The same answer with these delays, each piece drawn as soon as it can be."""
    given = ASKED + 0.5 + to_page
    first = given + to_screen
    pieces = [(7, first), (21, max(first, ASKED + 0.8 + to_screen))]
    return as_drawn(answered(), Drawn(ASKED - to_app, given, pieces))


DELAYS = {"to_app": TO_APP, "to_page": TO_PAGE, "to_screen": TO_SCREEN}


@pytest.mark.parametrize("delay", DELAYS)
def test_a_delay_around_the_answer_is_in_its_stage_and_nowhere_else(delay: str) -> None:
    late, usual = drawn(**{delay: 0.2}), drawn()
    stages, before = spent(late.trace), spent(usual.trace)
    assert stages[DELAYS[delay]] == pytest.approx(0.2)
    for name in ("search", "prefill", "decode"):
        assert stages[name] == pytest.approx(before[name])
    assert late.trace.metrics.ttft == pytest.approx(0.7)
    assert unaccounted(waterfall(late.trace, late.chunks[-1].received)) == pytest.approx(0)


def test_the_stages_add_up_to_the_first_text_that_was_seen() -> None:
    seen = drawn(0.02, 0.03, 0.05)
    names = ("search", "prefill", *DELAYS.values())
    assert sum(seen.trace.total(name) for name in names) == pytest.approx(seen.trace.metrics.ttft)
    assert seen.trace.metrics.ttft == pytest.approx(0.6)


def test_what_was_drawn_is_the_whole_text_in_pieces() -> None:
    """Also where marks of Markdown are not drawn, and where a piece was drawn twice."""
    one = answered()
    found = as_drawn(
        one, Drawn(ASKED, ASKED + 0.5, [(5, ASKED + 1), (5, ASKED + 2), (9, ASKED + 3)])
    )
    assert "".join(chunk.text for chunk in found.chunks) == "".join(PIECES)
    assert [chunk.received for chunk in found.chunks] == pytest.approx([1.0, 3.0])
    assert one.trace.metrics.ttft == 0.5, "the engine's own trace stays as it is"


def test_a_browser_with_another_clock_makes_no_negative_stage() -> None:
    found = as_drawn(answered(), Drawn(ASKED + 50, ASKED - 50, [(21, ASKED + 50.9)]))
    assert all(span.end is not None and span.end >= span.start >= 0 for span in found.trace.spans)
    with pytest.raises(ValueError, match="Nothing was drawn"):
        as_drawn(answered(), Drawn(ASKED, ASKED, []))
