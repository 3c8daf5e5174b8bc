"""The embedded collection with 10,000 passages: search, reopen, delete, memory, disk.

The passages are SQuAD's sentences, shuffled into passages of five, and their vectors the mean
of those sentences' own: real words and real directions, without an hour of embedding.
"""

import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figures
from benchmarks.squad import load, sample
from engine.lexical import passage_terms, question_terms
from engine.retrieving import CANDIDATES, fuse
from engine.schema import Node
from engine.settings import Settings
from engine.splitting import sentence_spans
from engine.store import Collection, Source, Store, open_store

PASSAGES, SOURCES = 10_000, 100


def measure(count: int) -> Figures:
    squad = load()
    questions = [each.text for each in sample(squad.answerable, count or 300)]
    vectors = [Settings.embed_model.embed_query(each) for each in questions]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        adding = _timed(lambda: _fill(folder))
        store = open_store(folder)
        reopening = _timed(lambda: _open(store))
        collection = _open(store)
        seconds = [
            _timed(lambda q=q, v=v: _search(collection, q, v))  # type: ignore[misc]
            for q, v in zip(questions, vectors, strict=True)
        ]
        deleting = _timed(lambda: collection.delete("source 7"))
        store.close()
        disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        memory = _memory(folder)
    return {
        "passages": PASSAGES,
        "both searches, fused, 10 fetched: ms, median": statistics.median(seconds) * 1000,
        "the same, 95th percentile": float(np.percentile(seconds, 95)) * 1000,
        "reopen, s": reopening,
        f"delete a source of {PASSAGES // SOURCES} passages, ms": deleting * 1000,
        "store, ms a passage": adding / PASSAGES * 1000,
        "on disk, MB": disk / 1e6,
        "memory of the open collection, MB": memory,
    }


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _open(store: Store) -> Collection:
    return store.collection("scale", "mean of sentences", Settings.embed_model.dimension)


def _fill(folder: Path) -> None:
    texts, vectors = _passages()
    store = open_store(folder)
    collection = _open(store)
    size = PASSAGES // SOURCES
    for number in range(SOURCES):
        name = f"source {number}"
        part = slice(number * size, (number + 1) * size)
        nodes = [
            Node(text, {"file_name": name}, source_id=name, position=place)
            for place, text in enumerate(texts[part])
        ]
        with collection.adding(Source(name, name, passages=size)) as writer:
            writer.add(nodes, vectors[part], [passage_terms(node.text) for node in nodes])
    store.close()


def _passages() -> tuple[list[str], NDArray[np.float32]]:
    chosen = random.Random(1)
    texts = [each.text for each in load().paragraphs]
    sentences = [text[start:end] for text in texts for start, end in sentence_spans(text)]
    own = Settings.embed_model.embed(sentences)
    picks = [[chosen.randrange(len(sentences)) for _ in range(5)] for _ in range(PASSAGES)]
    means = np.stack([own[pick].mean(axis=0) for pick in picks])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return [" ".join(sentences[each] for each in pick) for pick in picks], means


def _search(collection: Collection, question: str, vector: NDArray[np.float32]) -> None:
    """What the retriever does between embedding and reranking."""
    dense = collection.search_dense(vector, CANDIDATES)
    lexical = collection.search_terms(question_terms(question), CANDIDATES)
    fused = fuse(dense, lexical, collection.passages)
    collection.nodes([point_id for point_id, _ in fused[:10]])


def _memory(folder: Path) -> float:
    """How much a process grows by opening the collection, in MB."""
    command = [sys.executable, "-m", "benchmarks.retrieval_scale", str(folder)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _grow(folder: Path) -> float:
    before = _resident()
    store = open_store(folder)
    collection = store.collection("scale", "mean of sentences", 384)
    collection.search_dense(np.ones(384, np.float32), 1)
    return _resident() - before


def _resident() -> float:
    """What the process holds in memory now, in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    print(_grow(Path(sys.argv[1])))
