"""First Token against LlamaIndex, turn by turn in one run, each at its shipped defaults.

    python -m benchmarks.versus [first] [decode] [ingest] [answers] [--rounds 15]

Without names, all parts. The first run makes LlamaIndex an environment of its own in the data
folder; llama.cpp is compiled for it, which takes minutes. Needs SQuAD. What the figures mean is
said in benchmarks/README.md.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.figures import Figures, keep
from benchmarks.retrieval import documents
from benchmarks.runtime import STORY, decode_rate, write
from benchmarks.squad import Question, load, sample
from engine.index import VectorStoreIndex
from engine.llm import LlamaCpp
from engine.llm.base import ContextFormat
from engine.prompting import passage_prompt
from engine.query_engine import RetrieverQueryEngine
from engine.settings import Settings
from engine.synthesis import ResponseSynthesizer
from engine.weights import ensure_shipped_chat_model

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "peer-requirements.txt"
INGESTED = 200  # paragraphs a round


class Peer:
    """LlamaIndex in a process of its own."""

    def __init__(self, chat_model: Path) -> None:
        # -P: no module of this folder hides one of the standard library.
        command = [str(_environment()), "-P", str(HERE / "peer.py")]
        self._process = subprocess.Popen(
            [*command, str(Settings.weights.embedder), str(chat_model)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, do: str, **arguments: Any) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    llm = LlamaCpp(Settings.weights.chat_model)
    for part in options.parts or PARTS:
        keep("versus", part, PARTS[part](llm, options.rounds))
    llm.close()


def first(llm: LlamaCpp, rounds: int) -> Figures:
    """Seconds from the question to the first text: whole path, a new passage every round.

    The names of our ways: passages or sentences in the prompt, reranked or not, and whether the
    passage that comes first in the prompt has been read ahead, as it is some time after an upload.
    """
    squad = load()
    index = VectorStoreIndex.from_documents(documents(squad.paragraphs))
    asked = iter(_one_a_paragraph(sample(squad.answerable, 0)))
    seconds: dict[str, list[float]] = {}
    with closing(Peer(ensure_shipped_chat_model(Settings.config.weights_dir))) as peer:
        peer("index", texts=[each.text for each in squad.paragraphs])
        for number in range(-1, rounds):  # the first round warms up
            timed = {
                f"LlamaIndex, top {k}": float(peer("ask", question=next(asked), top_k=k)["first"])
                for k in (1, 3)
            }
            for name, way in _ways(llm, index):
                timed[name] = way(next(asked))
            if number >= 0:
                for name, value in timed.items():
                    seconds.setdefault(name, []).append(value)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "rounds": rounds,
        **{f"{name}, s": value for name, value in medians.items()},
        **{
            f"{name} / LlamaIndex, top {k}": value / medians[f"LlamaIndex, top {k}"]
            for name, value in medians.items()
            for k in (1, 3)
            if name.endswith(f"top {k}") and not name.startswith("Llama")
        },
    }


def _ways(llm: LlamaCpp, index: VectorStoreIndex) -> Iterator[tuple[str, Callable[[str], float]]]:
    for k in (1, 3):
        for rerank in (False, True):
            engine = RetrieverQueryEngine(
                index.as_retriever(k, rerank=rerank),
                ResponseSynthesizer(llm, streaming=True, context_format=ContextFormat.PASSAGES),
            )
            name = f"passages, {'reranked, ' if rerank else ''}"
            yield f"{name}top {k}", partial(_until_text, engine)
            yield f"{name}prepared, top {k}", partial(_prepared, llm, engine)
        default = index.as_query_engine(llm=llm, streaming=True, similarity_top_k=k)
        yield f"as shipped, top {k}", partial(_until_text, default)


def _until_text(engine: RetrieverQueryEngine, question: str) -> float:
    began = time.perf_counter()
    response = engine.start(question)
    with closing(response.response_gen) as chunks:
        next(iter(chunks), "")
        seconds = time.perf_counter() - began
    response.cancel()
    with suppress(Exception):
        response.wait_ready()
    return seconds


def _prepared(llm: LlamaCpp, engine: RetrieverQueryEngine, question: str) -> float:
    found = engine.retriever.retrieve(question)
    llm.prepare(passage_prompt(found[0].text))
    return _until_text(engine, question)


def decode(llm: LlamaCpp, rounds: int) -> Figures:
    """Tokens a second of a long answer, after the first, both on the Q8_0 file."""
    ours: list[float] = []
    theirs: list[float] = []
    with closing(Peer(Settings.weights.chat_model)) as peer:
        for number in range(-1, rounds):
            rates = (
                decode_rate(write(llm, 96)),
                peer("write", prompt=STORY[0].content, tokens=96)["rate"],
            )
            if number >= 0:
                ours.append(rates[0])
                theirs.append(rates[1])
    return {
        "rounds": rounds,
        "tokens/s, ours": statistics.median(ours),
        "tokens/s, LlamaIndex": statistics.median(theirs),
        "ours / LlamaIndex": statistics.median(a / b for a, b in zip(ours, theirs, strict=True)),
    }


def ingest(llm: LlamaCpp, rounds: int) -> Figures:  # noqa: ARG001 - the parts are called alike
    """Paragraphs a second, from texts to searchable, in memory, on the same embedder's file."""
    squad = load()
    ours: list[float] = []
    theirs: list[float] = []
    with closing(Peer(Settings.weights.chat_model)) as peer:
        for number in range(-1, max(3, rounds // 3)):
            some = squad.paragraphs[(number + 1) * 100 :][:INGESTED]
            began = time.perf_counter()
            VectorStoreIndex.from_documents(documents(some))
            seconds = time.perf_counter() - began
            other = peer("index", texts=[each.text for each in some])["seconds"]
            if number >= 0:
                ours.append(INGESTED / seconds)
                theirs.append(INGESTED / other)
    return {
        "rounds": len(ours),
        "paragraphs/s, ours": statistics.median(ours),
        "paragraphs/s, LlamaIndex": statistics.median(theirs),
        "ours / LlamaIndex": statistics.median(a / b for a, b in zip(ours, theirs, strict=True)),
    }


def answers(llm: LlamaCpp, rounds: int) -> Figures:
    """The share of answers that contain the gold span, end to end, and the seconds they take."""
    squad = load()
    questions = sample(squad.answerable, rounds * 200 // 15, seed=23)
    index = VectorStoreIndex.from_documents(documents(squad.paragraphs))
    engine = index.as_query_engine(llm=llm, streaming=True)
    ours: list[tuple[bool, float]] = []
    theirs: list[tuple[bool, float]] = []
    with closing(Peer(Settings.weights.chat_model)) as peer:
        peer("index", texts=[each.text for each in squad.paragraphs])
        for each in questions:
            began = time.perf_counter()
            text = str(engine.query(each.text))
            ours.append((each.answered_by(text), time.perf_counter() - began))
            other = peer("ask", question=each.text, top_k=2)
            theirs.append((each.answered_by(other["text"]), other["total"]))
    return {
        "questions": len(questions),
        "contain the gold span, ours": statistics.fmean(right for right, _ in ours),
        "contain the gold span, LlamaIndex, top 2": statistics.fmean(right for right, _ in theirs),
        "whole answer, s, median, ours": statistics.median(seconds for _, seconds in ours),
        "whole answer, s, median, LlamaIndex": statistics.median(seconds for _, seconds in theirs),
    }


def _one_a_paragraph(questions: list[Question]) -> list[str]:
    """Each on a paragraph of its own, so that nobody has read it before."""
    first_of = {each.paragraph.number: each.text for each in reversed(questions)}
    spread = sorted(first_of, key=lambda number: (number * 379) % 646)
    return [first_of[number] for number in spread]


def _environment() -> Path:
    """The Python of LlamaIndex's environment, made where it is missing or out of date."""
    folder = Settings.config.data_dir / "peer"
    python, made = folder / "bin" / "python", folder / "made-of.txt"
    if not made.exists() or made.read_text() != REQUIREMENTS.read_text():
        print("Making an environment for LlamaIndex: some minutes.", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)]
        subprocess.run(install, check=True)
        made.write_text(REQUIREMENTS.read_text())
    return python


PARTS: dict[str, Callable[[LlamaCpp, int], Figures]] = {
    "first": first,
    "decode": decode,
    "ingest": ingest,
    "answers": answers,
}


if __name__ == "__main__":
    main()
