"""Sentences → the most central ones: those that are like many others. Pure, but for the embedder.

LexRank: sentences are the nodes of a graph, their similarities its edges, and a sentence's rank is
the share of time that a random walk spends at it. Then sentences are taken one after another, each
unlike those that were taken before (maximal marginal relevance).
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.kinds.words import terms_of
from engine.schema import Node

# Sentences that are embedded, at most: about 4 s on two cores of a 2-core AMD EPYC. Of a longer
# text, those that are the most central by their words are embedded.
EMBEDDED = 400
# The walk follows an edge with this probability, and otherwise begins anywhere
DAMPING = 0.85
# Below this cosine two sentences have nothing in common: the median of unrelated sentences of bge
UNRELATED = 0.5
# How much likeness to the sentences already taken counts against a sentence
VARIETY = 0.5
# The weight of a sentence's place, the first of a text and the first of a block; of its length; of
# a number in it; and of each sentence that was taken from its block before
FIRST, FIRST_OF_BLOCK, LENGTH, NUMBER, SAME_BLOCK = 0.4, 0.2, 0.3, 0.15, 0.6

_LEANS = re.compile(
    r"(?:it|its|he|she|they|this|these|that|then|there|so|but|and)\b", re.IGNORECASE
)

Vectors = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True, slots=True)
class Sentence:
    """`node.text[start:end]`. `block`: the number of its paragraphs under one heading, `heading`,
    which may be empty; `first`: whether it begins them."""

    node: Node
    start: int
    end: int
    block: int
    heading: str
    first: bool

    @property
    def text(self) -> str:
        return " ".join(self.node.text[self.start : self.end].split())


def how_many(sentences: Sequence[Sentence]) -> int:
    """The length of a summary: 1.8 times the root of the text's, or a sentence of each block; 4 to
    12."""
    blocks = len({each.block for each in sentences})
    return max(4, min(12, max(round(1.8 * math.sqrt(len(sentences))), min(blocks, 10))))


def central(sentences: Sequence[Sentence], most: int, embed: Embed) -> list[Sentence]:
    """The `most` central sentences, in the order of the text."""
    if len(sentences) <= most:
        return list(sentences)
    by_words = _ranks(_similar_words([each.text for each in sentences]))
    places: list[int] = list(range(len(sentences)))
    if len(sentences) > EMBEDDED:
        places = sorted(np.argsort(-by_words)[:EMBEDDED].tolist())
    shown = [sentences[place] for place in places]
    vectors = embed([each.text for each in shown])
    cosines = vectors @ vectors.T
    ranks = _ranks(np.clip(cosines - UNRELATED, 0, None))
    score = _scaled(ranks) + 0.5 * _scaled(by_words[places])
    score += np.array([_bonus(each, place) for place, each in zip(places, shown, strict=True)])
    taken: list[int] = []
    for _ in range(most):
        like = cosines[:, taken].max(axis=1) if taken else np.zeros(len(shown))
        same = np.array([sum(each.block == shown[t].block for t in taken) for each in shown])
        value = score - 2 * VARIETY * np.clip(like - UNRELATED, 0, None) - SAME_BLOCK * same
        value[taken] = -np.inf
        taken.append(int(value.argmax()))
    return [shown[place] for place in sorted(taken)]


def _bonus(sentence: Sentence, place: int) -> float:
    words = len(sentence.text.split())
    bonus = FIRST if place == 0 else FIRST_OF_BLOCK if sentence.first else 0.0
    bonus += NUMBER * any(map(str.isdigit, sentence.text))
    leans = _LEANS.match(sentence.text) is not None
    return bonus - LENGTH * (words < 8) - LENGTH * (words > 45) - LENGTH * leans


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values / (values.max() or 1.0)


def _ranks(similar: NDArray[np.floating]) -> NDArray[np.float64]:
    """The shares of the walk's time, by 30 steps of it."""
    weights = np.array(similar, np.float64)
    np.fill_diagonal(weights, 0)
    sums = weights.sum(axis=1, keepdims=True)
    steps = np.divide(weights, sums, out=np.full_like(weights, 1 / len(weights)), where=sums > 0)
    ranks = np.full(len(weights), 1 / len(weights))
    for _ in range(30):
        ranks = (1 - DAMPING) / len(weights) + DAMPING * ranks @ steps
    return ranks


def _similar_words(texts: Sequence[str]) -> NDArray[np.float32]:
    """Cosines of the sentences' words, weighted by their rarity. For at most 3,000 sentences the
    matrix is computed; of more, each is compared with 1,000 others, evenly chosen."""
    bags = [set(terms_of(text)) for text in texts]
    numbers = {term: n for n, term in enumerate(sorted({t for bag in bags for t in bag}))}
    counts = np.zeros(max(len(numbers), 1), np.float32)
    for bag in bags:
        counts[[numbers[term] for term in bag]] += 1
    rarity = np.log(1 + len(texts) / np.maximum(counts, 1))
    matrix = np.zeros((len(texts), max(len(numbers), 1)), np.float32)
    for row, bag in zip(matrix, bags, strict=True):
        row[[numbers[term] for term in bag]] = rarity[[numbers[term] for term in bag]]
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    matrix = np.divide(matrix, lengths, out=matrix, where=lengths > 0)
    result: NDArray[np.float32] = matrix @ matrix.T
    return result
