"""RoutingPolicy: for small models. Tools are chosen for the model; it writes the answers.

Each part of a question goes to the tool whose examples it is most like, by the embedding model;
where it is most like small talk, to none. What a tool found is cut down to the sentences that
bear on the question, and exact results are quoted and not retold.

Measured on 60 questions that were written when the method was fixed (benchmarks/agent_choice.py):

    who chooses                                right tool   call or answer   median time
    this: the three nearest examples                 0.92             0.98          5 ms
    the nearest description, by embedding            0.57             0.60          5 ms
    the best description, by cross-encoder           0.57             0.80         74 ms
    SmolLM2-135M, one example a tool                 0.52             0.92        660 ms
    SmolLM2-135M, three examples a tool              0.50             0.85        580 ms
"""

import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.agent.examples import ANSWER, QUESTIONS
from engine.agent.filling import fill_arguments
from engine.agent.task import Finished, Piece, Request, Task, Thought
from engine.agent.thoughts import split_thoughts
from engine.agent.tools import FunctionTool
from engine.llm.base import LLM, GenerationOptions, Packing
from engine.prompting import EVIDENCE_SENTENCES, answer_prompt, excerpts, parts_that_fit
from engine.run import Run
from engine.schema import ChatMessage
from engine.settings import Settings
from engine.splitting import sentence_spans

if TYPE_CHECKING:
    from engine.embedding import Embedding, Vectors

SMALL_TALK = tuple(QUESTIONS[ANSWER])  # what needs no tool
# How many of a tool's examples count. Of 1 to 5, each example chosen for by the others (ten parts):
# 0.95, 0.96, 0.97, 0.96, 0.97 right.
NEAREST = 3
PARTS = 4  # of one question that get a call each, at most
# Characters of a tool's text that a small model is given whole: a short paragraph. From a longer
# one it answers better by the sentences that bear on the question: 0.55 against 0.44 of 200.
WHOLE = 400

_ASKING = "what|which|who|when|where|why|how|is|are|compute|calculate|tell|search|find|look"
_BORDER = re.compile(rf"(?<=\?)\s+(?=\S)|(?:,?\s+and\s+(?:then\s+)?|;\s*)(?=(?:{_ASKING})\b)", re.I)


@dataclass(frozen=True, slots=True)
class Choice:
    """The tool for a question, or None; the example that decided, and how alike (cosine)."""

    tool: FunctionTool | None
    example: str
    likeness: float


