"""RoutingPolicy: for small models. The policy chooses the tools, and the model writes the answers.

Each part of a task goes to the tool whose examples it is most similar to, by the embedding
model, or to no tool if it is most similar to small talk. Arguments are parsed from the question if
possible. The model gets only those sentences of a result that answer the question. Exact results,
such as those of the calculator, are quoted without the model.

Measured on 60 questions that were written after the method was fixed, on two cores
(benchmarks/agent_choice.py):

    method                                     right tool   call or answer   median time
    the three nearest examples (used)                0.92             0.95          8 ms
    the nearest description, by embedding            0.72             0.88          8 ms
    the best description, by cross-encoder           0.57             0.80         50 ms
    SmolLM2-135M, one example a tool                 0.52             0.92        510 ms
    SmolLM2-135M, three examples a tool              0.50             0.85        640 ms

The clock's vocabulary (shipped.py) was extended afterwards, so the clock may do less well on other
questions.
"""

import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.agent.policy import (
    ANSWER,
    TOKENS,
    CallRequest,
    CompletedCall,
    StepPart,
    Task,
    Thought,
    bounded_schema,
    parse_object,
    split_thoughts,
)
from engine.agent.shipped import QUESTIONS
from engine.agent.tools import FunctionTool
from engine.llm.base import LLM, ContextFormat, GenerationOptions
from engine.prompting import EVIDENCE_SENTENCES, answer_prompt, excerpts, parts_that_fit
from engine.run import Run
from engine.schema import ChatMessage
from engine.settings import Settings
from engine.splitting import sentence_spans

if TYPE_CHECKING:
    from engine.embedding import Embedding, Vectors

SMALL_TALK = tuple(QUESTIONS[ANSWER])  # questions that need no tool
# The number of a tool's nearest examples that count. For 1 to 5, tenfold cross-validation on the
# examples gives 0.95, 0.96, 0.97, 0.96 and 0.97 right choices.
NEAREST = 3
# A question below this cosine similarity to small talk goes to a tool, because a task that is taken
# for small talk gets no answer. 95 % of the small-talk examples are more similar to the others.
SMALL_TALK_LEAST = 0.57
PARTS = 4  # at most, of one task; each gets a call
# A tool's text of up to this many characters, a short paragraph, goes into the prompt unshortened.
# Of a longer text, the prompt gets the best sentences: 0.55 of 200 answers are right, against 0.44.
WHOLE = 400


@dataclass(frozen=True, slots=True)
class Route:
    """The tool for a question, or None; the nearest example and its cosine similarity.

    `example` is empty if the tool has claimed the question (`FunctionTool.claims`).
    """

    tool: FunctionTool | None
    example: str = ""
    similarity: float = 1.0


