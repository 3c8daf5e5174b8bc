"""OpenAICompatible: a server with OpenAI's chat API (llama-server, Ollama, vLLM, OpenAI).

    messages → POST {base_url}/chat/completions → chunks of text, and tool requests

Fields of the trace that the server does not report are empty.
"""

import asyncio
import json
import logging
import math
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from engine.budget import Rate, RateEstimate
from engine.config import Config
from engine.errors import Cancelled, ConfigError, LLMError, ServerError
from engine.llm.base import LLM, GenerationOptions, LLMMetadata
from engine.llm.tool_calls import ToolRequest, ToolRequestMessage, ToolResultMessage, ToolSpec
from engine.redacting import public_address, redact
from engine.run import Phase, Run
from engine.schema import ChatMessage
from engine.stream import Stream
from engine.timing import CallRecord, FinishReason

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
STALL_SECONDS = 120.0  # a large model on a busy server may read for this long before its first word
# Seconds that an idle connection stays open, so that the next question needs no new TLS handshake
KEEP_ALIVE = 60.0
_CONTEXT_WINDOW = 8192  # assumed if CONTEXT_WINDOW is not set
_BYTES_PER_TOKEN = 3  # gives too many tokens: English has four to five in the usual vocabularies
_CLOSED = "This connection to the model server has been closed. Ask again."
_HINTS = {
    401: " Check its key, on the Models page or as OPENAI_API_KEY in .env.",
    403: " Check its key, on the Models page or as OPENAI_API_KEY in .env.",
    404: " Check its address and model, on the Models page or in .env (OPENAI_BASE_URL, "
    "OPENAI_MODEL).",
    429: " It is overloaded, or your quota is used up. Try again later.",
}

Piece = str | ToolRequest


class OpenAICompatible(LLM):
    """A model on a server. Safe to use from many threads. `close` ends its connections.

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
        if not base_url.startswith(("http://", "https://")):
            raise ConfigError(
                "OPENAI_BASE_URL must begin with http:// or https://. Set it in .env."
            )
        if not model:
            raise ConfigError("OPENAI_MODEL must name the server's model. Set it in .env.")
        try:
            base = httpx.URL(base_url)
        except httpx.InvalidURL:  # its text may quote a part of a password
            raise ConfigError("OPENAI_BASE_URL is not a valid address. Set it in .env.") from None
        url = str(base.copy_with(path=f"{base.path.rstrip('/')}/chat/completions"))
        self._server = _Server(url, api_key, stall_seconds)
        self._connections = _Connections(self._server)
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
        return self._server.public_url.removesuffix("/chat/completions")

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

        request = _Request(self._server, body, run, record, write, learn_and_end)
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


@dataclass(frozen=True, slots=True)
class _Server:
    """The server's address, key, model and time limit."""

    url: str = field(repr=False)
    api_key: str = field(repr=False)
    stall_seconds: float

    def __str__(self) -> str:
        return f"The model server at {self.public_url}"

    @property
    def public_url(self) -> str:
        """The address without user, password and query, for traces and sentences."""
        return public_address(self.url)

    def redacted(self, text: str) -> str:
        """`text` without this server's secrets. Servers quote a key that they refuse."""
        parts = httpx.URL(self.url)
        return redact(text, (self.api_key, parts.password, *parts.params.values()))


class _Connections:
    """One HTTP client, and an event loop on a separate thread that runs its requests.

    They live as long as the LLM, so that a question needs no new client and, while a connection is
    open, no handshake. Requests are tasks of the loop, because a cancelled task closes its
    connection in every stage: while it connects, while the server reads, and while the server
    writes.
    """

    def __init__(self, server: _Server) -> None:
        headers = {"Authorization": f"Bearer {server.api_key}"} if server.api_key else {}
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(server.stall_seconds, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None, keepalive_expiry=KEEP_ALIVE),
        )
        self._loop = asyncio.new_event_loop()
        self.tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="llm-server", daemon=True)
        self._thread.start()

    def start(self, request: "_Request") -> Callable[[], None]:
        """Run a request on the loop. Returns a function that cancels it, from any thread."""
        loop = self._loop
        task: asyncio.Task[None]

        def begin() -> None:
            nonlocal task
            task = loop.create_task(request.run(self._client))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

        def cancel() -> None:
            # Cancel in a later step of the loop, because a task that is cancelled before its first
            # step would not report its end
            loop.call_soon(lambda: task.cancel())

        def cancel_from_any_thread() -> None:
            with suppress(RuntimeError):  # the loop has closed, and its requests have ended
                loop.call_soon_threadsafe(cancel)

        with self._lock:
            if self._closed:
                request.finish("error", LLMError(_CLOSED))
            else:
                loop.call_soon_threadsafe(begin)
        return cancel_from_any_thread

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(CONNECT_SECONDS)

    def _work(self) -> None:
        loop = self._loop

        async def end_all() -> None:
            await asyncio.sleep(0)  # each task must have had its first step
            for task in list(self.tasks):
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            await self._client.aclose()

        try:
            loop.run_forever()
            loop.run_until_complete(end_all())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


