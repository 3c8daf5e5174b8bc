"""Measuring: order, cold and warm, Stop, faults, and the stage in which a delay is reported."""

import itertools
import json
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.embedding import BgeEmbedding, CrossEncoder
from engine.errors import GenerationError, MeasuringError, ServerError
from engine.index import VectorStoreIndex
from engine.llm import OpenAICompatible
from engine.llm.base import LLM, ContextFormat, GenerationOptions
from engine.llm.context import Context, Entry
from engine.measuring import Experiment, Lane, Measurements, MeasuringJob, Mode, Setup, Trial
from engine.measuring.asking import Asker, InProcess, Means, measured_engine
from engine.measuring.fingerprint import fingerprint
from engine.measuring.record import Outcome
from engine.measuring.runner import Runner, arrivals
from engine.measuring.schedule import comparison_trials
from engine.query_engine import RetrieverQueryEngine
from engine.run import Run
from engine.schema import Document, NodeWithScore
from engine.settings import Settings
from engine.store import Collection
from engine.synthesis import ResponseSynthesizer
from engine.timing import UNACCOUNTED, Trace, waterfall
from tests.scripted import ScriptedLLM, ScriptedRetriever, words
from tests.test_openai_compatible import Handler, Server, running

SETUP = Setup(("When?",), "default", length=8)
WARM = (Lane(warm=True), Lane(Mode.BLOCKING, warm=True))
S, B = 0, 1  # the lanes: streaming and non-streaming
PIECES = ["It ", "was ", "in ", "1887."]
MILL = "The mill was built in 1887."
DELAY = 1.0  # seconds, on a clock that stands still otherwise


def means(llm: LLM, retriever: ScriptedRetriever | None = None, **others: LLM) -> Means:
    """Engines of one model, with the options that a measured engine would give it.

    others: models by their names.
    """

    def asker(setup: Setup, lane: Lane, llm: LLM) -> Asker:
        options = GenerationOptions(max_tokens=setup.length, reuse=lane.warm)
        synthesizer = ResponseSynthesizer(llm, options=options)
        found = retriever or ScriptedRetriever(MILL)
        return InProcess(RetrieverQueryEngine(found, synthesizer), lane.mode)

    @contextmanager
    def open_model(name: str, _: Run) -> Iterator[LLM]:
        yield others[name] if name else llm

    return Means(open_model, asker, describe=lambda llm: {"model": llm.metadata.model_name})


def kept(folder: Path, with_these: Means) -> Measurements:
    return Measurements(folder, with_these)


def finished(job: MeasuringJob, seconds: float = 60.0) -> MeasuringJob:
    deadline = time.monotonic() + seconds  # a job that hangs for ever fails
    while job.running and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not job.running
    return job


def compared(measurements: Measurements, pairs: int = 2, setup: Setup = SETUP) -> MeasuringJob:
    return measurements.start(Experiment.COMPARISON, setup, comparison_trials(setup, pairs))


def test_runs_happen_in_the_order_of_the_schedule_and_each_mode_is_real(tmp_path: Path) -> None:
    job = finished(compared(kept(tmp_path, means(ScriptedLLM(PIECES)))))
    session = job.session
    assert session.outcome is Outcome.DONE
    assert [each.lane for each in session.measurements] == [S, S, B, B, S]  # first the warm-up
    assert len(session.counted) == 4
    assert {len(each.chunks) for each in session.of(S)} == {4}
    assert {len(each.chunks) for each in session.of(B)} == {1}
    assert {each.text for each in session.counted} == {"It was in 1887."}
    assert session.fingerprint == {"model": "scripted"}


@pytest.mark.parametrize("warm", [False, True])
def test_cold_runs_forbid_reuse_and_warm_ones_allow_it(tmp_path: Path, warm: bool) -> None:
    llm = ScriptedLLM(PIECES)
    setup = replace(SETUP, lanes=WARM) if warm else SETUP
    finished(compared(kept(tmp_path, means(llm)), setup=setup))
    assert {options.reuse for options in llm.options} == {warm}


