"""Which requests are for this server, and from its own pages.

A page of another site must be able neither to read nor to post (another Origin), also under a name
of its own that resolves to this machine (another Host, as in DNS rebinding).
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.api.problems import Problem

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Names:
    """What a server is called. `ports`: those of its loopback names. `hosts`: further names, in
    lower case; "*" is any, "*.home" all that end so. `origins`: those of other servers' pages."""

    ports: frozenset[int]
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def is_host(self, host: str) -> bool:
        """Whether a Host header names this server."""
        try:
            parts = urlsplit(f"//{host}")
            name, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError:
            return False
        if parts.netloc != host or "@" in host or not name:
            return False
        if name in LOOPBACK:
            return (port or 80) in self.ports
        for allowed in self.hosts:
            if allowed == "*" or name == allowed:
                return True
            if allowed.startswith("*.") and name.endswith(allowed[1:]):
                return True
        return False

    def is_origin(self, origin: str, host: str) -> bool:
        """Whether an Origin header is that of this server's own pages at this host, or listed."""
        return origin in (f"http://{host}", f"https://{host}", *self.origins)


class OwnOriginOnly:
    """ASGI middleware that answers only requests for this server from its own pages.

    `names` is asked for each request, with the port that it came to. Browsers send Origin with
    WebSockets and with requests from other sites; other programs send none.
    """

    def __init__(self, app: ASGIApp, names: Callable[[int | None], Names]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        names = self._names(scope["server"][1] if scope.get("server") else None)
        if not names.is_host(host):
            reason = "This app does not answer under this name. Open it at the address that it "
            reason += "printed when it was started, or add the name to server.allowedHosts."
        elif origin is not None and not names.is_origin(origin, host):
            reason = "Another site's page may not use this app."
        else:
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason[:120]})
            return
        refusal: Response = PlainTextResponse(reason, 403)
        if scope["path"].startswith(("/v1/", "/mcp")):
            refusal = Problem(403, reason).response()
        await refusal(scope, receive, send)
