"""Answers measured over HTTP: the app's own API on a real server, with the real model."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.api import Access, chat
from engine.embedding import CrossEncoder
from engine.measuring import Experiment, Lane, Mode, Setup, Transport
from engine.measuring.asking import REQUEST, RESPONSE, Asked, OverHttp
from engine.measuring.record import Outcome
from engine.measuring.schedule import comparison_trials
from engine.run import Run
from engine.timing import UNACCOUNTED, unaccounted, waterfall
from tests.api_server import LONG_QUESTION, QUESTION, ApiServer, api_server, wait_until
from tests.test_measuring_runs import DELAY, Clock, spent

SETUP = Setup((QUESTION,), "default", length=24)
BOTH = [Mode.STREAMING, Mode.BLOCKING]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("data")) as started:
        ask(started)  # loads what the first question loads
        yield started


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr("engine.timing.time", stopped)
    monkeypatch.setattr("engine.api.chat.time", stopped)
    return stopped


def ask(server: ApiServer, mode: Mode = Mode.STREAMING, warm: bool = False) -> Asked:
    lane = Lane(mode, Transport.HTTP, warm)
    return OverHttp(server.client, SETUP, lane).ask(QUESTION, Run())


@pytest.mark.parametrize("mode", BOTH)
def test_an_answer_over_http_has_the_stages_of_the_app_between_those_of_the_wire(
    server: ApiServer, mode: Mode
) -> None:
    asked = ask(server, mode)
    assert asked.outcome is Outcome.DONE
    assert "Hannah Voss" in "".join(chunk.text for chunk in asked.chunks)
    assert (len(asked.chunks) > 3) is (mode is Mode.STREAMING)
    names = [span.name for span in asked.trace.spans]
    assert names[0] == REQUEST and names[-1] == RESPONSE
    assert {"embed", "search", "rerank", "prefill"} <= set(names)
    metrics = asked.trace.metrics
    assert metrics.ttft == asked.chunks[0].received and metrics.output_tokens > 3
    stages = waterfall(asked.trace, asked.chunks[-1].received)
    assert stages[-1].end == asked.chunks[-1].received
    assert unaccounted(stages) < stages[-1].end / 2


def test_cold_requests_read_the_whole_prompt_and_warm_ones_reuse_it(server: ApiServer) -> None:
    def reused(warm: bool) -> list[int]:
        return [ask(server, warm=warm).trace.metrics.reused_tokens for _ in range(2)]

    assert reused(warm=False) == [0, 0]
    assert reused(warm=True)[1] > 0


@pytest.mark.parametrize("mode", BOTH)
def test_a_delay_before_the_app_has_the_question_is_in_the_request(
    server: ApiServer, clock: Clock, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    refusal = Access.refusal

    def slowly(*arguments: Any) -> Any:
        clock.now += DELAY
        return refusal(*arguments)

    monkeypatch.setattr(Access, "refusal", slowly)
    assert spent(ask(server, mode).trace) == {REQUEST: DELAY}


@pytest.mark.parametrize("mode", BOTH)
def test_a_delay_in_a_stage_of_the_app_is_in_that_stage(
    server: ApiServer, clock: Clock, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    score = CrossEncoder.score

    def slowly(*arguments: Any) -> Any:
        clock.now += DELAY
        return score(*arguments)

    monkeypatch.setattr(CrossEncoder, "score", slowly)
    assert spent(ask(server, mode).trace) == {"rerank": DELAY}


def test_a_delay_of_the_first_text_on_its_way_is_in_the_response(
    server: ApiServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frame is held back until the model has written everything."""
    event, held = chat._event, threading.Event()

    def slowly(frame: dict[str, Any]) -> bytes:
        has_text = any(each.get("delta", {}).get("content") for each in frame["choices"])
        if has_text and not held.is_set():
            held.set()
            wait_until(lambda: server.llm.jobs == 0, every=0.001)
            clock.now += DELAY
        return event(frame)

    monkeypatch.setattr(chat, "_event", slowly)
    asked = ask(server)
    assert held.is_set()
    assert asked.trace.metrics.ttft == pytest.approx(DELAY)
    assert spent(asked.trace).get(RESPONSE) == pytest.approx(DELAY)
    assert UNACCOUNTED not in spent(asked.trace)


@pytest.mark.parametrize("mode", BOTH)
def test_stop_ends_the_request_and_the_model_at_once(server: ApiServer, mode: Mode) -> None:
    run, found = Run(), list[Asked]()
    lane = Lane(mode, Transport.HTTP)
    asker = OverHttp(server.client, replace(SETUP, length=1000), lane)
    thread = threading.Thread(target=lambda: found.append(asker.ask(LONG_QUESTION, run)))
    thread.start()
    wait_until(lambda: server.llm.jobs == 1, every=0.001)
    run.cancel()
    thread.join(10)
    assert [each.outcome for each in found] == [Outcome.STOPPED]
    wait_until(lambda: server.llm.jobs == 0)


def test_a_refusal_is_told_in_the_words_of_the_app(server: ApiServer) -> None:
    lane = Lane(transport=Transport.HTTP)
    asked = OverHttp(server.client, replace(SETUP, collection="none"), lane).ask("Who?", Run())
    assert asked.outcome is Outcome.FAILED
    assert "does not exist" in asked.error


def test_both_transports_are_measured_in_one_session(server: ApiServer, tmp_path: Path) -> None:
    setup = replace(SETUP, lanes=(Lane(), Lane(transport=Transport.HTTP)))
    job = server.workspace.measure(
        Experiment.COMPARISON, setup, comparison_trials(setup, 2), lambda: server.new_client()
    )
    wait_until(lambda: not job.running)
    session = job.session
    assert session.problem == ""
    assert len(session.pairs) == 2
    assert len({each.text for each in session.counted}) == 1
    inside, outside = session.pairs[0]
    assert REQUEST in {span.name for span in outside.trace.spans}
    assert REQUEST not in {span.name for span in inside.trace.spans}
