"""The budget of cores: never exceeded, urgent steps first, nobody waits for ever."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from engine.cores import LINGER, Cores, Priority, cores
from engine.errors import Cancelled
from engine.run import Run


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.001)


@contextmanager
def waiting(budget: Cores, *takers: Callable[[], None]) -> Iterator[None]:
    """Run takers on threads, queued in this order, and join them at the end."""
    threads = [threading.Thread(target=taker) for taker in takers]
    for queued, thread in enumerate(threads, start=1):
        thread.start()
        wait_until(lambda queued=queued: len(budget._waiters) >= queued)  # type: ignore[misc]
    yield
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_a_lone_step_gets_what_it_wants_up_to_the_total() -> None:
    budget = Cores(4)
    with budget.take(2) as granted:
        assert granted == 2
    with budget.take(99) as granted:
        assert granted == 4
    assert budget.in_use == 0


def test_a_step_beside_another_gets_the_rest() -> None:
    budget = Cores(4)
    with budget.take(3), budget.take(4) as rest:
        assert rest == 1


def test_cores_come_back_after_an_error() -> None:
    budget = Cores(2)
    with pytest.raises(ValueError, match="broken"), budget.take(2):
        raise ValueError("broken")
    assert budget.in_use == 0


def test_the_urgent_are_served_first_and_the_cores_are_divided() -> None:
    budget, served = Cores(2), list[tuple[str, int]]()

    def taker(name: str, priority: Priority) -> Callable[[], None]:
        def take() -> None:
            with budget.take(2, priority) as granted:
                served.append((name, granted))

        return take

    with ExitStack() as held:
        held.enter_context(budget.take(2))
        with waiting(
            budget,
            taker("ingestion", Priority.BACKGROUND),
            taker("reading", Priority.PREFILL),
            taker("writing", Priority.DECODE),
        ):
            held.close()
    assert [name for name, _ in served][-1] == "ingestion"
    assert sorted(served[:2]) == [("reading", 1), ("writing", 1)]


def test_background_work_keeps_off_the_core_a_reader_has_just_left() -> None:
    budget = Cores(2)
    with budget.take(2, Priority.DECODE):
        pass
    order = list[str]()

    def ingest() -> None:
        with budget.take(2, Priority.BACKGROUND):
            order.append("ingestion")

    with waiting(budget, ingest), budget.take(1, Priority.DECODE):
        order.append("reader")  # free at once, though ingestion asked first
    assert order == ["reader", "ingestion"]


def test_background_work_uses_the_cores_a_reader_leaves_alone() -> None:
    budget = Cores(2)
    with budget.take(1, Priority.DECODE), budget.take(2, Priority.BACKGROUND) as granted:
        assert granted == 1


def test_background_work_is_not_starved_by_a_reader_on_the_only_core() -> None:
    budget, ingested, stop = Cores(1), threading.Event(), threading.Event()

    def read_along() -> None:
        while not stop.is_set():
            with budget.take(1, Priority.DECODE):
                time.sleep(LINGER / 50)

    reader = threading.Thread(target=read_along)
    reader.start()

    def ingest() -> None:
        with budget.take(1, Priority.BACKGROUND):
            ingested.set()

    worker = threading.Thread(target=ingest)
    worker.start()
    assert ingested.wait(30)
    stop.set()
    reader.join()
    worker.join()


def test_cancel_ends_the_wait_for_a_core() -> None:
    budget, run, outcome = Cores(1), Run(), list[str]()

    def take() -> None:
        try:
            with budget.take(1, Priority.PREFILL, run):
                outcome.append("ran")
        except Cancelled:
            outcome.append("cancelled")

    with budget.take(1), waiting(budget, take):
        run.cancel()
        wait_until(lambda: bool(outcome))
    assert outcome == ["cancelled"]
    assert budget.in_use == 0


def test_many_threads_never_hold_more_than_the_total() -> None:
    budget, lock = Cores(3), threading.Lock()
    held, highest, steps = 0, 0, 0

    def work(seed: int) -> None:
        nonlocal held, highest, steps
        for step in range(50):
            priority = list(Priority)[(seed + step) % 4]
            with budget.take(1 + (seed + step) % 3, priority) as granted:
                with lock:
                    held += granted
                    highest = max(highest, held)
                time.sleep(0)
                with lock:
                    held -= granted
                    steps += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (steps, budget.in_use) == (400, 0)
    assert 1 <= highest <= 3


def test_the_process_has_one_budget() -> None:
    assert cores() is cores()
    assert cores().total >= 1
