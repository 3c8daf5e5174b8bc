"""A question → ranked passages with the sentences that bear on it.

A question goes in; NodeWithScore come out, best first. Two searches, by meaning (dense) and by
words (lexical), are fused; then a cross-encoder scores every sentence of the best passages,
which ranks the passages and names their evidence. It does not know where passages are stored,
nor what is done with the answer.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from engine.embedding import Embedding, Reranker
from engine.lexical import question_terms
from engine.run import Run
from engine.schema import Evidence, Node, NodeWithScore, Scores
from engine.splitting import sentence_spans
from engine.store import Collection, Hit

# Hits taken from each search.
CANDIDATES = 50
# Reciprocal rank fusion: a hit's share is 1 / (RRF_K + rank), rank from 1.
RRF_K = 10
# Passages whose sentences are scored.
RERANKED = 5
# Sentences of a passage that are named as evidence, at most.
EVIDENCE = 3
# The best sentence's logit below which nothing found bears on the question.
RELEVANT = -1.2


class Retriever(Protocol):
    def retrieve(self, question: str, run: Run | None = None) -> list[NodeWithScore]:
        """The passages that bear most on the question, best first.

        Raises:
            Cancelled: where `run` is cancelled.
            StoreError: the collection could not be read.
        """


def is_relevant(results: Sequence[NodeWithScore]) -> bool:
    """Whether anything found bears on the question. True where nothing was reranked."""
    scores = [each.scores.rerank for each in results if each.scores.rerank is not None]
    return bool(results) and (not scores or max(scores) >= RELEVANT)


class HybridRetriever:
    """The default Retriever. Safe to use from many threads at once.

    Without a reranker the fused rank decides, and there is no evidence.
    """

    def __init__(
        self,
        collection: Collection,
        embedding: Embedding,
        reranker: Reranker | None = None,
        similarity_top_k: int = 2,
    ) -> None:
        self.similarity_top_k = similarity_top_k
        self._collection, self._embedding, self._reranker = collection, embedding, reranker

    def retrieve(self, question: str, run: Run | None = None) -> list[NodeWithScore]:
        run = run or Run()
        run.check()
        with run.span("embed"):
            vector = self._embedding.embed_query(question)
        run.check()
        with run.span("search"):
            dense = self._collection.search_dense(vector, CANDIDATES)
            lexical = self._collection.search_terms(question_terms(question), CANDIDATES)
            wanted = max(self.similarity_top_k, RERANKED)
            found = self._passages(fuse(dense, lexical)[:wanted])
        run.check()
        if self._reranker is not None:
            with run.span("rerank"):
                found = rerank(question, found, self._reranker, run)
        return found[: self.similarity_top_k]

    def _passages(self, fused: Sequence[tuple[str, Scores]]) -> list[NodeWithScore]:
        nodes = self._collection.nodes([point_id for point_id, _ in fused])
        return [
            NodeWithScore(node, scores.fused or 0.0, scores)
            for node, (_, scores) in zip(nodes, fused, strict=True)
            if node is not None
        ]


def fuse(dense: Sequence[Hit], lexical: Sequence[Hit]) -> list[tuple[str, Scores]]:
    """Point ids with their scores, by reciprocal rank fusion, best first."""
    scores: dict[str, Scores] = {}
    for rank, hit in enumerate(dense, start=1):
        scores[hit.point_id] = Scores(dense=hit.score, fused=1 / (RRF_K + rank))
    for rank, hit in enumerate(lexical, start=1):
        so_far = scores.get(hit.point_id, Scores())
        fused = (so_far.fused or 0.0) + 1 / (RRF_K + rank)
        scores[hit.point_id] = replace(so_far, lexical=hit.score, fused=fused)
    return sorted(scores.items(), key=lambda each: -(each[1].fused or 0.0))


def rerank(
    question: str, found: Sequence[NodeWithScore], reranker: Reranker, run: Run | None = None
) -> list[NodeWithScore]:
    """Rank the passages by their best sentence. Those after the RERANKED first keep their order."""
    spans = [_sentences(each.node) for each in found[:RERANKED]]
    texts = [
        each.node.text[start:end]
        for each, passage in zip(found, spans, strict=False)
        for start, end in passage
    ]
    logits = iter(reranker.score(question, texts, run))
    scored = [
        _with_evidence(each, [Evidence(start, end, next(logits)) for start, end in passage])
        for each, passage in zip(found, spans, strict=False)
    ]
    return [*sorted(scored, key=lambda each: -each.score), *found[RERANKED:]]


def _sentences(node: Node) -> list[tuple[int, int]]:
    return [
        (start, end) for start, end in sentence_spans(node.text) if node.text[start:end].strip()
    ]


def _with_evidence(found: NodeWithScore, sentences: list[Evidence]) -> NodeWithScore:
    best = sorted(sentences, key=lambda each: -each.score)[:EVIDENCE]
    score = best[0].score if best else float("-inf")
    scores = replace(found.scores, rerank=score)
    return replace(found, score=score, scores=scores, evidence=tuple(best))
