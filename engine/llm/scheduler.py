"""Scheduler: decides which job computes next, on which context, and how much at a time.

    submit(job) → queue → a worker with room → steps of decode and prefill → job.end()

One model, several workers. A worker is a thread that owns one llama.cpp context, which holds
several sequences: one for each job the worker has accepted. A new job goes to the worker with the
fewest jobs; where every sequence is taken it waits in the queue. Background jobs, which only read
a prompt ahead of time, run while no interactive job is running or waiting.

Each turn of a worker computes the next token of every job that is writing, then one slice of the
prompt of one job that is reading. So every job advances, and Stop takes effect within one step.

Where the tuning says so, workers write side by side while there are few answers. With more of
them, the first worker writes all in batches: the others hand over what they have read.
"""

import logging
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace

from engine.cores import Cores, Priority
from engine.errors import Cancelled, FirstTokenError, GenerationError, LLMError
from engine.llm.context import Entry
from engine.llm.job import Job
from engine.llm.model import Model
from engine.llm.pace import SliceChoice, ThreadChoice
from engine.llm.states import StateStore
from engine.llm.tuning import Tuning, open_context
from engine.timing import FinishReason

log = logging.getLogger(__name__)

CLOSED = "This model has been closed, because another one is being loaded. Ask again."


class Scheduler:
    """Owns the model from its construction on. `close` ends the workers and frees the model.

    Raises:
        LLMError: there is not enough memory for the contexts.
    """

    def __init__(
        self,
        model: Model,
        tuning: Tuning,
        states: StateStore,
        cores: Cores,
        threads: ThreadChoice,
    ) -> None:
        self.model, self.tuning, self.states, self.cores = model, tuning, states, cores
        self.threads, self.slices = threads, SliceChoice(tuning.largest_slice)
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

    # Called from any thread

    def submit(self, job: Job) -> None:
        """Queue a job. The job delivers its text, progress and end."""
        job.epoch = self.states.epoch
        with self._changed:
            if self._closing:
                job.end("error", LLMError(CLOSED))
                return
            (self._background if job.background else self._queue).append(job)
            self._report_places()
            self._changed.notify_all()
            if not job.background:
                for worker in self._workers:
                    for running in worker.jobs:
                        if running.background:
                            worker.interrupt(running)

    def stop(self, job: Job) -> None:
        """End a waiting job at once, or interrupt the step of a running job."""
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
            self._report_places()
            self._changed.notify_all()

    @property
    def interactive_jobs(self) -> int:
        """The number of running and queued jobs for which a user waits."""
        running = sum(not job.background for w in self._workers for job in w.all_jobs)
        return running + len(self._queue)

    @property
    def idle(self) -> bool:
        """Whether no job is running or waiting, and every sequence is free."""
        return not (self._queue or self._background or any(w.all_jobs for w in self._workers))

    def close(self) -> None:
        """End the workers within one step, then free the model. Safe to repeat."""
        with self._changed:
            self._closing = True
            for job in (*self._queue, *self._background):
                job.end("cancelled")
            self._queue.clear()
            self._background.clear()
            self._changed.notify_all()
        for worker in self._workers:
            worker.thread.join()
        self.states.close()
        self.model.close()

    # Called by the workers

    def wait_for_jobs(self, worker: "Worker") -> bool:
        """Pass jobs to a worker, and block while it has none. False if the scheduler closes."""
        with self._changed:
            while not self._closing:
                while worker.arriving and worker.has_room:
                    worker.accept(worker.arriving.popleft())
                while (
                    self._queue
                    and worker.has_room
                    and all(len(worker.jobs) <= len(other.all_jobs) for other in self._workers)
                ):
                    worker.accept(self._queue.popleft())
                    self._report_places()
                if self._background and not self.interactive_jobs and not worker.jobs:
                    worker.accept(self._background.popleft())
                if worker.jobs:
                    return True
                self._changed.wait()
            return False

    def job_ended(self) -> None:
        """Wake the workers: a sequence is free, and one may have room for the next queued job."""
        with self._changed:
            self._report_places()
            self._changed.notify_all()

    def requeue(self, job: Job) -> None:
        """Queue a background job again that an interactive job has interrupted."""
        with self._changed:
            job.go_back()
            self._background.appendleft(job)

    def better_place(self, worker: "Worker") -> "Worker | None":
        """The worker that should go on with an answer of this one, if that is another."""
        gather_from, first = self.tuning.gather_from, self._workers[0]
        if not gather_from:
            return None
        gathering = self.interactive_jobs - len(self._queue) >= gather_from
        if gathering and worker is not first:
            return first if first.has_room and not first.arriving else None
        alone = [other for other in self._workers if not other.all_jobs]
        writing = sum(not job.reading for job in worker.jobs)
        return alone[0] if alone and writing > 1 and not gathering else None

    def hand_over(self, job: Job, source: "Worker", target: "Worker") -> bool:
        """Move a job from one worker to another. False if there is no room any more."""
        with self._changed:
            if target.arriving or not target.has_room:
                return False
            source.jobs.remove(job)
            target.arriving.append(job)
            self._changed.notify_all()
            return True

    def thread_limit(self, job: Job) -> int:
        """The most threads for a step of this job: the cores, divided among the busy workers.

        A background job leaves one core free for a question that arrives during its step.
        """
        if job.background:
            return max(1, self.cores.total - 1)
        busy = sum(any(not each.background for each in w.jobs) for w in self._workers)
        return max(1, self.cores.total // max(1, busy))

    def _report_places(self) -> None:
        running = self.interactive_jobs - len(self._queue)
        for place, job in enumerate(self._queue):
            job.wait_behind(running + place)


class Worker:
    """One thread and its context. All methods except `interrupt` run on this thread or under the
    scheduler's lock."""

    def __init__(self, scheduler: Scheduler, number: int) -> None:
        self.jobs: list[Job] = []
        self.error: BaseException | None = None
        self.ready = threading.Event()
        self._scheduler = scheduler
        self._computing: list[Job] = []  # the jobs of the step that runs now
        self._slicing = scheduler.tuning.slicing
        self.arriving: deque[Job] = deque()  # from another worker
        self._free = set(range(scheduler.tuning.sequences))
        self.thread = threading.Thread(target=self._work, name=f"llm-{number}", daemon=True)
        self.thread.start()

    @property
    def has_room(self) -> bool:
        return bool(self._free)

    @property
    def all_jobs(self) -> list[Job]:
        return [*self.jobs, *self.arriving]

    def accept(self, job: Job) -> None:
        # The lowest free sequence: llama.cpp computes consecutive sequences in one step.
        job.sequence = min(self._free)
        self._free.remove(job.sequence)
        self.jobs.append(job)

    def interrupt(self, job: Job) -> None:
        """Interrupt the running step if it computes only this job. From any thread.

        If that step has just ended, the next one is interrupted and computed again. A recurrent
        state cannot be rolled back, so with such a model the step runs to its end.
        """
        if self._computing == [job] and self._scheduler.model.keeps_every_token:
            self._context.interrupt()

    def _work(self) -> None:
        scheduler = self._scheduler
        try:
            self._context = open_context(scheduler.model, scheduler.tuning)
            # One step loads weights and buffers, so the first question does not wait for the disk.
            with scheduler.cores.take(1, Priority.BACKGROUND):
                self._context.decode([Entry(0, at, 0, True) for at in range(2)])
            self._context.trim(0, 0)
        except BaseException as error:
            log.exception("A llama.cpp context could not be made")
            self.error = error
            return
        finally:
            self.ready.set()
        try:
            while scheduler.wait_for_jobs(self):
                try:
                    self._turn()
                except Exception as error:  # the thread must not end, because it has other jobs
                    log.exception("A step of the model failed.")
                    for job in list(self.jobs):
                        self._fail(job, error)
        finally:
            for job in list(self.jobs):
                self._end(job, "cancelled")
            for job in self.arriving:
                job.end("cancelled")
            self._context.close()

    def _turn(self) -> None:
        scheduler = self._scheduler
        for job in list(self.jobs):
            if job.stopped:
                self._end(job, "cancelled")
            elif job.background and scheduler.interactive_jobs:
                self._release(job)
                scheduler.requeue(job)
            elif job.cells is not None:
                self._receive(job)
            elif not job.reading and (place := scheduler.better_place(self)):
                self._hand_over(job, place)
        writing = sorted(
            (job for job in self.jobs if not job.reading), key=lambda job: job.sequence
        )
        batches = scheduler.tuning.batches(len(writing))
        if len(batches) < len(writing):
            self._make_consecutive(writing)
        for size in batches:
            self._write(writing[:size])
            writing = writing[size:]
        reading = [job for job in self.jobs if job.reading]
        if reading:
            self._read(reading[0])

    def _hand_over(self, job: Job, target: "Worker") -> None:
        """Have another worker go on with an answer: its key-value cells move to that context."""
        sequence = job.sequence
        job.cells = self._context.read_state(sequence)
        if self._scheduler.hand_over(job, self, target):
            self._context.trim(sequence, 0)
            self._free.add(sequence)
        else:
            job.cells = None

    def _receive(self, job: Job) -> None:
        assert job.cells is not None
        moved = self._context.write_state(job.sequence, job.cells)
        job.cells = None
        if not moved:
            self._fail(job, GenerationError("The model could not move an answer."))

    def _make_consecutive(self, writing: list[Job]) -> None:
        """Move writing jobs to neighbouring sequences, so that one step computes all of them.

        llama.cpp splits a batch wherever sequence numbers are not consecutive. A gap appears when
        an answer between two others ends, or while a prompt is read there. The key-value cells of
        a sequence are copied: about 1 ms for 400 tokens of the default model, once per gap.
        """
        taken = [job.sequence for job in writing]
        if not taken or taken[-1] - taken[0] == len(taken) - 1:
            return
        highest_start = self._scheduler.tuning.sequences - len(writing)
        start = max(
            range(highest_start + 1),
            key=lambda at: sum(at <= sequence < at + len(writing) for sequence in taken),
        )
        window = range(start, start + len(writing))
        targets = [sequence for sequence in window if sequence not in taken]
        for job in writing:
            if job.sequence not in window:
                self._move(job, targets.pop())
        writing.sort(key=lambda job: job.sequence)

    def _move(self, job: Job, target: int) -> None:
        """Move a job to another sequence. A job in that sequence moves to the job's sequence."""
        other = next((each for each in self.jobs if each.sequence == target), None)
        source, cells = job.sequence, self._context.read_state(job.sequence)
        others_cells = self._context.read_state(target) if other and other.position else None
        self._context.trim(target, 0)
        self._context.trim(source, 0)
        moved = self._context.write_state(target, cells)
        if others_cells is not None:
            moved = self._context.write_state(source, others_cells) and moved
        if not moved:
            raise GenerationError("The model could not move an answer to another sequence.")
        job.sequence = target
        self._free.discard(target)
        if other:
            other.sequence = source
        else:
            self._free.add(source)

    def _compute(self, jobs: list[Job], entries: list[Entry], threads: int) -> float:
        """One step for these jobs. Returns seconds; 0 if it was interrupted."""
        self._context.use_threads(threads)
        self._computing = jobs
        self._context.resume()
        if len(jobs) == 1 and jobs[0].stopped:  # stopped before it could be interrupted
            return 0.0
        began = time.perf_counter()
        done = self._context.decode(entries)
        seconds = time.perf_counter() - began
        self._computing = []
        return seconds if done else 0.0

    def _write(self, jobs: list[Job]) -> None:
        """Compute the next token of each of these jobs in one step."""
        scheduler = self._scheduler
        entries = [Entry(job.tokens[-1], job.position, job.sequence, True) for job in jobs]
        wanted = scheduler.threads.choose(len(jobs), scheduler.thread_limit(jobs[0]))
        with scheduler.cores.take(wanted, Priority.DECODE) as threads:
            seconds = self._compute(jobs, entries, threads)
            if not seconds:
                return
            scheduler.threads.record(len(jobs), threads, seconds)
            for index, job in enumerate(jobs):
                job.note("decode_threads", threads)
                job.position += 1
                self._sample(job, index)

    def _sample(self, job: Job, index: int) -> None:
        """Choose the token whose logits are the batch's entry `index`; -1 ends a prompt."""
        assert job.sampler
        model = self._scheduler.model
        try:
            token = job.sampler.next(self._context.logits(index))
            finish = "stop" if model.is_end(token) else job.write(token, model.piece(token))
        except GenerationError as error:
            self._fail(job, error)
        else:
            if index < 0:  # the first token is written, so the prompt's state can be kept now
                self._keep(job)
            if finish:
                self._end(job, finish)

    def _read(self, job: Job) -> None:
        """Compute one slice of the job's prompt. Reading jobs take turns."""
        scheduler = self._scheduler
        self.jobs = [each for each in self.jobs if each is not job] + [job]
        if not job.begun:
            job.enter("reuse")
            self._restore(job)
            job.enter("prefill")
        priority = Priority.BACKGROUND if job.background else Priority.PREFILL
        wanted = scheduler.threads.choose("read", scheduler.thread_limit(job))
        seconds = 0.0
        with (
            suppress(Cancelled),  # while it waits for a core: the next turn ends it
            scheduler.cores.take(wanted, priority, job.run) as threads,
        ):
            end = job.slice_end(self._slice_size(job, threads), self._slicing)
            last = job.prompt_length - 1
            entries = [
                Entry(job.tokens[at], at, job.sequence, at == last)
                for at in range(job.position, end)
            ]
            seconds = self._compute([job], entries, threads)
        if seconds:
            scheduler.slices.record(threads, len(entries), seconds)
            scheduler.threads.record("read", threads, seconds / len(entries))
            job.note("prefill_threads", threads)
            job.note("slices", len(entries))
            job.read(len(entries))
            if job.position == self._slicing.floor(job.shared_prefix):
                self._keep(job, pinned=True)
        if not job.reading and job.background:
            self._keep(job, pinned=True)
            self._end(job, "stop")
        elif not job.reading:
            job.enter("decode")
            self._sample(job, -1)

    def _slice_size(self, job: Job, threads: int) -> int:
        """Tokens of the next slice. It bounds how long other jobs wait for their next step."""
        slices = self._scheduler.slices
        if any(not each.reading for each in self.jobs):
            # Somebody reads along in this context, and each slice is a pause. It may be the longer
            # the more wait for their first word.
            waiting = sum(each.reading for each in self.jobs)
            return slices.choose(threads, waiting * SliceChoice.SHARED_SECONDS)
        if job.background or self._scheduler.interactive_jobs > 1:
            return slices.choose(threads, SliceChoice.BESIDE_SECONDS)
        return slices.largest

    # Kept states

    def _restore(self, job: Job) -> None:
        """Continue from a kept state, and leave enough of the prompt for a slice."""
        if job.options.reuse:
            room = self._slicing.reusable(job.prompt_length, job.prompt_length)
            state, shared = self._scheduler.states.find(job.tokens[:room])
            length = self._slicing.floor(shared)
            usable = length == shared or self._scheduler.model.keeps_every_token
            if (
                state and length and usable
                and self._context.write_state(job.sequence, state.cells)
            ):  # fmt: skip
                self._context.trim(job.sequence, length)
                job.reuse(length)
                return
        self._context.trim(job.sequence, 0)

    def _keep(self, job: Job, pinned: bool = False) -> None:
        states, done = self._scheduler.states, job.tokens[: job.position]
        long_enough = len(done) >= self._slicing.smallest  # shorter ones were computed otherwise
        if job.options.reuse and long_enough and states.kept(done) < len(done):
            states.add(done, self._context.read_state(job.sequence), pinned, job.epoch)

    def _release(self, job: Job) -> None:
        """Free the job's sequence. The state of the part that was read is kept."""
        if job.reading and job.position > job.reused:
            self._keep(job)
        self._context.trim(job.sequence, 0)
        self.jobs.remove(job)
        self._free.add(job.sequence)

    def _end(self, job: Job, reason: FinishReason, error: BaseException | None = None) -> None:
        self._release(job)
        job.end(reason, error)
        self._scheduler.job_ended()

    def _fail(self, job: Job, error: Exception) -> None:
        if not isinstance(error, FirstTokenError):
            error = GenerationError(f"The model failed: {error!r}.")
        job.options = replace(job.options, reuse=False)  # its state cannot be relied on
        self._end(job, "error", error)
