import asyncio
import logging
import threading
import time
from dataclasses import replace

import pytest

from engine.errors import (
    GenerationError,
    PromptTooLongError,
    QuestionError,
    ServerError,
    StoreError,
)
from engine.llm.base import ContextFormat
from engine.llm.repetition import NOTE
from engine.query_engine import LONGEST_QUESTION, RetrieverQueryEngine
from engine.response import Response, StreamingResponse
from engine.run import Phase, Run, RunGroup
from engine.schema import ChatMessage, Evidence, NodeWithScore
from engine.synthesis import ResponseSynthesizer
from tests.scripted import ScriptedLLM, ScriptedRetriever, words

PIECES = ["It ", "was ", "built ", "in ", "1887."]
WHOLE = "It was built in 1887."


def engine_of(
    llm: ScriptedLLM, retriever: ScriptedRetriever | None = None, streaming: bool = True
) -> RetrieverQueryEngine:
    synthesizer = ResponseSynthesizer.from_args(llm=llm, streaming=streaming)
    return RetrieverQueryEngine(
        retriever or ScriptedRetriever("The mill was built in 1887."), synthesizer
    )


def wait_for(condition: object, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.005)
    return bool(condition())  # type: ignore[operator]


def held_back(until: threading.Event) -> None:
    assert until.wait(30)


class GatedRetriever(ScriptedRetriever):
    """Says when it searches, and goes on when `gate` opens or the run is cancelled."""

    def __init__(self, *texts: str) -> None:
        super().__init__(*texts)
        self.searching, self.gate = threading.Event(), threading.Event()

    def retrieve(
        self, question: str, run: Run | None = None, earlier: str = ""
    ) -> list[NodeWithScore]:
        assert run
        run.on_cancel(self.gate.set)
        self.searching.set()
        held_back(self.gate)
        return super().retrieve(question, run, earlier)


def test_query_streams_or_not_and_the_calls_argument_wins() -> None:
    engine = engine_of(ScriptedLLM(PIECES), streaming=False)
    assert type(engine.query("When?")) is Response
    assert type(engine.query("When?", stream=True)) is StreamingResponse
    assert str(engine.query("When?")) == WHOLE
    assert list(engine.query("When?", stream=True).response_gen) == PIECES


def test_sources_are_there_before_the_first_chunk() -> None:
    writing = threading.Event()
    engine = engine_of(ScriptedLLM(PIECES, before_piece=lambda _: held_back(writing)))
    response = engine.start("When?")
    assert [source.text for source in response.source_nodes] == ["The mill was built in 1887."]
    assert response.text == ""
    writing.set()
    assert str(response) == WHOLE


def test_start_returns_before_anything_is_retrieved() -> None:
    retriever = GatedRetriever("x")
    response = engine_of(ScriptedLLM(PIECES), retriever).start("When?")
    assert str(response.phase) in ("queued", "searching")
    assert response.found is None
    retriever.gate.set()
    assert str(response) == WHOLE
    assert str(response.phase) == "done"


def test_a_delay_in_the_search_shows_in_the_search_and_in_the_time_to_first_token() -> None:
    engine = engine_of(ScriptedLLM(PIECES), ScriptedRetriever("x", seconds=0.2))
    trace = engine.query("When?", stream=False).trace
    assert trace.total("search") >= 0.2
    assert trace.metrics.ttft is not None
    assert trace.metrics.ttft >= trace.total("search")


def test_a_response_reads_live_and_again_and_by_two_at_once() -> None:
    response = engine_of(ScriptedLLM(PIECES, seconds=0.005)).start("When?")
    first, second = response.response_gen, response.response_gen
    assert [pair for pair in zip(first, second, strict=True)] == [(p, p) for p in PIECES]  # noqa: C416
    assert list(response.response_gen) == PIECES
    assert response.text == str(response) == WHOLE


def test_printing_writes_the_chunks(capsys: pytest.CaptureFixture[str]) -> None:
    engine_of(ScriptedLLM(PIECES)).query("When?", stream=True).print_response_stream()
    assert capsys.readouterr().out == WHOLE


def test_sync_async_and_whole_answers_are_the_same_text() -> None:
    engine = engine_of(ScriptedLLM(PIECES))

    async def streamed() -> str:
        response = await engine.query("When?", stream=True)
        return "".join([chunk async for chunk in response.async_response_gen()])

    async def whole() -> str:
        return str(await engine.aquery("When?", stream=False))

    assert asyncio.run(streamed()) == asyncio.run(whole()) == str(engine.query("When?")) == WHOLE


