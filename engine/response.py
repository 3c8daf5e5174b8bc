"""Response and StreamingResponse: what a query gives, readable while it is being written.

An `Answer` is the one record behind both: the engine's thread writes it, any number of readers
read it, sync or async, live or afterwards. It does not know how the text is made.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Generator
from typing import Any, Self

from engine.errors import Cancelled
from engine.lease import Lease
from engine.run import Phase, Progress, Run
from engine.schema import NodeWithScore
from engine.stream import Stream
from engine.timing import Trace


class Answer:
    """One answer being made. Its methods are the writer's; the responses below are the readers'."""

    def __init__(self, question: str, streaming: bool) -> None:
        self.question = question
        self.searched_for = question
        self.streaming = streaming
        self.run = Run()
        self.chunks: Stream[str] = Stream(on_abandoned=lambda: self.lease.abandoned())
        self.lease = Lease(self.run.cancel, lambda: self.chunks.has_readers)
        self.sources: list[NodeWithScore] | None = None
        self.last_call_began = False

    def found(self, sources: list[NodeWithScore]) -> None:
        self.sources = sources
        self.chunks.notify()

    def begin_last_call(self) -> None:
        self.last_call_began = True
        self.chunks.notify()

    def write(self, chunk: str) -> None:
        self.run.trace.chunk()
        self.chunks.append(chunk)

    def finish(self, error: BaseException | None = None) -> None:
        """End in one of three ways: done, stopped (by Cancelled), failed (by any other error)."""
        self.run.trace.finish()
        stopped = isinstance(error, Cancelled)
        phase = Phase.STOPPED if stopped else Phase.FAILED if error else Phase.DONE
        self.run.report(phase)
        self.lease.end()
        self.chunks.end(None if stopped else error)

    @property
    def ready(self) -> bool:
        """Whether `query()` may return: the last LLM call has begun, or, not streaming, ended."""
        return self.chunks.ended or (self.streaming and self.last_call_began)


class Response:
    """An answer as a whole. What is not there yet is waited for; `await` waits off the loop."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    @property
    def run_id(self) -> str:
        """What the log calls this answer: 8 hexadecimal digits."""
        return self._answer.run.id

    @property
    def question(self) -> str:
        return self._answer.question

    @property
    def searched_for(self) -> str:
        """The question as it was searched for: of a follow-up, with those it leans on before it."""
        return self._answer.searched_for

    @property
    def response(self) -> str:
        """The whole text.

        Raises:
            FirstTokenError: the answer failed; `text` keeps what had been written.
        """
        return self._wait().text

    @property
    def source_nodes(self) -> list[NodeWithScore]:
        """The passages found, best first; waits for the search, not for the text.

        Empty where nothing was found, or where the answer was stopped before that.
        """
        answer = self._answer
        answer.chunks.wait(lambda: answer.sources is not None)
        if answer.sources is None and answer.chunks.error is not None:
            raise answer.chunks.error
        return list(answer.sources or ())

    @property
    def found(self) -> list[NodeWithScore] | None:
        """`source_nodes` without waiting: None until the search has ended."""
        sources = self._answer.sources
        return None if sources is None else list(sources)

    @property
    def text(self) -> str:
        """What has arrived so far; it stays when the answer fails or is stopped."""
        return "".join(self._answer.chunks.items)

    @property
    def notes(self) -> list[str]:
        """What its reader should know of how this answer was made, in sentences."""
        return list(self._answer.run.notes)

    @property
    def trace(self) -> Trace:
        return self._answer.run.trace

    @property
    def phase(self) -> Phase:
        return self._answer.run.progress.phase

    @property
    def progress(self) -> Progress:
        return self._answer.run.progress

    @property
    def error(self) -> BaseException | None:
        """Why the answer failed, or None."""
        return self._answer.chunks.error

    def cancel(self) -> None:
        """Stop the work, in any phase. What has been written stays."""
        self._answer.run.cancel()

    def wait_ready(self) -> Self:
        """Block until `query()` may return; an answer that failed before that raises."""
        try:
            self._answer.chunks.wait(lambda: self._answer.ready)
        except BaseException:  # a Ctrl-C here must not leave the model running
            self.cancel()
            raise
        return self._raise_early_failure()

    def _wait(self) -> Self:
        self._answer.chunks.wait(lambda: False)
        if self.error is not None:
            raise self.error
        return self

    def _raise_early_failure(self) -> Self:
        answer = self._answer
        if self.error is not None and not (answer.streaming and answer.last_call_began):
            raise self.error
        return self

    async def _wait_ready_async(self) -> Self:
        try:
            await self._answer.chunks.wait_async(lambda: self._answer.ready)
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self._raise_early_failure()

    def __await__(self) -> Generator[Any, None, Self]:
        return self._wait_ready_async().__await__()

    def __str__(self) -> str:
        return self.response

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.phase}: {self.text[:60]!r}>"


class StreamingResponse(Response):
    """An answer that is read while it is written, by any number of readers, at their own pace.

    Each reader sees every chunk from the first, then the end or the error. When the last reader
    leaves early and nobody holds the answer, the model stops.
    """

    @property
    def response_gen(self) -> Generator[str, None, None]:
        """The chunks, as they arrive; a new generator, from the first chunk, at each access."""
        return self._answer.chunks.read()

    def async_response_gen(self) -> AsyncIterator[str]:
        """The chunks, as they arrive, without blocking the event loop."""
        return self._answer.chunks.read_async()

    def print_response_stream(self) -> None:
        """Write the chunks to standard output as they arrive."""
        for chunk in self.response_gen:
            sys.stdout.write(chunk)
            sys.stdout.flush()

    def wait_for(self, seconds: float) -> None:
        """Block until sources or text arrive or the answer ends, at most so long."""
        answer = self._answer
        seen = (answer.sources is None, len(answer.chunks.items))
        answer.chunks.wait(
            lambda: (answer.sources is None, len(answer.chunks.items)) != seen, seconds
        )

    def as_whole(self) -> Response:
        """The same answer, for one who wants it only when it is whole."""
        return Response(self._answer)

    def hold(self, seconds: float) -> None:
        """Keep the model writing for so long, whoever reads or leaves. Call again to renew.

        When the time runs out and nobody reads, the answer is stopped.
        """
        self._answer.lease.hold(seconds)
