"""What a session shows: reading, drawing, and the files for other tools."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from engine.measuring import Experiment, Lane, Measurement, Session, Transport
from engine.measuring.exports import to_aiperf_jsonl, to_chrome_trace, to_vllm_json
from engine.measuring.feeling import first_useful, reading, useful_by
from engine.measuring.goodput import WaitingBudget
from engine.measuring.record import Chunk, Outcome
from engine.measuring.report.drawing import Scale, from_zero, line, number
from engine.measuring.report.felt import felt, pace
from engine.measuring.report.page import to_html
from engine.measuring.report.result import result
from engine.measuring.report.runs import every_run
from engine.measuring.report.section import Finding, Note
from engine.measuring.report.spread import spread
from engine.measuring.schedule import Mode
from engine.timing import Span
from tests.test_measuring import SETUP, S, pairs, run

BUDGET = WaitingBudget(1.0, 5.0)
EVIL = '<script>alert(1)</script><img src="http://x/?q">'
FACTS = {"model": "m.gguf", "processor": "A <b>chip</b>", "cores": "2 of 2"}


@pytest.fixture
def compared() -> Session:
    """Six pairs, with stages, and text that must stay text."""
    one = pairs([(1.0, 1.02)] * 6)
    for each in one.measurements:
        each.trace.spans = [Span("search", 0.0, 0.05), Span("prefill", 0.05, 0.15, call=0)]
    one.measurements = [
        replace(each, chunks=(replace(each.chunks[0], text=EVIL), *each.chunks[1:]))
        for each in one.measurements
    ]
    one.setup = replace(SETUP, questions=(f"When? {EVIL}",))
    one.fingerprint = FACTS
    return one


# ---- Reading


def said_in_words(words: int, seconds: float) -> Measurement:
    """A word every so many seconds, the first one after that time too."""
    one = run(S, 0.1, 1.0)
    chunks = tuple(
        Chunk("word ", (place + 1) * seconds, (place + 1) * seconds) for place in range(words)
    )
    return replace(one, chunks=chunks)


def test_a_slow_writer_keeps_a_reader_waiting_for_every_word() -> None:
    read = reading(said_in_words(5, 1.0), Mode.STREAMING, 120)  # half a second a word
    assert read.waited == pytest.approx(1.0 + 4 * 0.5)
    assert read.finished == pytest.approx(5.5)
    assert [read.read_by(moment) for moment in (1.4, 1.5, 3.6, 9.0)] == [0, 1, 3, 5]


def test_a_quick_writer_keeps_a_reader_waiting_only_for_the_first_word() -> None:
    read = reading(said_in_words(5, 0.1), Mode.STREAMING, 120)
    assert read.pauses == [(0.0, 0.1)] and read.finished == pytest.approx(2.6)


def test_without_streaming_a_reader_waits_for_everything() -> None:
    read = reading(said_in_words(5, 1.0), Mode.BLOCKING, 120)
    assert read.pauses == [(0.0, 5.0)] and read.finished == pytest.approx(7.5)


class Reranker:
    """Takes a sentence for an answer if it has a number."""

    calls = 0

    def score(self, question: str, sentences: list[str], run: object = None) -> list[float]:
        self.calls += 1
        return [len(each) / 100 if re.search(r"\d", each) else -1.0 for each in sentences]


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("Good question. It was built in 1887. That is in 1900 too.", "1887."),
        ("It is old. It is very old.", "It is old."),
        ("It was built in 1887", "1887"),
    ],
)
def test_the_useful_text_ends_with_the_first_sentence_that_answers(text: str, until: str) -> None:
    reranker = Reranker()
    find = useful_by(lambda: reranker)  # type: ignore[arg-type, return-value]
    assert text[: find("When?", text)].endswith(until)
    find("When?", text)
    assert reranker.calls == 1, "the same answer is scored once"
    assert find("When?", "") == 0


def test_useful_text_is_there_when_its_last_chunk_is() -> None:
    one = replace(said_in_words(5, 1.0), useful=len("word word wo"))
    assert first_useful(one) == 3.0
    assert first_useful(replace(one, useful=0)) is None


def test_the_time_saved_is_told_in_seconds_and_in_words(compared: Session) -> None:
    for each in compared.measurements:
        text = "One two three four five six seven eight nine ten. "
        first, last = each.chunks[0], each.chunks[-1]
        late = replace(last, text="Last.") if each.lane == S else None
        chunks = (replace(first, text=text),) + ((late,) if late else ())
        compared.measurements[compared.measurements.index(each)] = replace(each, chunks=chunks)
    said = felt(compared, 240).finding
    assert "Streaming saves you 0.82 s of waiting, in which you read 3 words" in said
    assert "When the non-streaming answer appears, you have already read 3 of 11 words" in said


def test_the_pace_says_who_is_faster() -> None:
    one = replace(run(S, 1.0, 10.0), chunks=(Chunk("a b c d e f g h i", 1.0, 1.0),))
    assert "The model writes 60 words a minute, and you read 4.0 times as fast" in pace(
        one, Mode.STREAMING, 240
    )
    assert "2.0 times as fast as you read" in pace(one, Mode.STREAMING, 30)


# ---- Drawing


def test_a_scale_has_round_ticks_and_places_within_its_ends() -> None:
    assert Scale(0, 1.04).ticks() == pytest.approx([0, 0.5, 1.0])
    assert [number(value) for value in Scale(-0.3, 0.9).ticks()] == ["0", "0.5"]
    assert [number(value) for value in (0.25, -2.0, 1000.0, 0.0)] == ["0.25", "−2", "1,000", "0"]
    scale = from_zero([4.0], 1.25)
    assert [scale.at(value) for value in (-1.0, 2.5, 9.0, float("nan"))] == [0, 50, 100, 0]
    assert from_zero([]).at(0) == 0
    assert line([(0, 0), (50, 10), (60, 90)], "red").count("polygon") == 2


def test_every_dot_is_a_run_and_every_value_is_told(compared: Session) -> None:
    section = every_run(compared)
    drawn = "".join(getattr(block, "html", "") for block in section.blocks)
    assert drawn.count('class="ft-dot"') == 6 * 3 + 6 * 2  # the lanes, and the two differences
    assert "Streaming, first words: 0.20 s (n = 6)" in drawn
    assert section.finding.startswith("Within the pairs, streaming is ahead: first words by 0.82 s")


def test_percentiles_are_refused_where_runs_are_too_few(compared: Session) -> None:
    section = spread(compared)
    table = next(block for block in section.blocks if hasattr(block, "rows"))
    assert table.rows[0]["p50"] == "0.20 (0.20 to 0.20)"
    assert table.rows[0]["p90"] == "needs 29 runs" and table.rows[0]["p95"] == "needs 59 runs"
    assert (
        section.finding
        == "Half of the first words come within 0.20 s streaming, 1.0 s non-streaming"
    )


def test_first_words_are_drawn_against_the_prompts_length_if_lengths_differ(
    compared: Session,
) -> None:
    notes = [block.text for block in spread(compared).blocks if isinstance(block, Note)]
    assert any("All prompts have 100 tokens to read" in text for text in notes)
    compared.measurements[0].trace.calls[-1].prompt_tokens = 300
    compared.measurements[0] = replace(compared.measurements[0])  # its metrics are cached
    findings = [block.text for block in spread(compared).blocks if isinstance(block, Finding)]
    assert any(text.startswith("Prompts of 100 to 300 tokens: the first") for text in findings)


def test_the_result_says_whether_to_believe_it(compared: Session) -> None:
    def note_of(session: Session) -> str:
        notes = (block.text for block in result(session).blocks if isinstance(block, Note))
        return next(text for text in notes if text.startswith("**"))

    note = note_of(compared)
    assert note.startswith("**First words: you can rely on it.** They came sooner with streaming")
    assert "in 6 of 6 pairs of runs" in note and "**Whole answer: you can rely on it.**" in note
    assert "for this question on this computer" in note
    compared.measurements = compared.measurements[:4]
    assert note_of(compared).startswith("**Not to be relied on yet.** 2 pairs")
    even = pairs([(1.0, 1.0)] * 6)
    for each in even.measurements:
        each.trace.chunk_times = [2.0 + (-1) ** (each.trial.pair or 0) * (0.5 - each.lane)]
    assert note_of(even).startswith("**First words: this may be chance.** They came sooner with")
    assert "**Whole answer: not clear yet.**" in note_of(even)


# ---- A file of its own


class Seen(HTMLParser):
    """The tags of a page, and whatever they would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [str(value) for name, value in attrs if name in ("src", "href", "data")]


