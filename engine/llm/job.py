"""Job: one request in the scheduler: queued, reading, writing, ended."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from engine.errors import Cancelled
from engine.llm.base import GenerationOptions
from engine.llm.sampling import Sampler
from engine.llm.slicing import Slicing
from engine.llm.text import TextAssembler
from engine.run import Phase, Run
from engine.stream import Stream
from engine.timing import CallRecord, FinishReason


class Job:
    """A prompt to read and, unless the job is a background job, an answer to write.

    tokens: those of the prompt, then those of the answer. The first `position` of them are in
    the context, as sequence number `sequence`. shared_prefix: how many first tokens other prompts
    share (the system message); their state is kept separately. limit: tokens to write at most.
    epoch: that of the kept states when the job was submitted. cells: its key-value cells, while
    it moves from one worker to another. write: gets the chunks of text on the worker's thread;
    without it they go into `chunks`. In both cases `chunks` ends as the job ends, with its error.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        options: GenerationOptions,
        run: Run,
        record: CallRecord,
        shared_prefix: int = 0,
        limit: int = 0,
        sampler: Sampler | None = None,
        assembler: TextAssembler | None = None,
        write: Callable[[str], None] | None = None,
    ) -> None:
        self.tokens = list(prompt)
        self.prompt_length = len(prompt)
        self.options, self.run, self.record = options, run, record
        self.shared_prefix, self.limit = shared_prefix, limit
        self.chunks: Stream[str] = Stream()
        self.sampler = sampler
        self.sequence = -1
        self.position = 0
        self.reused = 0
        self.epoch = 0
        self.begun = False
        self.cells: NDArray[np.uint8] | None = None
        self._write = write or self.chunks.append
        self._assembler = assembler or TextAssembler()
        self._abandoned = False
        self._stage = ExitStack()
        self.enter("queue")

    @property
    def background(self) -> bool:
        return self.limit == 0

    @property
    def reading(self) -> bool:
        return self.position < self.prompt_length

    @property
    def stopped(self) -> bool:
        return self._abandoned or self.run.cancelled

    @property
    def ended(self) -> bool:
        return self.chunks.ended

    def abandon(self) -> None:
        """The last reader has left."""
        self._abandoned = True

    def enter(self, stage: str) -> None:
        """End the trace's current span and begin the next."""
        self.begun = stage != "queue"
        self._stage.close()
        self._stage.enter_context(self.run.span(stage))

    def go_back(self) -> None:
        """Return to the queue. The state of the part that was read is kept."""
        self.position = 0
        self.enter("queue")

    def wait_behind(self, ahead: int) -> None:
        self.run.report(Phase.QUEUED, ahead)

    def slice_end(self, size: int, slicing: Slicing) -> int:
        """Where the next slice ends: not beyond the shared prefix, whose state is kept."""
        shared, stop = slicing.floor(self.shared_prefix), self.prompt_length
        if self.position + slicing.smallest <= shared <= stop - slicing.smallest:
            stop = shared
        return slicing.end(self.position, stop, size)

    def reuse(self, count: int) -> None:
        """Record that the first `count` tokens were restored from a kept state."""
        self.position = self.reused = self.record.reused_tokens = count
        self.read(0)

    def note(self, setting: str, value: int) -> None:
        """Record in the trace each value of a setting."""
        values = self.record.settings.setdefault(setting, [])
        if value not in values:
            values.append(value)

    def read(self, count: int) -> None:
        """Record that the next `count` tokens of the prompt are in the context."""
        self.position += count
        self.run.report(Phase.READING, self.position, self.prompt_length, self.reused)

    def write(self, token: int, data: bytes) -> FinishReason | None:
        """Take the next token of the answer. Returns why it was the last one, or None."""
        self.record.token_times.append(self.run.trace.now())
        self.record.output_tokens += 1
        self.tokens.append(token)
        self.run.report(Phase.WRITING, self.record.output_tokens)
        self._emit(self._assembler.feed(data))
        if self._assembler.ended:
            return "stop"
        return "length" if self.record.output_tokens >= self.limit else None

    def end(self, reason: FinishReason, error: BaseException | None = None) -> None:
        """Pass the rest of the text to the readers, then the end or the error."""
        if self.ended:
            return
        if self.sampler:
            self.sampler.close()
        self._stage.close()
        self.record.finish_reason = reason
        self._emit(self._assembler.finish())
        self.chunks.end(Cancelled() if reason == "cancelled" else error)

    def _emit(self, text: str) -> None:
        if text:
            self._write(text)
