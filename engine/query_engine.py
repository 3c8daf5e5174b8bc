"""RetrieverQueryEngine: a question → passages → an answer.

`start` begins an answer on a new thread, and `_answer` is the whole path of a question.
`query` and `aquery` start an answer and wait for it.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, Self, overload

from engine.errors import Cancelled, FirstTokenError, GenerationError, QuestionError
from engine.follow_ups import find, rewritten
from engine.kinds import Kinds
from engine.llm.base import LLM, ContextFormat, GenerationOptions
from engine.response import Answer, Response, StreamingResponse
from engine.retrieving import NOT_FOUND, Retriever
from engine.run import Phase
from engine.schema import ChatMessage, NodeWithScore, encodable
from engine.synthesis import ResponseMode, ResponseSynthesizer
from engine.timing import KindRecord
from engine.writing import write

log = logging.getLogger(__name__)

Judge = Callable[[Sequence[NodeWithScore]], bool]

# Characters. A longer text is a document rather than a question. It would take seconds to embed,
# and would fill the context window and the 512 tokens that the cross-encoder reads.
LONGEST_QUESTION = 4000


class RetrieverQueryEngine:
    """Answers questions from retrieved passages. Safe to use from many threads at once.

    `is_relevant` decides whether the passages are relevant. If it returns False, the model is not
    asked, and the answer is empty and has a note. Where `may_be_relevant` returns True instead, a
    model that reads whole passages is asked all the same, and its answer is shown if the passages
    state it. `kinds` treats questions that are not for a fact, such as a summary; without it, all
    are treated as such.
    """

    def __init__(
        self,
        retriever: Retriever,
        response_synthesizer: ResponseSynthesizer | None = None,
        is_relevant: Judge = lambda _: True,
        kinds: Kinds | None = None,
        may_be_relevant: Judge = lambda _: False,
    ) -> None:
        self.retriever = retriever
        self.synthesizer = response_synthesizer or ResponseSynthesizer.from_args()
        self._is_relevant, self._may_be_relevant = is_relevant, may_be_relevant
        self._kinds = kinds

    @classmethod
    def from_args(
        cls,
        retriever: Retriever,
        *,
        llm: LLM | None = None,
        streaming: bool = False,
        response_mode: ResponseMode | str = ResponseMode.COMPACT,
        options: GenerationOptions = GenerationOptions(),
        first_token_budget: float | None = None,
        kinds: Kinds | None = None,
    ) -> Self:
        """An engine with a synthesizer made from the arguments. `llm` is `Settings.llm` by default.

        `first_token_budget`: the seconds until the answer should begin. As much of the best
        evidence is read as fits into that time; None reads everything that is found.
        """
        synthesizer = ResponseSynthesizer.from_args(
            llm=llm,
            streaming=streaming,
            response_mode=response_mode,
            options=options,
            first_token_budget=first_token_budget,
        )
        return cls(retriever, synthesizer, kinds=kinds)

    @overload
    def query(self, question: str, stream: Literal[True]) -> StreamingResponse: ...
    @overload
    def query(self, question: str, stream: Literal[False]) -> Response: ...
    @overload
    def query(self, question: str, stream: bool | None = None) -> Response: ...

    def query(self, question: str, stream: bool | None = None) -> Response:
        """Ask. The result is a StreamingResponse if `stream`, by default the engine's, is true.

        Returns when the last LLM call begins (streaming) or has ended (not streaming). Under a
        running event loop it returns at once, and awaiting the result does not block the loop.

        Raises:
            QuestionError: the question is empty or too long. It is a ValueError too.
            NotImplementedError: the model cannot stream.
            FirstTokenError: the search failed, or an LLM call before the last one.
        """
        streaming = self.synthesizer.streaming if stream is None else stream
        response = self.start(question, stream=streaming)
        result = response if streaming else response.as_whole()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return result.wait_ready()
        return result

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
        submitted: float | None = None,
    ) -> StreamingResponse:
        """Ask, and return the live answer at once, before the search.

        Without streaming, the answer is one chunk, which arrives when the text is complete.
        `on_done` is called on the engine's thread when the answer has ended in any way. The search
        for a follow-up includes the questions of `history` that it refers to. `submitted`: when the
        question was, by `time.perf_counter`; the trace begins there, by default now.

        Raises:
            QuestionError: the question is empty or too long. It is a ValueError too.
            NotImplementedError: the model cannot stream.
        """
        question = checked_question(question)
        metadata = self.synthesizer.llm.metadata
        if stream and not metadata.can_stream:
            raise NotImplementedError(
                f"{metadata.model_name} cannot stream. Ask with streaming off."
            )
        answer = Answer(question, streaming=stream)
        if submitted is not None:
            answer.run.trace.submitted(submitted)
        response = StreamingResponse(answer)

        def work() -> None:
            error: BaseException | None = None
            try:
                self._answer(answer, history)
            except (FirstTokenError, Cancelled) as expected:
                error = expected
            except BaseException as fault:
                log.exception("Answer %s failed", answer.run.id)
                error = GenerationError(
                    f"The answer failed ({fault or type(fault).__name__}). Ask again."
                )
                error.__cause__ = fault
            answer.finish(error)
            try:
                on_done(response)
            except Exception:
                log.exception("The callback of answer %s failed", answer.run.id)

        threading.Thread(target=work, name=f"answer-{answer.run.id}", daemon=True).start()
        return response

    def _answer(self, answer: Answer, history: Sequence[ChatMessage]) -> None:
        """The whole path of one question, on the answer's thread."""
        run = answer.run

        # 1. A question of a special kind: a summary, a list, a comparison
        if self._kinds is not None:
            missing = self._kinds.answer(answer, self.synthesizer)
            if missing and not self._kinds.requested(answer):
                run.note(NOT_FOUND)
            if missing is not None:
                return

        # 2. The passages
        run.check()
        said = [replace(each, content=encodable(each.content)) for each in history]
        sources = self._find(answer, said)
        answer.found(sources)
        # A model that reads passages decides itself whether they answer the question, unless they
        # are about something else
        reads = self.synthesizer.reads_passages
        doubtful = not self._is_relevant(sources)
        if doubtful and not (reads and self._may_be_relevant(sources)):
            if self._kinds is None or not self._kinds.requested(answer):
                run.note(NOT_FOUND)
            return

        # 3. A row of a table, or a list of things, which a model does not understand in a sentence
        if not reads and self._kinds is not None:
            by_code = self._kinds.row_or_list(answer.question, sources)
            if by_code:
                run.trace.kind = KindRecord(str(by_code.kind), by_code.did, by_code=True)
                answer.write_lines(by_code.text)
                return

        # 4. The text. A small model, which gets one sentence, answers a follow-up better without
        # the earlier questions: 34 of 41 right instead of 26 (benchmarks/follow_ups.py). A model
        # that reads whole passages gets them, because it needs to know what "it" refers to.
        small = self.synthesizer.context_format is ContextFormat.SENTENCES
        question = answer.question if small else answer.searched_for
        write(self.synthesizer, question, sources, answer, doubtful)

    def _find(self, answer: Answer, history: Sequence[ChatMessage]) -> list[NodeWithScore]:
        run, question, synthesizer = answer.run, answer.question, self.synthesizer
        run.report(Phase.SEARCHING)
        run.search_until = synthesizer.search_seconds(question)

        def rewrite() -> str:
            if synthesizer.context_format is ContextFormat.SENTENCES:
                return ""  # a small model makes it worse
            budget = synthesizer.first_token_budget
            return rewritten(question, history, synthesizer.llm, run, budget)

        found, answer.searched_for = find(
            self.retriever, question, history, run, self._is_relevant, rewrite
        )
        return found


def checked_question(question: str) -> str:
    """The question without characters that cannot be encoded.

    Raises:
        QuestionError: it is empty, or longer than LONGEST_QUESTION characters.
    """
    if not question.strip():
        raise QuestionError("The question is empty. Write one.")
    if len(question) > LONGEST_QUESTION:
        raise QuestionError(
            f"The question has {len(question):,} characters, and {LONGEST_QUESTION:,} are allowed. "
            "Shorten it, or add the long text as a document and ask about that."
        )
    return encodable(question)