def test_the_page_loads_nothing_and_text_of_others_stays_text(compared: Session) -> None:
    page = to_html(compared, BUDGET)
    seen = Seen(page)
    assert seen.loads == [] and "img" not in seen.tags
    assert seen.tags.count("script") == 1
    assert "url(" not in page and "@import" not in page and "http://x/?q" in page
    assert "default-src 'none'" in page
    assert "&lt;script&gt;alert(1)" in page and "A &lt;b&gt;chip" in page


def test_the_page_has_the_finding_the_race_the_charts_and_the_machine(compared: Session) -> None:
    page = to_html(compared, BUDGET)
    assert "Streaming shows the first words 5.1 times sooner" in page
    assert page.count('class="ft-panel"') == 2
    for title in ("Every run", "Where the time goes: streaming", "Token by token", "The metrics"):
        assert f"<b>{title}.</b>" in page
    assert page.count('role="img"') >= 8
    assert "m.gguf" in page and "2 of 2" in page


def odd(change: Callable[[Session], object]) -> Session:
    one = pairs([(1.0, 1.02)] * 6)
    change(one)
    return one


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.measurements.clear(),
        lambda one: setattr(one, "measurements", one.measurements[:1]),
        lambda one: [each.trace.chunk_times.insert(0, 0.0) for each in one.measurements],
        lambda one: [each.trace.calls.clear() for each in one.measurements],
        lambda one: setattr(one, "setup", replace(SETUP, lanes=(Lane(),))),
        lambda one: setattr(one, "experiment", Experiment.LOAD),
    ],
)
def test_an_odd_session_still_makes_a_page(change: Callable[[Session], object]) -> None:
    one = odd(change)
    if len(one.setup.lanes) == 1:
        one.measurements = one.of(S)
    assert "</html>" in to_html(one, BUDGET)
    json.loads(to_chrome_trace(one))
    json.loads(to_vllm_json(one, BUDGET))
    to_aiperf_jsonl(one)


