"""Response and StreamingResponse: the result of a query, readable while it is being written.

Both are views of one `Answer`. The engine's thread writes it; any number of readers read it, sync
or async, live or afterwards.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Generator, Iterable
from typing import Any, Self

from engine.checking import Check
from engine.live import Live
from engine.run import Phase, Progress
from engine.schema import NodeWithScore
from engine.timing import Trace


class Answer(Live[str]):
    """A running answer. `stream` has its chunks of text.

    The answer's thread calls the methods in this order. The responses below read the answer.
    """

    kind = "answer"

    def __init__(self, question: str, streaming: bool) -> None:
        super().__init__()
        self.question = question
        self.searched_for = question
        self.streaming = streaming
        self.sources: list[NodeWithScore] | None = None
        self.last_call_began = False
        self.check = Check()
        self._kept: str | None = None

    def found(self, sources: list[NodeWithScore]) -> None:
        self.sources = sources
        self.stream.notify()

    def begin_last_call(self) -> None:
        self.last_call_began = True
        self.stream.notify()

    def write(self, chunk: str) -> None:
        self.run.trace.chunk()
        self.stream.append(chunk)

    def write_lines(self, lines: Iterable[str]) -> None:
        """Write a text that code has made.

        Raises:
            Cancelled: the answer was stopped between two lines.
        """
        self.begin_last_call()
        for line in lines:
            self.run.check()
            self.write(line)

    def keep(self, text: str) -> None:
        """Replace the text that was written: the model repeated itself, and this is without it."""
        self._kept = text

    @property
    def text(self) -> str:
        return "".join(self.stream.items) if self._kept is None else self._kept

    @property
    def ready(self) -> bool:
        """Whether `query()` may return: the last LLM call has begun, or ended without streaming."""
        return self.stream.ended or (self.streaming and self.last_call_began)


class Response:
    """A whole answer. Its properties wait until their value is available. `await` waits too,
    without blocking the event loop."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    @property
    def run_id(self) -> str:
        """The id of this answer in the log: 8 hexadecimal digits."""
        return self._answer.run.id

    @property
    def question(self) -> str:
        return self._answer.question

    @property
    def searched_for(self) -> str:
        """The text of the search: the question, and for a follow-up also the earlier questions."""
        return self._answer.searched_for

    @property
    def response(self) -> str:
        """The whole text.

        Raises:
            FirstTokenError: the answer failed. `text` has the text that arrived before.
        """
        self._answer.stream.wait(lambda: False)
        if self.error is not None:
            raise self.error
        return self.text

    @property
    def source_nodes(self) -> list[NodeWithScore]:
        """The passages found, best first. Waits for the search, not for the text.

        Empty if nothing was found, or if the answer was stopped before that.
        """
        answer = self._answer
        answer.stream.wait(lambda: answer.sources is not None)
        if answer.sources is None and answer.error is not None:
            raise answer.error
        return list(answer.sources or ())

    @property
    def found(self) -> list[NodeWithScore] | None:
        """`source_nodes` without waiting: None until the search has ended."""
        sources = self._answer.sources
        return None if sources is None else list(sources)

    @property
    def text(self) -> str:
        """The text so far. It is kept when the answer fails or is stopped."""
        return self._answer.text

    @property
    def check(self) -> Check:
        """Whether the text that the model read supports its answer. Known when the answer has
        ended; before that, nothing was noticed."""
        return self._answer.check

    @property
    def notes(self) -> list[str]:
        """Sentences for the user about this answer, such as what was left out."""
        return list(self._answer.run.notes)

    @property
    def trace(self) -> Trace:
        return self._answer.run.trace

    @property
    def phase(self) -> Phase:
        return self._answer.phase

    @property
    def progress(self) -> Progress:
        return self._answer.progress

    @property
    def error(self) -> BaseException | None:
        """Why the answer failed, or None."""
        return self._answer.error

    def cancel(self) -> None:
        """Stop the answer, in any phase. The text so far is kept."""
        self._answer.cancel()

    def wait_ready(self) -> Self:
        """Block until `query()` may return. Raises if the answer has failed before that."""
        try:
            self._answer.stream.wait(lambda: self._answer.ready)
        except BaseException:  # Ctrl-C stops the model too
            self.cancel()
            raise
        return self._raise_early_failure()

    def __await__(self) -> Generator[Any, None, Self]:
        return self._wait_ready_async().__await__()

    async def wait_found(self) -> None:
        """Wait for the search to end, or the answer, without blocking the event loop."""
        answer = self._answer
        await answer.stream.wait_async(lambda: answer.sources is not None)

    async def _wait_ready_async(self) -> Self:
        try:
            await self._answer.stream.wait_async(lambda: self._answer.ready)
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self._raise_early_failure()

    def _raise_early_failure(self) -> Self:
        """Raise an error of the search. An error in mid-stream is raised after the chunks
        instead."""
        answer = self._answer
        if answer.error is not None and not (answer.streaming and answer.last_call_began):
            raise answer.error
        return self

    def __str__(self) -> str:
        return self.response

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.phase}: {self.text[:60]!r}>"


class StreamingResponse(Response):
    """An answer that any number of readers can read while it is written, each at its own speed.

    Each reader gets every chunk from the first, then the end or the error. When the last reader
    leaves early and `hold` does not keep the answer going, the model stops.
    """

    @property
    def response_gen(self) -> Generator[str, None, None]:
        """The chunks, as they arrive. Each access gives a new generator from the first chunk."""
        return self._answer.stream.read()

    def async_response_gen(self) -> AsyncIterator[str]:
        """The chunks, as they arrive, without blocking the event loop."""
        return self._answer.stream.read_async()

    def print_response_stream(self) -> None:
        """Write the chunks to standard output as they arrive."""
        for chunk in self.response_gen:
            sys.stdout.write(chunk)
            sys.stdout.flush()

    def wait_for(self, seconds: float) -> bool:
        """Block until sources or text arrive or the answer ends. False if `seconds` passed."""
        return self._answer.wait_for(seconds)

    def as_whole(self) -> Response:
        """The same answer as a Response, which has only the whole text."""
        return Response(self._answer)

    def hold(self, seconds: float) -> None:
        """Keep the model writing for `seconds` without readers. Call it again to renew the time.

        When the time is up and there is no reader, the answer is stopped.
        """
        self._answer.hold(seconds)
