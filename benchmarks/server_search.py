"""Searches on a Qdrant server by one person and by several at once.

    python -m benchmarks.server_search --binary /path/to/qdrant [--passages 2000] [--stored DIR]
        [--away 0 20]

A search is what the retriever does between embedding and reranking: both searches, fused, and the
passages of the best. It asks for a stored passage, with its vector and six of its words.
`--stored`: the passages of a folder that benchmarks/retrieval_scale.py has filled; without it they
are random. `--away`: every request also waits for this many milliseconds, as if the server were
that far away. Where all cores are in use, more people cannot get more answers.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from benchmarks.figures import keep
from benchmarks.qdrant_nodes import (
    Documents,
    RandomDocuments,
    Server,
    StoredDocuments,
    add,
    servers,
)
from engine.lexical import Terms
from engine.retrieving import CANDIDATES, fuse
from engine.store import Collection, QdrantServer, Store, open_store
from engine.store import server as server_module

PEOPLE = (1, 2, 4, 8)
SECONDS = 6.0
QUESTIONS = 100
_ATTEMPT = server_module._Transport._attempt

Question = tuple[NDArray[np.float32], Terms]


def fill(collection: Collection, documents: Documents) -> float:
    """Passages per second, written by two threads."""

    def write(names: list[str]) -> None:
        for name in names:
            add(collection, documents, name)

    began = time.perf_counter()
    together([lambda: write(documents.names[::2]), lambda: write(documents.names[1::2])])
    return len(documents.names) * documents.size / (time.perf_counter() - began)


def together(work: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def questions(documents: Documents) -> list[Question]:
    chosen = np.random.default_rng(1)
    found = list[Question]()
    for name in documents.names[:QUESTIONS]:
        _, vectors, terms = documents.passages(name)
        place = chosen.integers(documents.size)
        words = chosen.permutation(list(terms[place]))[:6].tolist()
        found.append((vectors[place], dict.fromkeys(words, 1.0)))
    return found


def search_for(
    collection: Collection, asked: list[Question], seconds: float, people: int
) -> list[float]:
    """The seconds of each search."""
    times: list[float] = []

    def ask(person: int) -> None:
        given_up = time.perf_counter() + seconds
        for vector, terms in cycle(asked[person:] + asked[:person]):
            began = time.perf_counter()
            dense, lexical = collection.search(vector, terms, CANDIDATES)
            fused = fuse(dense, lexical, collection.passages)
            collection.nodes([point_id for point_id, _ in fused[:8]])
            ended = time.perf_counter()
            times.append(ended - began)
            if ended > given_up:
                return

    together([lambda n=n: ask(n) for n in range(people)])  # type: ignore[misc]
    return times


def far_away(milliseconds: float) -> None:
    """Let each request of this process wait, without holding anything."""

    def later(*arguments: Any, **named: Any) -> Any:
        time.sleep(milliseconds / 1000)
        return _ATTEMPT(*arguments, **named)

    server_module._Transport._attempt = later  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--passages", type=int, default=2_000)
    parser.add_argument("--stored", type=Path)
    parser.add_argument("--away", type=float, nargs="*", default=[0, 20])
    options = parser.parse_args()
    documents: Documents = RandomDocuments(options.passages)
    if options.stored:
        documents = StoredDocuments(options.stored, options.passages)
    with (
        tempfile.TemporaryDirectory() as folder,
        servers(options.binary, Path(folder), 1) as (server,),
    ):
        store = open_store(server=QdrantServer(server.url))
        collection = store.collection("load", "load", documents.dimension)
        figures: dict[str, float] = {
            "passages": len(documents.names) * documents.size,
            "passages written a second, by two threads": fill(collection, documents),
            "s until they were indexed": wait_until_indexed(store, collection),
        }
        asked = questions(documents)
        search_for(collection, asked, 2.0, 2)
        for away in options.away:
            far_away(away)
            for people in PEOPLE:
                began, computed = time.perf_counter(), computing(server)
                times = search_for(collection, asked, SECONDS, people)
                seconds = time.perf_counter() - began
                what = f"{people} at once, {away:g} ms away"
                figures[f"{what}: searches a second"] = len(times) / seconds
                cores = (computing(server) - computed) / seconds
                figures[f"{what}: cores in use"] = cores
                middle, late = np.percentile(times, [50, 95]) * 1000
                figures[f"{what}: ms, median"] = middle
                figures[f"{what}: ms, 95th percentile"] = late
        keep("server_search", "searches of several people", figures)
        store.close()


def computing(server: Server) -> float:
    """The processor time so far of the server and of this process, in seconds."""
    assert server.process
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") + time.process_time()


def wait_until_indexed(store: Store, collection: Collection) -> float:
    """The seconds until the server has nothing left to optimize."""
    began = time.perf_counter()
    client = store._connection.client
    while client.get_collection(collection.name).status != models.CollectionStatus.GREEN:
        time.sleep(0.5)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
