"""Retrieval, measured: what is found, with what evidence, in what time, and what is not there.

    python -m benchmarks.retrieval [paragraphs] [absent] [articles] [abstracts] [scale] [--sample N]

Without names, all parts. Each prints its figures and keeps them in benchmarks/results/. What
they mean is said in benchmarks/README.md.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import retrieval_abstracts, retrieval_articles, retrieval_scale
from benchmarks.figures import Figures, keep
from benchmarks.squad import Paragraph, Question, load, sample
from engine.index import VectorStoreIndex
from engine.retrieving import HybridRetriever, is_relevant
from engine.run import Run
from engine.schema import Document, NodeWithScore
from engine.splitting import SentenceSplitter
from engine.store import open_store

STAGES = ("embed", "search", "rerank")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and what was found. `rank` of its paragraph is from 0; 99: not found."""

    rank: int
    evidence: str
    seconds: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--sample", type=int, default=0, help="questions; 0: all")
    options = parser.parse_args()
    for part in options.parts or PARTS:
        keep("retrieval", part, PARTS[part](options.sample))


def paragraphs(count: int) -> Figures:
    """Every paragraph a passage. Which one is found, and is the answer in the evidence?"""
    squad = load()
    questions = sample(squad.answerable, count)
    with tempfile.TemporaryDirectory() as folder:
        index = VectorStoreIndex.from_documents([], path=folder, node_parser=_whole())
        began, run = time.perf_counter(), Run()
        index.insert(documents(squad.paragraphs), run=run)
        seconds = time.perf_counter() - began
        retriever = index.as_retriever(10)
        retriever.retrieve("Is everything loaded?")
        asked = [ask(retriever, question) for question in questions]
        plain = [_dense_rank(index, question) for question in questions]
        open_store(folder).close()
    evident = [q.answered_by(a.evidence) for q, a in zip(questions, asked, strict=True)]
    return {
        "questions": len(questions),
        **_ranks("", [each.rank for each in asked]),
        **_ranks("dense only: ", plain),
        "gold span in the two sentences of evidence": statistics.fmean(evident),
        **_times(asked),
        "ingest, paragraphs/s": len(squad.paragraphs) / seconds,
        "ingest, share of time waiting for the store": run.trace.total("storing") / seconds,
    }


def ask(retriever: HybridRetriever, question: Question) -> Asked:
    run = Run()
    found = retriever.retrieve(question.text, run)
    numbers = [each.metadata["paragraph"] for each in found]
    number = question.paragraph.number
    rank = numbers.index(number) if number in numbers else 99
    seconds = {stage: run.trace.total(stage) for stage in STAGES}
    return Asked(rank, evidence(found), seconds)


def evidence(found: Sequence[NodeWithScore], count: int = 2) -> str:
    """The best sentences of all passages: what a page highlights and a prompt carries."""
    sentences = [(each, sentence) for each in found for sentence in each.evidence]
    best = sorted(sentences, key=lambda pair: -pair[1].score)[:count]
    return "\n".join(each.sentence(sentence) for each, sentence in best)


def absent(count: int) -> Figures:
    """Questions whose article is there, or is not, or which no paragraph answers.

    The threshold was set on the articles of even number; the figures are of the odd ones.
    """
    squad = load()
    odd = squad.articles[1::2]
    per_article = max(1, count // len(odd)) if count else 0
    index = VectorStoreIndex.from_documents(documents(squad.paragraphs), node_parser=_whole())
    retriever = index.as_retriever()
    there, gone, adversarial = [], [], []
    for article in odd:
        own = [each for each in squad.answerable if each.paragraph.article == article]
        trick = [each for each in squad.unanswerable if each.paragraph.article == article]
        own, trick = sample(own, per_article), sample(trick, per_article)
        there += [is_relevant(retriever.retrieve(each.text)) for each in own]
        adversarial += [is_relevant(retriever.retrieve(each.text)) for each in trick]
        index.delete(article)
        gone += [is_relevant(retriever.retrieve(each.text)) for each in own]
        index.insert(documents(each for each in squad.paragraphs if each.article == article))
    return {
        "questions": len(there),
        "false refusals": 1 - statistics.fmean(there),
        "absent articles recognised": 1 - statistics.fmean(gone),
        "SQuAD 2.0's unanswerable questions": len(adversarial),
        "SQuAD 2.0's unanswerable recognised": 1 - statistics.fmean(adversarial),
    }


def documents(paragraphs: Iterable[Paragraph]) -> list[Document]:
    return [
        Document(
            each.text,
            {"file_name": f"{each.article}.txt", "paragraph": each.number},
            source_id=each.article,
        )
        for each in paragraphs
    ]


def _whole() -> SentenceSplitter:
    """A splitter that leaves every paragraph whole."""
    return SentenceSplitter(chunk_size=100_000, chunk_overlap=0)


def _dense_rank(index: VectorStoreIndex, question: Question) -> int:
    hits = index.collection.search_dense(index.embed_model.embed_query(question.text), 10)
    nodes = index.collection.nodes([hit.point_id for hit in hits])
    numbers = [node.metadata["paragraph"] for node in nodes if node]
    return numbers.index(question.paragraph.number) if question.paragraph.number in numbers else 99


def _ranks(label: str, ranks: Sequence[int]) -> dict[str, float]:
    return {
        f"{label}hit@1": statistics.fmean(rank < 1 for rank in ranks),
        f"{label}hit@5": statistics.fmean(rank < 5 for rank in ranks),
        f"{label}MRR@10": statistics.fmean(1 / (rank + 1) if rank < 10 else 0 for rank in ranks),
    }


def _times(asked: Sequence[Asked]) -> dict[str, float]:
    figures = {}
    for stage in (*STAGES, "together"):
        seconds = [
            sum(each.seconds.values()) if stage == "together" else each.seconds[stage]
            for each in asked
        ]
        figures[f"{stage}, ms, median"] = statistics.median(seconds) * 1000
        figures[f"{stage}, ms, 95th percentile"] = float(np.percentile(seconds, 95)) * 1000
    return figures


PARTS = {
    "paragraphs": paragraphs,
    "absent": absent,
    "articles": retrieval_articles.measure,
    "abstracts": retrieval_abstracts.measure,
    "scale": retrieval_scale.measure,
}


if __name__ == "__main__":
    main()