class RoutingPolicy:
    """Answers with `llm`; chooses tools by the embedding model, `Settings.embed_model`."""

    def __init__(self, llm: LLM, options: GenerationOptions = GenerationOptions()) -> None:
        self._llm, self._options = llm, options

    def step(self, task: Task, tools: Sequence[FunctionTool], run: Run) -> Iterator[Piece]:
        calls = tools and not task.calls and (yield from self._requests(task, tools, run))
        if not calls:
            yield from self._answer(task, tools, run)

    def choose(self, question: str, tools: Sequence[FunctionTool]) -> Choice:
        """The tool that a question is for."""
        embedding: Any = Settings.embed_model  # hashable, which its protocol need not say
        asked = embedding.embed_query(question)
        choices = [_likeness(None, SMALL_TALK, _embedded(embedding, SMALL_TALK) @ asked)]
        for tool in (each for each in tools if each.suits(question)):
            texts = _examples(tool)
            choices.append(_likeness(tool, texts, _embedded(embedding, texts) @ asked))
        return max(choices, key=lambda choice: choice.likeness)

    def _requests(
        self, task: Task, tools: Sequence[FunctionTool], run: Run
    ) -> Generator[Piece, None, bool]:
        """The calls that the question's parts need. Returns whether there are any."""
        with run.span("route"):
            chosen = [(part, self.choose(part, tools)) for part in parts_of(task.question)]
        made: list[Request] = []
        for part, choice in chosen:
            if choice.tool is None:
                continue
            run.check()
            yield Thought(_reason(part, choice))
            arguments = fill_arguments(self._llm, choice.tool, part, run)
            if any((r.tool_name, r.arguments) == (choice.tool.name, arguments) for r in made):
                continue
            made.append(Request(choice.tool.name, arguments, part))
            yield made[-1]
        return bool(made)

    def _answer(self, task: Task, tools: Sequence[FunctionTool], run: Run) -> Iterator[Piece]:
        """One call's result after the other, each for its own part of the question."""
        exact = {tool.name for tool in tools if tool.return_direct}
        if not task.calls:
            yield from self._write(_small_talk(task), run)
        for number, done in enumerate(task.calls):
            if number:
                yield "\n\n"
            if _speaks_for_itself(done, exact):
                yield done.output.content
            else:
                yield from self._write(self._prompt(done.question or task.question, done, run), run)

    def _write(self, messages: Sequence[ChatMessage], run: Run) -> Iterator[Piece]:
        call = run.trace.begin_call("answer")
        yield from split_thoughts(self._llm.stream_chat(messages, self._options, run, call))

    def _prompt(self, question: str, done: Finished, run: Run) -> list[ChatMessage]:
        """The question and what was found for it, as much as fits."""
        with run.span("prompt"):
            context = _bearing(done, question, run)
            fitting = next(parts_that_fit(context, lambda text: self._fits(question, text)))
        if len(fitting) < len(context):
            run.note(f"Only the beginning of what {done.call.tool_name} gave fitted the prompt.")
        return _retelling(question, fitting)

    def _fits(self, question: str, context: str) -> bool:
        room = min(self._options.max_tokens, self._llm.metadata.context_window // 4)
        prompt = _retelling(question, context)
        return self._llm.count_tokens(prompt) + room <= self._llm.metadata.context_window


def parts_of(question: str) -> list[str]:
    """The questions in a message: "What time is it, and who built the mill?" has two."""
    parts = [part.strip() for part in _BORDER.split(question)]
    return [part for part in parts if part][:PARTS]


def _examples(tool: FunctionTool) -> tuple[str, ...]:
    return (*(example.question for example in tool.examples), tool.summary)


@lru_cache(maxsize=64)  # a tool's examples are embedded once
def _embedded(embedding: "Embedding", texts: tuple[str, ...]) -> "Vectors":
    return embedding.embed(texts)


def _likeness(tool: FunctionTool | None, texts: Sequence[str], cosines: "Vectors") -> Choice:
    nearest = np.sort(cosines)[-NEAREST:]
    return Choice(tool, texts[int(cosines.argmax())], float(nearest.mean()))


def _reason(part: str, choice: Choice) -> str:
    assert choice.tool
    return (
        f"“{part}” is most like what {choice.tool.name} is for: “{choice.example}” "
        f"(similarity {choice.likeness:.2f}). "
    )


def _speaks_for_itself(done: Finished, exact: set[str]) -> bool:
    """A small model changes what it retells: of 56 computed results it kept 33 (benchmarks)."""
    return done.is_error or not done.output.found or done.call.tool_name in exact


def _bearing(done: Finished, question: str, run: Run) -> str:
    """What of a tool's text bears on the question."""
    sources, text = done.output.sources, done.output.content
    if any(source.evidence for source in sources):
        return "\n\n".join(excerpts(sources, Packing.SENTENCES))
    if len(text) <= WHOLE:
        return text
    sentences = [text[start:end].strip() for start, end in sentence_spans(text)]
    scores = Settings.reranker.score(question, sentences, run)
    best = sorted(range(len(sentences)), key=lambda at: -scores[at])[:EVIDENCE_SENTENCES]
    return "\n".join(sentences[at] for at in sorted(best))


def _retelling(question: str, context: str) -> list[ChatMessage]:
    return answer_prompt(question, context, packing=Packing.SENTENCES)


def _small_talk(task: Task) -> list[ChatMessage]:
    system = ChatMessage("system", "You are a friendly assistant. Answer briefly.")
    return [system, *task.history, ChatMessage("user", task.question)]
