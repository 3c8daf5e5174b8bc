"""A Qdrant cluster of three nodes on this machine: documents are added and asked, a node is killed.

    python -m benchmarks.cluster --binary /path/to/qdrant [--passages 50000] [--stored DIR]

Each part of a collection is on two nodes. Two threads add documents, and two others ask. After a
third of the documents, a node is killed (SIGKILL); after two thirds, it is started again. A search
for the vector and the words of a stored passage has to find that passage first, and the documents
that it finds have to be whole. At the end, each node is asked for each document.

The passages are random directions and words, or with `--stored` those of a folder that
benchmarks/retrieval_scale.py has filled.
"""

import argparse
import logging
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from benchmarks.figures import keep
from benchmarks.qdrant_nodes import (
    Documents,
    RandomDocuments,
    Server,
    StoredDocuments,
    add,
    servers,
)
from engine.errors import StoreError
from engine.retrieving import CANDIDATES, fuse
from engine.store import Collection, QdrantServer, open_store

MODEL = "trial"
WRITERS, ASKERS = 2, 2
RECOVERY = 600.0  # seconds


@dataclass
class Phase:
    """What happened between two events."""

    name: str
    began: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0
    written: int = 0
    searches: list[float] = field(default_factory=list)
    wrong: int = 0  # another passage came first
    half: int = 0  # a document that was found was not whole
    sentences: Counter[str] = field(default_factory=Counter)


class Trial:
    def __init__(self, collection: Collection, documents: Documents) -> None:
        self.collection, self.documents = collection, documents
        self.left = list(reversed(documents.names))
        self.complete: list[str] = []
        self.phases = [Phase("three nodes")]
        self.ended = False
        self.other_faults: list[BaseException] = []
        self._lock = threading.Lock()

    @property
    def phase(self) -> Phase:
        return self.phases[-1]

    def begin(self, name: str) -> None:
        self.phase.seconds = time.perf_counter() - self.phase.began
        self.phases.append(Phase(name))

    def write(self) -> None:
        while True:
            with self._lock:
                if not self.left:
                    return
                name = self.left.pop()
            try:
                add(self.collection, self.documents, name)
            except StoreError as error:
                self.phase.sentences[str(error)] += 1
                with self._lock:
                    self.left.insert(0, name)
            except BaseException as fault:
                self.other_faults.append(fault)
                return
            else:
                self.complete.append(name)
                self.phase.written += self.documents.size

    def ask(self, person: int) -> None:
        chosen = np.random.default_rng(person)
        while not self.ended:
            if not self.complete:
                time.sleep(0.01)
                continue
            name = self.complete[chosen.integers(len(self.complete))]
            place = int(chosen.integers(self.documents.size))
            nodes, vectors, terms = self.documents.passages(name)
            began = time.perf_counter()
            try:
                dense, lexical = self.collection.search(vectors[place], terms[place], CANDIDATES)
                fused = fuse(dense, lexical, self.collection.passages)
                found = self.collection.nodes([point_id for point_id, _ in fused[:8]])
                self.phase.searches.append(time.perf_counter() - began)
                if not found or found[0] is None or found[0].text != nodes[place].text:
                    self.phase.wrong += 1
                if found[-1]:
                    whole = self.collection.nodes_of(found[-1].source_id)
                    self.phase.half += len(whole) != self.documents.size
                time.sleep(0.02)
            except StoreError as error:
                self.phase.sentences[str(error)] += 1
            except BaseException as fault:
                self.other_faults.append(fault)
                return


def replicas(node: Server, names: list[str]) -> list[str]:
    """The states of all parts of these collections, as a node sees them."""
    states = []
    for name in names:
        answer = httpx.get(f"{node.url}/collections/{name}/cluster", timeout=10).json()["result"]
        parts = [*answer["local_shards"], *answer["remote_shards"]]
        states += [each["state"] for each in parts]
        states += ["moving"] * len(answer["shard_transfers"])
    return states


def recovered(node: Server, names: list[str]) -> bool:
    try:
        return set(replicas(node, names)) == {"Active"}
    except (httpx.HTTPError, KeyError, TypeError):
        return False


