"""A question → ranked passages, with the sentences of each that support an answer.

`HybridRetriever.retrieve` is the whole path: two searches, by meaning (dense) and by words
(lexical), are fused, and a cross-encoder reranks the sentences of the best passages.
"""

import math
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.budget import RateEstimate, affordable
from engine.checking import states_what_is_asked
from engine.embedding import Embedding, Reranker, knows
from engine.languages import language_of_question, name_of
from engine.lexical import TermIndex, passage_terms, question_terms
from engine.run import Run
from engine.schema import Evidence, Filters, NodeWithScore, Scores
from engine.spelling import corrected, unknown_words
from engine.splitting import sentence_spans, statement_spans
from engine.store import Collection, Hit

# Hits of each search. Measured on SQuAD: hit@5 differs by 0.001 between 20, 30 and 50.
CANDIDATES = 50
# fused = cosine + LEXICAL_WEIGHT * BM25 / ln(1 + passages), because BM25 grows with the logarithm
# of the collection's size, and the cosine does not. Measured on SQuAD (646 paragraphs, 2,910
# questions), hit@1 and hit@5: dense 0.716 and 0.909, BM25 0.833 and 0.948, reciprocal rank fusion
# (k = 10) 0.827 and 0.965, sum of z-scores 0.853 and 0.970, this formula 0.861 and 0.972. Weights
# from 0.08 to 0.14 give equal results.
LEXICAL_WEIGHT = 0.12
# BM25 is a sum over the question's terms, and the cosine is not. The reranker compares single
# sentences, which say less of a long question. Therefore both weigh less for a question of more
# than SHORT terms. nDCG@10 of 42 questions of 12 terms on average on 48 abstracts: the embedder
# alone 0.946, both searches 0.896 and reranked 0.932; with SHORT = 4, 0.946 and 0.955; 6, 0.935 and
# 0.955; 8, 0.904 and 0.953. On SQuAD, hit@1 is the same for each of them.
SHORT = 4
# A sentence with a lower logit is not marked as evidence. It is the 5th percentile of the best
# logits of answerable questions on SQuAD's articles of even number.
RELEVANT = -0.5
# Nothing relevant was found if the best passage's logit is below LIKELY, less WORDS_WEIGHT for the
# share of the question's words that the passage does not have, and UNKNOWN_WEIGHT for each of them,
# up to MOST_UNKNOWN, that no document has. A low logit with all words is more often right than a
# low logit alone. Measured on 700 questions of all of SQuAD's articles, asked with and without
# their article: false refusals, recognised; and on the 56 absent topics and 43 facts of
# benchmarks/questions (tune, heldout and fresh): recognised, false refusals.
#     logit alone                    0.030 0.941
#     words 4, LIKELY = -2.96        0.030 0.949   36 of 56, 1 of 43
#     words 4, unknown 1, -3.06      0.030 0.953   38 of 56, 2 of 43
#     words 4, unknown 1.5, -3.23    0.030 0.951   41 of 56, 3 of 43
#     words 4, unknown 2, -3.31      0.030 0.951   43 of 56, 4 of 43
#     words 4, unknown 3, -4.04      0.030 0.946   41 of 56, 5 of 43
WORDS_WEIGHT, UNKNOWN_WEIGHT, MOST_UNKNOWN = 4.0, 1.5, 3
LIKELY = -3.2
# Below this value, a model that reads whole passages is not asked either. Of 352 questions with an
# answer (tune, heldout, fresh and fresh2, without summaries), 95 are below LIKELY, and 8 are below
# this; of 80 absent topics, 61 and 10.
POSSIBLE = -12.0

