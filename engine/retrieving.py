"""A question → ranked passages with the sentences that bear on it.

A question goes in; NodeWithScore come out, best first. Two searches, by meaning (dense) and by
words (lexical), are fused; then their sentences are reranked. It does not know where passages
are stored, nor what is done with the answer.
"""

import math
from collections.abc import Sequence
from typing import Protocol

from engine.embedding import Embedding, Reranker
from engine.lexical import question_terms
from engine.reranking import CONTENDERS, FollowUpReranker, rerank
from engine.run import Run
from engine.schema import NodeWithScore, Scores
from engine.store import Collection, Hit

# Hits taken from each search. Measured on SQuAD: 20, 30, 50 differ by a thousandth in hit@5.
CANDIDATES = 50
# fused = cosine + LEXICAL_WEIGHT * BM25 / ln(1 + passages): BM25 grows with the logarithm of the
# collection, the cosine does not. Measured on SQuAD (646 paragraphs, 2,910 questions), hit@1 and
# hit@5: dense 0.716 and 0.909, BM25 0.833 and 0.948, reciprocal rank fusion (k = 10) 0.827 and
# 0.965, z-scores added 0.853 and 0.970, this 0.861 and 0.972; 0.08 to 0.14 do equally well.
LEXICAL_WEIGHT = 0.12
# The best passage's logit below which nothing found bears on the question: that of 5 % of the
# questions on SQuAD's articles of even number, whose paragraph is there. On the other articles
# it refuses 3 % of such questions, and tells 97 % of those whose article is not there.
RELEVANT = -0.5


class Retriever(Protocol):
    def retrieve(
        self, question: str, run: Run | None = None, earlier: str = ""
    ) -> list[NodeWithScore]:
        """The passages that bear most on the question, best first.

        `earlier`: questions before it that this one leans on, where it does.

        Raises:
            Cancelled: where `run` is cancelled.
            StoreError: the collection could not be read.
        """


def is_relevant(results: Sequence[NodeWithScore]) -> bool:
    """Whether what a retriever found bears on the question. True where nothing was reranked."""
    if not results:
        return False
    logit = results[0].scores.rerank
    return logit is None or logit >= RELEVANT


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

    def retrieve(
        self, question: str, run: Run | None = None, earlier: str = ""
    ) -> list[NodeWithScore]:
        run = run or Run()
        run.check()
        whole = f"{earlier} {question}".strip()
        with run.span("embed"):
            vector = self._embedding.embed_query(whole)
        run.check()
        with run.span("search"):
            dense = self._collection.search_dense(vector, CANDIDATES)
            lexical = self._collection.search_terms(question_terms(whole), CANDIDATES)
            wanted = max(self.similarity_top_k, CONTENDERS)
            found = self._passages(fuse(dense, lexical, self._collection.passages)[:wanted])
        run.check()
        if self._reranker is not None:
            with run.span("rerank"):
                reranker = FollowUpReranker(self._reranker, question) if earlier else self._reranker
                found = rerank(whole, found, reranker, run)
        return found[: self.similarity_top_k]

    def _passages(self, fused: Sequence[tuple[str, Scores]]) -> list[NodeWithScore]:
        nodes = self._collection.nodes([point_id for point_id, _ in fused])
        return [
            NodeWithScore(node, scores.fused or 0.0, scores)
            for node, (_, scores) in zip(nodes, fused, strict=True)
            if node is not None
        ]


def fuse(dense: Sequence[Hit], lexical: Sequence[Hit], passages: int) -> list[tuple[str, Scores]]:
    """Point ids with their scores, best first.

    What one search did not find counts there as the last that it found (dense), or as 0.
    """
    cosines = {hit.point_id: hit.score for hit in dense}
    weights = {hit.point_id: hit.score for hit in lexical}
    floor = min(cosines.values(), default=0.0)
    scale = LEXICAL_WEIGHT / math.log(1 + max(passages, 1))
    scores = {
        point_id: Scores(
            dense=cosines.get(point_id),
            lexical=weights.get(point_id),
            fused=cosines.get(point_id, floor) + scale * weights.get(point_id, 0.0),
        )
        for point_id in cosines | weights
    }
    return sorted(scores.items(), key=lambda each: -(each[1].fused or 0.0))
