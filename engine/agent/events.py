"""Events: what an agent reports while it works.

    AgentInput → AgentStream… → AgentOutput            a step in which the model answers
    AgentInput → AgentOutput(tool_calls) → for each call:
        [ApprovalRequested → ApprovalGiven →] ToolCall → ToolCallResult

The next step follows, until a step has no tool calls. Events are frozen.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic_core import to_jsonable_python

from engine.schema import ChatMessage, NodeWithScore


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run. `at`: seconds since the run began."""

    at: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON values, with the event's name as `type`."""
        plain: dict[str, Any] = to_jsonable_python(asdict(self), fallback=str)
        return {"type": type(self).__name__, **plain}


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """A tool's result. `content` is the text that the model reads.

    sources: passages or pages that the text comes from. found: False if the tool worked and
    found nothing. left_out: characters cut off the end because the text was too long. is_answer:
    the text answers the question as it stands, by code, so a small model need not write one.
    """

    content: str
    sources: tuple[NodeWithScore, ...] = ()
    found: bool = True
    left_out: int = 0
    is_answer: bool = False

    def __str__(self) -> str:
        return self.content


@dataclass(frozen=True, slots=True)
class AgentInput(Event):
    """A step begins. `input`: the conversation so far, including tool results."""

    input: tuple[ChatMessage, ...]


@dataclass(frozen=True, slots=True)
class AgentStream(Event):
    """A chunk of text. `response`: the step's text so far, including this chunk.

    thinking_delta: a chunk of the model's reasoning, which is not part of the answer.
    """

    delta: str
    response: str = ""
    thinking_delta: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Without `response`, which is the sum of the deltas, so that exports stay small."""
        record = Event.to_dict(self)
        del record["response"]
        return record


@dataclass(frozen=True, slots=True)
class ToolEvent(Event):
    """The base class of a call's events. All events of a call have the same `tool_id`."""

    tool_name: str
    tool_kwargs: Mapping[str, Any]
    tool_id: str


@dataclass(frozen=True, slots=True)
class ToolCall(ToolEvent):
    """A tool begins to run with these arguments."""


@dataclass(frozen=True, slots=True)
class ToolCallResult(ToolEvent):
    """A call has ended. `is_error`: it failed, timed out or had wrong arguments; `tool_output` says
    which."""

    tool_output: ToolOutput = field(default_factory=lambda: ToolOutput(""))
    seconds: float = 0.0
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class ApprovalRequested(ToolEvent):
    """A call waits for a person: `handler.approve` or `handler.refuse`."""


@dataclass(frozen=True, slots=True)
class ApprovalGiven(ToolEvent):
    """A person has approved or denied a call after `seconds`. The arguments include the person's
    changes."""

    approved: bool = True
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class AgentOutput(Event):
    """A step has ended, with the answer or with the calls that the model requests."""

    response: str
    tool_calls: tuple[ToolCall, ...] = ()

    def __str__(self) -> str:
        return self.response