def test_under_an_event_loop_query_does_not_block_it() -> None:
    retriever = GatedRetriever("x")
    engine = engine_of(ScriptedLLM(PIECES), retriever)

    async def open_the_gate() -> None:  # the search can end only while the event loop runs
        await asyncio.to_thread(retriever.searching.wait, 30)
        retriever.gate.set()

    async def ask() -> str:
        opening = asyncio.create_task(open_the_gate())
        response = await engine.query("When?", stream=True)
        await opening
        return "".join([chunk async for chunk in response.async_response_gen()])

    assert asyncio.run(ask()) == WHOLE


def test_ten_streams_on_one_loop_all_end_right() -> None:
    engine = engine_of(ScriptedLLM(PIECES, seconds=0.002))

    async def one() -> str:
        response = await engine.aquery("When?", stream=True)
        assert isinstance(response, StreamingResponse)
        return "".join([chunk async for chunk in response.async_response_gen()])

    async def ten() -> list[str]:
        return await asyncio.gather(*(one() for _ in range(10)))

    assert asyncio.run(ten()) == [WHOLE] * 10


def test_a_model_that_cannot_stream_is_refused_before_any_work() -> None:
    llm = ScriptedLLM(PIECES, can_stream=False)
    retriever = ScriptedRetriever("x", fault=AssertionError("searched"))
    with pytest.raises(NotImplementedError, match="cannot stream"):
        engine_of(llm, retriever).query("When?", stream=True)
    assert llm.prompts == []
    assert str(engine_of(llm).query("When?", stream=False)) == WHOLE


def test_an_empty_question_is_refused() -> None:
    with pytest.raises(ValueError, match="question is empty"):
        engine_of(ScriptedLLM()).query("  \n")


def test_a_failed_search_raises_from_query_and_from_await() -> None:
    fault = StoreError("The collection cannot be read.")
    engine = engine_of(ScriptedLLM(), ScriptedRetriever(fault=fault))
    with pytest.raises(StoreError):
        engine.query("When?", stream=True)
    with pytest.raises(StoreError):
        asyncio.run(engine.aquery("When?"))
    with pytest.raises(StoreError):
        _ = engine.start("When?").source_nodes


def test_nothing_found_is_an_empty_answer_without_a_call() -> None:
    llm = ScriptedLLM()
    response = engine_of(llm, ScriptedRetriever()).query("When?")
    assert (str(response), response.source_nodes, llm.prompts) == ("", [], [])


def test_if_nothing_relevant_is_found_the_model_is_not_asked_and_the_passages_are_shown() -> None:
    llm = ScriptedLLM()
    synthesizer = ResponseSynthesizer.from_args(llm=llm, streaming=True)
    engine = RetrieverQueryEngine(ScriptedRetriever("Far away."), synthesizer, lambda _: False)
    response = engine.query("When?")
    assert (str(response), llm.prompts) == ("", [])
    assert [source.text for source in response.source_nodes] == ["Far away."]
    assert "did not find this in your documents" in response.notes[0]