# Reranking. The cross-encoder takes milliseconds for each sentence, so it gets only sentences that
# may change the ranking. The constants are for the default models. They were chosen with half of
# SQuAD's questions, over 646 paragraphs; benchmarks/retrieval.py measures all of them. Hit@1, and
# the share of gold spans in the best two sentences, with at most 16 sentences:
#     fused score alone                                             0.861
#     the best 5 passages, all sentences, ranked by logit alone     0.866  0.875
#     the same 8 passages, by fused score and logit together        0.911  0.906
#     of those, only the passages within MARGIN                     0.911  0.906
#     and a second look                                             0.915  0.907
#     and bonuses for neighbours of the best sentence               0.915  0.912
# Titles before the sentences, whole passages, and sentence embeddings at ingestion gained nothing.

# Passages that are reranked, at most, and how far behind the best fused score they may be. In 6 of
# 10 questions only one passage is that close.
CONTENDERS = 8
MARGIN = 0.15
# The largest number of sentences that are scored. The columns are hit@1, hit@3, the share of gold
# spans in the best sentence, and the mean and the 95th percentile of the number of scored
# sentences, including the second look. Left: 600 questions on SQuAD's paragraphs. Right: 400
# questions on its articles, in passages of CHUNK_SIZE tokens.
#     32   0.910 0.978 0.832  11.2 34  |  0.895 0.948 0.830  14.4 34
#     16   0.910 0.978 0.832   8.9 18  |  0.895 0.953 0.830  10.8 19
#     10   0.908 0.975 0.833   7.3 12  |  0.898 0.950 0.835   8.6 13
#      8   0.912 0.973 0.837   6.5 10  |  0.898 0.948 0.835   7.5 10
#      6   0.908 0.973 0.832   5.5  8  |  0.888 0.940 0.823   6.1  8   (of 5 passages)
#      3   0.910 0.965 0.823   3.2  5  |  0.880 0.943 0.810   3.3  5   (of 3 passages)
# With more than 8 sentences, neither the results nor the refusals improve (5.0 % of the answerable
# and 97 % of the unanswerable questions are refused). With fewer, both get worse. Therefore the
# number is the same on fast and on slow machines, and a question has the same sources everywhere.
BUDGET = 8
# The smallest number, if the budget of the first token leaves no time for more
FEWEST = 2
# The fused score that one point of logit is worth. 1/15 to 1/40 give equal results.
LOGIT_WEIGHT = 1 / 15
# Passages that get a second look: at most this many, and at most this far behind (3 points of
# logit)
CLOSE_PASSAGES = 3
CLOSE = 0.2
# Points of logit for the sentence after the best one, and for the one before it
NEXT_BONUS, PREVIOUS_BONUS = 2.0, 1.0
# Points of logit that a sentence loses if it has no time where the question asks when, or no number
# where it asks how many. On 700 questions of SQuAD, hit@1 is the same with it, and the gold span is
# in the best sentence of 0.841 instead of 0.837.
NOT_OF_THE_KIND = 3.0
# Sentences of a passage that become evidence, at most
EVIDENCE = 3
# The logit of a passage that was not scored: about the lowest that the model gives
UNSCORED = -11.4

# Notes for the reader of an answer. BY_WORDS: the embedder does not know a language. BY_MEANING:
# only the reranker does not. ALSO_IN: nothing was found, and some documents are in such a language.
BY_WORDS = (
    "The model that finds passages by meaning does not know {0}, so they were found mostly by "
    "their words. Ask with words of the documents, or choose a model for many languages on the "
    "Models page."
)
BY_MEANING = (
    "The model that ranks sentences does not know {0}, so the quoted sentence may not be the best "
    "one. Choose a model for many languages on the Models page."
)
ALSO_IN = (
    "Documents in {0} were searched mostly by their words, because a model of the search does not "
    "know the language. Ask about them in the same language."
)
NOT_FOUND = "I did not find this in your documents. The closest passages are shown."


class Retriever(Protocol):
    def retrieve(
        self, question: str, run: Run | None = None, earlier: str = ""
    ) -> list[NodeWithScore]:
        """The passages most relevant to the question, best first.

        `earlier`: the earlier questions that this one refers to, if it is a follow-up.

        Raises:
            Cancelled: `run` was cancelled.
            StoreError: the collection could not be read.
        """


