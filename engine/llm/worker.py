"""A worker: the one thread that owns a context, and computes for the jobs it has taken.

Each turn computes the next token of its writing jobs, then a slice of one reading job's
prompt, so everybody moves and Stop is seen within one slice. It does not know who comes next:
the runtime hands it jobs and says how many threads are its share.
"""

import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from engine.cores import Cores, Priority
from engine.errors import Cancelled, FirstTokenError, GenerationError
from engine.llm.context import Context, ContextSize, Entry
from engine.llm.job import MIN_SLICE, Job
from engine.llm.model import Model
from engine.llm.pace import SliceChoice, ThreadChoice
from engine.llm.states import StateStore
from engine.llm.tuning import Tuning
from engine.timing import FinishReason


class Office(Protocol):
    """What a worker asks of the runtime."""

    model: Model
    tuning: Tuning
    states: StateStore
    cores: Cores
    threads: ThreadChoice
    slices: SliceChoice

    def next_jobs(self, worker: "Worker") -> bool:
        """Hand over jobs by `accept`; wait while there are none. False: close."""

    def ended(self, worker: "Worker") -> None:
        """The worker has room again."""

    def put_off(self, job: Job) -> None:
        """A preparing job gives way: it is to go on later."""

    def share_for(self, job: Job) -> int:
        """Threads that a step of this job may use, where they are free."""

    @property
    def people(self) -> int:
        """Jobs for people that are running or waiting."""


