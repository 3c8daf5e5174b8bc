"""The API on a real server, for tests that look at it from outside and at the model from inside."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openai import OpenAI

from engine.api.client import Client
from engine.api.serving import served
from engine.config import Config
from engine.llm import LLM, LlamaCpp
from engine.settings import Settings
from engine.workspace import Workspace
from pages.parts.samples import load_samples

MODEL = "first-token/default"
QUESTION = "Who built the tide mill?"
# 800 tokens in one sentence, so that the model reads for a while
LONG_QUESTION = f"Who built the tide mill{' that miller and keeper and teacher know' * 90}?"
LIMIT = 60.0  # seconds for anything to happen


@dataclass(frozen=True, slots=True)
class ApiServer:
    """`client` is our own client, `openai` the official one."""

    workspace: Workspace
    client: Client

    @property
    def openai(self) -> Any:  # our own parameters and fields are in none of its types
        return OpenAI(base_url=f"{self.client.url}/v1", api_key=self.client.key, max_retries=0)

    @property
    def llm(self) -> LlamaCpp:
        assert isinstance(self.workspace.llm, LlamaCpp)
        return self.workspace.llm

    def new_client(self) -> Client:
        """Another connection, to be closed by who asks for it."""
        return Client(self.client.url, self.client.key)

    def idle_after(self) -> float:
        """Seconds until the model has no answer to write."""
        began = time.perf_counter()
        wait_until(lambda: self.llm.jobs == 0, every=0.001)
        return time.perf_counter() - began

    def send(self, path: str, body: dict[str, Any], receive_buffer: int = 0) -> socket.socket:
        """A POST on a connection of its own, as plain bytes.

        `receive_buffer`: the bytes that the system takes for a reader who does not read.
        """
        content = json.dumps(body).encode()
        port = int(self.client.url.rsplit(":", 1)[1])
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            f"Authorization: Bearer {self.client.key}",
            "Content-Type: application/json",
            f"Content-Length: {len(content)}",
        ]
        connection = socket.socket()
        connection.settimeout(LIMIT)
        if receive_buffer:  # before it connects: later it has no effect
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.connect(("127.0.0.1", port))
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + content)
        return connection

    def ask(
        self, question: str = QUESTION, receive_buffer: int = 0, **parameters: Any
    ) -> socket.socket:
        """A question whose answer is streamed."""
        messages = [{"role": "user", "content": question}]
        body = {"model": MODEL, "messages": messages, "stream": True, **parameters}
        return self.send("/v1/chat/completions", body, receive_buffer)


@contextmanager
def api_server(folder: Path, llm: LLM | None = None) -> Iterator[ApiServer]:
    """The API of a library in `folder` that has the samples, with the real model by default."""
    workspace = Workspace(folder, Config(data_dir=folder), llm or Settings.llm)
    try:
        load_samples(workspace, "default")
        wait_until(lambda: not workspace.ingestor.busy)
        with served(workspace) as client, client:
            yield ApiServer(workspace, client)
    finally:
        workspace.close()


def wait_until(condition: Callable[[], bool], every: float = 0.02) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(every)


def frames(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """The events of a stream as they arrive; ends with [DONE] or the connection.

    Without a file over the socket, which would keep the connection open after its end.
    """
    rest = b""
    while part := connection.recv(65536):
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if line.startswith(b"data: {"):
                yield json.loads(line[6:])
            if line.startswith(b"data: [DONE]"):
                return
