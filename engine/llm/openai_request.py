"""One request to a model server: sent, its answer read piece by piece, its faults as sentences."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from engine.addresses import Addresses
from engine.errors import Cancelled, ServerError
from engine.llm.tool_calls import ToolRequest
from engine.redacting import public_address, redact
from engine.run import Phase, Run
from engine.timing import CallRecord, FinishReason

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
_BROKEN = "closed the connection before the answer's end. Check that it still runs, and ask again."
_HINTS = {
    401: " Check its key, on the Models page or as OPENAI_API_KEY in .env.",
    403: " Check its key, on the Models page or as OPENAI_API_KEY in .env.",
    404: " Check its address and model, on the Models page or in .env (OPENAI_BASE_URL, "
    "OPENAI_MODEL).",
    429: " It is overloaded, or your quota is used up. Try again later.",
}

Piece = str | ToolRequest


@dataclass(frozen=True, slots=True)
class Server:
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


class Servers:
    """One server or several with the same model, and which of them answers next."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.all = list(servers)
        self.addresses = Addresses([each.url for each in servers])

    @contextmanager
    def one(self, tried: Collection[str]) -> Iterator[Server]:
        """As `Addresses.one`."""
        with self.addresses.one(tried) as url:
            yield next(each for each in self.all if each.url == url)


class _UnavailableError(ServerError):
    """The server cannot answer now. Another one may."""


class Request:
    """One answer from a server: its record in the trace, its chunks, its end."""

    def __init__(
        self,
        servers: Servers,
        body: dict[str, Any],
        run: Run,
        record: CallRecord,
        write: Callable[[Piece], None],
        end: Callable[[BaseException | None], None],
    ) -> None:
        self._servers, self._server = servers, servers.all[0]
        self._body, self._run, self._record = body, run, record
        self._write, self._end = write, end
        self._finish_reason: FinishReason | None = None
        self._tool_requests: dict[int, ToolRequest] = {}
        self._stage = ExitStack()

    async def run(self, client: httpx.AsyncClient) -> None:
        """Run the whole request. `finish` reports its end in every case."""
        try:
            self._run.check()
            self._stage.enter_context(self._run.span("server"))
            self._run.report(Phase.READING)
            await self._answer(client)
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

    async def _answer(self, client: httpx.AsyncClient) -> None:
        """From one server; from another if it fails before the first word."""
        tried: set[str] = set()
        while True:
            with self._servers.one(tried) as self._server:
                url, model = self._server.url, self._body["model"]
                self._record.settings = {"server": self._server.public_url, "model": model}
                self._finish_reason, self._tool_requests = None, {}
                try:
                    await self._exchange(client)
                except _UnavailableError as error:
                    self._servers.addresses.failed(url)
                    tried.add(url)
                    if self._record.token_times or len(tried) == len(self._servers.all):
                        raise
                    log.warning("Answer %s: another server is asked: %s", self._run.id, error)
                else:
                    self._servers.addresses.answered(url)
                    return

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
            raise _UnavailableError(f"{server} {silence}") from error
        except httpx.TimeoutException as error:
            silence = f"sent nothing for {server.stall_seconds:g} s."
            raise _UnavailableError(f"{server} {silence}") from error
        except httpx.ConnectError as error:
            advice = "Is it running? Check its address, on the Models page or as OPENAI_BASE_URL."
            reason = server.redacted(str(error))
            raise _UnavailableError(f"{server} cannot be reached ({reason}). {advice}") from error
        except httpx.HTTPError as error:
            raise _UnavailableError(f"{server} {_BROKEN}") from error

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
            passing = response.status_code == 429 or response.status_code >= 500
            kind = _UnavailableError if passing else ServerError
            raise kind(f"{self._server} refused ({response.status_code}): {reason}{hint}")
        if "json" in response.headers.get("content-type", ""):  # it cannot stream
            await response.aread()
            self._take(response.text, "message")
        else:
            async for data in _events(response):
                self._take(data, "delta")
        if self._finish_reason is None:
            raise _UnavailableError(f"{self._server} {_BROKEN}")
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
