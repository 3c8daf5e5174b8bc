"""A lease stops work that nobody reads or holds, and no other."""

import signal
import subprocess
import sys
import threading
import time

from engine.lease import Lease


class Work:
    """Something to stop, with or without a reader."""

    def __init__(self, reader: bool = False) -> None:
        self.stopped = threading.Event()
        self.reader = reader
        self.lease = Lease(self.stopped.set, lambda: self.reader)


def test_work_is_stopped_when_its_hold_runs_out_and_nobody_reads() -> None:
    work = Work()
    work.lease.hold(0.01)
    assert work.stopped.wait(30)


def test_a_shorter_hold_replaces_a_longer_one() -> None:
    work = Work()
    work.lease.hold(24 * 3600)
    work.lease.hold(0.01)
    assert work.stopped.wait(30)


def test_a_longer_hold_replaces_a_shorter_one() -> None:
    work = Work()
    work.lease.hold(0.5)
    work.lease.hold(24 * 3600)
    watch = work.lease._watch
    assert watch
    watch.join(30)  # the first hold's time has run out
    assert not work.stopped.is_set()
    work.lease.end()


def test_a_hold_that_runs_out_while_somebody_reads_stops_nothing() -> None:
    work = Work(reader=True)
    work.lease.hold(0.01)
    watch = work.lease._watch
    assert watch
    watch.join(30)
    assert not work.stopped.is_set()
    work.reader = False
    work.lease.abandoned()
    assert work.stopped.is_set()


def test_a_reader_who_leaves_while_the_work_is_held_stops_nothing() -> None:
    work = Work()
    work.lease.hold(24 * 3600)
    work.lease.abandoned()
    assert not work.stopped.is_set()
    work.lease.end()


def test_work_that_has_ended_is_not_stopped() -> None:
    work = Work()
    work.lease.hold(0.5)
    watch = work.lease._watch
    assert watch
    work.lease.end()
    watch.join(30)
    work.lease.hold(0.01)
    assert not work.stopped.is_set()


# Renews a hold of 1 s each 0.5 s: after a pause, the next renewal comes later than the watch
RENEWING = """
import threading, time
from engine.lease import Lease
lease = Lease(lambda: print("stopped", flush=True), lambda: False)
for _ in range(6):
    lease.hold(1)
    print("held", flush=True)
    for _ in range(5):
        time.sleep(0.1)
lease.end()
"""


def test_work_goes_on_after_its_process_stood_still() -> None:
    command = [sys.executable, "-c", RENEWING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        time.sleep(2.5)
        process.send_signal(signal.SIGCONT)
        assert "stopped" not in process.stdout.read()
