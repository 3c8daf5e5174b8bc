"""Security: which requests the app answers, and what a browser may load for its pages.

`OwnOriginOnly` refuses requests from other sites' pages (another Origin) and requests for another
name (another Host, as in DNS rebinding). `SecurityHeaders` adds a Content-Security-Policy to every
response, because answers and documents are untrusted text, and Markdown such as
`![](http://elsewhere/?q=secret)` would send data to another server. Escaping chunks can miss markup
that is split over two of them; a policy in the browser cannot.
"""

import base64
import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config

LOOPBACK = ("localhost", "127.0.0.1", "::1")

_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def inline_script_hashes(html: str) -> list[str]:
    """The CSP sources that allow a page's own inline scripts and no others."""
    digests = (hashlib.sha256(s.encode()).digest() for s in _INLINE_SCRIPT.findall(html))
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


def content_security_policy() -> str:
    """A policy that allows resources only from this server."""
    shell = Path(streamlit.__file__).parent / "static" / "index.html"
    scripts = " ".join(inline_script_hashes(shell.read_text(encoding="utf-8")))
    directives = {
        "default-src": "'self'",
        # Streamlit loads the JavaScript of a component from blob: addresses, which only scripts of
        # this page can create.
        "script-src": f"'self' blob: {scripts}",
        "style-src": "'self' 'unsafe-inline'",  # Streamlit writes its styles into the page
        "img-src": "'self' data: blob:",
        "media-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",  # the WebSocket to this server included
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in directives.items())


class SecurityHeaders:
    """ASGI middleware that adds the headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": content_security_policy(),
            "Referrer-Policy": "no-referrer",  # the address names the conversation
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",  # no other site may embed a file
            "X-DNS-Prefetch-Control": "off",  # the host name of a link can contain a secret
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class OwnOriginOnly:
    """ASGI middleware that answers only requests for this app from this app's own pages.

    Host must be localhost at the app's port, or a name that the configuration has: in
    server.address, browser.serverAddress or server.allowedHosts. Origin, which browsers send with
    WebSockets and with requests from other sites, must be that same host or be listed in
    server.corsAllowedOrigins.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not is_own_host(host, _ports(scope)):
            reason = "This app does not answer under this name. Open it at the address that it "
            reason += "printed when it was started, or add the name to server.allowedHosts."
        elif origin is not None and not is_own_origin(origin, host):
            reason = "Another site's page may not use this app."
        else:
            await self._app(scope, receive, send)
            return
        if scope["type"] == "http":
            await PlainTextResponse(reason, 403)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": reason[:120]})


def is_own_host(host: str, ports: set[int]) -> bool:
    """Whether a Host header names this app, which answers on these ports."""
    try:
        parts = urlsplit(f"//{host}")
        name, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return False
    if parts.netloc != host or "@" in host or not name:
        return False
    if name in LOOPBACK:
        return (port or 80) in ports
    address = str(config.get_option("server.address") or "")
    if name in {address.lower(), str(config.get_option("browser.serverAddress")).lower()}:
        return True
    for allowed in (each.strip().lower() for each in config.get_option("server.allowedHosts")):
        if allowed == "*" or name == allowed:
            return True
        if allowed.startswith("*.") and name.endswith(allowed[1:]):
            return True
    return False


def is_own_origin(origin: str, host: str) -> bool:
    """Whether an Origin header is that of the app's own pages at this host, or a configured one."""
    listed = {each.strip() for each in config.get_option("server.corsAllowedOrigins")}
    return origin in {f"http://{host}", f"https://{host}"} | listed


def _ports(scope: Scope) -> set[int]:
    """The ports under which browsers reach the app."""
    bound = scope["server"][1] if scope.get("server") else None
    shown = config.get_option("browser.serverPort")
    return {int(port) for port in (bound, shown) if port}