def test_several_questions_are_interleaved_and_one_without_an_answer_is_left_out(
    tmp_path: Path,
) -> None:
    class Finds(ScriptedRetriever):
        def retrieve(
            self, question: str, run: Run | None = None, earlier: str = ""
        ) -> list[NodeWithScore]:
            found = super().retrieve(question, run, earlier)
            return [] if question == "Nowhere?" else found

    setup = replace(SETUP, questions=("When?", "Nowhere?", "Where?"))
    job = finished(compared(kept(tmp_path, means(ScriptedLLM(PIECES), Finds(MILL))), 3, setup))
    assert job.session.outcome is Outcome.DONE
    assert [(e.question, e.lane) for e in job.session.counted] == [(0, S), (0, B), (2, S), (2, B)]
    assert job.session.unanswered == ["Nowhere?"]
    assert len(job.session.pairs) == 2


def test_two_models_are_opened_once_each_described_and_closed(tmp_path: Path) -> None:
    one, other = ScriptedLLM(["one ", "two"]), ScriptedLLM(["three"])
    setup = replace(SETUP, lanes=(Lane(), Lane(model="other")))
    job = finished(compared(kept(tmp_path, means(one, other=other)), 1, setup))
    first, second = job.session.of(0)[0], job.session.of(1)[0]
    assert (first.text, second.text) == ("one two", "three")
    assert one.prompts == other.prompts, "both get the same passages"
    assert job.session.setup.names == ["the app's model", "other"]


def test_a_model_that_cannot_be_opened_ends_the_session_with_its_sentence(tmp_path: Path) -> None:
    @contextmanager
    def gone(*_: object) -> Iterator[LLM]:
        raise ServerError("It is gone.")
        yield

    with_these = replace(means(ScriptedLLM(PIECES)), open_model=gone)
    job = finished(compared(kept(tmp_path, with_these)))
    assert (job.session.outcome, job.session.problem) == (Outcome.FAILED, "It is gone.")


LOAD = (Trial(readers=3, requests=7), Trial(rate=200.0, requests=5))


@pytest.mark.parametrize("trial", LOAD, ids=["closed loop", "open loop"])
def test_every_request_of_a_load_is_measured_with_the_questions_in_turn(
    tmp_path: Path, trial: Trial
) -> None:
    setup = replace(SETUP, questions=("When?", "Where?"))
    measurements = kept(tmp_path, means(ScriptedLLM(PIECES, seconds=0.002)))
    job = finished(measurements.start(Experiment.LOAD, setup, [trial]))
    assert [each.reader for each in job.session.counted] == list(range(trial.requests))
    assert [each.question for each in job.session.counted][:3] == [0, 1, 0]
    assert {each.text for each in job.session.counted} == {"It was in 1887."}


def test_a_closed_loop_never_has_more_readers_than_it_says(tmp_path: Path) -> None:
    now, most, lock = 0, 0, threading.Lock()

    class Counting(ScriptedRetriever):
        def retrieve(
            self, question: str, run: Run | None = None, earlier: str = ""
        ) -> list[NodeWithScore]:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            found = super().retrieve(question, run, earlier)
            time.sleep(0.005)
            with lock:
                now -= 1
            return found

    measurements = kept(tmp_path, means(ScriptedLLM(PIECES), Counting(MILL)))
    finished(measurements.start(Experiment.LOAD, SETUP, [Trial(readers=2, requests=12)]))
    assert most == 2


def test_an_open_loop_asks_at_the_same_random_moments_each_time() -> None:
    moments = arrivals(2.0, 2000)
    assert moments == arrivals(2.0, 2000) and moments == sorted(moments)
    gaps = [late - early for early, late in itertools.pairwise(moments)]
    assert statistics.mean(gaps) == pytest.approx(0.5, rel=0.1)
    assert statistics.stdev(gaps) == pytest.approx(0.5, rel=0.1), "exponential: mean = deviation"
    assert arrivals(4.0, 9) == pytest.approx([moment / 2 for moment in arrivals(2.0, 9)])


def test_the_readers_clock_is_not_the_engines_and_comes_after_it(tmp_path: Path) -> None:
    job = finished(compared(kept(tmp_path, means(ScriptedLLM(PIECES, seconds=0.01)))))
    for each in job.session.counted:
        assert each.metrics.ttft and each.seen_first
        assert each.seen_first >= each.metrics.ttft


