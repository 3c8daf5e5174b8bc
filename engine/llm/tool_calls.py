"""Native tool calls: the addition to the LLM protocol for models that were trained to call tools.

The model is given the tools as JSON schemas, and yields requests among its pieces of text. Such a
model has `native_tools` in its metadata and implements `ToolCallingLLM`. Other models treat the two
messages below as ordinary ones: their content says the same in text.
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
    """A call that a model asks for. `arguments` is the JSON it wrote, unchecked."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolRequestMessage(ChatMessage):
    """The assistant's turn in which it asked for calls."""

    requests: tuple[ToolRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolResultMessage(ChatMessage):
    """The result of the call with that id, as the tool's turn."""

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
        """Write the next message: pieces of text as they come, and each request once it is whole.

        Otherwise the same as `stream_chat`.
        """
