"""Native tool calls: what a model that was trained to call tools adds to the LLM protocol.

Tools are described to it as JSON schemas; among its pieces of text it yields requests. A model
that has this says so in its metadata (`native_tools`) and follows `ToolCallingLLM`. To a model
that has not, the two messages below are ordinary ones: their content says the same in text. It
does not know what the tools do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from engine.llm.base import GenerationOptions
from engine.run import Run
from engine.schema import ChatMessage
from engine.timing import CallRecord


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model sees it. `parameters` is the JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A call that a model asks for. `arguments` is the JSON it wrote, not yet checked."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolRequestMessage(ChatMessage):
    """The assistant's turn in which it asked for calls."""

    requests: tuple[ToolRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolResultMessage(ChatMessage):
    """What came of the call of that id, as the tool's turn."""

    request_id: str = ""


@runtime_checkable
class ToolCallingLLM(Protocol):
    def stream_chat_with_tools(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[ToolSpec],
        options: GenerationOptions = GenerationOptions(),
        run: Run | None = None,
        call: CallRecord | None = None,
    ) -> Iterator[str | ToolRequest]:
        """Write the next message: pieces of text as they come, and each request once whole.

        Without tools it is `stream_chat`. The rest is as there.
        """
