"""What an agent reports, as it happens.

    AgentInput → AgentStream… → AgentOutput            a step in which the model answers
    AgentInput → AgentOutput(tool_calls) → for each call:
        [ApprovalRequested → ApprovalGiven →] ToolCall → ToolCallResult

and then the next step, until one has no tool calls. Events are frozen; `at` is seconds since
the run began.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic_core import to_jsonable_python

from engine.schema import ChatMessage, NodeWithScore


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run, `at` so many seconds after its start."""

    at: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON values, with the event's name as `type`."""
        plain: dict[str, Any] = to_jsonable_python(asdict(self), fallback=str)
        return {"type": type(self).__name__, **plain}


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a tool gave. `content` is the text that the model reads.

    sources: passages or pages that the text comes from. found: False where the tool worked and
    there was nothing. left_out: characters cut off the end, because it gave more than it may.
    """

    content: str
    sources: tuple[NodeWithScore, ...] = ()
    found: bool = True
    left_out: int = 0

    def __str__(self) -> str:
        return self.content


@dataclass(frozen=True, slots=True)
class AgentInput(Event):
    """A step begins: the conversation so far, tool results included."""

    input: tuple[ChatMessage, ...]


@dataclass(frozen=True, slots=True)
class AgentStream(Event):
    """A piece of text. `response` is the step's text with it.

    thinking_delta: a piece of the model's reasoning, which is not part of the answer.
    """

    delta: str
    response: str = ""
    thinking_delta: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Without `response`, which the deltas add up to: the export stays linear in length."""
        record = Event.to_dict(self)
        del record["response"]
        return record


@dataclass(frozen=True, slots=True)
class ToolEvent(Event):
    """Something about one call. Its events share `tool_id`."""

    tool_name: str
    tool_kwargs: Mapping[str, Any]
    tool_id: str


@dataclass(frozen=True, slots=True)
class ToolCall(ToolEvent):
    """A tool begins to run, with these arguments."""


@dataclass(frozen=True, slots=True)
class ToolCallResult(ToolEvent):
    """A tool has ended. `is_error`: it failed, hung, or was called wrongly; the text says how."""

    tool_output: ToolOutput = field(default_factory=lambda: ToolOutput(""))
    seconds: float = 0.0
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class ApprovalRequested(ToolEvent):
    """A tool that needs approval waits for a person: `handler.approve` or `handler.refuse`."""


@dataclass(frozen=True, slots=True)
class ApprovalGiven(ToolEvent):
    """A person has decided, after `seconds`. The arguments are those approved."""

    approved: bool = True
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class AgentOutput(Event):
    """A step has ended: with the answer, or with the tools it wants to call.

    tool_calls: the calls as the model asked for them.
    """

    response: str
    tool_calls: tuple[ToolCall, ...] = ()

    def __str__(self) -> str:
        return self.response