@dataclass(frozen=True, slots=True)
class Searched:
    """A collection, and the embedding that its vectors were made with."""

    collection: Collection
    embedding: Embedding


class HybridRetriever:
    """The default Retriever. Safe to use from many threads at once.

    It searches one collection or several; of several, a passage's metadata has `collection`.
    `filters` says which documents are searched. Without a reranker the fused score decides the
    rank, and there is no evidence.
    """

    def __init__(
        self,
        searched: Sequence[Searched],
        reranker: Reranker | None = None,
        similarity_top_k: int = 2,
        filters: Filters = Filters(),
    ) -> None:
        self.similarity_top_k = similarity_top_k
        self.filters = filters
        self._searched, self._reranker = searched, reranker

    def retrieve(
        self, question: str, run: Run | None = None, earlier: str = ""
    ) -> list[NodeWithScore]:
        run = run or Run.begin()
        run.check()
        question, changes = corrected(question, self._searched)
        for change in changes:
            run.note(change)
        found = self._ranked(question, run, earlier)
        if not is_relevant(found) and (asked := without_story(question)) != question:
            alone = self._ranked(asked, run, earlier)
            found = alone if is_relevant(alone) else found
        if not is_relevant(found):
            run.note(self._not_known_well())
        return found[: self.similarity_top_k]

    def _ranked(self, question: str, run: Run, earlier: str) -> list[NodeWithScore]:
        """All candidates, best first; those that may be relevant are reranked."""
        whole = f"{earlier} {question}".strip()
        with run.span("embed"):
            models = {each.embedding.name: each.embedding for each in self._searched}
            vectors = {name: model.embed_query(whole) for name, model in models.items()}
        run.check()
        with run.span("search"):
            found = [
                passage
                for each in self._searched
                for passage in self._search(each, whole, vectors[each.embedding.name])
            ]
            if len(self._searched) > 1:
                found = _merged(found)
        run.check()
        limits = self._limits(question, found)
        if self._reranker is not None:
            with run.span("rerank"):
                reranker: Reranker = _TimedReranker(self._reranker)
                rate = _rates[type(self._reranker)].rate
                if earlier:
                    reranker = _FollowUpReranker(reranker, question)
                    rate = rate and rate.beside(1)  # each sentence is scored twice
                most = affordable(BUDGET, FEWEST, rate, run.trace.now(), run.search_until)
                judged = not limits and getattr(self._reranker, "calibrated", True)
                found = rerank(whole, found, reranker, run, most, judged)
                if found and judged:
                    unknown = unknown_words(question, self._searched)
                    if _YEAR_OF_QUESTION.search(question) and not _has_years(question, found[0]):
                        unknown = MOST_UNKNOWN
                    found[0] = replace(found[0], scores=replace(found[0].scores, unknown=unknown))
        run.note(limits)
        return found

    def _search(
        self, searched: Searched, question: str, vector: NDArray[np.float32]
    ) -> list[NodeWithScore]:
        """The best passages of one collection, by both searches together."""
        collection = searched.collection
        within = collection.matching(self.filters)
        terms = question_terms(question, collection.languages)
        dense, lexical = collection.search(vector, terms, CANDIDATES, within)
        fused = fuse(dense, lexical, collection.passages, len(terms))
        fused = fused[: max(self.similarity_top_k, CONTENDERS)]
        nodes = collection.nodes([point_id for point_id, _ in fused])
        place = {"collection": collection.title} if len(self._searched) > 1 else {}
        return [
            NodeWithScore(
                replace(node, metadata={**node.metadata, **place}), scores.fused or 0.0, scores
            )
            for node, (_, scores) in zip(nodes, fused, strict=True)
            if node is not None  # it was deleted after the search
        ]

    def _limits(self, question: str, found: Sequence[NodeWithScore]) -> str:
        """The note for a question or a best passage in a language that an embedder or the reranker
        does not know; empty if all know both."""
        if not found:
            return ""
        among = {each for part in self._searched for each in part.collection.languages}
        asked = language_of_question(question, among)
        languages = [each for each in (asked, found[0].node.language) if each]
        for language in languages:
            if not all(knows(each.embedding, language) for each in self._searched):
                return BY_WORDS.format(name_of(language))
        for language in languages:
            if not knows(self._reranker, language):
                return BY_MEANING.format(name_of(language))
        return ""

    def _not_known_well(self) -> str:
        """The note where nothing was found, although it may be in a language that an embedder or
        the reranker does not know."""
        unknown = {
            name_of(language)
            for part in self._searched
            for language in part.collection.languages
            if not (knows(part.embedding, language) and knows(self._reranker, language))
        }
        return ALSO_IN.format(" and ".join(sorted(unknown))) if unknown else ""


