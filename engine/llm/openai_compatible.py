"""OpenAICompatible: a server with OpenAI's chat API (llama-server, Ollama, vLLM, OpenAI).

    messages → POST {base_url}/chat/completions → pieces of text, and tool requests

It does not know how the server computes; what the server does not tell stays empty in the
trace.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import httpx

from engine.config import Config
from engine.errors import ConfigError
from engine.llm.base import LLM, GenerationOptions, LLMMetadata
from engine.llm.server_request import Endpoint, ServerRequest
from engine.llm.tool_calls import ToolRequest, ToolRequestMessage, ToolResultMessage, ToolSpec
from engine.redacting import redact
from engine.run import Run
from engine.schema import ChatMessage

STALL_SECONDS = 120.0  # a large model on a busy server may read that long before its first word
_CONTEXT_WINDOW = 8192  # assumed where CONTEXT_WINDOW does not say
_BYTES_PER_TOKEN = 3  # English has four to five in the usual vocabularies: an upper estimate


class OpenAICompatible(LLM):
    """A model behind a server. Safe to use from many threads.

    `stall_seconds`: how long the server may be silent. `native_tools`: the model was made for
    OpenAI's tool calls.

    Raises:
        ConfigError: `base_url` is not an http address, or there is no model name.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str = "",
        *,
        context_window: int = 0,
        native_tools: bool = False,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ConfigError(
                f"OPENAI_BASE_URL must begin with http:// or https://, not be {redact(base_url)!r}."
            )
        if not model:
            raise ConfigError("OPENAI_MODEL must name the server's model. Set it in .env.")
        base = httpx.URL(base_url)
        url = str(base.copy_with(path=f"{base.path.rstrip('/')}/chat/completions"))
        self._endpoint = Endpoint(url, api_key, stall_seconds)
        self._metadata = LLMMetadata(
            model, context_window or _CONTEXT_WINDOW, native_tools=native_tools
        )

    @classmethod
    def from_config(cls, config: Config) -> "OpenAICompatible":
        return cls(
            config.openai_base_url,
            config.openai_model,
            config.openai_api_key,
            context_window=config.context_window,
            native_tools=True,  # where the server has none, it says so, and agents do without
        )

    @property
    def metadata(self) -> LLMMetadata:
        return self._metadata

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """An upper estimate: the server keeps its tokeniser to itself."""
        return sum(
            math.ceil(len(message.content.encode()) / _BYTES_PER_TOKEN) + 4 for message in messages
        )

    def stream_chat(
        self,
        messages: Sequence[ChatMessage],
        options: GenerationOptions = GenerationOptions(),
        run: Run | None = None,
    ) -> Iterator[str]:
        for piece in self.stream_chat_with_tools(messages, (), options, run):
            if isinstance(piece, str):
                yield piece

    def stream_chat_with_tools(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[ToolSpec],
        options: GenerationOptions = GenerationOptions(),
        run: Run | None = None,
    ) -> Iterator[str | ToolRequest]:
        """`stream_chat`, with the requests that the model makes of these tools, each once whole."""
        run = run or Run()
        body = self._body(messages, options) | _tool_fields(tools)
        request = ServerRequest(self._endpoint, body, run)
        request.start()
        forget = run.on_cancel(request.stop)
        try:
            yield from request.pieces.read()
        finally:
            request.stop()  # nothing where it has ended
            forget()

    def _body(self, messages: Sequence[ChatMessage], options: GenerationOptions) -> dict[str, Any]:
        """OpenAI's own fields always; those that only some servers know, where they are used."""
        body: dict[str, Any] = {
            "model": self._metadata.model_name,
            "messages": [self._turn(message) for message in messages],
            "max_tokens": options.max_tokens,
            "temperature": options.temperature,
            "top_p": options.top_p,
            "seed": options.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if options.json_schema is not None:
            schema = {"name": "answer", "schema": options.json_schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        extras = {
            "stop": list(options.stop),
            "min_p": options.min_p,
            "repeat_penalty": options.repeat_penalty if options.repeat_penalty != 1 else None,
            "grammar": options.grammar,
            "ignore_eos": options.ignore_eos,
        }
        return body | {name: value for name, value in extras.items() if value}

    def _turn(self, message: ChatMessage) -> dict[str, Any]:
        turn: dict[str, Any] = {"role": message.role, "content": message.content}
        if not self._metadata.native_tools:
            # A tool's message needs the id of a request, which such a model never made.
            return turn | {"role": "user"} if message.role == "tool" else turn
        if isinstance(message, ToolRequestMessage):
            turn["tool_calls"] = [
                {
                    "id": request.id,
                    "type": "function",
                    "function": {"name": request.name, "arguments": request.arguments},
                }
                for request in message.requests
            ]
        if isinstance(message, ToolResultMessage):
            turn["tool_call_id"] = message.request_id
        return turn


def _tool_fields(tools: Sequence[ToolSpec]) -> dict[str, Any]:
    functions = [
        {"name": t.name, "description": t.description, "parameters": dict(t.parameters)}
        for t in tools
    ]
    return {"tools": [{"type": "function", "function": f} for f in functions]} if tools else {}
