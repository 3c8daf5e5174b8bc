"""Fused passages → the same, ranked by what their sentences say to the question.

Passages with their fused scores and a question go in; the passages come out, best first, with
the sentences that bear on the question. The cross-encoder is what costs time (10 ms a sentence
on one core), so only sentences that may change the ranking are given to it. It does not know
how the passages were found.

The constants were chosen on samples of SQuAD's questions over 646 paragraphs; benchmarks/
retrieval.py measures them again. Sentences scored, median and mean; hit@1; two best sentences
contain the gold span:
    all sentences of the best 8 passages        42  44  0.913  0.908
    of those passages within MARGIN              8  14  0.913  0.908
    at most BUDGET of those, by BM25             8   9  0.913  0.903
    the best 5 passages, ranked by logit alone  28  30  0.866  0.875
"""

from collections.abc import Sequence
from dataclasses import replace

from engine.embedding import Reranker
from engine.lexical import TermIndex, passage_terms, question_terms
from engine.run import Run
from engine.schema import Evidence, NodeWithScore
from engine.splitting import sentence_spans

# Passages that may be scored, at most,
CONTENDERS = 8
# and how far behind the best fused score they may be: further, no logit makes up for it.
MARGIN = 0.15
# Sentences that are scored, at most.
BUDGET = 16
# What a point of logit is worth in fused score: 1/20 to 1/60 do equally well.
LOGIT_WEIGHT = 1 / 40
# The logit of a passage that was not scored: about the lowest the model gives.
UNSCORED = -11.4
# Sentences of a passage that are named as evidence, at most.
EVIDENCE = 3


def rerank(
    question: str, found: Sequence[NodeWithScore], reranker: Reranker, run: Run | None = None
) -> list[NodeWithScore]:
    """`found` must be in the order of its fused scores."""
    contenders = [each for each in found[:CONTENDERS] if _fused(each) >= _fused(found[0]) - MARGIN]
    sentences = _promising(question, contenders)
    texts = [contenders[number].text[start:end] for number, (start, end) in sentences]
    logits = reranker.score(question, texts, run)
    scored: list[list[Evidence]] = [[] for _ in contenders]
    for (number, (start, end)), logit in zip(sentences, logits, strict=True):
        scored[number].append(Evidence(start, end, logit))
    ranked = [_ranked(each, evidence) for each, evidence in zip(contenders, scored, strict=True)]
    rest = [_ranked(each, []) for each in found[len(contenders) :]]
    return sorted([*ranked, *rest], key=lambda each: -each.score)


def _promising(
    question: str, passages: Sequence[NodeWithScore]
) -> list[tuple[int, tuple[int, int]]]:
    """The sentences worth scoring, each with its passage's number, in the order of the text."""
    sentences = [
        (number, span)
        for number, passage in enumerate(passages)
        for span in sentence_spans(passage.text)
    ]
    if len(sentences) <= BUDGET:
        return sentences
    index = TermIndex()
    for number, (start, end) in sentences:
        index.add(passage_terms(passages[number].text[start:end]))
    sharing = [place for place, _ in index.search(question_terms(question), len(sentences))]
    order = list(dict.fromkeys([*sharing, *range(len(sentences))]))
    # the best of each passage first, so that none goes without
    best = {sentences[place][0]: place for place in reversed(order)}
    kept = list(dict.fromkeys([*best.values(), *order]))[:BUDGET]
    return [sentences[place] for place in sorted(kept)]


def _ranked(found: NodeWithScore, sentences: Sequence[Evidence]) -> NodeWithScore:
    best = sorted(sentences, key=lambda each: -each.score)[:EVIDENCE]
    logit = best[0].score if best else None
    return replace(
        found,
        score=_fused(found) + LOGIT_WEIGHT * (UNSCORED if logit is None else logit),
        scores=replace(found.scores, rerank=logit),
        evidence=tuple(best),
    )


def _fused(found: NodeWithScore) -> float:
    return found.scores.fused or 0.0