FAULTS = [
    GenerationError("llama_decode failed with code -1."),
    ServerError("The server hung up."),
    PromptTooLongError(9000, 8192),
    FileNotFoundError("model.gguf"),
    MemoryError(),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("at", [0, 2, len(PIECES)], ids=["first", "middle", "last"])
@pytest.mark.parametrize("way", ["sync", "async", "whole"])
def test_a_fault_in_mid_stream_comes_after_every_chunk_before_it(
    fault: Exception, at: int, way: str
) -> None:
    before = PIECES[:at]
    llm = ScriptedLLM([*before, fault], PIECES)
    engine = engine_of(llm)
    response = engine.start("When?", stream=way != "whole")
    expected = (
        type(fault)
        if isinstance(fault, GenerationError | ServerError | PromptTooLongError)
        else GenerationError
    )
    seen: list[str] = []

    async def read() -> None:
        async for chunk in response.async_response_gen():
            seen.append(chunk)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(expected) as raised:
        if way == "async":
            asyncio.run(read())
        else:
            seen.extend(response.response_gen)
    assert str(raised.value)
    assert "".join(seen) == "".join(before) == response.text
    assert response.source_nodes
    assert response.phase is Phase.FAILED
    assert len(response.trace.calls[-1].token_times) == at
    with pytest.raises(expected):
        str(response)
    assert str(engine.query("And the next?")) == WHOLE


def test_a_reader_who_leaves_early_stops_the_model() -> None:
    llm = ScriptedLLM(words(1000), seconds=0.005)
    response = engine_of(llm).query("When?", stream=True)
    for _ in response.response_gen:
        break
    assert llm.closed.wait(30)
    assert response.phase is Phase.STOPPED
    assert response.text.startswith("word0 ")


def test_one_of_two_readers_who_leaves_stops_nothing() -> None:
    llm = ScriptedLLM(PIECES, seconds=0.01)
    response = engine_of(llm).query("When?", stream=True)
    staying = response.response_gen
    next(staying)
    for _ in response.response_gen:
        break
    assert "".join(staying) == WHOLE.removeprefix(PIECES[0])


def test_an_async_reader_who_breaks_off_stops_the_model() -> None:
    llm = ScriptedLLM(words(1000), seconds=0.005)
    engine = engine_of(llm)

    async def read_one() -> None:
        response = await engine.query("When?", stream=True)
        async for _ in response.async_response_gen():
            break
        await asyncio.to_thread(llm.closed.wait, 5)

    asyncio.run(read_one())
    assert llm.closed.is_set()


def test_a_cancelled_task_stops_the_search() -> None:
    llm, retriever = ScriptedLLM(PIECES), GatedRetriever("x")
    response = cancelled_task(engine_of(llm, retriever), retriever.searching)
    assert wait_for(lambda: response.phase is Phase.STOPPED)
    assert (llm.prompts, response.source_nodes) == ([], [])


def test_a_cancelled_task_stops_the_model() -> None:
    writing = threading.Event()
    llm = ScriptedLLM(words(10_000), seconds=0.005, before_piece=lambda _: writing.set())
    response = cancelled_task(engine_of(llm), writing)
    assert llm.closed.wait(30)
    assert wait_for(lambda: response.phase is Phase.STOPPED)


def cancelled_task(engine: RetrieverQueryEngine, begun: threading.Event) -> StreamingResponse:
    """The response of a task that was cancelled once `begun` was set."""
    responses: list[StreamingResponse] = []

    async def ask() -> None:
        responses.append(engine.query("When?", stream=True))
        async for _ in (await responses[0]).async_response_gen():
            pass

    async def cancel_it() -> None:
        task = asyncio.create_task(ask())
        assert await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_it())
    return responses[0]


def test_a_held_answer_goes_on_when_its_reader_leaves() -> None:
    llm = ScriptedLLM(PIECES, seconds=0.02)
    response = engine_of(llm).start("When?")
    response.hold(10)
    for _ in response.response_gen:
        break
    assert str(response) == WHOLE


def test_a_lease_that_runs_out_with_nobody_reading_stops_the_model() -> None:
    llm = ScriptedLLM(words(1000), seconds=0.005)
    response = engine_of(llm).start("When?")
    response.hold(0.1)
    assert llm.closed.wait(30)
    assert wait_for(lambda: response.phase is Phase.STOPPED)


def test_a_renewed_lease_holds() -> None:
    llm = ScriptedLLM(words(60), seconds=0.005)
    response = engine_of(llm).start("When?")
    while not response.phase.ended:
        response.hold(0.1)
        time.sleep(0.02)
    assert response.phase is Phase.DONE


def test_stop_keeps_what_was_written_and_ends_the_reader_quietly() -> None:
    llm = ScriptedLLM(words(1000), seconds=0.005)
    response = engine_of(llm).start("When?")
    seen = []
    for chunk in response.response_gen:
        seen.append(chunk)
        if len(seen) == 3:
            response.cancel()
    assert response.phase is Phase.STOPPED
    assert str(response) == "".join(seen)


def test_stop_in_the_search_ends_before_the_model_is_asked() -> None:
    llm = ScriptedLLM(PIECES)
    retriever = GatedRetriever("x")
    response = engine_of(llm, retriever).start("When?")
    assert retriever.searching.wait(30)
    response.cancel()
    assert list(response.response_gen) == []
    assert (response.source_nodes, llm.prompts) == ([], [])
    assert response.phase is Phase.STOPPED


def test_a_slow_reader_loses_nothing_and_slows_nothing() -> None:
    llm = ScriptedLLM(PIECES)
    response = engine_of(llm).start("When?")
    reader = response.response_gen
    first = next(reader)
    assert wait_for(lambda: response.phase is Phase.DONE)
    assert [first, *reader] == PIECES


