"""One answer from a server: its connection, its place in the trace, its pieces.

A request has a thread and an event loop of its own, because only a cancelled task lets go of a
connection at any stage: while connecting, while the server reads, while it writes. It does not
know what was asked.
"""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from engine.errors import Cancelled, ServerError
from engine.llm.base import current_call
from engine.llm.tool_calls import ToolRequest
from engine.redacting import public_address, redact
from engine.run import Phase, Run
from engine.stream import Stream
from engine.timing import FinishReason

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
_HINTS = {
    401: " Check OPENAI_API_KEY in .env.",
    403: " Check OPENAI_API_KEY in .env.",
    404: " Check OPENAI_BASE_URL and OPENAI_MODEL in .env.",
    429: " It has too much to do, or your quota is used up: try again later.",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go, and how long the server may be silent."""

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
        """`text` without this server's secrets: servers quote a key that they refuse."""
        parts = httpx.URL(self.url)
        return redact(text, (self.api_key, parts.password, *parts.params.values()))


class ServerRequest:
    """Readers get `pieces`, then the end, Cancelled, or a ServerError."""

    def __init__(self, endpoint: Endpoint, body: dict[str, Any], run: Run) -> None:
        self.pieces: Stream[str | ToolRequest] = Stream()
        self._endpoint, self._body, self._run = endpoint, body, run
        self._record = current_call(run)
        self._record.settings = {"server": endpoint.public_url, "model": body["model"]}
        self._finish: FinishReason | None = None
        self._requests: dict[int, ToolRequest] = {}
        self._stage = ExitStack()
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = self._loop.create_task(self._stream())
        threading.Thread(target=self._work, name="llm-server", daemon=True).start()

    def stop(self) -> None:
        if self._task:
            with suppress(RuntimeError):  # the loop has closed: the request has ended
                self._loop.call_soon_threadsafe(self._task.cancel)

    def _work(self) -> None:
        assert self._task
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            self._end("cancelled", Cancelled())
        except ServerError as error:
            self._end("error", error)
        except Exception as error:  # whatever it is, the reader must not wait for ever
            log.exception("Answer %s: the request to the model server failed", self._run.id)
            self._end("error", ServerError(f"{self._endpoint} failed: {type(error).__name__}."))
        else:
            self._end(self._finish or "stop", None)
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _end(self, reason: FinishReason, error: BaseException | None) -> None:
        self._record.finish_reason = reason
        self._stage.close()
        self.pieces.end(error)

    async def _stream(self) -> None:
        endpoint = self._endpoint
        self._stage.enter_context(self._run.span("server"))
        self._run.report(Phase.READING)
        headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
        timeout = httpx.Timeout(endpoint.stall_seconds, connect=CONNECT_SECONDS)
        try:
            async with (
                httpx.AsyncClient(timeout=timeout) as client,
                client.stream("POST", endpoint.url, json=self._body, headers=headers) as response,
            ):
                await self._read(response)
        except httpx.ConnectTimeout as error:
            silence = f"did not answer within {CONNECT_SECONDS:g} s. Is it running?"
            raise ServerError(f"{endpoint} {silence}") from error
        except httpx.TimeoutException as error:
            silence = f"sent nothing for {endpoint.stall_seconds:g} s."
            raise ServerError(f"{endpoint} {silence}") from error
        except httpx.ConnectError as error:
            advice = "Is it running? Check OPENAI_BASE_URL in .env."
            reason = endpoint.redacted(str(error))
            raise ServerError(f"{endpoint} cannot be reached ({reason}). {advice}") from error
        except httpx.HTTPError as error:
            raise ServerError(f"{endpoint} hung up before the answer's end.") from error

    async def _read(self, response: httpx.Response) -> None:
        if response.status_code >= 400:
            body = (await response.aread()).decode("utf-8", "replace")
            text = self._endpoint.redacted(_error_text(body))
            hint = _HINTS.get(response.status_code, "")
            raise ServerError(f"{self._endpoint} refused ({response.status_code}): {text}{hint}")
        if "json" in response.headers.get("content-type", ""):  # it cannot stream
            await response.aread()
            self._take(_parsed(response.text), "message")
        else:
            async for data in _events(response):
                self._take(_parsed(data), "delta")
        if self._finish is None:
            raise ServerError(f"{self._endpoint} hung up before the answer's end.")
        for request in self._requests.values():
            self.pieces.append(request)

    def _take(self, event: dict[str, Any], part: str) -> None:
        if event.get("error"):
            reason = self._endpoint.redacted(_error_text(json.dumps(event)))
            raise ServerError(f"{self._endpoint} failed: {reason}")
        self._take_usage(event.get("usage") or {})
        for choice in event.get("choices") or []:
            content = choice.get(part) or {}
            if text := content.get("content"):
                self._emit(text)
            for place, call in enumerate(content.get("tool_calls") or []):
                self._take_tool_call(call.get("index", place), call)
            if reason := choice.get("finish_reason"):
                self._finish = "length" if reason == "length" else "stop"

    def _take_usage(self, usage: dict[str, Any]) -> None:
        record = self._record
        record.prompt_tokens = usage.get("prompt_tokens") or record.prompt_tokens
        record.output_tokens = usage.get("completion_tokens") or record.output_tokens
        details = usage.get("prompt_tokens_details") or {}
        record.reused_tokens = details.get("cached_tokens") or record.reused_tokens

    def _take_tool_call(self, index: int, call: dict[str, Any]) -> None:
        """A request comes in parts: its id and name first, then its arguments bit by bit."""
        known = self._requests.get(index, ToolRequest("", "", ""))
        function = call.get("function") or {}
        self._requests[index] = ToolRequest(
            call.get("id") or known.id,
            function.get("name") or known.name,
            known.arguments + (function.get("arguments") or ""),
        )

    def _emit(self, text: str) -> None:
        """A chunk, which most servers make of one token."""
        record = self._record
        if not record.token_times:
            self._stage.close()
            self._stage.enter_context(self._run.span("decode"))
        record.token_times.append(self._run.trace.now())
        record.output_tokens = len(record.token_times)
        self._run.report(Phase.WRITING, record.output_tokens)
        self.pieces.append(text)


async def _events(response: httpx.Response) -> AsyncIterator[str]:
    """The data of each server-sent event, up to OpenAI's own end mark."""
    async for line in response.aiter_lines():
        if line.startswith("data:"):
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                return
            yield data


def _parsed(data: str) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise ServerError(f"The model server sent what is no answer: {data[:200]!r}.")
    return event


def _error_text(text: str) -> str:
    """What the server says of its error, in the forms that servers use, short enough to show."""
    with suppress(ValueError):
        error = json.loads(text)
        error = error.get("error", error) if isinstance(error, dict) else error
        text = str(error.get("message", error) if isinstance(error, dict) else error)
    return " ".join(text.split())[:300] or "it gave no reason."