# ---- Other tools


def test_the_summary_has_vllms_names_for_each_lane(compared: Session) -> None:
    streamed, blocked = json.loads(to_vllm_json(compared, WaitingBudget(0.5, 0)))
    assert streamed["label"] == "streaming" and blocked["label"] == "non-streaming"
    assert streamed["completed"] == 6 and streamed["total_output_tokens"] == 60
    assert streamed["median_ttft_ms"] == pytest.approx(200)
    assert streamed["median_e2el_ms"] == pytest.approx(1000)
    assert streamed["mean_tpot_ms"] == pytest.approx(800 / 9)
    assert streamed["duration"] == pytest.approx(6.0)
    assert streamed["request_throughput"] == pytest.approx(1.0)
    assert streamed["request_goodput"] == pytest.approx(1.0)
    assert blocked["request_goodput"] == 0
    assert "p50_ttft_ms" in streamed and "p99_ttft_ms" not in streamed, "six runs have no p99"


def test_every_request_has_a_line_in_aiperfs_names(compared: Session) -> None:
    compared.measurements.append(
        replace(run(S, 0.2, 1.0), outcome=Outcome.FAILED, error="It fell over.")
    )
    lines = [json.loads(line) for line in to_aiperf_jsonl(compared).splitlines()]
    assert len(lines) == 13
    streamed, blocked, failed = lines[0], lines[1], lines[-1]
    assert streamed["metrics"]["time_to_first_token"] == {"value": pytest.approx(200), "unit": "ms"}
    assert streamed["metrics"]["request_latency"]["value"] == pytest.approx(1000)
    assert "time_to_first_token" not in blocked["metrics"], "AIPerf has it for streams only"
    meta = streamed["metadata"]
    assert meta["request_end_ns"] - meta["request_start_ns"] == pytest.approx(1e9, abs=1e6)
    assert meta["benchmark_phase"] == "profiling" and streamed["error"] is None
    assert failed["error"]["message"] == "It fell over." and failed["metrics"] == {}


def test_a_trace_has_the_stages_of_every_run_on_one_clock(compared: Session) -> None:
    trace = json.loads(to_chrome_trace(compared))
    names = {e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "process_name"}
    assert names == {"streaming", "non-streaming"}
    stages = [e for e in trace["traceEvents"] if e["ph"] == "X" and e["tid"] == 0]
    assert {"search", "prefill", "decode"} <= {each["name"] for each in stages}
    prefill = next(each for each in stages if each["name"] == "prefill")
    assert prefill["dur"] == pytest.approx(100_000)


def test_lanes_that_are_not_modes_are_named_everywhere() -> None:
    one = pairs([(1.0, 1.02)] * 6)
    one.setup = replace(SETUP, lanes=(Lane(), Lane(transport=Transport.HTTP)))
    page = to_html(one, BUDGET)
    for name in ("In process against over HTTP", "Over HTTP, first words", "In process run 1"):
        assert name in page or name.lower() in page
