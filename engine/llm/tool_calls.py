"""Native tool calls: the extension of the LLM protocol for models trained to call tools.

The model gets the tools as JSON schemas, and yields tool requests between its chunks of text. Such
a model has `native_tools` in its metadata and implements `ToolCallingLLM`. For other models, the
two messages below are ordinary messages, whose content has the same information as text.
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
    """A call that a model requests. `arguments` is the JSON that it wrote, not validated."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolRequestMessage(ChatMessage):
    """The assistant's message that requests calls."""

    requests: tuple[ToolRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolResultMessage(ChatMessage):
    """The tool's message with the result of a call."""

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
        """Write the next message: chunks of text as they arrive, and each request when it is
        complete.

        Otherwise the same as `stream_chat`.
        """