def half_documents(node: Server, documents: Documents) -> list[str]:
    """The documents that are not whole, asked of one node in a new process's place."""
    store = open_store(server=QdrantServer(node.url))
    collection = store.collection("trial", MODEL, documents.dimension)
    there = {each.source_id: each for each in collection.sources()}
    wrong = [each.source_id for each in collection.incomplete]
    for name in documents.names:
        texts = [each.text for each in collection.nodes_of(name)]
        if name not in there or texts != [each.text for each in documents.passages(name)[0]]:
            wrong.append(name)
    store.close()
    return sorted(set(wrong))


def run(binary: Path, folder: Path, documents: Documents) -> None:
    with servers(binary, folder, 3) as nodes:
        urls = ",".join(node.url for node in nodes)
        store = open_store(server=QdrantServer(urls))
        collection = store.collection("trial", MODEL, documents.dimension)
        names = [collection.name, f"{collection.name}.sources"]
        trial = Trial(collection, documents)
        threads = [threading.Thread(target=trial.write) for _ in range(WRITERS)]
        threads += [threading.Thread(target=trial.ask, args=(n,)) for n in range(ASKERS)]
        for thread in threads:
            thread.start()
        count = len(documents.names)
        recovery, restarted_at = 0.0, 0.0
        victim = nodes[2]
        while any(thread.is_alive() for thread in threads[:WRITERS]) or not recovery:
            if trial.other_faults:
                break
            done = len(trial.complete)
            if len(trial.phases) == 1 and done >= count // 3:
                trial.begin("one killed")
                victim.kill()
            if len(trial.phases) == 2 and done >= 2 * count // 3:
                trial.begin("started again")
                restarted_at = time.perf_counter()
                victim.start(cluster=True)
            if restarted_at and not recovery:
                waited = time.perf_counter() - restarted_at
                if recovered(victim, names) and recovered(nodes[0], names):
                    recovery = waited
                elif waited > RECOVERY:
                    break
            time.sleep(0.1)
        trial.ended = True
        for thread in threads:
            thread.join()
        trial.begin("")
        show(trial, recovery, {node.url: half_documents(node, documents) for node in nodes})
        store.close()


def show(trial: Trial, recovery: float, half: dict[str, list[str]]) -> None:
    for phase in trial.phases[:-1]:
        middle, late = np.percentile(phase.searches or [0.0], [50, 95]) * 1000
        figures = {
            "passages a second": phase.written / phase.seconds,
            "searches": len(phase.searches),
            "search: ms, median": middle,
            "search: ms, 95th percentile": late,
            "search: s, longest": max(phase.searches, default=0.0),
            "another passage came first": phase.wrong,
            "a document found was not whole": phase.half,
            "errors shown": sum(phase.sentences.values()),
        }
        keep("cluster", f"of three nodes: {phase.name}", figures)
    keep(
        "cluster",
        "of three nodes: at the end",
        {
            "passages": len(trial.documents.names) * trial.documents.size,
            "documents": len(trial.documents.names),
            "documents added": len(trial.complete),
            "s until all copies were active after the start": recovery or "not in time",
            "documents not whole, asked of each node": sum(map(len, half.values())),
        },
    )
    for phase in trial.phases:
        for sentence, times in phase.sentences.items():
            print(f"{phase.name}: {times} x {sentence}")
    for fault in trial.other_faults:
        print(f"Another fault: {fault!r}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--passages", type=int, default=50_000)
    parser.add_argument("--stored", type=Path, help="a folder of benchmarks.retrieval_scale")
    parser.add_argument("--folder", type=Path, help="kept; by default a temporary one")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    logging.getLogger("engine.store").setLevel(logging.CRITICAL)
    documents: Documents = RandomDocuments(options.passages)
    if options.stored:
        documents = StoredDocuments(options.stored, options.passages)
    with tempfile.TemporaryDirectory() as temporary:
        run(options.binary, options.folder or Path(temporary), documents)


if __name__ == "__main__":
    main()
