"""The interface of policies: the task that a policy gets, and the parts of a step that it returns.

A policy decides the next step of an agent: it either writes the answer, chunk by chunk, or requests
tool calls. routing.py has the policy for small models, and planning.py those for larger models. The
helpers below the protocol are shared by several policies.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from engine.agent.events import ToolCall, ToolOutput
from engine.agent.numbers import unknown_numbers
from engine.agent.tools import FunctionTool
from engine.llm.base import LLM
from engine.llm.repetition import NOTE, RepetitionError, RepetitionGuard
from engine.llm.tool_calls import ToolRequest, ToolRequestMessage, ToolResultMessage
from engine.run import Run
from engine.schema import ChatMessage

ANSWER = "answer"  # the choice to call no tool


@dataclass(frozen=True, slots=True)
class CompletedCall:
    """A call and its result. `is_error`: it failed or was denied.

    direct: the result is exact and can be quoted. question: the part of the task that the call was
    for; empty for the whole task.
    """

    call: ToolCall
    output: ToolOutput
    is_error: bool = False
    direct: bool = False
    question: str = ""


@dataclass(slots=True)
class Task:
    """What the user asked, and what the agent has done so far.

    history: the conversation before. steps: the completed calls of each step. state: what the
    policy keeps between its steps.
    """

    question: str
    history: Sequence[ChatMessage] = ()
    steps: list[list[CompletedCall]] = field(default_factory=list)
    state: object = None

    @property
    def calls(self) -> list[CompletedCall]:
        return [completed for step in self.steps for completed in step]

    @property
    def sources(self) -> list[str]:
        """The texts that facts may come from: the user's messages and the tools' results."""
        said = [message.content for message in self.history if message.role == "user"]
        results = [each.output for each in self.calls if not each.is_error]
        passages = [source.text for output in results for source in output.sources]
        return [self.question, *said, *(output.content for output in results), *passages]

    def messages(self) -> list[ChatMessage]:
        """The conversation so far. Each tool result is a separate message."""
        messages = [*self.history, ChatMessage("user", self.question)]
        for step in self.steps:
            requests, texts = [], []
            for completed in step:
                call = completed.call
                arguments = json.dumps(dict(call.tool_kwargs), default=str)
                requests.append(ToolRequest(call.tool_id, call.tool_name, arguments))
                text = {"tool": call.tool_name, "arguments": dict(call.tool_kwargs)}
                texts.append(json.dumps(text, default=str))
            messages.append(ToolRequestMessage("assistant", "\n".join(texts), tuple(requests)))
            messages += [
                ToolResultMessage("tool", completed.output.content, completed.call.tool_id)
                for completed in step
            ]
        return messages


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of reasoning. It is shown to the user, but is not part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call that the policy requests.

    arguments: not validated yet. question: the part of the task that the call is for; empty for
    the whole task. id: the id that the model gave to the call, if any.
    """

    tool_name: str
    arguments: Mapping[str, Any]
    question: str = ""
    id: str = ""


StepPart = str | Thought | CallRequest


class Policy(Protocol):
    """Decides the steps of a workflow. Safe to use from many threads at once."""

    def step(self, task: Task, tools: Sequence[FunctionTool], run: Run) -> Iterator[StepPart]:
        """The next step: thoughts and text as they arrive, then the requested calls, if any.

        A step without requests is the answer. Without tools there are no requests.

        Raises:
            LLMError: the model failed. It is raised after the parts that arrived before.
            Cancelled: `run` was cancelled.
        """


# Helpers of the policies


def split_thoughts(chunks: Iterable[str]) -> Iterator[str | Thought]:
    """The same text, in which the text between <think> and </think> becomes thoughts.

    Reasoning models mark their thoughts this way. A tag may be split over two chunks.
    """
    held, thinking = "", False
    for chunk in chunks:
        held += chunk
        while (mark := "</think>" if thinking else "<think>") in held:
            before, _, held = held.partition(mark)
            if before:
                yield Thought(before) if thinking else before
            thinking = not thinking
        lengths = range(min(len(mark) - 1, len(held)), 0, -1)
        begun = next((n for n in lengths if held.endswith(mark[:n])), 0)  # of the mark
        safe, held = held[: len(held) - begun], held[len(held) - begun :]
        if safe:
            yield Thought(safe) if thinking else safe
    if held:
        yield Thought(held) if thinking else held


