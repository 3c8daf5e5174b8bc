"""The embedded collection with many passages: search, filters, reopen, delete, memory, disk.

    python -m benchmarks.retrieval_scale [--passages 100000] [--folder DIR]

A folder is filled once and measured again; without one, a temporary folder is used.

The passages are SQuAD's sentences, shuffled into passages of five, and their vectors the mean
of those sentences' own: real words and real directions, without an hour of embedding.
"""

import argparse
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
from engine.schema import Filters, Node
from engine.settings import Settings
from engine.splitting import sentence_spans
from engine.store import Collection, Source, Store, open_store

PASSAGES, SIZE = 10_000, 100  # of a source


def measure(count: int, passages: int = PASSAGES, folder: Path | None = None) -> Figures:
    squad = load()
    questions = [each.text for each in sample(squad.answerable, count or 300)]
    vectors = [Settings.embed_model.embed_query(each) for each in questions]
    asked = list(zip(questions, vectors, strict=True))
    figures: dict[str, float | int | str] = {"passages": passages}
    with tempfile.TemporaryDirectory() as place:
        kept = folder or Path(place)
        if not (kept / "meta.json").exists():
            kept.mkdir(parents=True, exist_ok=True)
            figures["store, ms a passage"] = _timed(lambda: _fill(kept, passages)) / passages * 1000
        began = time.perf_counter()
        store = open_store(kept)
        collection = _open(store)
        figures["reopen, s"] = time.perf_counter() - began
        names = [f"source {number}" for number in range(passages // SIZE)]
        for what, chosen in {
            "all": Filters(),
            "one document": Filters(source_ids=(names[3],)),
            "a tenth of the documents": Filters(source_ids=tuple(names[::10])),
            "half of the documents": Filters(source_ids=tuple(names[::2])),
        }.items():
            seconds = [
                _timed(lambda q=q, v=v, f=chosen: _search(collection, q, v, f))  # type: ignore[misc]
                for q, v in asked
            ]
            figures[f"search of {what}: ms, median"] = statistics.median(seconds) * 1000
            figures["the same, 95th percentile, " + what] = float(np.percentile(seconds, 95)) * 1000
        if folder is None:
            deleting = _timed(lambda: collection.delete("source 7"))
            figures[f"delete a source of {SIZE} passages, ms"] = deleting * 1000
        store.close()
        disk = sum(file.stat().st_size for file in kept.rglob("*") if file.is_file())
        figures["on disk, MB"] = disk / 1e6
        figures["memory of the open collection, MB"] = _memory(kept)
    return figures


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _open(store: Store) -> Collection:
    return store.collection("scale", "mean of sentences", Settings.embed_model.dimension)


def _fill(folder: Path, passages: int) -> None:
    texts, vectors = _passages(passages)
    store = open_store(folder)
    collection = _open(store)
    for number in range(passages // SIZE):
        name = f"source {number}"
        part = slice(number * SIZE, (number + 1) * SIZE)
        nodes = [
            Node(text, {"file_name": name}, source_id=name, position=place)
            for place, text in enumerate(texts[part])
        ]
        with collection.adding(Source(name, name, passages=SIZE)) as writer:
            writer.add(nodes, vectors[part], [passage_terms(node.text) for node in nodes])
    store.close()


def _passages(passages: int) -> tuple[list[str], NDArray[np.float32]]:
    chosen = random.Random(1)
    texts = [each.text for each in load().paragraphs]
    sentences = [text[start:end] for text in texts for start, end in sentence_spans(text)]
    own = Settings.embed_model.embed(sentences)
    picks = [[chosen.randrange(len(sentences)) for _ in range(5)] for _ in range(passages)]
    means = np.stack([own[pick].mean(axis=0) for pick in picks])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return [" ".join(sentences[each] for each in pick) for pick in picks], means


def _search(
    collection: Collection, question: str, vector: NDArray[np.float32], filters: Filters
) -> None:
    """What the retriever does between embedding and reranking."""
    within = collection.matching(filters)
    dense = collection.search_dense(vector, CANDIDATES, within)
    lexical = collection.search_terms(question_terms(question), CANDIDATES, within)
    fused = fuse(dense, lexical, collection.passages)
    collection.nodes([point_id for point_id, _ in fused[:10]])


def _memory(folder: Path) -> float:
    """How much a process grows by opening the collection, in MB."""
    command = [sys.executable, "-m", "benchmarks.retrieval_scale", "--grow", str(folder)]
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--passages", type=int, default=PASSAGES)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--fill", action="store_true", help="only fill the folder")
    parser.add_argument("--grow", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.grow:
        print(_grow(options.grow))
    elif options.fill:
        _fill(options.folder, options.passages)
    else:
        for name, value in measure(0, options.passages, options.folder).items():
            print(f"{name:50} {value:10.4g}")


if __name__ == "__main__":
    main()
