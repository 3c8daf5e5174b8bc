"""Many texts on several cores: in order, stopped at once, and no fault swallowed."""

import threading

import pytest

from engine.cores import Priority
from engine.errors import Cancelled
from engine.parallel import map_texts
from engine.run import Run

TEXTS = [str(number) * (number % 7) for number in range(50)]


def test_results_come_in_the_order_of_the_texts() -> None:
    assert map_texts(len, TEXTS, Priority.SEARCH) == [len(text) for text in TEXTS]
    assert map_texts(len, [], Priority.SEARCH) == []


def test_the_first_fault_ends_the_work_and_reaches_the_caller() -> None:
    done: list[str] = []

    def work(text: str) -> None:
        done.append(text)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        map_texts(work, TEXTS, Priority.SEARCH)
    assert len(done) < len(TEXTS)


def test_a_cancelled_run_stops_every_thread() -> None:
    run = Run()
    threads = threading.active_count()
    with pytest.raises(Cancelled):
        map_texts(lambda _: run.cancel(), TEXTS, Priority.SEARCH, run)
    assert threading.active_count() == threads