def checked(parts: Iterable[str | Thought], task: Task, run: Run) -> Iterator[str | Thought]:
    """The same parts of a larger model's answer. At their end, a note names the numbers that the
    model wrote itself: that are neither in the task nor in a tool's result.

    Whole numbers up to COUNTED, which number a list or count its items, are not named.
    """
    text = ""
    for part in parts:
        text += part if isinstance(part, str) else ""
        yield part
    unknown = [
        each
        for each in dict.fromkeys(unknown_numbers(text, task.sources))
        if not (len(each) <= 2 and each.isdecimal() and int(each) <= COUNTED)
    ]
    if unknown and task.sources:
        several = len(unknown) > 1
        run.note(
            f"{', '.join(unknown[:5])} {'are' if several else 'is'} neither in the task nor in a "
            f"result of a tool: the model wrote {'them' if several else 'it'} itself. Check "
            f"{'them' if several else 'it'} before you rely on {'them' if several else 'it'}."
        )


COUNTED = 12


def unrepeated(chunks: Iterable[str], run: Run) -> Iterator[str]:
    """The same text until it begins to repeat itself. Then the model is stopped, with a note."""
    guard = RepetitionGuard()
    for chunk in chunks:
        try:
            guard(chunk)
        except RepetitionError:
            run.note(NOTE)
            return
        yield chunk


_CUT = " […]"
_SHORTEST = 200  # characters: a shorter text of a tool is not cut


def fit_messages(
    messages: Sequence[ChatMessage], llm: LLM, max_tokens: int, run: Run
) -> list[ChatMessage]:
    """The messages, with the longest tool results halved until the prompt leaves room to answer.

    Messages of the user and the model are not shortened. If they alone are too long, the model
    raises PromptTooLongError later.
    """
    fitting = list(messages)
    window = llm.metadata.context_window
    room = min(max_tokens, window // 4)
    while llm.count_tokens(fitting) + room > window:
        lengths = [len(m.content) if m.role == "tool" else 0 for m in fitting]
        longest = max(range(len(fitting)), key=lambda at: lengths[at])
        if lengths[longest] < _SHORTEST:
            break
        kept = fitting[longest].content.removesuffix(_CUT)[: lengths[longest] // 2]
        fitting[longest] = replace(fitting[longest], content=kept + _CUT)
    if fitting != list(messages):
        run.note("Long tool results were shortened to fit the model's context window.")
    return fitting


# Limits of the JSON that a model writes, so that a model that repeats itself is stopped: characters
# of a text, items of a list, tokens in total.
TEXT, ITEMS, TOKENS = 200, 8, 512

# The keywords of a JSON schema that contain schemas, and those that restrict a value.
_NAMED = {"properties", "$defs"}
_LISTED = {"anyOf", "oneOf", "allOf", "prefixItems"}
_SINGLE = {"items", "additionalProperties"}
_SHAPES = {"type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf"}


def bounded_schema(schema: Any) -> Any:
    """A JSON schema that a grammar can express: texts and lists get a maximum length, patterns
    are removed, and a value of any type becomes a text. The tool validates the arguments later."""
    if not isinstance(schema, dict):
        return schema
    inner = {key: value for key, value in schema.items() if key != "pattern"}
    for key in _NAMED & inner.keys():
        inner[key] = {name: bounded_schema(part) for name, part in inner[key].items()}
    for key in _LISTED & inner.keys():
        inner[key] = [bounded_schema(part) for part in inner[key]]
    for key in _SINGLE & inner.keys():
        inner[key] = bounded_schema(inner[key])
    if not inner.keys() & _SHAPES:
        inner["type"] = "string"
    if inner.get("type") == "string" and not inner.keys() & {"enum", "const", "format"}:
        inner.setdefault("maxLength", TEXT)
    if inner.get("type") == "array":
        inner.setdefault("maxItems", ITEMS)
    return inner


def parse_object(text: str) -> dict[str, Any]:
    """The JSON object in a text. It is empty if the text is cut off or is no JSON object."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