def without_story(question: str) -> str:
    """The sentence that asks, without those before it: "I lost my hat. Where are lost things
    kept?" The same text if it has one sentence, or if that sentence says too little alone."""
    sentences = [question[start:end] for start, end in sentence_spans(question)]
    asking = [each for each in sentences if each.endswith("?")]
    if len(sentences) < 2 or not asking or len(question_terms(asking[-1])) < SHORT:
        return question
    return asking[-1]


def _merged(found: Sequence[NodeWithScore]) -> list[NodeWithScore]:
    """The passages of several collections, best first. The fused scores can be compared, because
    BM25's part is relative to each collection's size. A document that is in two of them counts
    once.
    """
    best: dict[tuple[str, int], NodeWithScore] = {}
    for each in sorted(found, key=lambda each: -each.score):
        best.setdefault((each.node.source_id, each.node.position), each)
    return list(best.values())


# The time of scoring on this machine by the number of sentences, for each type of reranker
_rates: defaultdict[type, RateEstimate] = defaultdict(RateEstimate)


class _TimedReranker:
    """Records how long the reranker takes."""

    def __init__(self, reranker: Reranker) -> None:
        self._reranker = reranker
        self._rate = _rates[type(reranker)]

    def score(self, question: str, sentences: Sequence[str], run: Run | None = None) -> list[float]:
        began = time.perf_counter()
        logits = self._reranker.score(question, sentences, run)
        self._rate.record(len(sentences), time.perf_counter() - began)
        return logits


def is_relevant(results: Sequence[NodeWithScore]) -> bool:
    """Whether the results are relevant to the question. True if they were not reranked, or if the
    reranker does not know their language: its score then means nothing. Also true if the best
    passage states an answer that the model wrote."""
    return _relevance(results) >= LIKELY


def may_be_relevant(results: Sequence[NodeWithScore]) -> bool:
    """Whether a model that reads whole passages may find an answer in them."""
    return _relevance(results) >= POSSIBLE


def _relevance(results: Sequence[NodeWithScore]) -> float:
    """The best passage's logit, less what the question's words cost that are not in it."""
    if not results:
        return -math.inf
    scores = results[0].scores
    if scores.rerank is None or scores.stated:
        return math.inf
    share = 1.0 if scores.words is None else scores.words
    unknown = min(scores.unknown, MOST_UNKNOWN)
    return scores.rerank - WORDS_WEIGHT * (1 - share) - UNKNOWN_WEIGHT * unknown


def shortness(terms: int) -> float:
    """The weight of the words and of the reranker for a question with this number of terms, above 0
    to 1."""
    return min(1.0, SHORT / max(terms, 1))