BEFORE = [ChatMessage("user", "Who built the mill?"), ChatMessage("assistant", "Ann Lee.")]


def sentences_engine(retriever: ScriptedRetriever, llm: ScriptedLLM) -> RetrieverQueryEngine:
    """An engine that gives its model sentences, as it does with a small one."""
    synthesizer = ResponseSynthesizer(llm, streaming=True, context_format=ContextFormat.SENTENCES)
    return RetrieverQueryEngine(retriever, synthesizer)


def test_a_follow_up_is_searched_as_it_stands_and_with_the_question_that_it_leans_on() -> None:
    retriever = ScriptedRetriever("The mill was built in 1887.")
    response = sentences_engine(retriever, ScriptedLLM(PIECES)).start("And when?", history=BEFORE)
    assert str(response) == WHOLE
    assert retriever.asked == [("And when?", ""), ("And when?", "Who built the mill?")]
    assert (response.question, response.searched_for) == (
        "And when?",
        "Who built the mill? And when?",
    )
    assert "follow-up" in [span.name for span in response.trace.spans]


def test_a_model_that_is_given_sentences_is_asked_the_follow_up_by_itself() -> None:
    llm = ScriptedLLM(PIECES)
    engine = sentences_engine(ScriptedRetriever("It was built in 1887."), llm)
    assert str(engine.start("And when?", history=BEFORE)) == WHOLE
    assert "And when?" in llm.prompts[0][-1].content
    assert "Who built the mill?" not in llm.prompts[0][-1].content


def test_a_question_that_stands_alone_is_not_led_astray_by_what_was_said_before() -> None:
    retriever = ScriptedRetriever("The mill was built in 1887.")
    before = [ChatMessage("user", "Who paints the boats?"), ChatMessage("assistant", "Ann Lee.")]
    question = "In which year was the mill built?"
    response = engine_of(ScriptedLLM(PIECES), retriever).start(question, history=before)
    assert str(response) == WHOLE
    assert retriever.asked == [(question, "")]
    assert response.searched_for == question


def test_a_model_that_reads_passages_rewrites_a_follow_up_which_is_searched_and_asked() -> None:
    retriever = ScriptedRetriever("The mill was built in 1887.")
    llm = ScriptedLLM(["When was ", "the mill built?"], PIECES)
    response = engine_of(llm, retriever).start("And when was that?", history=BEFORE)
    assert str(response) == WHOLE
    assert retriever.asked == [("And when was that?", ""), ("When was the mill built?", "")]
    assert response.searched_for == "When was the mill built?"
    assert "Ann Lee." in llm.prompts[0][-1].content
    assert "Question: When was the mill built?" in llm.prompts[1][-1].content
    assert [call.purpose for call in response.trace.calls] == ["rewrite", "answer"]


@pytest.mark.parametrize(
    "rewritten",
    [
        ["When did Oliver Grange build it?"],  # a name that nobody mentioned
        ["Who built the mill?"],  # an earlier question
        ["The mill is large."],  # nothing of the follow-up
        [""],
        ["When was that? " * 20],
        [ServerError("The server is down.")],
    ],
)
def test_a_rewritten_question_that_asks_something_else_is_not_used(
    rewritten: list[str | BaseException],
) -> None:
    retriever = ScriptedRetriever("The mill was built in 1887.")
    llm = ScriptedLLM(rewritten, PIECES)
    response = engine_of(llm, retriever).start("And when was it opened?", history=BEFORE)
    assert str(response) == WHOLE
    assert response.searched_for == "Who built the mill? And when was it opened?"


def test_nothing_is_rewritten_where_earlier_times_leave_no_time_for_it() -> None:
    llm = ScriptedLLM(["When was the mill built?"], PIECES, seconds=0.2)
    question = "And when was it built?"
    str(engine_of(llm).start(question, history=BEFORE))
    assert len(llm.prompts) == 2
    synthesizer = ResponseSynthesizer(llm, streaming=True, first_token_budget=0.1)
    hurried = RetrieverQueryEngine(ScriptedRetriever("Built in 1887."), synthesizer)
    llm.prompts.clear()
    str(hurried.start(question, history=BEFORE))
    assert len(llm.prompts) == 1


def test_an_answer_that_nothing_supports_says_so_when_it_has_ended() -> None:
    response = engine_of(ScriptedLLM(["It was built ", "in 2013."])).start("When was it built?")
    assert str(response) == "It was built in 2013."
    assert not response.check.passed
    assert response.notes == [response.check.problem]
    assert "“2013”" in response.check.problem


