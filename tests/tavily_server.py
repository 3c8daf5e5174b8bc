"""A server on this machine that speaks Tavily's search API as far as the client uses it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

FOUND = {
    "query": "",
    "answer": "The current weather in San Francisco is partly cloudy, at 13.9°C (57.0°F).",
    "results": [
        {
            "title": "Weather in San Francisco",
            "url": "https://weather.example/sf",
            "content": "Partly cloudy, 13.9°C, wind 9 km/h from the west.",
            "score": 0.93,
        },
        {"title": "An empty page", "url": "https://empty.example", "content": "", "score": 0.1},
    ],
    "response_time": 0.1,
}


class TavilyServer:
    """Use as a context. It answers with `status` and `body`; `requests` keeps what came in."""

    key = "tvly-right"

    def __init__(self, status: int = 200, body: bytes | None = None, hang: bool = False) -> None:
        self.status, self.hang = status, hang
        self.body = json.dumps(FOUND).encode() if body is None else body
        self.requests: list[dict[str, Any]] = []
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                request = json.loads(self.rfile.read(length))
                server.requests.append({"path": self.path, **request})
                if server.hang:
                    server.released.wait(10)
                known = self.headers["Authorization"] == f"Bearer {server.key}"
                status = server.status if known else 401
                unknown = b'{"detail": {"error": "Unauthorized: missing or invalid API key."}}'
                body = server.body if known else unknown
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
