"""Text → terms with weights, and an index of terms in memory, for BM25.

Terms are stemmed words, hashed to numbers, as Qdrant's sparse vectors need them. A passage's
weights hold BM25's term frequencies. The rarity of a term (IDF) is applied in the search, by a
Qdrant server or by `TermIndex`, with the same formula.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastembed.sparse.bm25 import Bm25

# term number → weight
Terms = Mapping[int, float]

# BM25's average length of a passage, in words: each word of a longer passage weighs less. It is a
# constant because the weights are stored. Measured on SQuAD (paragraphs of 120 words), hit@1 of
# both searches together: 100 words 0.856, 200 words 0.861, 300 words 0.862.
AVERAGE_WORDS = 200.0

# English stop words. Measured likewise: 0.846 without the list, 0.853 with it. In other languages
# the list has no effect, and only IDF lowers the weight of common words.
_STOP_WORDS = """
    a an and are as at be but by did do does for how if in into is it no not of on or such that the
    their then there these they this to was what when where which who whom whose why will with
"""

# The search uses only the beginning of a longer question: about 4,000 words. Each word takes one
# lookup in the index.
_QUESTION_CHARACTERS = 20_000


def passage_terms(text: str) -> Terms:
    terms: Terms = next(iter(_bm25().embed([_valid(text)]))).as_dict()
    return terms


def question_terms(text: str) -> Terms:
    """The terms of a question. Each counts once, however often it occurs."""
    terms: Terms = next(iter(_bm25().query_embed(_valid(text[:_QUESTION_CHARACTERS])))).as_dict()
    return terms


@functools.cache
def _bm25() -> "Bm25":
    """Imported and created on first use, because fastembed takes most of a second to import."""
    from fastembed.sparse.bm25 import Bm25

    # Bm25 requires a folder, from which it would read stop words if none were given.
    folder = str(Path(__file__).parent)
    return Bm25(
        "Qdrant/bm25",
        folder,
        stopwords=set(_STOP_WORDS.split()),
        avg_len=AVERAGE_WORDS,
        specific_model_path=folder,
    )


def _valid(text: str) -> str:
    """The text with "?" in place of lone surrogates, which cannot be hashed."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def inverse_document_frequency(passages: int, containing: int) -> float:
    """Qdrant's formula. The result is above 0 even for a term that every passage contains."""
    return math.log((passages - containing + 0.5) / (containing + 0.5) + 1)


class TermIndex:
    """Inverted lists: for each term, the passages that hold it and its weight in each.

    Passages are numbered from 0 in the order they are added. A removed one keeps its number and
    its place in the lists until a new index is made. Not safe for several threads at once.
    """

    def __init__(self) -> None:
        self._lists: dict[int, _List] = {}
        self._alive = np.zeros(0, bool)

    def __len__(self) -> int:
        return int(self._alive.sum())

    def add(self, passages: Sequence[Terms]) -> range:
        """Add passages. Returns their numbers."""
        numbers = range(len(self._alive), len(self._alive) + len(passages))
        self._alive = np.concatenate([self._alive, np.ones(len(passages), bool)])
        counts = [len(terms) for terms in passages]
        holders = np.repeat(np.array(numbers, np.int32), counts)
        terms = np.fromiter(chain.from_iterable(passages), np.int64, sum(counts))
        weights = np.fromiter(
            chain.from_iterable(each.values() for each in passages), np.float32, sum(counts)
        )
        order = np.argsort(terms, kind="stable")
        different, starts = np.unique(terms[order], return_index=True)
        # np.split of nothing still gives one part, without a term
        for term, of_term in zip(different.tolist(), np.split(order, starts[1:]), strict=False):
            self._lists.setdefault(term, _List()).extend(holders[of_term], weights[of_term])
        return numbers

    def remove(self, numbers: Sequence[int]) -> None:
        self._alive[list(numbers)] = False

    def search(
        self, terms: Terms, limit: int, within: Sequence[int] | None = None
    ) -> list[tuple[int, float]]:
        """The numbers and scores of the best passages that share a term, best first. `within`: the
        numbers of the passages to search; a term's rarity is that in all passages.
        """
        scores = self._scores(terms)
        if within is not None:
            chosen = np.zeros(len(scores), bool)
            chosen[list(within)] = True
            scores *= chosen
        order = np.argsort(-scores, kind="stable")[:limit]
        return [(int(number), float(scores[number])) for number in order if scores[number] > 0]

    def _scores(self, terms: Terms) -> NDArray[np.float32]:
        scores = np.zeros(len(self._alive), np.float32)
        total = len(self)
        for term, weight in terms.items():
            if term in self._lists:
                passages, weights = self._lists[term].arrays()
                rarity = inverse_document_frequency(total, int(self._alive[passages].sum()))
                scores[passages] += weight * rarity * weights
        return scores * self._alive


class _List:
    """The passages of one term, and its weight in each. Arrays are joined when they are read."""

    def __init__(self) -> None:
        self._passages: list[NDArray[np.int32]] = []
        self._weights: list[NDArray[np.float32]] = []

    def extend(self, passages: NDArray[np.int32], weights: NDArray[np.float32]) -> None:
        self._passages.append(passages)
        self._weights.append(weights)

    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        if len(self._passages) > 1:
            self._passages = [np.concatenate(self._passages)]
            self._weights = [np.concatenate(self._weights)]
        return self._passages[0], self._weights[0]