def fuse(
    dense: Sequence[Hit], lexical: Sequence[Hit], passages: int, terms: int = SHORT
) -> list[tuple[str, Scores]]:
    """Point ids with their scores, best first. `passages`: the number in the collection. `terms`:
    that of the question.

    A passage that only the lexical search found gets the lowest cosine that the dense search
    found; one that only the dense search found gets a BM25 score of 0.
    """
    cosines = {hit.point_id: hit.score for hit in dense}
    weights = {hit.point_id: hit.score for hit in lexical}
    floor = min(cosines.values(), default=0.0)
    scale = LEXICAL_WEIGHT * shortness(terms) / math.log(1 + max(passages, 1))
    scores = {
        point_id: Scores(
            dense=cosines.get(point_id),
            lexical=weights.get(point_id),
            fused=cosines.get(point_id, floor) + scale * weights.get(point_id, 0.0),
        )
        for point_id in cosines | weights
    }
    return sorted(scores.items(), key=lambda each: -(each[1].fused or 0.0))


# Reranking


@dataclass(slots=True)
class _Contender:
    """A passage, its sentences' spans, and the logits of those that were scored. `weight`: the
    fused score that one point of logit is worth."""

    found: NodeWithScore
    spans: list[tuple[int, int, int]]
    logits: dict[int, float]
    weight: float
    logit: float = UNSCORED

    @property
    def best(self) -> int:
        return max(self.logits, key=lambda place: self.logits[place])

    @property
    def score(self) -> float:
        return (self.found.scores.fused or 0.0) + self.weight * self.logit

    def text(self, first: int, last: int) -> str:
        """The text from one sentence, with its heading, to another. Indexes are limited to the
        passage's sentences."""
        start = self.spans[max(first, 0)][0]
        return self.found.text[start : self.spans[min(last, len(self.spans) - 1)][2]]


def rerank(
    question: str,
    found: Sequence[NodeWithScore],
    reranker: Reranker,
    run: Run | None = None,
    most: int = BUDGET,
    judged: bool = True,
) -> list[NodeWithScore]:
    """Passages in the order of their fused scores → the same, best first, with their evidence.

    `most`: sentences that are scored. With fewer than BUDGET there is no second look. Passages that
    are not `judged`, because RELEVANT was not measured with this reranker or language, get no logit
    that `is_relevant` would compare with it.
    """
    # 1. The passages whose rank the reranker may change
    least = (found[0].scores.fused or 0.0) - MARGIN if found else 0.0
    near = [each for each in found[: min(CONTENDERS, most)] if (each.scores.fused or 0.0) >= least]
    weight = LOGIT_WEIGHT * shortness(len(question_terms(question)))
    contenders = [_Contender(each, statement_spans(each.text), {}, weight) for each in near]

    # 2. Their sentences. The best one scores its passage.
    sentences = _promising_sentences(question, contenders, most)
    texts = [each.text(place, place) for each, place in sentences]
    states = states_what_is_asked(question)
    for (each, place), logit in zip(sentences, reranker.score(question, texts, run), strict=True):
        if not states(each.text(place, place)):
            logit -= NOT_OF_THE_KIND
        each.logits[place] = logit
        each.logit = max(each.logit, logit)
    contenders.sort(key=lambda each: -each.score)

    # 3. A second look at close passages: the best sentence with its neighbours, which may say who
    #    "he" is
    close = [each for each in contenders[:CLOSE_PASSAGES] if each.logits]
    close = [each for each in close if each.score > close[0].score - CLOSE]
    if len(close) > 1 and most >= BUDGET:
        texts = [each.text(each.best - 1, each.best + 1) for each in close]
        for each, logit in zip(close, reranker.score(question, texts, run), strict=True):
            each.logit = (each.logit + logit) / 2
        contenders.sort(key=lambda each: -each.score)

    others = [_Contender(each, [], {}, weight) for each in found[len(contenders) :]]
    return [
        replace(
            each.found,
            score=each.score,
            scores=replace(
                each.found.scores,
                rerank=each.logit if each.logits and judged else None,
                words=_share_of_words(question, each.found) if each.logits else None,
            ),
            evidence=tuple(_evidence(each, contenders[0])),
        )
        for each in (*contenders, *others)
    ]