class _Request:
    """One answer from the server: its record in the trace, its chunks, its end."""

    def __init__(
        self,
        server: _Server,
        body: dict[str, Any],
        run: Run,
        record: CallRecord,
        write: Callable[[Piece], None],
        end: Callable[[BaseException | None], None],
    ) -> None:
        self._server, self._body, self._run, self._record = server, body, run, record
        self._write, self._end = write, end
        self._record.settings = {"server": server.public_url, "model": body["model"]}
        self._finish_reason: FinishReason | None = None
        self._tool_requests: dict[int, ToolRequest] = {}
        self._stage = ExitStack()

    async def run(self, client: httpx.AsyncClient) -> None:
        """Run the whole request. `finish` reports its end in every case."""
        try:
            self._run.check()
            self._stage.enter_context(self._run.span("server"))
            self._run.report(Phase.READING)
            await self._exchange(client)
        except (asyncio.CancelledError, Cancelled):
            self.finish("cancelled", Cancelled())
        except ServerError as error:
            self.finish("error", error)
        except Exception as error:
            log.exception("Answer %s: the request to the model server failed", self._run.id)
            self.finish("error", ServerError(f"{self._server} failed: {type(error).__name__}."))
        else:
            self.finish(self._finish_reason or "stop", None)

    def finish(self, reason: FinishReason, error: BaseException | None) -> None:
        self._record.finish_reason = reason
        self._stage.close()
        self._end(error)

    async def _exchange(self, client: httpx.AsyncClient) -> None:
        server = self._server
        request = client.build_request("POST", server.url, json=self._body)
        try:
            try:
                response = await client.send(request, stream=True)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # The server may have closed an idle connection at this moment. Try a new one, once.
                response = await client.send(request, stream=True)
            try:
                await self._read(response)
            finally:
                await response.aclose()
        except httpx.ConnectTimeout as error:
            silence = f"did not answer within {CONNECT_SECONDS:g} s. Is it running?"
            raise ServerError(f"{server} {silence}") from error
        except httpx.TimeoutException as error:
            silence = f"sent nothing for {server.stall_seconds:g} s."
            raise ServerError(f"{server} {silence}") from error
        except httpx.ConnectError as error:
            advice = "Is it running? Check its address, on the Models page or as OPENAI_BASE_URL."
            reason = server.redacted(str(error))
            raise ServerError(f"{server} cannot be reached ({reason}). {advice}") from error
        except httpx.HTTPError as error:
            raise ServerError(f"{server} closed the connection before the answer's end.") from error

    async def _read(self, response: httpx.Response) -> None:
        if response.is_redirect:
            # Following a redirect takes a round trip for each question, and may turn POST into GET.
            target = response.url.join(response.headers["location"])
            new = public_address(str(target)).removesuffix("/chat/completions")
            raise ServerError(
                f"{self._server} redirects elsewhere. If you trust the new address, set "
                f"OPENAI_BASE_URL in .env to {new}."
            )
        if response.status_code >= 400:
            body = (await response.aread()).decode("utf-8", "replace")
            reason = self._server.redacted(_error_text(body))
            hint = _HINTS.get(response.status_code, "")
            raise ServerError(f"{self._server} refused ({response.status_code}): {reason}{hint}")
        if "json" in response.headers.get("content-type", ""):  # it cannot stream
            await response.aread()
            self._take(response.text, "message")
        else:
            async for data in _events(response):
                self._take(data, "delta")
        if self._finish_reason is None:
            raise ServerError(f"{self._server} closed the connection before the answer's end.")
        for request in self._tool_requests.values():
            self._write(request)

    def _take(self, data: str, part: str) -> None:
        """One event of a stream (`part` "delta") or a whole answer ("message")."""
        try:
            event = json.loads(data)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            shown = self._server.redacted(data)[:200]
            raise ServerError(f"{self._server} sent something that is not an answer: {shown!r}.")
        if event.get("error"):
            reason = self._server.redacted(_error_text(data))
            raise ServerError(f"{self._server} failed: {reason}")
        record, usage = self._record, event.get("usage") or {}
        record.prompt_tokens = usage.get("prompt_tokens") or record.prompt_tokens
        record.output_tokens = usage.get("completion_tokens") or record.output_tokens
        details = usage.get("prompt_tokens_details") or {}
        record.reused_tokens = details.get("cached_tokens") or record.reused_tokens
        for choice in event.get("choices") or []:
            content = choice.get(part) or {}
            if text := content.get("content"):
                self._take_text(text)
            for place, call in enumerate(content.get("tool_calls") or []):
                self._take_tool_call(call.get("index", place), call)
            if reason := choice.get("finish_reason"):
                self._finish_reason = "length" if reason == "length" else "stop"

    def _take_text(self, text: str) -> None:
        """A chunk. Most servers make one of each token."""
        record = self._record
        if not record.token_times:
            self._stage.close()
            self._stage.enter_context(self._run.span("decode"))
        record.token_times.append(self._run.trace.now())
        record.output_tokens = len(record.token_times)
        self._run.report(Phase.WRITING, record.output_tokens)
        self._write(text)

    def _take_tool_call(self, index: int, call: dict[str, Any]) -> None:
        """A part of a tool request: first its id and name, then parts of its arguments."""
        known = self._tool_requests.get(index, ToolRequest("", "", ""))
        function = call.get("function") or {}
        self._tool_requests[index] = ToolRequest(
            call.get("id") or known.id,
            function.get("name") or known.name,
            known.arguments + (function.get("arguments") or ""),
        )


async def _events(response: httpx.Response) -> AsyncIterator[str]:
    """The data of each server-sent event, up to OpenAI's end mark."""
    async for line in response.aiter_lines():
        if line.startswith("data:"):
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                return
            yield data


def _error_text(text: str) -> str:
    """The reason in a server's error message, in one of the usual formats, shortened."""
    with suppress(ValueError):
        error = json.loads(text)
        for name in ("error", "message", "detail"):
            error = error.get(name, error) if isinstance(error, dict) else error
        text = str(error)
    return " ".join(text.split())[:300] or "it gave no reason."
