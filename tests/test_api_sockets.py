"""What clients hide, on plain sockets: first frames, callers who leave, slow and many readers."""

import gc
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.api import chat
from tests.api_server import (
    LONG_QUESTION,
    ApiServer,
    api_server,
    frames,
    wait_until,
)
from tests.scripted import ScriptedLLM

LONG: dict[str, Any] = {"max_tokens": 1024, "ignore_eos": True}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("api")) as server:
        yield server


def test_the_sources_arrive_before_the_model_has_written_anything(api: ApiServer) -> None:
    with api.ask(LONG_QUESTION) as connection:
        first = next(frames(connection))
        assert first["sources"] and not first["choices"][0]["delta"]["content"]
        wait_until(lambda: api.llm.jobs == 1, every=0.001)  # it reads the long question
    api.idle_after()


def test_a_caller_who_leaves_during_the_search_stops_the_answer(api: ApiServer) -> None:
    with api.ask(**LONG):
        pass
    wait_until(lambda: api.llm.jobs == 0 and not answering())


def test_a_caller_who_leaves_while_the_prompt_is_read_stops_the_model(api: ApiServer) -> None:
    with api.ask(LONG_QUESTION + " ", **LONG) as connection:
        next(frames(connection))
        wait_until(lambda: api.llm.jobs == 1, every=0.001)
    print(f"The model is idle after {api.idle_after() * 1000:.1f} ms")  # pytest -rP shows it
    wait_until(lambda: not answering())


def test_a_caller_who_leaves_while_the_answer_is_written_stops_the_model(api: ApiServer) -> None:
    with api.ask(**LONG) as connection:
        arriving = frames(connection)
        for _ in range(6):
            next(arriving)
    print(f"The model is idle after {api.idle_after() * 1000:.1f} ms")  # pytest -rP shows it
    wait_until(lambda: not answering())


def test_a_caller_of_a_whole_answer_who_leaves_stops_the_model(api: ApiServer) -> None:
    with api.ask(**LONG, stream=False):
        wait_until(lambda: api.llm.jobs == 1, every=0.001)
    api.idle_after()
    wait_until(lambda: not answering())


def test_a_reader_that_waits_does_not_hold_up_the_model(api: ApiServer) -> None:
    with api.ask(max_tokens=200, ignore_eos=True) as slow:
        arriving = frames(slow)
        next(arriving)
        with api.ask() as other:  # answered meanwhile
            assert list(frames(other))[-1]["timings"]["predicted_n"] > 0
        wait_until(lambda: api.llm.jobs == 0)  # the model has ended; the reader has not begun
        last = list(arriving)[-1]
        assert last["timings"]["predicted_n"] == 200
        assert last["choices"][0]["finish_reason"] == "length"


# An answer that is larger than all buffers between server and reader, which loopback lets grow to
# 2.6 MB. The real model would write it for an hour. It repeats itself, which `ignore_eos` allows.
PIECE, PIECES = "tide " * 4000, 400
SMALL = 2048  # bytes of the reader's buffer


def test_a_reader_whose_buffers_are_full_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = count_calls(monkeypatch, chat, "_event")
    llm = ScriptedLLM([PIECE] * PIECES)
    with api_server(tmp_path, llm) as api, api.ask(receive_buffer=SMALL, ignore_eos=True) as slow:
        wait_until(llm.closed.is_set)  # the model has written everything, and nothing was read
        before = -1
        while made() > before:  # until nothing more can be sent
            before = made()
            time.sleep(0.2)
        assert 0 < before < PIECES
        text = "".join(each["choices"][0]["delta"].get("content", "") for each in frames(slow))
    assert text == PIECE * PIECES


def test_a_reader_that_never_reads_does_not_keep_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "SLOWEST_READER", 0.3)
    llm = ScriptedLLM([PIECE] * 1_000_000, seconds=0.001)  # for more than a quarter of an hour
    with api_server(tmp_path, llm) as api:
        handles = open_files()
        with api.ask(receive_buffer=SMALL, ignore_eos=True) as stuck:
            wait_until(llm.closed.is_set)
            wait_until(lambda: not answering())
            *_, last = frames(stuck)  # it gets what had been sent, and sees that the end is missing
            assert last["choices"][0]["finish_reason"] is None
        wait_until(lambda: open_files() <= handles)


def count_calls(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> Callable[[], int]:
    """Count the calls of a function from now on."""
    made = [0]
    real = getattr(module, name)

    def counted(*arguments: Any) -> Any:
        made[0] += 1
        return real(*arguments)

    monkeypatch.setattr(module, name, counted)
    return lambda: made[0]


def test_more_requests_at_once_than_are_allowed_are_told_to_wait(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.api.guard.REQUESTS_AT_ONCE", 1)
    with api.ask(**LONG) as first:
        next(frames(first))
        with api.ask() as second:
            assert b" 429 " in second.recv(100)
    api.idle_after()


def test_short_requests_leave_nothing_behind(api: ApiServer) -> None:
    leave_nothing_behind(api, 40)


@pytest.mark.soak
def test_two_hundred_short_requests_leave_nothing_behind(api: ApiServer) -> None:
    leave_nothing_behind(api, 200)


def leave_nothing_behind(api: ApiServer, number: int) -> None:
    """Ask so often, every fourth time leaving early; threads, files and memory stay the same."""

    def ask(count: int) -> None:
        for place in range(count):
            with api.ask(max_tokens=4) as connection:
                arriving = frames(connection)
                next(arriving)
                if place % 4:
                    list(arriving)
        wait_until(lambda: api.llm.jobs == 0 and not answering())

    ask(10)
    threads, handles, memory = threading.active_count(), open_files(), resident_bytes()
    ask(number)
    wait_until(lambda: threading.active_count() <= threads and open_files() <= handles)
    if memory is not None:
        gc.collect()
        assert (resident_bytes() or 0) - memory < 30e6  # kept states of the model are bounded
    assert not api.workspace.ingestor.busy


def answering() -> list[str]:
    """The engine's threads that are at work on an answer."""
    return [each.name for each in threading.enumerate() if each.name.startswith("answer-")]


def open_files() -> int:
    folder = Path("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
    return len(list(folder.iterdir()))


def resident_bytes() -> int | None:
    """None where the system does not tell."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return None
    return int(status.read_text().split()[1]) * resource.getpagesize()