def test_stop_ends_the_running_answer_and_keeps_what_was_measured(tmp_path: Path) -> None:
    reached = threading.Event()
    llm = ScriptedLLM(PIECES, words(1000), seconds=0.01)
    llm.before_piece = lambda _: reached.set() if len(llm.prompts) > 2 else None
    llm.replies = [PIECES, PIECES, words(1000)]
    measurements = kept(tmp_path, means(llm))
    job = compared(measurements)
    assert reached.wait(30)
    job.stop()
    finished(job)
    assert job.session.outcome is Outcome.STOPPED
    assert len(job.session.measurements) == 2
    again = kept(tmp_path, means(llm)).session(job.session.id)
    assert again and again.outcome is Outcome.STOPPED and len(again.measurements) == 2


def test_a_stop_before_the_first_run_ends_at_once(tmp_path: Path) -> None:
    hold = threading.Event()

    @contextmanager
    def held(*_: object) -> Iterator[LLM]:
        hold.wait(60)
        yield ScriptedLLM()

    job = compared(kept(tmp_path, replace(means(ScriptedLLM()), open_model=held)))
    job.stop()
    hold.set()
    finished(job)
    assert (job.session.outcome, job.session.measurements) == (Outcome.STOPPED, [])


def test_progress_grows_to_one_and_says_what_is_measured(tmp_path: Path) -> None:
    seen: list[tuple[float, str]] = []
    llm = ScriptedLLM(PIECES)
    measurements = kept(tmp_path, means(llm))

    def look(_: int) -> None:
        if job := measurements.job:
            seen.append((job.done, job.progress))

    llm.before_piece = look
    job = finished(compared(measurements))
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert job.done == 1.0
    assert "run 1 of 5: warm-up, streaming" in seen[0][1]
    assert "run 5 of 5: streaming" in seen[-1][1]
    assert job.seconds_left == 0


def test_a_model_that_fails_ends_the_session_with_its_sentence(tmp_path: Path) -> None:
    llm = ScriptedLLM(PIECES, ["It ", GenerationError("The disk went away. Ask again.")])
    job = finished(compared(kept(tmp_path, means(llm))))
    assert job.session.outcome is Outcome.FAILED
    assert job.session.problem == "The disk went away. Ask again."
    assert [each.outcome for each in job.session.measurements] == [Outcome.DONE, Outcome.FAILED]
    assert job.session.counted == []


def test_a_question_that_finds_nothing_is_reported(tmp_path: Path) -> None:
    job = finished(compared(kept(tmp_path, means(ScriptedLLM(), ScriptedRetriever()))))
    assert job.session.outcome is Outcome.FAILED
    assert "nothing was found" in job.session.problem


def test_a_model_that_cannot_stream_is_reported(tmp_path: Path) -> None:
    job = finished(compared(kept(tmp_path, means(ScriptedLLM(can_stream=False)))))
    assert "cannot stream" in job.session.problem


def test_one_measurement_at_a_time_and_never_an_empty_question(tmp_path: Path) -> None:
    hold = threading.Event()

    def wait(_: int) -> None:
        hold.wait(60)

    llm = ScriptedLLM(PIECES, before_piece=wait)
    measurements = kept(tmp_path, means(llm))
    job = compared(measurements)
    with pytest.raises(MeasuringError, match="already"):
        compared(measurements)
    measurements.delete(job.session.id)
    assert measurements.session(job.session.id) is job.session, "not while it is measured"
    hold.set()
    finished(job)
    with pytest.raises(MeasuringError, match="empty"):
        compared(measurements, setup=Setup(("  ",), "default"))


def test_every_run_is_on_disk_as_soon_as_it_has_ended(tmp_path: Path) -> None:
    counts: list[int] = []

    def count(_: int) -> None:
        text = "".join(file.read_text() for file in tmp_path.glob("*.jsonl"))
        counts.append(text.count('"kind":"run"'))

    finished(compared(kept(tmp_path, means(ScriptedLLM(["word"], before_piece=count)))))
    assert counts == [0, 1, 2, 3, 4]


