"""POST /v1/chat/completions: an answer from a collection, streamed or whole.

A stream is server-sent events. The first frame has the sources and is sent before the first token;
the last one has the figures. When the connection closes, in any phase, the model stops.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from engine.api.asking import (
    MODEL,
    begin,
    finish_reason,
    kind_json,
    sources_json,
    text_of,
    timings_json,
    usage_json,
)
from engine.api.problems import problem_of
from engine.api.requests import ChatRequest, read, stopped_when_left
from engine.response import StreamingResponse
from engine.workspace import Workspace

log = logging.getLogger(__name__)

DONE = b"data: [DONE]\n\n"
# Seconds for a reader to take something, once the connection's buffers are full. The model does not
# wait for a reader, and what it writes is kept until it is read; but without an end, a reader that
# has stopped reading would keep its answer for ever. On Linux, loopback buffers hold 2.6 MB, which
# is more than the longest answer.
SLOWEST_READER = 60.0


class Chat:
    """The endpoint. It keeps the answers being written, so that they can be stopped together."""

    def __init__(self, open_workspace: Callable[[], Workspace]) -> None:
        self._open_workspace = open_workspace
        self.live: set[StreamingResponse] = set()

    async def __call__(self, request: Request) -> Response:
        arrived = time.perf_counter()
        asked = await read(request, ChatRequest)
        response = await begin(self._open_workspace, asked, arrived)
        self.live.add(response)
        return _Answer(asked, response, self.live.discard)

    def close(self) -> None:
        """Stop all answers."""
        for response in list(self.live):
            response.cancel()


class _Answer(Response):
    """The HTTP response of one answer. It owns the answer, and stops it when the caller leaves."""

    def __init__(
        self,
        asked: ChatRequest,
        response: StreamingResponse,
        on_end: Callable[[StreamingResponse], None],
    ) -> None:
        self._asked, self._response, self._on_end = asked, response, on_end
        self._collection = asked.model.removeprefix(MODEL)
        self._id, self._created = f"chatcmpl-{response.run_id}", int(time.time())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = self._response
        try:
            async with stopped_when_left(receive, response.cancel):
                await response.wait_found()
                if self._asked.stream and response.error is None:
                    await self._stream(send)
                else:
                    await (await self._whole())(scope, receive, send)
        finally:
            response.cancel()
            self._on_end(response)

    async def _whole(self) -> Response:
        """Raises what the answer failed with."""
        async for _ in self._response.async_response_gen():
            pass
        body = self._frame("chat.completion", self._choice("message", text_of(self._response)))
        body["choices"][0]["finish_reason"] = finish_reason(self._response.trace)
        return JSONResponse(body | self._found() | self._figures(usage=True), headers=self._ids)

    async def _stream(self, send: Send) -> None:
        kind = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        head = Response(headers=kind | self._ids)
        del head.headers["content-length"]
        await send({"type": "http.response.start", "status": 200, "headers": head.raw_headers})
        try:
            async for frame in self._frames():
                async with asyncio.timeout(SLOWEST_READER):
                    await send({"type": "http.response.body", "body": frame, "more_body": True})
        except TimeoutError:
            log.warning("Answer %s: its reader took nothing for too long", self._response.run_id)
            return  # the server closes the connection, without the end of the stream
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _frames(self) -> AsyncIterator[bytes]:
        """Every frame; an error is one, after the text that came before it."""
        response, written = self._response, False
        yield _event(self._chunk({"role": "assistant", "content": ""}) | self._found())
        try:
            async for text in response.async_response_gen():
                written = True
                yield _event(self._chunk({"content": text}))
        except Exception as error:
            yield _event(problem_of(error).body)
            yield DONE
            return
        if not written and (sentence := text_of(response)):
            yield _event(self._chunk({"content": sentence}))
        last = self._chunk({}, finish_reason(response.trace)) | self._figures(usage=False)
        yield _event(last)
        if self._asked.include_usage:
            frame = self._frame("chat.completion.chunk", [])
            yield _event(frame | {"usage": usage_json(response.trace)})
        yield DONE

    @property
    def _ids(self) -> dict[str, str]:
        return {"X-Request-Id": self._response.run_id}

    def _frame(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._asked.model,
            "choices": choices,
        }

    def _choice(self, kind: str, content: str) -> list[dict[str, Any]]:
        message = {"role": "assistant", "content": content, "refusal": None}
        return [{"index": 0, kind: message, "logprobs": None, "finish_reason": None}]

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._frame("chat.completion.chunk", [choice])

    def _found(self) -> dict[str, Any]:
        return {
            "sources": sources_json(self._collection, self._response.found or ()),
            "kind": kind_json(self._response.trace),
        }

    def _figures(self, usage: bool) -> dict[str, Any]:
        trace = self._response.trace
        figures = {"timings": timings_json(trace), "notes": self._response.notes}
        if self._asked.trace:
            figures["trace"] = trace.to_dict()
        return figures | ({"usage": usage_json(trace)} if usage else {})


def _event(frame: dict[str, Any]) -> bytes:
    """A server-sent event. A lone surrogate, which UTF-8 does not have, becomes a question mark."""
    text = json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
    return f"data: {text}\n\n".encode("utf-8", "replace")
