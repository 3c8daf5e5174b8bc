"""OpenAICompatible: a server with OpenAI's chat API (llama-server, Ollama, vLLM, OpenAI).

    messages → POST {base_url}/chat/completions → chunks of text, and tool requests

Fields of the trace that the server does not report are empty.
"""

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx

from engine.addresses import split_addresses
from engine.budget import Rate, RateEstimate
from engine.config import Config
from engine.errors import ConfigError
from engine.llm.base import LLM, GenerationOptions, LLMMetadata
from engine.llm.openai_connections import Connections
from engine.llm.openai_request import Piece, Request, Server, Servers
from engine.llm.tool_calls import ToolRequestMessage, ToolResultMessage, ToolSpec
from engine.run import Run
from engine.schema import ChatMessage
from engine.stream import Stream
from engine.timing import CallRecord

STALL_SECONDS = 120.0  # a large model on a busy server may read for this long before its first word
_CONTEXT_WINDOW = 8192  # assumed if CONTEXT_WINDOW is not set
_BYTES_PER_TOKEN = 3  # gives too many tokens: English has four to five in the usual vocabularies


class OpenAICompatible(LLM):
    """A model on a server. Safe to use from many threads. `close` ends its connections.

    `base_url`: of one server, or of several with commas between them, which have the same model. An
    answer comes from the one that has the fewest under way. A server that fails before its first
    word is replaced by another one; one that fails later ends the answer with an error. Both are
    left out for a while.

    `stall_seconds`: the longest time without data from the server. `native_tools`: the model was
    trained for OpenAI's tool calls.

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
        bases = split_addresses(base_url)
        if not bases or not all(each.startswith(("http://", "https://")) for each in bases):
            raise ConfigError(
                "OPENAI_BASE_URL must begin with http:// or https://. Set it in .env."
            )
        if not model:
            raise ConfigError("OPENAI_MODEL must name the server's model. Set it in .env.")
        servers = [Server(_chat_url(each), api_key, stall_seconds) for each in bases]
        self._servers = Servers(servers)
        self._connections = Connections(api_key, stall_seconds)
        self._rate = RateEstimate()
        weakref.finalize(self, self._connections.close)  # at the latest when the process ends
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
            native_tools=True,  # if the server refuses tools, agents do without them
        )

    @property
    def metadata(self) -> LLMMetadata:
        return self._metadata

    @property
    def jobs(self) -> int:
        """Answers that are being received."""
        return len(self._connections.tasks)

    @property
    def address(self) -> str:
        """Where requests go, without user, password and query."""
        shown = (each.public_url.removesuffix("/chat/completions") for each in self._servers.all)
        return ", ".join(shown)

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """An upper estimate, because the server's tokeniser is not known."""
        return sum(
            math.ceil(len(message.content.encode()) / _BYTES_PER_TOKEN) + 4 for message in messages
        )

    @property
    def reading_rate(self) -> Rate | None:
        """From the answers so far; in the tokens of `count_tokens`. What else the server does is
        not known here."""
        return self._rate.rate

    def stream_chat(
        self,
        messages: Sequence[ChatMessage],
        options: GenerationOptions = GenerationOptions(),
        run: Run | None = None,
        call: CallRecord | None = None,
    ) -> Iterator[str]:
        for piece in self.stream_chat_with_tools(messages, (), options, run, call):
            if isinstance(piece, str):
                yield piece

    def stream_chat_with_tools(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[ToolSpec],
        options: GenerationOptions = GenerationOptions(),
        run: Run | None = None,
        call: CallRecord | None = None,
    ) -> Iterator[Piece]:
        """Like `stream_chat`, and also yield the model's requests of these tools, each when it is
        complete."""
        run = run or Run.begin()
        pieces: Stream[Piece] = Stream()
        stop = self._begin(messages, tools, options, run, call, pieces.append, pieces.end)
        try:
            yield from pieces.read()
        finally:
            stop()

    def write_chat(
        self,
        write: Callable[[str], None],
        messages: Sequence[ChatMessage],
        options: GenerationOptions = GenerationOptions(),
        run: Run | None = None,
        call: CallRecord | None = None,
    ) -> None:
        run = run or Run.begin()
        ended: Stream[None] = Stream()

        def write_text(piece: Piece) -> None:
            if isinstance(piece, str):
                write(piece)

        stop = self._begin(messages, (), options, run, call, write_text, ended.end)
        try:
            for _ in ended.read():
                pass
        finally:
            stop()

    def close(self) -> None:
        """Stop every answer and close the connections. A second call does nothing."""
        self._connections.close()

    def _begin(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[ToolSpec],
        options: GenerationOptions,
        run: Run,
        call: CallRecord | None,
        write: Callable[[Piece], None],
        end: Callable[[BaseException | None], None],
    ) -> Callable[[], None]:
        """Send a request. `write` and `end` are called on the connections' thread.

        Returns a function that stops the request, if it has not ended, and releases the run.
        """
        body = self._body(messages, options)
        if tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": dict(tool.parameters),
                    },
                }
                for tool in tools
            ]
        record = call or run.trace.begin_call("chat")
        began = run.trace.now()

        def learn_and_end(error: BaseException | None) -> None:
            if record.token_times:
                kept = record.reused_tokens / max(record.prompt_tokens, 1)
                tokens = round(self.count_tokens(messages) * (1 - kept))
                self._rate.record(tokens, record.token_times[0] - began)
            end(error)

        request = Request(self._servers, body, run, record, write, learn_and_end)
        cancel = self._connections.start(request)
        forget = run.on_cancel(cancel)

        def stop() -> None:
            forget()
            cancel()

        return stop

    def _body(self, messages: Sequence[ChatMessage], options: GenerationOptions) -> dict[str, Any]:
        """The body of a request. It has fields that only some servers know only if they are
        used."""
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
            # A tool's message needs the id of a request, and this model has made none.
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


def _chat_url(base_url: str) -> str:
    try:
        base = httpx.URL(base_url)
    except httpx.InvalidURL:  # its text may quote a part of a password
        raise ConfigError("OPENAI_BASE_URL is not a valid address. Set it in .env.") from None
    return str(base.copy_with(path=f"{base.path.rstrip('/')}/chat/completions"))
