"""The runtime: jobs in, taken in order by workers side by side.

One model, several workers, each with a context of its own. A job goes to the worker with the
least to do; where all are full it waits in a queue that it can see. Preparing jobs run only
while nobody waits. It does not compute, and does not know what the tokens mean.
"""

import sys
import threading
from collections import deque

from engine.cores import Cores
from engine.errors import LLMError
from engine.llm.job import Job
from engine.llm.model import Model
from engine.llm.pace import SliceChoice, ThreadChoice
from engine.llm.states import StateStore
from engine.llm.tuning import Tuning
from engine.llm.worker import Worker

CLOSED = "This model has been closed. Ask again: another one is being loaded."

# Seconds that Python lets a busy thread run on while others wait; 5 ms by default. A worker needs
# its turn several times a token, and a page's script is such a busy thread: beside one, an answer
# was written at 37 tokens/s with 5 ms, at 60 with 1, at 65 with 0.5, at 71 with 0.1 (95 alone).
SWITCH_INTERVAL = 0.0005


class Runtime:
    """Owns the model from here on: `close` ends the workers and frees it.

    Raises:
        LLMError: there is not enough memory for the contexts.
    """

    def __init__(self, model: Model, tuning: Tuning, states: StateStore, cores: Cores) -> None:
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL))
        self.model, self.tuning, self.states, self.cores = model, tuning, states, cores
        self.threads, self.slices = ThreadChoice(), SliceChoice(tuning.largest_slice)
        self._queue: deque[Job] = deque()
        self._background: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._workers: list[Worker] = []
        self._workers = [Worker(self, number) for number in range(tuning.contexts)]
        for worker in self._workers:
            worker.ready.wait()
        if failed := [worker.error for worker in self._workers if worker.error]:
            self.close()
            raise failed[0]

    def submit(self, job: Job) -> None:
        """Queue a job. Its pieces, progress and end come through the job itself."""
        job.epoch = self.states.epoch
        with self._changed:
            if self._closing:
                job.end("error", LLMError(CLOSED))
                return
            (self._background if job.only_prepares else self._queue).append(job)
            self._tell_the_queue()
            self._changed.notify_all()
            if not job.only_prepares:
                self._give_way()

    def _give_way(self) -> None:
        for worker in self._workers:
            for running in worker.jobs:
                if running.only_prepares:
                    worker.interrupt(running)

    def stop(self, job: Job) -> None:
        """End a job that still waits, or have its worker end it: the step is given up."""
        if job.ended:
            return
        job.abandon()
        for worker in self._workers:
            worker.interrupt(job)
        with self._changed:
            for queue in (self._queue, self._background):
                if job in queue:
                    queue.remove(job)
                    job.end("cancelled")
            self._tell_the_queue()
            self._changed.notify_all()

    @property
    def people(self) -> int:
        running = sum(not job.only_prepares for w in self._workers for job in list(w.jobs))
        return running + len(self._queue)

    def share_for(self, job: Job) -> int:
        """A person's share of the cores; for a preparing job, all but the one that a question
        which comes now begins with."""
        if job.only_prepares:
            return max(1, self.cores.total - 1)
        busy = sum(worker.busy_for_people for worker in self._workers)
        return max(1, self.cores.total // max(1, busy))

    def close(self) -> None:
        """End the workers (within one slice), then free the model. Safe to repeat."""
        with self._changed:
            self._closing = True
            for job in (*self._queue, *self._background):
                job.end("cancelled")
            self._queue.clear()
            self._background.clear()
            self._changed.notify_all()
        for worker in self._workers:
            worker.thread.join()
        self.states.clear()
        self.model.close()

    # What workers ask

    def next_jobs(self, worker: Worker) -> bool:
        with self._changed:
            while not self._closing:
                self._hand_over(worker)
                if worker.jobs:
                    return True
                self._changed.wait()
            return False

    def ended(self, worker: Worker) -> None:  # noqa: ARG002 - any worker may have room now
        with self._changed:
            self._tell_the_queue()
            self._changed.notify_all()

    def put_off(self, job: Job) -> None:
        with self._changed:
            job.go_back()
            self._background.appendleft(job)

    def _hand_over(self, worker: Worker) -> None:
        while self._queue and worker.has_room and self._is_next(worker):
            worker.accept(self._queue.popleft())
            self._tell_the_queue()
        if self._background and not self.people and not worker.jobs:
            worker.accept(self._background.popleft())

    def _is_next(self, worker: Worker) -> bool:
        """No other worker has less to do."""
        return all(len(worker.jobs) <= len(other.jobs) for other in self._workers)

    def _tell_the_queue(self) -> None:
        running = self.people - len(self._queue)
        for place, job in enumerate(self._queue):
            job.wait_behind(running + place)
