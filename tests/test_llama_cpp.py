"""The runtime with the real model: equal words under every reuse and load, Stop, errors."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.config import Config
from engine.cores import cores
from engine.errors import Cancelled, GenerationError, LLMError, PromptTooLongError
from engine.llm import GenerationOptions, LlamaCpp
from engine.llm.context import Entry
from engine.llm.tuning import Tuning
from engine.run import Phase, Run
from engine.schema import ChatMessage

SYSTEM = ChatMessage("system", "You answer questions from the given text, in a few words.")
PASSAGE = (
    "The lighthouse of Brannock was built in 1874 from grey granite. Its lamp burned whale oil "
    "until 1901, when the keeper Ada Wills had it fitted for paraffin. The tower is 31 metres "
    "high, and on clear nights the beam is seen from 18 miles away."
)
QUESTIONS = [
    "When was the lighthouse built?",
    "Who was the keeper?",
    "How high is the tower?",
    "From how far away is the beam seen?",
]
SHORT = GenerationOptions(max_tokens=16)
COLD = GenerationOptions(max_tokens=16, reuse=False)


def asking(question: str) -> list[ChatMessage]:
    return [SYSTEM, ChatMessage("user", f"{PASSAGE}\n\nQuestion: {question}")]


def answer(
    llm: LlamaCpp, messages: list[ChatMessage], options: GenerationOptions = SHORT
) -> tuple[str, Run]:
    run = Run()
    return "".join(llm.stream_chat(messages, options, run)), run


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.001)


def is_idle(llm: LlamaCpp) -> bool:
    return llm.idle


def long_prompt(tokens: int) -> list[ChatMessage]:
    return [ChatMessage("user", "word " * tokens)]


@pytest.fixture
def lone_llm(chat_model_path: Path) -> Iterator[LlamaCpp]:
    """One context, one sequence, a small window: a second request must wait."""
    model = LlamaCpp(chat_model_path, tuning=Tuning(contexts=1, sequences=1, window=256))
    yield model
    model.close()


# Writing


def test_it_answers_from_the_text_piece_by_piece(llm: LlamaCpp) -> None:
    pieces = list(llm.stream_chat(asking("When was the lighthouse built?")))
    assert "1874" in "".join(pieces)
    assert len(pieces) > 1
    assert all(pieces)


def test_the_trace_tells_each_stage_and_token(llm: LlamaCpp) -> None:
    llm.forget()
    text, run = answer(llm, asking("Who was the keeper?"))
    (call,) = run.trace.calls
    assert call.prompt_tokens == llm.count_tokens(asking("Who was the keeper?"))
    assert call.reused_tokens == 0
    assert call.output_tokens == len(call.token_times) > 2
    assert call.token_times == sorted(call.token_times)
    assert call.finish_reason in ("stop", "length")
    names = [span.name for span in run.trace.spans]
    assert names == ["tokenise", "queue", "reuse", "prefill", "decode"]
    assert all(span.end is not None and span.call == 0 for span in run.trace.spans)
    assert call.settings["model"] == "SmolLM2-135M-Instruct.Q8_0.gguf"
    assert call.settings["prefill_threads"]
    assert text


def test_it_fills_the_call_that_it_is_given_and_begins_one_where_there_is_none(
    llm: LlamaCpp,
) -> None:
    run = Run()
    first, second = run.trace.begin_call("first"), run.trace.begin_call("second")
    list(llm.stream_chat(asking("How high is the tower?"), SHORT, run, first))
    assert (first.output_tokens > 0, second.output_tokens) == (True, 0)
    list(llm.stream_chat(asking("How high is the tower?"), SHORT, run))
    assert [call.purpose for call in run.trace.calls] == ["first", "second", "chat"]
    assert run.trace.calls[2].output_tokens > 0


def test_the_length_ends_an_answer_and_says_so(llm: LlamaCpp) -> None:
    options = GenerationOptions(max_tokens=5)
    _, run = answer(llm, [ChatMessage("user", "Write a long story.")], options)
    assert (run.trace.calls[0].output_tokens, run.trace.calls[0].finish_reason) == (5, "length")


def test_exactly_max_tokens_are_written_where_ends_are_ignored(llm: LlamaCpp) -> None:
    options = GenerationOptions(max_tokens=40, ignore_eos=True)
    _, run = answer(llm, [ChatMessage("user", "Say yes.")], options)
    assert run.trace.calls[0].output_tokens == 40


def test_a_stop_string_ends_the_answer_and_is_not_in_it(llm: LlamaCpp) -> None:
    messages = [ChatMessage("user", "Write a long story about a dog.")]
    whole, _ = answer(llm, messages, GenerationOptions(max_tokens=30))
    stop = whole[20:26]  # wherever it lies across tokens
    text, run = answer(llm, messages, GenerationOptions(max_tokens=30, stop=(stop,)))
    assert text == whole[: whole.index(stop)]
    assert run.trace.calls[0].finish_reason == "stop"


def test_options_out_of_range_are_refused_in_a_sentence(llm: LlamaCpp) -> None:
    for options in (
        GenerationOptions(max_tokens=0),
        GenerationOptions(temperature=float("nan")),
        GenerationOptions(temperature=-1),
        GenerationOptions(top_p=2),
        GenerationOptions(seed=-1),
        GenerationOptions(repeat_penalty=0),
    ):
        with pytest.raises(LLMError, match="must be between"):
            list(llm.stream_chat(asking("Who?"), options))


# The same question gets the same words


def test_kept_states_change_no_word(llm: LlamaCpp) -> None:
    llm.forget()
    cold = [answer(llm, asking(question), COLD)[0] for question in QUESTIONS]
    first = [answer(llm, asking(question))[0] for question in QUESTIONS]  # shares the passage
    again = [answer(llm, asking(question)) for question in QUESTIONS]  # shares all
    assert first == cold
    assert [text for text, _ in again] == cold
    for _, run in again:
        call = run.trace.calls[0]
        assert call.prompt_tokens - call.reused_tokens == 2


def test_a_prepared_passage_is_not_read_again_and_changes_no_word(llm: LlamaCpp) -> None:
    llm.forget()
    cold, _ = answer(llm, asking(QUESTIONS[0]), COLD)
    beginning = [SYSTEM, ChatMessage("user", PASSAGE)]
    assert llm.prepared(beginning) < 0.5
    llm.prepare(beginning)
    assert llm.prepared(beginning) == 1.0
    warm, run = answer(llm, asking(QUESTIONS[0]))
    assert warm == cold
    assert run.trace.calls[0].reused_tokens > 60


def test_a_follow_up_reuses_what_it_shares_and_gets_the_same_words(llm: LlamaCpp) -> None:
    llm.forget()
    first = asking(QUESTIONS[0])
    reply, _ = answer(llm, first)
    follow_up = [*first, ChatMessage("assistant", reply), ChatMessage("user", QUESTIONS[1])]
    warm, run = answer(llm, follow_up)
    cold, _ = answer(llm, follow_up, COLD)
    assert warm == cold
    assert run.trace.calls[0].reused_tokens >= llm.count_tokens(first) - 5


def test_forbidden_reuse_neither_reads_nor_keeps_a_state(llm: LlamaCpp) -> None:
    llm.forget()
    answer(llm, asking(QUESTIONS[0]), COLD)
    assert llm.prepared(asking(QUESTIONS[0])) == 0
    answer(llm, asking(QUESTIONS[0]))
    _, run = answer(llm, asking(QUESTIONS[0]), COLD)
    assert run.trace.calls[0].reused_tokens == 0


def test_forgotten_states_are_gone(llm: LlamaCpp) -> None:
    answer(llm, asking(QUESTIONS[0]))
    llm.forget()
    _, run = answer(llm, asking(QUESTIONS[0]))
    assert run.trace.calls[0].reused_tokens == 0


def test_four_at_once_get_the_words_of_four_in_turn(llm: LlamaCpp) -> None:
    llm.forget()
    serial = [answer(llm, asking(question), COLD)[0] for question in QUESTIONS]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda q: answer(llm, asking(q), COLD)[0], QUESTIONS))
    assert together == serial


def test_answers_written_in_one_batch_have_the_words_of_answers_written_alone(
    chat_model_path: Path, llm: LlamaCpp
) -> None:
    batching = LlamaCpp(chat_model_path, tuning=Tuning(contexts=1, sequences=4, decode_batch=4))
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda q: answer(batching, asking(q), COLD)[0], QUESTIONS))
    batching.close()
    assert together == [answer(llm, asking(question), COLD)[0] for question in QUESTIONS]


def test_a_smaller_cache_and_flash_attention_answer_too(chat_model_path: Path) -> None:
    tuning = Tuning(contexts=1, flash_attention=True, cache_type="q8_0")
    model = LlamaCpp(chat_model_path, tuning=tuning)
    text, run = answer(model, asking(QUESTIONS[0]))
    model.close()
    assert "18" in text
    assert run.trace.calls[0].settings["cache_type"] == "q8_0"


# Stop


def test_stop_in_the_queue(lone_llm: LlamaCpp) -> None:
    writing = lone_llm.stream_chat(
        [ChatMessage("user", "Tell a story.")], GenerationOptions(max_tokens=200, ignore_eos=True)
    )
    next(writing)
    run = Run()
    outcome: list[str] = []

    def ask() -> None:
        try:
            list(lone_llm.stream_chat(asking(QUESTIONS[0]), SHORT, run))
        except Cancelled:
            outcome.append("cancelled")

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until(lambda: run.progress.phase is Phase.QUEUED and run.progress.done == 1)
    run.cancel()
    thread.join(30)
    assert outcome == ["cancelled"]
    assert run.trace.calls[0].finish_reason == "cancelled"
    assert next(writing)  # the other goes on
    writing.close()  # type: ignore[attr-defined]


def test_stop_while_reading(llm: LlamaCpp) -> None:
    llm.forget()
    run = Run()
    run_until(llm, run, lambda: run.progress.phase is Phase.READING and run.progress.done > 0)
    assert run.progress.done < run.progress.total
    assert run.trace.calls[0].output_tokens == 0
    assert run.trace.calls[0].finish_reason == "cancelled"


def run_until(llm: LlamaCpp, run: Run, condition: Callable[[], bool], tokens: int = 400) -> None:
    """Ask a long question, stop it when the condition holds, and see the runtime idle."""

    def ask() -> None:
        with pytest.raises(Cancelled):
            list(llm.stream_chat(long_prompt(tokens), GenerationOptions(), run))

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        wait_until(condition)
        run.cancel()
        asked.result(30)
    wait_until(lambda: is_idle(llm))
    assert cores().in_use == 0


@pytest.fixture
def slow_llm(chat_model_path: Path) -> Iterator[LlamaCpp]:
    """It reads a whole prompt in one slice, which takes seconds for a long one."""
    model = LlamaCpp(chat_model_path, tuning=Tuning(contexts=1, largest_slice=2000))
    model._scheduler.slices.choose = lambda *_: 2000  # type: ignore[method-assign]
    yield model
    model.close()


def test_stop_gives_up_a_step_that_has_begun(slow_llm: LlamaCpp) -> None:
    run = Run()
    run_until(slow_llm, run, lambda: bool(slow_llm._scheduler._workers[0]._computing), tokens=1500)
    assert run.progress.done == 0
    assert "1874" in answer(slow_llm, asking(QUESTIONS[0]))[0]


def test_preparing_gives_way_in_the_middle_of_a_step(slow_llm: LlamaCpp) -> None:
    run = Run()
    with ThreadPoolExecutor(1) as pool:
        prepared = pool.submit(slow_llm.prepare, long_prompt(600), run)
        wait_until(lambda: bool(slow_llm._scheduler._workers[0]._computing))
        text, _ = answer(slow_llm, asking(QUESTIONS[0]))
        assert not prepared.done()
        prepared.result(60)
    assert "1874" in text


def test_what_was_read_before_stop_is_not_read_again(llm: LlamaCpp) -> None:
    llm.forget()
    run = Run()
    run_until(llm, run, lambda: run.progress.done > 50)
    read = run.progress.done
    _, again = answer(llm, long_prompt(400), GenerationOptions(max_tokens=1))
    assert again.trace.calls[0].reused_tokens >= read


def test_stop_while_writing_keeps_what_was_written(llm: LlamaCpp) -> None:
    run = Run()
    story = [ChatMessage("user", "Write a long story about a dog.")]
    text = ""
    with pytest.raises(Cancelled):
        for piece in llm.stream_chat(story, GenerationOptions(max_tokens=400), run):
            text += piece
            if run.trace.calls[0].output_tokens >= 5:
                run.cancel()
    assert text.startswith("Once")
    assert 5 <= run.trace.calls[0].output_tokens < 400
    wait_until(lambda: is_idle(llm))


def test_a_reader_who_leaves_stops_the_model(llm: LlamaCpp) -> None:
    run = Run()
    for _ in llm.stream_chat([ChatMessage("user", "Write a story.")], run=run):
        break
    wait_until(lambda: is_idle(llm))
    assert run.trace.calls[0].finish_reason == "cancelled"


def test_a_question_interrupts_preparing_which_goes_on_afterwards(llm: LlamaCpp) -> None:
    llm.forget()
    beginning, run = [SYSTEM, *long_prompt(400)], Run()
    with ThreadPoolExecutor(1) as pool:
        prepared = pool.submit(llm.prepare, beginning, run)
        wait_until(lambda: run.progress.done > 0)
        text, _ = answer(llm, asking(QUESTIONS[0]))
        assert not prepared.done()
        prepared.result(60)
    assert "1874" in text
    assert llm.prepared(beginning) == 1.0
    assert run.trace.calls[0].finish_reason == "stop"


def test_preparing_can_be_stopped(llm: LlamaCpp) -> None:
    llm.forget()
    run = Run()
    with ThreadPoolExecutor(1) as pool:
        prepared = pool.submit(llm.prepare, [SYSTEM, *long_prompt(400)], run)
        wait_until(lambda: run.progress.done > 0)
        run.cancel()
        with pytest.raises(Cancelled):
            prepared.result(30)
    wait_until(lambda: is_idle(llm))


def stress(llm: LlamaCpp, count: int) -> None:
    """Short requests from eight threads, half of them stopped at a random moment."""
    rng = random.Random(7)
    plans = [(rng.choice(QUESTIONS), rng.random() < 0.5, rng.random() * 0.3) for _ in range(count)]

    def one(plan: tuple[str, bool, float]) -> None:
        question, stopped, delay = plan
        run = Run()
        timer = threading.Timer(delay, run.cancel) if stopped else None
        if timer:
            timer.start()
        try:
            text = "".join(llm.stream_chat(asking(question), GenerationOptions(max_tokens=8), run))
        except Cancelled:
            assert stopped
        else:
            assert text == expected[question]

    options = GenerationOptions(max_tokens=8)
    expected = {question: answer(llm, asking(question), options)[0] for question in QUESTIONS}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, plans))
    wait_until(lambda: is_idle(llm))
    for worker in llm._scheduler._workers:
        assert sorted(worker._free) == list(range(llm._scheduler.tuning.sequences))
    assert cores().in_use == 0


def test_fifty_requests_stopped_at_random(llm: LlamaCpp) -> None:
    stress(llm, 50)


@pytest.mark.soak
def test_a_thousand_requests_stopped_at_random_leak_nothing(chat_model_path: Path) -> None:
    small = LlamaCpp(chat_model_path, config=Config(state_cache_mb=16))
    stress(small, 200)
    before = resident_megabytes()
    stress(small, 800)
    assert resident_megabytes() - before < 30
    small.close()


def resident_megabytes() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


# Taking turns


def test_a_short_request_is_not_held_up_by_a_long_one_in_the_same_context(
    chat_model_path: Path,
) -> None:
    model = LlamaCpp(chat_model_path, tuning=Tuning(contexts=1))
    run = Run()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(answer_in, model, run, long_prompt(400))
        wait_until(lambda: run.progress.phase is Phase.READING)
        answer(model, asking(QUESTIONS[0]), GenerationOptions(max_tokens=4))
        assert run.progress.phase is Phase.READING
        assert slow.result(60) == "length"
    model.close()


def test_all_of_twice_as_many_as_there_are_places_are_served(llm: LlamaCpp) -> None:
    places = llm.settings["contexts"] * llm.settings["sequences"]
    runs = [Run() for _ in range(2 * places)]
    with ThreadPoolExecutor(len(runs)) as pool:
        reasons = list(pool.map(lambda run: answer_in(llm, run), runs))
    assert reasons == ["length"] * len(runs)


def test_those_who_wait_see_how_many_are_ahead(lone_llm: LlamaCpp) -> None:
    options = GenerationOptions(max_tokens=200, ignore_eos=True)
    first = lone_llm.stream_chat([ChatMessage("user", "Tell a story.")], options)
    next(first)
    runs = [Run(), Run()]
    with ThreadPoolExecutor(2) as pool:
        waiting = []
        for place, run in enumerate(runs, start=1):
            waiting.append(pool.submit(answer_in, lone_llm, run))
            wait_until(lambda run=run, place=place: run.progress.done == place)  # type: ignore[misc]
        assert [str(run.progress) for run in runs] == ["queued behind 1", "queued behind 2"]
        first.close()  # type: ignore[attr-defined]
        assert [future.result(30) for future in waiting] == ["length", "length"]


def answer_in(
    llm: LlamaCpp, run: Run, messages: Sequence[ChatMessage] = (ChatMessage("user", "Count."),)
) -> str | None:
    options = GenerationOptions(max_tokens=3, ignore_eos=True, reuse=False)
    list(llm.stream_chat(messages, options, run))
    return run.trace.calls[0].finish_reason


# Limits and faults


def prompt_of(llm: LlamaCpp, tokens: int) -> list[ChatMessage]:
    """A message whose prompt has exactly that many tokens."""
    empty = llm.count_tokens([ChatMessage("user", "")])
    text = " word" * (tokens - empty)
    while llm.count_tokens([ChatMessage("user", text)]) > tokens:
        text = text.removesuffix(" word")
    assert llm.count_tokens([ChatMessage("user", text)]) == tokens
    return [ChatMessage("user", text)]


def test_a_prompt_that_fills_the_context_still_gets_a_token(lone_llm: LlamaCpp) -> None:
    options = GenerationOptions(max_tokens=16, ignore_eos=True)
    _, run = answer(lone_llm, prompt_of(lone_llm, 256), options)
    assert (run.trace.calls[0].output_tokens, run.trace.calls[0].finish_reason) == (1, "length")


def test_one_token_more_is_refused_with_the_numbers(lone_llm: LlamaCpp) -> None:
    run = Run()
    with pytest.raises(PromptTooLongError, match=r"257 tokens.*holds 256") as caught:
        list(lone_llm.stream_chat(prompt_of(lone_llm, 257), SHORT, run))
    assert (caught.value.prompt_tokens, caught.value.context_window) == (257, 256)
    assert "prefill" not in [span.name for span in run.trace.spans]


def test_the_answer_is_cut_where_the_context_ends(lone_llm: LlamaCpp) -> None:
    options = GenerationOptions(max_tokens=100, ignore_eos=True)
    _, run = answer(lone_llm, prompt_of(lone_llm, 244), options)
    assert (run.trace.calls[0].output_tokens, run.trace.calls[0].finish_reason) == (13, "length")


def test_a_fault_in_one_answer_comes_after_its_text_and_spares_the_others(
    lone_llm: LlamaCpp, monkeypatch: pytest.MonkeyPatch
) -> None:
    (worker,) = lone_llm._scheduler._workers
    decode, steps = worker._context.decode, 0

    def failing(entries: Sequence[Entry]) -> bool:
        nonlocal steps
        steps += len(entries) == 1  # a token written, not a slice read
        if len(entries) == 1 and steps == 5:
            raise GenerationError("The model could not compute a step.")
        return decode(entries)

    monkeypatch.setattr(worker._context, "decode", failing)
    run, text = Run(), ""
    with pytest.raises(GenerationError, match="could not compute"):
        for piece in lone_llm.stream_chat([ChatMessage("user", "Tell a story.")], SHORT, run):
            text += piece
    assert text
    assert run.trace.calls[0].finish_reason == "error"
    assert "1874" in answer(lone_llm, asking(QUESTIONS[0]))[0]


def test_a_closed_model_says_so_and_ends_what_runs(chat_model_path: Path) -> None:
    model = LlamaCpp(chat_model_path, tuning=Tuning(contexts=1, sequences=1, window=512))
    writing = model.stream_chat(
        [ChatMessage("user", "Tell a story.")], GenerationOptions(max_tokens=200, ignore_eos=True)
    )
    next(writing)
    model.close()
    model.close()
    with pytest.raises(Cancelled):
        list(writing)
    with pytest.raises(LLMError, match="closed"):
        list(model.stream_chat(asking(QUESTIONS[0])))
    with pytest.raises(LLMError, match="closed"):
        model.count_tokens(asking(QUESTIONS[0]))
    assert not any(worker.thread.is_alive() for worker in model._scheduler._workers)


def test_pieces_pushed_and_pieces_pulled_are_the_same(llm: LlamaCpp) -> None:
    prompt = asking(QUESTIONS[0])
    pushed: list[str] = []
    llm.write_chat(pushed.append, prompt, SHORT)
    assert pushed == list(llm.stream_chat(prompt, SHORT))
    assert len(pushed) > 1


def test_a_receiver_that_raises_ends_its_own_answer_and_no_other(llm: LlamaCpp) -> None:
    def raises(_: str) -> None:
        raise OSError("the receiver's own fault")

    other = llm.stream_chat([ChatMessage("user", "Tell a story.")], SHORT)
    first = next(other)
    with pytest.raises(OSError, match="own fault"):
        llm.write_chat(raises, [ChatMessage("user", "Tell another story.")], SHORT)
    assert len([first, *other]) > 1
