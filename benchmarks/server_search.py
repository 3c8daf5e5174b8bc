"""Searches on a Qdrant server by one person and by several at once.

    python -m benchmarks.server_search --binary /path/to/qdrant [--passages 20000] [--away 20]

A search is what the retriever does between embedding and reranking: both searches, fused, and the
passages of the best. The vectors are random directions, which says nothing about what is found.
`--away`: every request also waits for this many milliseconds, as if the server were that far away.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.qdrant_nodes import DIMENSION, MODEL, passages, servers
from engine.retrieving import CANDIDATES, fuse
from engine.store import Collection, QdrantServer, Source, open_store
from engine.store import server as server_module

PEOPLE = (1, 2, 4, 8)
SECONDS = 6.0
SIZE = 250  # passages of a document


def fill(collection: Collection, count: int) -> float:
    """Passages per second, written by two threads."""
    names = [f"document {number}" for number in range(count // SIZE)]

    def write(part: list[str]) -> None:
        for name in part:
            nodes, vectors, terms = passages(name, SIZE)
            with collection.adding(Source(name, name, passages=SIZE)) as writer:
                writer.add(nodes, vectors, terms)

    began = time.perf_counter()
    together([lambda: write(names[::2]), lambda: write(names[1::2])])
    return count / (time.perf_counter() - began)


def together(work: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def search_for(collection: Collection, seconds: float, people: int) -> list[float]:
    """The seconds of each search."""
    times: list[float] = []

    def ask(person: int) -> None:
        chosen = np.random.default_rng(person)
        given_up = time.perf_counter() + seconds
        while time.perf_counter() < given_up:
            vector = chosen.standard_normal(DIMENSION).astype(np.float32)
            terms = dict.fromkeys((chosen.zipf(1.3, 6) % 5_000).tolist(), 1.0)
            began = time.perf_counter()
            dense, lexical = collection.search(vector / np.linalg.norm(vector), terms, CANDIDATES)
            fused = fuse(dense, lexical, collection.passages)
            collection.nodes([point_id for point_id, _ in fused[:8]])
            times.append(time.perf_counter() - began)

    together([lambda n=n: ask(n) for n in range(people)])  # type: ignore[misc]
    return times


def far_away(milliseconds: float) -> None:
    """Let each request of this process wait, without holding anything."""
    attempt = server_module._Transport._attempt

    def later(self: Any, address: str, request: Any) -> Any:
        time.sleep(milliseconds / 1000)
        return attempt(self, address, request)

    server_module._Transport._attempt = later  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--passages", type=int, default=20_000)
    parser.add_argument("--away", type=float, nargs="*", default=[0, 20])
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        servers(options.binary, Path(folder), 1) as (server,),
    ):
        store = open_store(server=QdrantServer(server.url))
        collection = store.collection("load", MODEL, DIMENSION)
        rate = fill(collection, options.passages)
        print(f"{options.passages:,} passages written: {rate:,.0f} a second")
        print("| away, ms | people | searches a second | median, ms | p95, ms |")
        print("| --- | --- | --- | --- | --- |")
        search_for(collection, 2.0, 2)
        for away in options.away:
            if away:
                far_away(away)
            for people in PEOPLE:
                times = search_for(collection, SECONDS, people)
                middle, late = np.percentile(times, [50, 95]) * 1000
                print(
                    f"| {away:g} | {people} | {len(times) / SECONDS:.0f} | {middle:.1f} "
                    f"| {late:.1f} |",
                    flush=True,
                )
        store.close()


if __name__ == "__main__":
    main()
