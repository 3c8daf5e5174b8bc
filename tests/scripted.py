"""Stand-ins whose behaviour a test writes down: for faults that the real parts do not provide."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from engine.budget import Rate
from engine.errors import PromptTooLongError
from engine.llm.base import LLM, ContextFormat, GenerationOptions, LLMMetadata
from engine.run import Phase, Run
from engine.schema import ChatMessage, Node, NodeWithScore
from engine.timing import CallRecord


def found(*texts: str) -> list[NodeWithScore]:
    """Passages as a retriever gives them, best first."""
    return [
        NodeWithScore(Node(text, {"file_name": f"{number}.txt"}), score=1 / (number + 1))
        for number, text in enumerate(texts)
    ]


class ScriptedRetriever:
    """Finds what the test says, after a delay."""

    def __init__(
        self, *texts: str, seconds: float = 0.0, fault: BaseException | None = None
    ) -> None:
        self.nodes = found(*texts)
        self.seconds = seconds
        self.fault = fault
        self.asked: list[tuple[str, str]] = []

    def retrieve(
        self, question: str, run: Run | None = None, earlier: str = ""
    ) -> list[NodeWithScore]:
        run = run or Run()
        self.asked.append((question, earlier))
        with run.span("search"):
            time.sleep(self.seconds)
        run.check()
        if self.fault is not None:
            raise self.fault
        return self.nodes


class ScriptedLLM(LLM):
    """Writes the given replies, a list of pieces for each call; the last one is repeated.

    A piece that is an exception is raised. `seconds` pass before each piece. Tokens are words;
    `rate` is how fast it says that it reads them.
    """

    def __init__(
        self,
        *replies: Sequence[str | BaseException],
        seconds: float = 0.0,
        can_stream: bool = True,
        context_window: int = 1000,
        before_piece: Callable[[int], None] = lambda _: None,
        rate: Rate | None = None,
    ) -> None:
        self.rate = rate
        self.replies = [*replies] or [["Hello", " there", "."]]
        self.seconds = seconds
        self.before_piece = before_piece
        self.prompts: list[list[ChatMessage]] = []
        self.options: list[GenerationOptions] = []
        self.closed = threading.Event()
        self._metadata = LLMMetadata(
            "scripted", context_window, can_stream, False, ContextFormat.PASSAGES
        )

    @property
    def metadata(self) -> LLMMetadata:
        return self._metadata

    @property
    def reading_rate(self) -> Rate | None:
        return self.rate

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        return sum(len(message.content.split()) + 4 for message in messages)

    def stream_chat(
        self,
        messages: Sequence[ChatMessage],
        options: GenerationOptions = GenerationOptions(),
        run: Run | None = None,
        call: CallRecord | None = None,
    ) -> Iterator[str]:
        run = run or Run()
        self.prompts.append(list(messages))
        self.options.append(options)
        reply = self.replies[min(len(self.prompts), len(self.replies)) - 1]
        call = call or run.trace.begin_call("chat")
        call.prompt_tokens = self.count_tokens(messages)
        if call.prompt_tokens > self.metadata.context_window:
            raise PromptTooLongError(call.prompt_tokens, self.metadata.context_window)
        return self._write(reply, run, call)

    def _write(
        self, reply: Sequence[str | BaseException], run: Run, call: CallRecord
    ) -> Iterator[str]:
        try:
            for number, piece in enumerate(reply):
                time.sleep(self.seconds)
                self.before_piece(number)
                run.check()
                if isinstance(piece, BaseException):
                    raise piece
                call.token_times.append(run.trace.now())
                call.output_tokens += 1
                run.report(Phase.WRITING, call.output_tokens)
                yield piece
        finally:
            self.closed.set()


def words(count: int) -> list[str]:
    """The pieces of a long answer that does not repeat itself."""
    return [f"word{number} " for number in range(count)]


def grows_linearly(work: Callable[[str], object], part: str) -> bool:
    """Whether four times the text takes nowhere near sixteen times the processor's time."""

    def seconds(length: int) -> float:
        began = time.process_time()
        work(part * (length // len(part)))
        return time.process_time() - began

    short = min(seconds(20_000) for _ in range(3))
    return min(seconds(80_000) for _ in range(3)) < 10 * short + 0.1