class Worker:
    def __init__(self, office: Office, number: int) -> None:
        self.jobs: list[Job] = []
        self.error: BaseException | None = None
        self.ready = threading.Event()
        self._office = office
        self._computed: list[Job] = []  # whose step is being computed
        self._free = list(range(office.tuning.sequences))
        self.thread = threading.Thread(target=self._work, name=f"llm-{number}", daemon=True)
        self.thread.start()

    @property
    def has_room(self) -> bool:
        return bool(self._free)

    def accept(self, job: Job) -> None:
        job.sequence = self._free.pop()
        self.jobs.append(job)

    def interrupt(self, job: Job) -> None:
        """Give up the step that is being computed for this job alone. From any thread.

        Where that step has just ended, another is interrupted, and computed again. A recurrent
        state cannot go back, so there the step goes on to its end.
        """
        if self._computed == [job] and self._office.model.keeps_every_token:
            self._context.interrupt()

    @property
    def busy_for_people(self) -> bool:
        return any(not job.only_prepares for job in self.jobs)

    def _work(self) -> None:
        office = self._office
        tuning = office.tuning
        batch = max(tuning.largest_slice, tuning.decode_batch)
        size = ContextSize(tuning.window, batch, tuning.sequences)
        try:
            self._context = Context(office.model, size, tuning.flash_attention, tuning.cache_type)
            self._warm_up()
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

    def _warm_up(self) -> None:
        """Touch weights and buffers, so that the first question does not wait for the disk."""
        with self._office.cores.take(1, Priority.BACKGROUND):
            self._context.decode([Entry(0, at, 0, True) for at in range(MIN_SLICE)])
        self._context.trim(0, 0)

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

    def _compute(self, jobs: list[Job], entries: list[Entry], threads: int) -> float:
        """One step for these jobs. Seconds; 0 where it was interrupted."""
        self._context.use_threads(threads)
        self._computed = jobs
        self._context.resume()
        if len(jobs) == 1 and jobs[0].stopped:  # before it could be interrupted
            return 0.0
        began = time.perf_counter()
        done = self._context.decode(entries)
        seconds = time.perf_counter() - began
        self._computed = []
        return seconds if done else 0.0

    # Writing: the next token of each job, in batches of the size that is quickest here.

    def _write(self, jobs: list[Job]) -> None:
        size = self._office.tuning.decode_batch
        for first in range(0, len(jobs), size):
            self._write_batch(jobs[first : first + size])

    def _write_batch(self, jobs: list[Job]) -> None:
        office = self._office
        entries = [Entry(job.tokens[-1], job.position, job.sequence, True) for job in jobs]
        wanted = office.threads.choose(len(jobs), office.share_for(jobs[0]))
        with office.cores.take(wanted, Priority.DECODE) as threads:
            seconds = self._compute(jobs, entries, threads)
            if not seconds:
                return
            office.threads.record(len(jobs), threads, seconds)
            for index, job in enumerate(jobs):
                job.note("decode_threads", threads)
                job.position += 1
                self._sample(job, index)

    def _sample(self, job: Job, index: int) -> None:
        assert job.sampler
        model = self._office.model
        try:
            token = job.sampler.next(self._context.logits(index))
            finish = "stop" if model.is_end(token) else job.write(token, model.piece(token))
        except GenerationError as error:
            self._fail(job, error)
        else:
            if index < 0:  # the first token is out: now there is time to keep the prompt
                self._keep(job)
            if finish:
                self._end(job, finish)

    # Reading: one slice of one job's prompt; the next turn is another job's.

    def _read(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        job = jobs[0]
        self.jobs = [each for each in self.jobs if each is not job] + [job]
        if not job.begun:
            job.enter("reuse")
            if job.options.reuse:
                self._restore(job)
            job.enter("prefill")
        with suppress(Cancelled):  # the next turn drops it
            self._read_slice(job)
        if not job.reading:
            self._finish_reading(job)

    def _read_slice(self, job: Job) -> None:
        office = self._office
        priority = Priority.BACKGROUND if job.only_prepares else Priority.PREFILL
        wanted = office.threads.choose("read", office.share_for(job))
        with office.cores.take(wanted, priority, job.run) as threads:
            entries = self._next_slice(job, office.slices.choose(threads, self._pause(job)))
            seconds = self._compute([job], entries, threads)
        if not seconds:
            return
        office.slices.record(threads, len(entries), seconds)
        office.threads.record("read", threads, seconds / len(entries))
        job.note("prefill_threads", threads)
        job.note("slices", len(entries))
        job.read(len(entries))
        if job.position == job.common:
            self._keep(job, lasting=True)

    def _pause(self, job: Job) -> float:
        """How long a slice may keep others waiting, in seconds."""
        if job.only_prepares or len(self.jobs) > 1:
            return SliceChoice.SHARED_SECONDS
        alone = self._office.people <= 1
        return SliceChoice.ALONE_SECONDS if alone else SliceChoice.BESIDE_SECONDS

    def _next_slice(self, job: Job, size: int) -> list[Entry]:
        last = job.prompt_length - 1
        return [
            Entry(job.tokens[at], at, job.sequence, at == last)
            for at in range(job.position, job.slice_end(size))
        ]

    def _finish_reading(self, job: Job) -> None:
        if job.only_prepares:
            self._keep(job, lasting=True)
            self._end(job, "stop")
        else:
            job.enter("decode")
            self._sample(job, -1)

    # Kept states

    def _restore(self, job: Job) -> None:
        """Begin where a kept state ends, with MIN_SLICE tokens at least left to read."""
        office = self._office
        state, length = office.states.find(job.tokens[: max(0, job.prompt_length - MIN_SLICE)])
        if state and self._context.write_state(job.sequence, state.cells):
            self._context.trim(job.sequence, length)
            job.reuse(length)
        else:
            self._context.trim(job.sequence, 0)

    def _keep(self, job: Job, lasting: bool = False) -> None:
        states, done = self._office.states, job.tokens[: job.position]
        if job.options.reuse and states.kept(done) < len(done):
            cells = self._context.read_state(job.sequence)
            states.add(done, cells, lasting, job.epoch)

    def _release(self, job: Job) -> None:
        """Make room for another. What was read of a prompt is kept, to go on from there."""
        if job.reading and job.position > job.reused:
            self._keep(job)
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
        job.options = replace(job.options, reuse=False)  # what it holds cannot be relied on
        self._end(job, "error", error)