def test_a_session_in_which_nothing_was_measured_is_not_kept(tmp_path: Path) -> None:
    measurements = kept(tmp_path, means(ScriptedLLM([GenerationError("It fell over.")])))
    job = finished(compared(measurements))
    assert job.session.outcome is Outcome.FAILED
    assert measurements.sessions() == []
    assert list(tmp_path.iterdir()) == []


def test_what_is_being_measured_is_not_among_the_kept(tmp_path: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def wait(_: int) -> None:
        reached.set()
        go_on.wait(60)

    measurements = kept(tmp_path, means(ScriptedLLM(PIECES, before_piece=wait)))
    job = compared(measurements)
    assert reached.wait(30)
    assert measurements.sessions() == []
    go_on.set()
    assert [each.id for each in measurements.sessions()] in ([], [finished(job).session.id])
    assert [each.id for each in measurements.sessions()] == [job.session.id]


def test_a_disk_that_is_full_is_reported_and_the_runs_stay_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", **how: Any) -> Any:
        if mode == "a" and path.is_file() and path.read_text().count('"kind":"run"') > 1:
            raise OSError(28, "No space left on device")
        return opened(path, mode, **how)

    monkeypatch.setattr(Path, "open", full)
    job = finished(compared(kept(tmp_path, means(ScriptedLLM(PIECES)))))
    assert "No space left on device" in job.session.problem
    assert "Free some disk space" in job.session.problem
    assert len(job.session.measurements) == 3


def test_closing_stops_what_is_measured(tmp_path: Path) -> None:
    measurements = kept(tmp_path, means(ScriptedLLM(words(10_000), seconds=0.01)))
    job = compared(measurements)
    measurements.close()
    assert job.session.outcome is Outcome.STOPPED


def test_a_session_that_a_crash_cut_off_keeps_its_whole_runs(tmp_path: Path) -> None:
    with_these = means(ScriptedLLM(PIECES))
    job = finished(compared(kept(tmp_path, with_these)))
    (file,) = tmp_path.glob("*.jsonl")
    lines = file.read_text().splitlines()
    last_run = max(n for n, line in enumerate(lines) if json.loads(line)["kind"] == "run")
    file.write_text("\n".join(lines[: last_run + 3]) + "\n" + lines[last_run + 3][:20])
    session = kept(tmp_path, with_these).session(job.session.id)
    assert session and session.outcome is Outcome.INTERRUPTED
    assert len(session.measurements) == 4


# ---- A delay in one stage is reported in that stage, exactly, and nowhere else


class Clock:
    """The clock of every trace: it stands still until a test lets time pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr("engine.timing.time", stopped)
    return stopped


def spent(trace: Trace) -> dict[str, float]:
    """Seconds by stage, of the stages that took any time."""
    times: dict[str, float] = {}
    for segment in waterfall(trace):
        times[segment.name] = times.get(segment.name, 0.0) + segment.duration
    return {name: seconds for name, seconds in times.items() if seconds}


@pytest.fixture(scope="module")
def mill() -> VectorStoreIndex:
    return VectorStoreIndex.from_documents([Document(f"{MILL} It ground barley until 1931.")])


# What to slow down: the method that each stage calls.
EDGES: list[tuple[str, type, str]] = [
    ("embed", BgeEmbedding, "embed_query"),
    ("search", Collection, "search_dense"),
    ("rerank", CrossEncoder, "score"),
]


@pytest.mark.parametrize(("slow", "owner", "name"), EDGES)
def test_a_delay_in_retrieval_shows_in_its_stage_and_nowhere_else(
    mill: VectorStoreIndex,
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
    slow: str,
    owner: type,
    name: str,
) -> None:
    quick = getattr(owner, name)

    def slowly(*arguments: Any) -> Any:
        clock.now += DELAY
        return quick(*arguments)

    monkeypatch.setattr(owner, name, slowly)
    synthesizer = ResponseSynthesizer(ScriptedLLM(PIECES))
    response = RetrieverQueryEngine(mill.as_retriever(), synthesizer).query("When?", stream=True)
    assert str(response) == "It was in 1887."
    assert spent(response.trace) == {slow: DELAY}


def test_a_delay_between_the_stages_is_unaccounted(clock: Clock) -> None:
    class Dawdler(ScriptedRetriever):
        def retrieve(
            self, question: str, run: Run | None = None, earlier: str = ""
        ) -> list[NodeWithScore]:
            clock.now += DELAY
            return super().retrieve(question, run, earlier)

    engine = RetrieverQueryEngine(Dawdler(MILL), ResponseSynthesizer(ScriptedLLM(PIECES)))
    response = engine.query("When?", stream=True)
    assert str(response)
    assert spent(response.trace) == {UNACCOUNTED: DELAY}


@pytest.mark.parametrize(("slow", "reading"), [("prefill", True), ("decode", False)])
def test_a_delay_in_the_model_shows_in_its_stage_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, slow: str, reading: bool
) -> None:
    """With the real model."""
    options = GenerationOptions(max_tokens=12, reuse=False)
    synthesizer = ResponseSynthesizer(Settings.llm, options=options)
    engine = RetrieverQueryEngine(ScriptedRetriever(MILL), synthesizer)
    decode = Context.decode
    put = threading.Event()

    def slowly(context: Context, entries: Sequence[Entry]) -> bool:
        if (len(entries) > 1) is reading and not put.is_set():
            put.set()
            clock.now += DELAY
        return decode(context, entries)

    monkeypatch.setattr(Context, "decode", slowly)
    response = engine.query("When was the mill built?", stream=True)
    assert "1887" in str(response)
    assert spent(response.trace) == {slow: DELAY}


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as started:
        yield started


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("slow", ["server", "decode"])
def test_a_delay_of_a_server_shows_in_its_stage_and_nowhere_else(
    clock: Clock, server: Server, mode: Mode, slow: str
) -> None:
    """The lane of another model, on a server: before its first text, or between two texts."""
    began = threading.Event()

    def play(handler: Handler) -> None:
        clock.now += DELAY * (slow == "server")
        handler.start()
        handler.delta("It was")
        assert began.wait(10), "the first text has come"
        clock.now += DELAY * (slow == "decode")
        handler.delta(" in 1887.", "stop")

    server.play = play
    llm = OpenAICompatible(server.url, "some-model", stall_seconds=10)
    synthesizer = ResponseSynthesizer(llm)
    engine = RetrieverQueryEngine(ScriptedRetriever(MILL), synthesizer)
    response = engine.start("When?", stream=mode is Mode.STREAMING)
    while not any(call.token_times for call in response.trace.calls):
        time.sleep(0.001)
    began.set()
    assert str(response) == "It was in 1887."
    assert spent(response.trace) == {slow: DELAY}
    assert response.trace.metrics.ttft == (
        DELAY if slow == "server" or mode is Mode.BLOCKING else 0
    )
    llm.close()


# ---- With the real model


def test_cold_runs_read_the_whole_prompt_and_warm_ones_reuse_it(mill: VectorStoreIndex) -> None:
    def reused(warm: bool) -> list[int]:
        lane = Lane(warm=warm)
        question = "When was the mill built?"
        setup = Setup((question,), "default", 1, ContextFormat.PASSAGES, 24, lanes=(lane,))
        engine = measured_engine(lambda _: mill, Settings.llm, setup, lane)
        runner = Runner([InProcess(engine, lane.mode)], setup, Run())
        return [runner.take(n, Trial())[0].metrics.reused_tokens for n in range(2)]

    assert reused(warm=False) == [0, 0]
    assert reused(warm=True)[1] > 0


def test_the_fingerprint_names_the_model_file_the_machine_and_the_versions() -> None:
    known = fingerprint(Settings.llm)
    assert known["model file"].endswith(".gguf")
    assert len(known["model sha256"]) == 64
    assert {"processor", "cores", "Python", "llama-cpp-python"} <= set(known)
    assert not any("/" in value for name, value in known.items() if name != "processor")


def test_the_fingerprint_of_a_model_elsewhere_has_no_file() -> None:
    assert "model file" not in fingerprint(ScriptedLLM())