class RoutingPolicy:
    """Answers with `llm`; chooses tools by the embedding model, `Settings.embed_model`."""

    def __init__(self, llm: LLM, options: GenerationOptions = GenerationOptions()) -> None:
        self._llm, self._options = llm, options

    def step(self, task: Task, tools: Sequence[FunctionTool], run: Run) -> Iterator[StepPart]:
        if tools and not task.calls:
            requested = yield from self._request_calls(task, tools, run)
            if requested:
                return
        yield from self._answer(task, tools, run)

    def _request_calls(
        self, task: Task, tools: Sequence[FunctionTool], run: Run
    ) -> Generator[StepPart, None, bool]:
        """Request the calls that the parts of the task need. Returns whether there are any."""
        with run.span("route"):
            routes = [(part, self.choose(part, tools)) for part in parts_of(task.question)]
        requests: list[CallRequest] = []
        for part, route in routes:
            if route.tool is None:
                continue
            run.check()
            if sentence := route.tool.declines(part):
                task.declined.append(sentence)
                continue
            name = route.tool.name
            if route.example:
                yield Thought(
                    f"“{part}” is most similar to “{route.example}”, an example for {name} "
                    f"(similarity {route.similarity:.2f}). "
                )
            else:
                yield Thought(f"{name} can read “{part}” directly. ")
            arguments = fill_arguments(self._llm, route.tool, part, run)
            if any((r.tool_name, r.arguments) == (name, arguments) for r in requests):
                continue
            requests.append(CallRequest(name, arguments, part))
            yield requests[-1]
        return bool(requests)

    def choose(self, question: str, tools: Sequence[FunctionTool]) -> Route:
        """Choose the tool for a question."""
        if claiming := next((tool for tool in tools if tool.claims(question)), None):
            return Route(claiming)
        embedding: Any = Settings.embed_model  # hashable, which its protocol does not say
        asked = embedding.embed_query(question)
        examples: list[tuple[FunctionTool | None, tuple[str, ...]]] = [(None, SMALL_TALK)]
        for tool in tools:
            if tool.suits(question):
                questions = (example.question for example in tool.examples)
                examples.append((tool, (*questions, tool.summary)))
        routes = []
        for candidate, texts in examples:
            cosines = _embedded(embedding, texts) @ asked
            similarity = float(np.sort(cosines)[-NEAREST:].mean())
            if candidate or similarity >= SMALL_TALK_LEAST or len(examples) == 1:
                routes.append(Route(candidate, texts[int(cosines.argmax())], similarity))
        return max(routes, key=lambda route: route.similarity)

    def _answer(
        self, task: Task, tools: Sequence[FunctionTool], run: Run
    ) -> Iterator[StepPart]:
        """An answer for each part of the task, from the result of its call."""
        if not task.calls and not task.declined:
            if tools and (reply := fixed_reply(task.question, tools)):
                yield reply
                return
            run.note("The model wrote this without a source. Check it before you rely on it.")
            system = ChatMessage("system", "You are a friendly assistant. Answer briefly.")
            question = ChatMessage("user", task.question)
            yield from self._write([system, *task.history, question], run)
        # Exact results are quoted: a small model repeated only 33 of 56 correctly (benchmarks).
        quoted = {tool.name for tool in tools if tool.return_direct}
        separator = ""
        for done in task.calls:
            if separator:
                yield separator
            if done.is_error or not done.output.found or done.call.tool_name in quoted:
                yield done.output.content
            else:
                yield from self._write(self._prompt(done.question or task.question, done, run), run)
            separator = "\n\n"
        for sentence in dict.fromkeys(task.declined):
            yield separator + sentence
            separator = "\n\n"

    def _write(self, messages: Sequence[ChatMessage], run: Run) -> Iterator[StepPart]:
        call = run.trace.begin_call("answer")
        yield from split_thoughts(self._llm.stream_chat(messages, self._options, run, call))

    def _prompt(self, question: str, done: CompletedCall, run: Run) -> list[ChatMessage]:
        """The question and the result of its call, shortened to fit the context window."""

        def prompt(context: str) -> list[ChatMessage]:
            return answer_prompt(question, context, context_format=ContextFormat.SENTENCES)

        window = self._llm.metadata.context_window
        room = min(self._options.max_tokens, window // 4)
        with run.span("prompt"):
            context = _relevant_text(done, question, run)
            fitting = next(
                parts_that_fit(
                    context, lambda text: self._llm.count_tokens(prompt(text)) + room <= window
                )
            )
        if len(fitting) < len(context):
            run.note(f"Only the beginning of the result of {done.call.tool_name} fit the prompt.")
        return prompt(fitting)


# The border between two questions. The text has single spaces, so the search is linear.
_ASKING = "what|which|who|when|where|why|how|is|are|compute|calculate|tell|search|find|look"
_BORDER = re.compile(rf"(?<=\?) |(?:,? and (?:then )?|; ?)(?=(?:{_ASKING})\b)", re.I)


def parts_of(question: str) -> list[str]:
    """The questions in a message: "What time is it, and who built the mill?" has two."""
    parts = [part.strip() for part in _BORDER.split(" ".join(question.split()))]
    return [part for part in parts if part][:PARTS]


@lru_cache(maxsize=64)  # a tool's examples are embedded once
def _embedded(embedding: "Embedding", texts: tuple[str, ...]) -> "Vectors":
    return embedding.embed(texts)


def fill_arguments(llm: LLM, tool: FunctionTool, question: str, run: Run) -> dict[str, Any]:
    """The required arguments of a call: read from the question, or written by the model.

    A grammar made from the tool's JSON schema ensures arguments of the right types. Their values
    may be wrong, and a note says so.

    Raises:
        LLMError: the model failed, or a grammar cannot express the schema.
    """
    if (read := tool.arguments_from(question)) is not None:
        return read
    schema = _required_only(tool.parameters)
    if not schema["properties"]:
        return {}
    task = f"Write the arguments of {tool.name}. {tool.summary} Reply with JSON."
    messages = [ChatMessage("system", task)]
    for example in tool.examples:
        if example.arguments:
            messages.append(ChatMessage("user", example.question))
            messages.append(ChatMessage("assistant", json.dumps(dict(example.arguments))))
    messages.append(ChatMessage("user", question))
    run.note(f"The model wrote the arguments of {tool.name}. Check that they are right.")
    call = run.trace.begin_call("arguments")
    options = GenerationOptions(max_tokens=TOKENS, json_schema=bounded_schema(schema))
    return parse_object("".join(llm.stream_chat(messages, options, run, call)))


def _required_only(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without the parameters that have defaults."""
    required = schema.get("required", [])
    kept = {name: part for name, part in schema.get("properties", {}).items() if name in required}
    return {**schema, "properties": kept}


def _relevant_text(done: CompletedCall, question: str, run: Run) -> str:
    """The part of a tool's text that answers the question: its evidence, or its best sentences."""
    sources, text = done.output.sources, done.output.content
    if any(source.evidence for source in sources):
        return "\n\n".join(excerpts(sources, ContextFormat.SENTENCES))
    if len(text) <= WHOLE:
        return text
    sentences = [text[start:end].strip() for start, end in sentence_spans(text)]
    scores = Settings.reranker.score(question, sentences, run)
    best = sorted(range(len(sentences)), key=lambda at: -scores[at])[:EVIDENCE_SENTENCES]
    return "\n".join(sentences[at] for at in sorted(best))


# Small talk. The replies are fixed, because a small model that is asked about itself makes things
# up. small_talk.json has each reply with the questions that it answers. The model itself answers
# those of the empty reply, such as the request for a joke.
_REPLIES: dict[str, tuple[str, ...]] = {
    entry["reply"]: tuple(entry["questions"])
    for entry in json.loads(
        Path(__file__).with_name("small_talk.json").read_text(encoding="utf-8")
    )
}


def fixed_reply(question: str, tools: Sequence[FunctionTool]) -> str:
    """The reply to a greeting, to thanks or to a question about the agent; empty for the rest."""
    embedding: Any = Settings.embed_model
    asked = embedding.embed_query(question)
    nearest = {
        reply: float((_embedded(embedding, texts) @ asked).max())
        for reply, texts in _REPLIES.items()
    }
    names = [tool.name.replace("_", " ") for tool in tools if not tool.unavailable]
    return max(nearest, key=lambda reply: nearest[reply]).format(
        abilities=f"My tools are: {', '.join(names)}."
    )