def _promising_sentences(
    question: str, contenders: Sequence[_Contender], most: int
) -> list[tuple[_Contender, int]]:
    """All sentences, or the `most` best by BM25, one of each passage first."""
    sentences = [(each, place) for each in contenders for place in range(len(each.spans))]
    if len(sentences) <= most:
        return sentences
    sharing = [number for number, _ in _by_words(question, sentences)]
    order = list(dict.fromkeys([*sharing, *range(len(sentences))]))
    best_of_each = {id(sentences[number][0]): number for number in reversed(order)}
    kept = list(dict.fromkeys([*best_of_each.values(), *order]))[:most]
    return [sentences[number] for number in kept]


def _by_words(
    question: str, sentences: Sequence[tuple[_Contender, int]]
) -> list[tuple[int, float]]:
    """The sentences that share a word with the question, best first: their places, and BM25."""
    index = TermIndex()
    index.add(
        [
            passage_terms(each.text(place, place), each.found.node.language)
            for each, place in sentences
        ]
    )
    languages = {each.found.node.language for each, _ in sentences}
    return index.search(question_terms(question, languages), len(sentences))


_YEAR_OF_QUESTION = re.compile(r"\b(?:1[5-9]|20)\d\d\b")


def _has_years(question: str, found: NodeWithScore) -> bool:
    """Whether a passage, the headings above it or its file's name have the years of a question."""
    place = f"{found.node.metadata.get('heading') or ''} {found.node.file_name}"
    years = set(_YEAR_OF_QUESTION.findall(question))
    return years <= set(re.findall(r"\d{4}", f"{place} {found.text}"))


def _share_of_words(question: str, found: NodeWithScore) -> float:
    """The share of the question's words that a passage has, or the names of where it stands."""
    node = found.node
    place = f"{node.metadata.get('heading') or ''} {PurePath(node.file_name).stem}"
    there = passage_terms(f"{place.replace('_', ' ').replace('-', ' ')} {node.text}", node.language)
    asked = question_terms(question, [node.language])
    return len(asked.keys() & there.keys()) / len(asked) if asked else 1.0


def _evidence(each: _Contender, top: _Contender) -> list[Evidence]:
    """The best sentences, with scores that can be compared between passages.

    In the best passage, a sentence's score is its logit, plus a bonus next to the best sentence. In
    another passage, it is lower by the distance of that passage from the best one.
    """
    if not each.logits:
        return []
    best, behind = each.logits[each.best], (each.score - top.score) / top.weight
    level = top.logits[top.best] - best + behind
    bonus = {each.best + 1: NEXT_BONUS, each.best - 1: PREVIOUS_BONUS}
    ordered = sorted(each.logits, key=lambda place: (place != each.best, -each.logits[place]))
    scored = [
        Evidence(
            *each.spans[place][1:], min(each.logits[place] + bonus.get(place, 0.0), best) + level
        )
        for place in ordered
    ]
    return sorted(scored, key=lambda evidence: -evidence.score)[:EVIDENCE]


# Follow-ups, measured with benchmarks/follow_ups.py. Rewriting the question with the default model
# makes the results worse.

# A follow-up is scored alone and with the earlier questions. This is the weight of the better of
# the two logits. With 0.75, 0.5, 0.9 and 1, the best sentence was right for 18, 18, 16 and 16 of 20
# follow-ups, and relevant enough to be shown for 16, 12, 15 and 15.
BETTER = 0.75


class _FollowUpReranker:
    """Scores sentences for a follow-up alone and for the follow-up with the earlier questions.

    With only the second score, the answer to the earlier question would often win again.
    """

    def __init__(self, reranker: Reranker, follow_up: str) -> None:
        self._reranker, self._follow_up = reranker, follow_up

    def score(self, question: str, sentences: Sequence[str], run: Run | None = None) -> list[float]:
        whole = self._reranker.score(question, sentences, run)
        alone = self._reranker.score(self._follow_up, sentences, run)
        pairs = zip(whole, alone, strict=True)
        return [BETTER * max(pair) + (1 - BETTER) * min(pair) for pair in pairs]
