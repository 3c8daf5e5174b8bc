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
from engine.store import Collection, Source, open_store

STARTING = 120.0  # seconds; a build without optimization needs some
WORDS = 5_000  # of the vocabulary; how often each occurs follows Zipf's law
AT_ONCE = 64  # passages, as they come from the embedder

Passages = tuple[list[Node], NDArray[np.float32], list[Terms]]


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


class RandomDocuments:
    """Always the same for a name. Their vectors are random directions."""

    def __init__(self, count: int) -> None:
        """`count`: passages in all."""
        self.size, self.dimension = 250, 384
        self.names = [f"document {number}" for number in range(count // self.size)]

    def passages(self, name: str) -> Passages:
        chosen = np.random.default_rng(int(name.split()[1]))
        vectors = chosen.standard_normal((self.size, self.dimension)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        nodes, terms = [], list[Terms]()
        for place in range(self.size):
            words = np.unique(chosen.zipf(1.3, 60) % WORDS)
            text = f"{name} passage {place}: " + " ".join(f"word{each}" for each in words)
            nodes.append(Node(text, {"file_name": name}, source_id=name, position=place))
            terms.append(dict.fromkeys(words.tolist(), 1.0))
        return nodes, vectors, terms


class StoredDocuments:
    """Those of a folder that benchmarks/retrieval_scale.py has filled: SQuAD's sentences."""

    def __init__(self, folder: Path, count: int) -> None:
        """`count`: passages in all."""
        store = open_store(folder)
        (name,) = store.collections()
        ((model, self.dimension),) = store.dimensions(name).items()
        self._collection = store.collection(name, model, self.dimension)
        self._sources = {each.source_id: each for each in self._collection.sources()}
        self.size = next(iter(self._sources.values())).passages
        self.names = sorted(self._sources)[: count // self.size]

    def passages(self, name: str) -> Passages:
        found = list(self._collection.export(self._sources[name]))
        vectors = np.stack([each.vector for each in found])
        return [each.node for each in found], vectors, [each.terms for each in found]


Documents = RandomDocuments | StoredDocuments


def add(collection: Collection, documents: Documents, name: str) -> None:
    nodes, vectors, terms = documents.passages(name)
    with collection.adding(Source(name, name, passages=documents.size)) as writer:
        for start in range(0, documents.size, AT_ONCE):
            part = slice(start, start + AT_ONCE)
            writer.add(nodes[part], vectors[part], terms[part])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
