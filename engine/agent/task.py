"""A task: what the agent was asked and what it has found out; and how it goes on from there.

A policy looks at the task and takes the next step: it writes the answer, piece by piece, or
asks for calls. There are three, for models of three kinds (routing.py, planning.py, native.py).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.agent.events import ToolCall, ToolOutput
from engine.agent.tools import FunctionTool
from engine.llm.tool_calls import ToolRequest, ToolRequestMessage, ToolResultMessage
from engine.run import Run
from engine.schema import ChatMessage


@dataclass(frozen=True, slots=True)
class Finished:
    """A call and what came of it. `is_error`: it failed, or was refused.

    question: the part of the task's question that the call was for; empty: all of it.
    """

    call: ToolCall
    output: ToolOutput
    is_error: bool = False
    question: str = ""


@dataclass(slots=True)
class Task:
    """`steps`: the calls made so far, those of one step together."""

    question: str
    history: Sequence[ChatMessage] = ()
    steps: list[list[Finished]] = field(default_factory=list)

    @property
    def calls(self) -> list[Finished]:
        return [finished for step in self.steps for finished in step]

    def messages(self) -> list[ChatMessage]:
        """The conversation so far. What tools gave stands in turns of its own, as data."""
        messages = [*self.history, ChatMessage("user", self.question)]
        for step in self.steps:
            requests = tuple(_request(finished.call) for finished in step)
            asked = "\n".join(
                call_json(r.name, f.call.tool_kwargs) for r, f in zip(requests, step, strict=True)
            )
            messages.append(ToolRequestMessage("assistant", asked, requests))
            messages += [
                ToolResultMessage("tool", finished.output.content, finished.call.tool_id)
                for finished in step
            ]
        return messages


def call_json(name: str, arguments: Mapping[str, Any]) -> str:
    """A call as the text a model would write for it."""
    return json.dumps({"tool": name, "arguments": dict(arguments)}, default=str)


def _request(call: ToolCall) -> ToolRequest:
    arguments = json.dumps(dict(call.tool_kwargs), default=str)
    return ToolRequest(call.tool_id, call.tool_name, arguments)


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of reasoning, shown and not part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """A call that the policy wants made, for a part of the question, or for all of it.

    `arguments` may still be wrong. `id`: where the model gave one.
    """

    tool_name: str
    arguments: Mapping[str, Any]
    question: str = ""
    id: str = ""


Piece = str | Thought | Request


class Policy(Protocol):
    """Takes the steps. One for each workflow; safe to use from many threads at once."""

    def step(self, task: Task, tools: Sequence[FunctionTool], run: Run) -> Iterator[Piece]:
        """The next step: pieces of thought and text as they come, then requests, if any.

        A step without requests is the answer. Without tools there can be no requests.

        Raises:
            LLMError: as the model raises it, after the pieces that came before.
            Cancelled: `run` was cancelled.
        """
