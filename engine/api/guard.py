"""Who may use the API, and how much at once.

The server's own middleware has checked Host and Origin before. Here: what a browser says about the
page that asks, the key, the size of the body, and the number of requests at once. Every error of an
endpoint becomes an answer in OpenAI's shape.
"""

import asyncio
import hmac
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.api.problems import Problem, problem_of
from engine.api.threads import REQUESTS_AT_ONCE, in_thread

JSON_BYTES = 2_000_000  # a conversation of 100,000 words; the largest question has 4,000 characters
EVERYBODY = ""  # the caller, where nobody signs in
PATIENCE = 30.0  # seconds for the next part of a body to arrive


@dataclass(frozen=True, slots=True)
class Access:
    """`key`: what a caller has to send; empty: nothing. `exposed`: other machines can connect.

    `file_bytes`: the largest file that can be added. `holder`: where people sign in, whose key it
    is, or None for nobody's; it takes the place of `key`, and every request needs a key.
    """

    key: str = field(default="", repr=False)
    exposed: bool = False
    file_bytes: int = 200_000_000
    holder: Callable[[str], str | None] | None = field(default=None, repr=False)

    @property
    def needs_key(self) -> bool:
        return bool(self.key or self.holder)

    def caller(self, headers: Headers) -> str:
        """Who asks: `EVERYBODY`, or where people sign in, whose key was sent. It may read a file.

        Raises:
            Problem: a request with these headers is not answered.
        """
        if refusal := self.refusal(headers):
            raise refusal
        if self.holder is None:
            return EVERYBODY
        if owner := self.holder(_sent_key(headers)):
            return owner
        what = "The API key is wrong" if _sent_key(headers) else "The API key is missing"
        raise _unauthorized(f"{what}. Make one on the Connect page, and send it as a bearer token.")

    def refusal(self, headers: Headers) -> Problem | None:
        """Why nobody's request with these headers is answered; None if it is."""
        # Where a browser sends no Origin, as for a picture, it says here which site asks. That site
        # cannot see what a click on its link opens.
        fetched_by = headers.get("sec-fetch-site", "none")
        clicked = headers.get("sec-fetch-mode") == "navigate"
        foreign = fetched_by not in ("none", "same-origin") and not clicked
        if foreign and "origin" not in headers:
            return Problem(403, "Another site's page may not use this app.")
        if self.holder is not None:
            return None
        if self.exposed and not self.key:
            return Problem(
                403,
                "Other machines can connect to this app, so its API needs a key. Set API_KEY in "
                ".env, and start First Token again.",
                code="api_key_not_set",
            )
        given = _sent_key(headers)
        if self.key and not hmac.compare_digest(given.encode(), self.key.encode()):
            what = "The API key is wrong" if given else "The API key is missing"
            return _unauthorized(
                f"{what}. Send the API_KEY of First Token's .env as a bearer token."
            )
        return None


def _sent_key(headers: Headers) -> str:
    scheme, _, sent = headers.get("authorization", "").partition(" ")
    return sent.strip() if scheme.lower() == "bearer" else ""


def _unauthorized(sentence: str) -> Problem:
    return Problem(401, sentence, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})


class Guard:
    """ASGI middleware around an API. `load` gives the one for a caller, and makes it with the
    caller's first request, on a thread."""

    def __init__(self, load: Callable[[str], ASGIApp], access: Callable[[], Access]) -> None:
        self._load, self._access = load, access
        self._apps: dict[str, ASGIApp] = {}
        self._at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        self._at_once += 1
        try:
            access = self._access()
            headers = Headers(scope=scope)
            caller = access.caller(headers) if access.holder is None else ""
            if self._at_once > REQUESTS_AT_ONCE:
                raise Problem(
                    429,
                    f"{REQUESTS_AT_ONCE} requests are being answered. Try again in a moment.",
                    kind="rate_limit_error",
                    code="rate_limit_exceeded",
                    headers={"Retry-After": "1"},
                )
            if access.holder is not None:
                caller = await in_thread(access.caller, headers)
            if caller not in self._apps:
                self._apps[caller] = await in_thread(self._load, caller)
            await self._apps[caller](scope, limited(scope, receive, access), noted)
        except ClientDisconnect:
            pass  # there is nobody to answer
        except Exception as error:
            if begun:
                raise  # the server closes the connection and logs the error
            await problem_of(error).response()(scope, receive, send)
        finally:
            self._at_once -= 1


def limited(scope: Scope, receive: Receive, access: Access) -> Receive:
    """`receive` that raises Problem for a body that is too large or does not arrive."""
    headers = Headers(scope=scope)
    upload = headers.get("content-type", "").startswith("multipart/")
    most = access.file_bytes + JSON_BYTES if upload else JSON_BYTES
    too_large = Problem(413, f"The request is larger than {most / 1e6:,.0f} MB. Send less at once.")
    length = headers.get("content-length", "")
    declared = int(length) if length.isdecimal() else 0
    received, whole = 0, False

    async def receive_within() -> Message:
        nonlocal received, whole
        if whole:  # what follows is only the end of the connection
            return await receive()
        if declared > most:
            raise too_large
        try:
            message = await asyncio.wait_for(receive(), PATIENCE)
        except TimeoutError:
            raise Problem(408, "The request did not arrive whole. Send it again.") from None
        received += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if received > most:
            raise too_large
        return message

    return receive_within


class Served(Protocol):
    """What is mounted: the API, and MCP, as ASGI apps."""

    @property
    def v1(self) -> ASGIApp: ...

    @property
    def mcp(self) -> ASGIApp: ...


def mounted(load: Callable[[str], Served], access: Callable[[], Access]) -> list[BaseRoute]:
    """The routes for a server: /v1 and /mcp, guarded. `load` is called once for each caller, on a
    thread: what one person's API remembers, no other's can show."""
    loading = threading.Lock()
    made: dict[str, Served] = {}

    def loaded(caller: str) -> Served:
        with loading:
            if caller not in made:
                made[caller] = load(caller)
            return made[caller]

    return [
        Mount("/v1", app=Guard(lambda caller: loaded(caller).v1, access)),
        Route("/mcp", Guard(lambda caller: loaded(caller).mcp, access)),
    ]
