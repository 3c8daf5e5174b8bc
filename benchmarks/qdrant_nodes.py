"""Qdrant servers on this machine for measurements, and passages that need no embedder."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from numpy.typing import NDArray

from engine.lexical import Terms
from engine.schema import Node

DIMENSION, MODEL = 384, "random"
STARTING = 120.0  # seconds; a build without optimization needs some
WORDS = 5_000  # of the vocabulary; how often each occurs follows Zipf's law


@dataclass
class Server:
    """One node: a process with a folder of its own."""

    binary: Path
    folder: Path
    first: "Server | None"
    ports: list[int] = field(default_factory=lambda: [_free_port() for _ in range(3)])
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def peer(self) -> str:
        return f"http://127.0.0.1:{self.ports[2]}"

    def start(self, cluster: bool) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        http, grpc, peers = map(str, self.ports)
        settings = {
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": http,
            "QDRANT__SERVICE__GRPC_PORT": grpc,
            "QDRANT__STORAGE__STORAGE_PATH": str(self.folder / "storage"),
            "QDRANT__STORAGE__SNAPSHOTS_PATH": str(self.folder / "snapshots"),
            "QDRANT__CLUSTER__ENABLED": str(cluster).lower(),
            "QDRANT__CLUSTER__P2P__PORT": peers,
            "QDRANT__TELEMETRY_DISABLED": "true",
            "QDRANT__LOG_LEVEL": "WARN",
        }
        names = ["--uri", self.peer] if cluster else []
        if cluster and self.first:
            names += ["--bootstrap", self.first.peer]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "--disable-telemetry", *names],
                cwd=self.folder,
                env={**os.environ, **settings},
                stdout=log,
                stderr=log,
            )

    def wait(self) -> None:
        """Until it answers."""
        given_up = time.monotonic() + STARTING
        while time.monotonic() < given_up:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", timeout=5).is_success:
                    return
            time.sleep(0.1)
        raise TimeoutError(f"{self.url} does not answer; see {self.folder / 'log'}")

    def kill(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


@contextmanager
def servers(binary: Path, folder: Path, count: int) -> Iterator[list[Server]]:
    """Several are nodes of one cluster."""
    nodes: list[Server] = []
    try:
        for number in range(count):
            node = Server(binary, folder / f"node{number + 1}", nodes[0] if nodes else None)
            nodes.append(node)
            node.start(cluster=count > 1)
            node.wait()
        yield nodes
    finally:
        for node in nodes:
            node.kill()


def passages(name: str, count: int) -> tuple[list[Node], NDArray[np.float32], list[Terms]]:
    """Of one document; always the same for a name. Their vectors are random directions."""
    chosen = np.random.default_rng(abs(hash_of(name)))
    vectors = chosen.standard_normal((count, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    nodes, terms = [], list[Terms]()
    for place in range(count):
        words = np.unique(chosen.zipf(1.3, 60) % WORDS)
        text = f"{name} passage {place}: " + " ".join(f"word{each}" for each in words)
        nodes.append(Node(text, {"file_name": name}, source_id=name, position=place))
        terms.append(dict.fromkeys(words.tolist(), 1.0))
    return nodes, vectors, terms


def hash_of(name: str) -> int:
    return int.from_bytes(name.encode()[-8:], "big")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