def test_only_what_was_read_supports_an_answer() -> None:
    llm = ScriptedLLM(["In 1702."])
    retriever = ScriptedRetriever("The mill was built in 1887.", "The boat was built in 1702.")
    retriever.nodes[0] = replace(retriever.nodes[0], evidence=(Evidence(0, 27, 5.0),))
    engine = sentences_engine(retriever, llm)
    assert not engine.query("When was the mill built?", stream=False).check.passed


def test_a_model_that_repeats_itself_is_stopped_and_the_answer_is_kept_once() -> None:
    llm = ScriptedLLM(["It was built in 1887. "] * 50)
    response = engine_of(llm).start("When was the mill built?")
    assert str(response) == "It was built in 1887."
    assert response.notes == [NOTE]
    assert response.check.passed
    assert response.trace.calls[0].output_tokens < 10
    assert engine_of(llm).query("When?", stream=False).response == "It was built in 1887."


def test_a_callback_that_raises_is_logged_and_the_answer_is_whole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def raises(_: StreamingResponse) -> None:
        raise RuntimeError("the callback's own fault")

    engine = engine_of(ScriptedLLM(PIECES))
    response = engine.start("When?", on_done=raises)
    assert (str(response), response.phase) == (WHOLE, Phase.DONE)
    assert wait_for(lambda: "the callback's own fault" in caplog.text)
    assert str(engine.query("And the next?")) == WHOLE


def test_a_callback_of_cancel_that_raises_is_logged_and_the_others_are_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def raises() -> None:
        raise RuntimeError("the callback's own fault")

    run, called = Run(), threading.Event()
    run.on_cancel(raises)
    run.on_cancel(called.set)
    run.cancel()
    run.on_cancel(raises)
    assert called.is_set()
    assert caplog.text.count("RuntimeError: the callback's own fault") == 2


def test_each_answer_is_logged_in_one_line_without_any_text_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    engine = engine_of(ScriptedLLM(PIECES, [GenerationError("http://u:pw12@host refused.")]))
    done = engine.query("When was the secret mill built?")
    assert str(done) == WHOLE
    failed = engine.start("When?")
    with pytest.raises(GenerationError):
        str(failed)
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert len(lines) == 2
    assert lines[0].startswith(f"answer {done.run_id} done: search ")
    assert "5 tokens" in lines[0]
    assert lines[1].startswith(f"answer {failed.run_id} failed: GenerationError: ")
    assert not any(text in caplog.text for text in ("secret", "1887", "pw12"))


def test_a_question_that_is_too_long_is_refused_with_the_limit() -> None:
    llm = ScriptedLLM(PIECES)
    with pytest.raises(QuestionError, match=r"4,001 characters, and 4,000 are allowed"):
        engine_of(llm).query("x" * (LONGEST_QUESTION + 1))
    with pytest.raises(ValueError, match="Shorten it"):
        engine_of(llm).start("x" * 300_000)
    assert llm.prompts == []
    assert str(engine_of(llm).query("x" * LONGEST_QUESTION)) == WHOLE


def test_characters_that_cannot_be_encoded_are_replaced_and_all_others_are_kept() -> None:
    retriever, llm = ScriptedRetriever("One."), ScriptedLLM(PIECES)
    before = [ChatMessage("user", "Who built \udc80 it?")]
    asked = "And \ud83d\ude00 \ud800 when, 東京 👩‍🚀?"
    response = engine_of(llm, retriever).start(asked, history=before)
    assert str(response) == WHOLE
    question = "And 😀 \ufffd when, 東京 👩‍🚀?"
    assert response.question == question
    assert retriever.asked == [(question, ""), (question, "Who built \ufffd it?")]
    assert all(message.content.encode() for message in llm.prompts[0])


def test_answers_begun_in_a_group_are_stopped_together_and_others_go_on() -> None:
    group, inside, outside = RunGroup(), GatedRetriever("x"), GatedRetriever("x")
    other = engine_of(ScriptedLLM(PIECES), outside).start("When?")
    with group:
        first = engine_of(ScriptedLLM(PIECES), inside).start("When?")
        group.cancel()
        late = engine_of(ScriptedLLM(PIECES)).start("When?")
    assert wait_for(lambda: first.phase is Phase.STOPPED and late.phase is Phase.STOPPED)
    outside.gate.set()
    assert str(other) == WHOLE
