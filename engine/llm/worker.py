"""A worker: the one thread that owns a context, and computes for the jobs it has taken.

Each turn computes the next token of its writing jobs, then a slice of one reading job's
prompt, so everybody moves and Stop is seen within one slice. It does not know who comes next:
the runtime hands it jobs and says how many threads are its share.
"""

import threading
from contextlib import suppress
from typing import Protocol

from engine.cores import Cores, Priority
from engine.errors import Cancelled, FirstTokenError, GenerationError
from engine.llm.binding import Context, ContextSize, Entry, Model
from engine.llm.job import Job
from engine.llm.states import StateStore
from engine.llm.tuning import Tuning
from engine.timing import FinishReason


class Office(Protocol):
    """What a worker asks of the runtime."""

    model: Model
    tuning: Tuning
    states: StateStore
    cores: Cores

    def next_jobs(self, worker: "Worker") -> bool:
        """Hand over jobs by `accept`; wait while there are none. False: close."""

    def ended(self, worker: "Worker") -> None:
        """The worker has room again."""

    def put_off(self, job: Job) -> None:
        """A preparing job gives way: it is to go on later."""

    @property
    def share(self) -> int:
        """Threads for each worker that is busy for people."""

    @property
    def people(self) -> int:
        """Jobs for people that are running or waiting."""


class Worker:
    def __init__(self, office: Office, number: int) -> None:
        self.jobs: list[Job] = []
        self.error: BaseException | None = None
        self.ready = threading.Event()
        self._office = office
        self._free = list(range(office.tuning.sequences))
        self._scratch = office.tuning.sequences  # a sequence of no job, for moving states
        self.thread = threading.Thread(target=self._work, name=f"llm-{number}", daemon=True)
        self.thread.start()

    def fits(self, job: Job) -> bool:
        """There is a sequence for it, and cells for all it may read and write."""
        taken = sum(each.cells for each in self.jobs)
        return bool(self._free) and taken + job.cells <= self._office.tuning.window

    def accept(self, job: Job) -> None:
        job.sequence = self._free.pop()
        self.jobs.append(job)

    @property
    def busy_for_people(self) -> bool:
        return any(not job.only_prepares for job in self.jobs)

    def _work(self) -> None:
        office = self._office
        tuning = office.tuning
        largest = max(tuning.slice_alone, tuning.slice_shared, tuning.sequences)
        size = ContextSize(tuning.window, largest, tuning.sequences + 1)
        try:
            self._context = Context(office.model, size, tuning.flash_attention, tuning.cache_type)
        except BaseException as error:
            self.error = error
            return
        finally:
            self.ready.set()
        try:
            while office.next_jobs(self):
                self._turn()
        finally:
            for job in list(self.jobs):
                self._end(job, "cancelled")
            self._context.close()

    def _turn(self) -> None:
        try:
            self._drop_stopped()
            self._write([job for job in self.jobs if not job.reading])
            self._read([job for job in self.jobs if job.reading])
        except Exception as error:  # nothing one job does may stop the others' thread for good
            for job in list(self.jobs):
                self._fail(job, error)

    def _drop_stopped(self) -> None:
        for job in list(self.jobs):
            if job.stopped:
                self._end(job, "cancelled")
            elif job.only_prepares and self._office.people:
                self._release(job)
                self._office.put_off(job)

    # Writing: the next token of each job, in batches of the size that is quickest here.

    def _write(self, jobs: list[Job]) -> None:
        size = self._office.tuning.decode_batch
        for first in range(0, len(jobs), size):
            self._write_batch(jobs[first : first + size])

    def _write_batch(self, jobs: list[Job]) -> None:
        office = self._office
        wanted = min(office.share, office.tuning.decode_threads)
        with office.cores.take(wanted, Priority.DECODE) as threads:
            self._context.use_threads(threads)
            self._context.decode(
                [Entry(job.tokens[-1], job.position, job.sequence, True) for job in jobs]
            )
            for index, job in enumerate(jobs):
                job.position += 1
                self._sample(job, index)

    def _sample(self, job: Job, index: int) -> None:
        assert job.sampler
        try:
            token = job.sampler.next(self._context.logits(index))
        except GenerationError as error:
            self._fail(job, error)
            return
        model = self._office.model
        finish = "stop" if model.is_end(token) else job.write(token, model.piece(token))
        if finish:
            self._end(job, finish)

    # Reading: one slice of one job's prompt; the next turn is another job's.

    def _read(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        job = jobs[0]
        self.jobs.remove(job)
        self.jobs.append(job)
        if job.position == 0:
            job.enter("reuse")
            self._restore(job)
            job.enter("prefill")
        with suppress(Cancelled):  # the next turn drops it
            self._read_slice(job)
        if not job.reading:
            self._finish_reading(job)

    def _read_slice(self, job: Job) -> None:
        office, tuning = self._office, self._office.tuning
        alone = office.people <= 1 and not job.only_prepares
        first = job.position
        end = min(first + (tuning.slice_alone if alone else tuning.slice_shared), job.prompt_length)
        priority = Priority.BACKGROUND if job.only_prepares else Priority.PREFILL
        with office.cores.take(office.share, priority, job.run) as threads:
            self._context.use_threads(threads)
            self._context.decode(
                [
                    Entry(job.tokens[at], at, job.sequence, at + 1 == job.prompt_length)
                    for at in range(first, end)
                ]
            )
        job.read(end - first)

    def _finish_reading(self, job: Job) -> None:
        if job.only_prepares:
            self._end(job, "stop")
        else:
            job.enter("decode")
            self._sample(job, -1)

    # Kept states: the scratch sequence holds a part's cells alone, on its way in or out.

    def _restore(self, job: Job) -> None:
        if not job.options.reuse:
            return
        reused = 0
        for part in self._office.states.find(job.tokens[: job.prompt_length - 1]):
            if part.start != reused or not self._context.write_state(self._scratch, part.cells):
                break
            self._context.copy(self._scratch, job.sequence, part.start, part.end)
            self._context.trim(self._scratch, 0)
            reused = part.end
        job.reuse(reused)

    def _release(self, job: Job) -> None:
        """Keep what the job read and wrote, then make room for another."""
        states, done = self._office.states, job.tokens[: job.position]
        start = states.kept(done)
        if job.options.reuse and start < len(done):
            self._context.copy(job.sequence, self._scratch, start, len(done))
            states.add(done, start, self._context.read_state(self._scratch))
            self._context.trim(self._scratch, 0)
        self._context.trim(job.sequence, 0)
        self.jobs.remove(job)
        self._free.append(job.sequence)

    def _end(self, job: Job, reason: FinishReason, error: BaseException | None = None) -> None:
        self._release(job)
        job.end(reason, error)
        self._office.ended(self)

    def _fail(self, job: Job, error: Exception) -> None:
        if not isinstance(error, FirstTokenError):
            error = GenerationError(f"The model failed: {error!r}.")
        self._context.trim(job.sequence, 0)  # what it holds cannot be relied on
        job.position = 0
        self._end(job, "error", error)
