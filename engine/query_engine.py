"""RetrieverQueryEngine: a question → passages → an answer, on a thread of its own.

`start` is the one path; `query` and `aquery` are ways to wait for it.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, Self, overload

from engine.condensing import earlier_questions
from engine.errors import Cancelled, FirstTokenError, GenerationError
from engine.llm.base import LLM, GenerationOptions, Packing
from engine.response import Answer, Response, StreamingResponse
from engine.run import Phase
from engine.schema import ChatMessage, NodeWithScore
from engine.synthesis import ResponseMode, ResponseSynthesizer

if TYPE_CHECKING:
    from engine.retrieving import Retriever

log = logging.getLogger(__name__)


Judge = Callable[[Sequence[NodeWithScore]], bool]

NOT_FOUND = "This is not in your documents. The passages that come nearest are shown."


class RetrieverQueryEngine:
    """Answers questions from what a retriever finds. Safe to use from many threads at once.

    With `is_relevant`, what is found is judged first: where it does not bear on the question,
    the model is not asked to invent, the answer is empty, and a note says so.
    """

    def __init__(
        self,
        retriever: "Retriever",
        response_synthesizer: ResponseSynthesizer | None = None,
        is_relevant: Judge = lambda _: True,
    ) -> None:
        self.retriever = retriever
        self.synthesizer = response_synthesizer or ResponseSynthesizer.from_args()
        self._is_relevant = is_relevant

    @classmethod
    def from_args(
        cls,
        retriever: "Retriever",
        *,
        llm: LLM | None = None,
        streaming: bool = False,
        response_mode: ResponseMode | str = ResponseMode.COMPACT,
        options: GenerationOptions = GenerationOptions(),
    ) -> Self:
        """With a synthesizer made of the given parts; without a model, `Settings.llm`."""
        synthesizer = ResponseSynthesizer.from_args(
            llm=llm, streaming=streaming, response_mode=response_mode, options=options
        )
        return cls(retriever, synthesizer)

    @overload
    def query(self, question: str, stream: Literal[True]) -> StreamingResponse: ...
    @overload
    def query(self, question: str, stream: Literal[False]) -> Response: ...
    @overload
    def query(self, question: str, stream: bool | None = None) -> Response: ...

    def query(self, question: str, stream: bool | None = None) -> Response:
        """Ask. A StreamingResponse where streaming, here or by the engine's default.

        Returns when the last LLM call begins (streaming) or has ended (not). Under a running
        event loop it returns at once: await the result, and the waiting happens off the loop.

        Raises:
            ValueError: the question is empty.
            NotImplementedError: a stream is asked of a model that cannot stream.
            FirstTokenError: the search, or an LLM call before the last, failed.
        """
        streaming = self.synthesizer.streaming if stream is None else stream
        response = self.start(question, stream=streaming)
        result = response if streaming else response.as_whole()
        return result if _in_event_loop() else result.wait_ready()

    async def aquery(self, question: str, stream: bool | None = None) -> Response:
        """`query`, awaited."""
        return await self.query(question, stream)

    def start(
        self,
        question: str,
        *,
        stream: bool = True,
        history: Sequence[ChatMessage] = (),
        on_done: Callable[[StreamingResponse], None] = lambda _: None,
    ) -> StreamingResponse:
        """Ask, and return the live answer at once, before anything is retrieved.

        Not streaming, the answer is one chunk, which comes when the text is whole. `on_done` is
        called on the engine's thread once the answer has ended, however it did. Of `history`, a
        follow-up takes the questions it leans on: for the search, and for a model that reads whole
        passages.

        Raises:
            ValueError: the question is empty.
            NotImplementedError: a stream is asked of a model that cannot stream.
        """
        if not question.strip():
            raise ValueError("The question is empty. Write one.")
        if stream and not self.synthesizer.llm.metadata.can_stream:
            name = self.synthesizer.llm.metadata.model_name
            raise NotImplementedError(f"{name} cannot stream. Ask with streaming off.")
        answer = Answer(question, streaming=stream)
        response = StreamingResponse(answer)

        def work() -> None:
            self._answer(answer, history)
            on_done(response)

        threading.Thread(target=work, name="answer", daemon=True).start()
        return response

    def _answer(self, answer: Answer, history: Sequence[ChatMessage]) -> None:
        """The whole path of one question, start to end, on its own thread."""
        try:
            self._search(answer, self._condense(answer, history))
            self._write(answer)
        except (FirstTokenError, Cancelled) as error:
            answer.finish(error)
        except Exception as fault:  # whatever it is, its readers must hear of it
            log.exception("Answer %s failed", answer.run.id)
            answer.finish(_explained(fault))
        else:
            answer.finish()

    def _condense(self, answer: Answer, history: Sequence[ChatMessage]) -> str:
        """The earlier questions that this one leans on."""
        if not history:
            return ""
        with answer.run.span("condense"):
            earlier = earlier_questions(answer.question, history)
            answer.searched_for = f"{earlier} {answer.question}".strip()
        return earlier

    def _search(self, answer: Answer, earlier: str) -> None:
        answer.run.check()
        answer.run.report(Phase.SEARCHING)
        answer.found(self.retriever.retrieve(answer.question, answer.run, earlier))

    def _write(self, answer: Answer) -> None:
        sources = answer.sources or []
        if not self._is_relevant(sources):
            answer.run.note(NOT_FOUND)
            return
        # The small model, given the one sentence that was found, answers from it: 34 of 41
        # follow-ups alone, 26 with the question before in front (benchmarks/follow_ups.py). Among
        # whole passages a model must know what "it" is: not measured, no such model is at hand.
        alone = self.synthesizer.packing is Packing.SENTENCES
        question = answer.question if alone else answer.searched_for
        pieces = self.synthesizer.write(
            question, sources, answer.run, on_last_call=answer.begin_last_call
        )
        for piece in pieces if answer.streaming else _joined(pieces):
            answer.write(piece)


def _explained(fault: Exception) -> GenerationError:
    error = GenerationError(f"The answer failed ({fault or type(fault).__name__}). Ask again.")
    error.__cause__ = fault
    return error


def _joined(pieces: Iterator[str]) -> Iterator[str]:
    """All pieces as one; of a call that fails, what came before, and then its error."""
    parts: list[str] = []
    fault: Exception | None = None
    try:
        parts.extend(pieces)
    except Exception as error:
        fault = error
    if parts:
        yield "".join(parts)
    if fault is not None:
        raise fault


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
