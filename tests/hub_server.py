"""A hub on loopback: the parts of the Hugging Face hub's protocol that a download needs.

    GET  /api/models/{owner}/{name}[/revision/{rev}]?blobs=true   the repository's facts
    HEAD, GET /{owner}/{name}/resolve/{rev}/{file}                a file, whole or from a byte on

`faults` says what goes wrong with the next requests. `asked` has every request.
"""

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_SLICE = 2**16


@dataclass
class Faults:
    """What goes wrong. The defaults: nothing.

    break_at: the connection breaks there (bytes of the file), once for each in the list.
    seconds_a_slice: of 64 KB. wrong: a byte of the content differs. short: the content ends early,
    under a length that says so. status: of every answer. hold_at: stop sending there until
    `go_on` is set. other_etag: the file is announced with another checksum than the facts say.
    """

    break_at: list[int] = field(default_factory=list)
    seconds_a_slice: float = 0.0
    wrong: bool = False
    short: bool = False
    status: int = 200
    error_code: str = ""
    hold_at: int | None = None
    go_on: threading.Event = field(default_factory=threading.Event)
    other_etag: bool = False


@dataclass
class FakeHub:
    """`files`: repository → name → content."""

    url: str
    files: dict[str, dict[str, bytes]]
    faults: Faults
    asked: list[tuple[str, str, dict[str, str]]]


@contextmanager
def hub_server(files: dict[str, dict[str, bytes]]) -> Iterator[FakeHub]:
    hub = FakeHub("", files, Faults(), [])
    sums: dict[int, str] = {}

    def sha256(content: bytes) -> str:
        return sums.setdefault(id(content), hashlib.sha256(content).hexdigest())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):
                self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            hub.asked.append((self.command, self.path, dict(self.headers)))
            faults = hub.faults
            if faults.status != 200:
                headers = {"X-Error-Code": faults.error_code} if faults.error_code else {}
                self.reply(faults.status, b'{"error": "no"}', headers)
                return
            path = self.path.partition("?")[0]
            if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/[^/]+)?", path):
                self.facts(found[1])
            elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
                self.file(found[1], found[2], with_body)
            else:
                self.reply(404, b"{}", {})

        def facts(self, repo: str) -> None:
            if repo not in hub.files:
                self.reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                return
            siblings = [
                {
                    "rfilename": name,
                    "size": len(content),
                    "blobId": "0" * 40,
                    "lfs": {"sha256": sha256(content), "size": len(content), "pointerSize": 134},
                }
                for name, content in hub.files[repo].items()
            ]
            facts = {
                "id": repo,
                "sha": COMMIT,
                "siblings": siblings,
                "cardData": {"license": "apache-2.0"},
                "private": False,
                "gated": False,
                "disabled": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
            }
            self.reply(200, json.dumps(facts).encode(), {"Content-Type": "application/json"})

        def file(self, repo: str, name: str, with_body: bool) -> None:
            faults = hub.faults
            content = hub.files.get(repo, {}).get(name)
            if content is None:
                self.reply(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
                return
            etag = "f" * 64 if faults.other_etag else sha256(content)
            headers = {
                "ETag": f'"{etag}"',
                "X-Linked-Etag": f'"{etag}"',
                "X-Linked-Size": str(len(content)),
                "X-Repo-Commit": COMMIT,
                "Accept-Ranges": "bytes",
            }
            first, status = 0, 200
            if found := re.match(r"bytes=(\d+)-", self.headers.get("Range", "")):
                first, status = int(found[1]), 206
                headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            sent = content[first:]
            if faults.wrong and sent:
                sent = sent[:-1] + bytes([sent[-1] ^ 1])
            if faults.short and with_body:
                sent = sent[: len(sent) // 2]
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(sent))}.items():
                self.send_header(key, value)
            self.end_headers()
            if with_body:
                self.send(sent, first)

        def send(self, content: bytes, first: int) -> None:
            faults = hub.faults
            for start in range(0, len(content), _SLICE):
                at = first + start
                if faults.break_at and at >= faults.break_at[0]:
                    faults.break_at.pop(0)
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if faults.hold_at is not None and at >= faults.hold_at:
                    faults.go_on.wait(60)
                self.wfile.write(content[start : start + _SLICE])
                if faults.seconds_a_slice:
                    time.sleep(faults.seconds_a_slice)

        def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.faults.go_on.set()
        server.shutdown()
        server.server_close()
