"""Fused passages → the same, ranked by what their sentences say to the question.

Passages in the order of their fused scores and a question go in; the passages come out, best
first, with the sentences that bear on the question. A cross-encoder costs 10 ms a sentence on
one core, so it gets only what may change the ranking. Where passages are then still close, it
takes a second look at their best sentences among their neighbours: that tells who "he" is.
It does not know how the passages were found.

The constants are for the default models. They were chosen on half of SQuAD's questions, over
646 paragraphs, and benchmarks/retrieval.py measures the whole again. Hit@1, and the gold span
in the best two sentences:
    fused score alone                                             0.861
    the best 5 passages, all sentences, ranked by logit alone     0.866  0.875
    the same 8 passages, by fused score and logit together        0.911  0.906
    of those, only the passages within MARGIN                     0.911  0.906
    and a second look                                             0.915  0.907
    and bonuses for neighbours of the best sentence               0.915  0.912
Titles before the sentences, whole passages, and sentence embeddings at ingestion gave nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.embedding import Reranker
from engine.lexical import TermIndex, passage_terms, question_terms
from engine.run import Run
from engine.schema import Evidence, NodeWithScore
from engine.splitting import sentence_spans

# Passages that may be scored, at most,
CONTENDERS = 8
# and how far behind the best fused score they may be. Alone in 6 of 10 questions.
MARGIN = 0.15
# Sentences that are scored, at most: the limit of the time that a question takes.
BUDGET = 16
# What a point of logit is worth in fused score; 1/15 to 1/40 do equally well.
LOGIT_WEIGHT = 1 / 15
# Passages that are looked at again: so many at most, and so close (3 points of logit).
CLOSE_PASSAGES = 3
CLOSE = 0.2
# Points of logit for the sentence after the best one, and for the one before.
NEXT_BONUS, PREVIOUS_BONUS = 2.0, 1.0
# Sentences of a passage that are named as evidence, at most.
EVIDENCE = 3
# What the better of two logits weighs where a follow-up is scored alone and with the questions
# before it. Of 20 follow-ups the best sentence was right for 18 with this and with 0.5, 16 with
# 0.9 and 1, and taken for relevant for 16, 12, 15 and 15 (benchmarks/follow_ups.py).
BETTER = 0.75
# The logit of a passage that was not scored: about the lowest the model gives.
UNSCORED = -11.4


class FollowUpReranker:
    """Scores sentences for a question with those before it, and for the follow-up by itself.

    With them alone, what answered the question before would win again.
    """

    def __init__(self, reranker: Reranker, follow_up: str) -> None:
        self._reranker, self._follow_up = reranker, follow_up

    def score(self, question: str, sentences: Sequence[str], run: Run | None = None) -> list[float]:
        whole = self._reranker.score(question, sentences, run)
        alone = self._reranker.score(self._follow_up, sentences, run)
        pairs = zip(whole, alone, strict=True)
        return [BETTER * max(pair) + (1 - BETTER) * min(pair) for pair in pairs]


@dataclass(slots=True)
class _Contender:
    """A passage, its sentences' spans, and the logits of those that were scored."""

    found: NodeWithScore
    spans: list[tuple[int, int]]
    logits: dict[int, float]
    logit: float = UNSCORED

    @property
    def best(self) -> int:
        return max(self.logits, key=lambda place: self.logits[place])

    @property
    def score(self) -> float:
        return (self.found.scores.fused or 0.0) + LOGIT_WEIGHT * self.logit

    def text(self, first: int, last: int) -> str:
        """From one sentence to another; places beyond the ends are the ends."""
        start = self.spans[max(first, 0)][0]
        return self.found.text[start : self.spans[min(last, len(self.spans) - 1)][1]]


def rerank(
    question: str, found: Sequence[NodeWithScore], reranker: Reranker, run: Run | None = None
) -> list[NodeWithScore]:
    """`found` must be in the order of its fused scores."""
    contenders = _contenders(found)
    _score_sentences(question, contenders, reranker, run)
    contenders.sort(key=lambda each: -each.score)
    close = [each for each in contenders[:CLOSE_PASSAGES] if each.logits]
    close = [each for each in close if each.score > close[0].score - CLOSE]
    if len(close) > 1:
        _look_again(question, close, reranker, run)
        contenders.sort(key=lambda each: -each.score)
    others = found[len(contenders) :]
    return [
        *(_ranked(each, contenders[0]) for each in contenders),
        *(_ranked(_Contender(each, [], {}), contenders[0]) for each in others),
    ]


def _contenders(found: Sequence[NodeWithScore]) -> list[_Contender]:
    least = (found[0].scores.fused or 0.0) - MARGIN if found else 0.0
    near = [each for each in found[:CONTENDERS] if (each.scores.fused or 0.0) >= least]
    return [_Contender(each, sentence_spans(each.text), {}) for each in near]


def _score_sentences(
    question: str, contenders: Sequence[_Contender], reranker: Reranker, run: Run | None
) -> None:
    promising = _promising(question, contenders)
    texts = [each.text(place, place) for each, place in promising]
    for (each, place), logit in zip(promising, reranker.score(question, texts, run), strict=True):
        each.logits[place] = logit
        each.logit = max(each.logit, logit)


def _promising(question: str, contenders: Sequence[_Contender]) -> list[tuple[_Contender, int]]:
    """The sentences worth scoring: within the budget all, else the best by BM25."""
    sentences = [(each, place) for each in contenders for place in range(len(each.spans))]
    if len(sentences) <= BUDGET:
        return sentences
    index = TermIndex()
    index.add([passage_terms(each.text(place, place)) for each, place in sentences])
    sharing = [number for number, _ in index.search(question_terms(question), len(sentences))]
    order = list(dict.fromkeys([*sharing, *range(len(sentences))]))
    # the best of each passage first, so that none goes without
    best = {id(sentences[number][0]): number for number in reversed(order)}
    kept = list(dict.fromkeys([*best.values(), *order]))[:BUDGET]
    return [sentences[number] for number in kept]


def _look_again(
    question: str, close: Sequence[_Contender], reranker: Reranker, run: Run | None
) -> None:
    texts = [each.text(each.best - 1, each.best + 1) for each in close]
    for each, logit in zip(close, reranker.score(question, texts, run), strict=True):
        each.logit = (each.logit + logit) / 2


def _ranked(each: _Contender, top: _Contender) -> NodeWithScore:
    return replace(
        each.found,
        score=each.score,
        scores=replace(each.found.scores, rerank=each.logit if each.logits else None),
        evidence=tuple(_evidence(each, top)),
    )


def _evidence(each: _Contender, top: _Contender) -> list[Evidence]:
    """The best sentences, so scored that those of several passages can be ranked together."""
    if not each.logits:
        return []
    # as if it stood in the best passage: there, a sentence's score is its logit and its bonus
    best, behind = each.logits[each.best], (each.score - top.score) / LOGIT_WEIGHT
    level = top.logits[top.best] - best + behind
    bonus = {each.best + 1: NEXT_BONUS, each.best - 1: PREVIOUS_BONUS}
    ordered = sorted(each.logits, key=lambda place: (place != each.best, -each.logits[place]))
    scored = [
        Evidence(*each.spans[place], min(each.logits[place] + bonus.get(place, 0.0), best) + level)
        for place in ordered
    ]
    return sorted(scored, key=lambda evidence: -evidence.score)[:EVIDENCE]
