"""Text → terms with weights, and an index of terms in memory, for BM25.

Terms are words, stemmed by their language's rules and hashed to numbers, as Qdrant's sparse vectors
need them. A passage's weights hold BM25's term frequencies. The rarity of a term (IDF) is applied
in the search, by a Qdrant server or by `TermIndex`, with the same formula.
"""

import functools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.languages import ENGLISH, STEMMERS

if TYPE_CHECKING:
    from fastembed.sparse.bm25 import Bm25

# term number → weight
Terms = Mapping[int, float]

# BM25's average length of a passage, in words: each word of a longer passage weighs less. It is a
# constant because the weights are stored. Measured on SQuAD (paragraphs of 120 words), hit@1 of
# both searches together: 100 words 0.856, 200 words 0.861, 300 words 0.862.
AVERAGE_WORDS = 200.0

# Words that do not say what a question is about, by language. fastembed would fetch its lists from
# a hub. Measured likewise, in English: 0.846 without the list, 0.853 with it. In a language without
# a list, IDF alone weighs common words.
_STOP_WORDS = Path(__file__).with_name("stop_words.json")

# The search uses only the beginning of a longer question: about 4,000 words. Each word takes one
# lookup in the index.
_QUESTION_CHARACTERS = 20_000


def passage_terms(text: str, language: str = ENGLISH) -> Terms:
    """`language`: ISO 639-1; one without a stemmer gets its words as they are."""
    terms: Terms = next(iter(_bm25(_known(language)).embed([_valid(text)]))).as_dict()
    return terms


def question_terms(text: str, languages: Iterable[str] = (ENGLISH,)) -> Terms:
    """Each term counts once. `languages`: those of the passages that are searched.

    A word has a term for each of them, so that it is found in all.
    """
    question = _valid(text[:_QUESTION_CHARACTERS])
    terms: dict[int, float] = {}
    for language in sorted({_known(each) for each in languages}):
        terms |= next(iter(_bm25(language).query_embed(question))).as_dict()
    return terms


def stem(word: str, language: str = ENGLISH) -> str:
    """The stem of a word in lower case; empty for a stop word."""
    rules, word = _bm25(_known(language)), _valid(word).lower()
    if word in rules.stopwords:
        return ""
    return str(rules.stemmer.stem_word(word)) if rules.stemmer else word


def term_number(word: str, language: str = ENGLISH) -> int:
    """The number of a word's term, as in the terms of a passage."""
    rules = _bm25(_known(language))
    return int(rules.compute_token_id(stem(word, language) or word))


def _known(language: str) -> str:
    return language if language in STEMMERS else ""


@functools.cache
def _bm25(language: str) -> "Bm25":
    """Imported and made on first use: fastembed takes most of a second to import.

    Empty: words are not stemmed, and none is a stop word.
    """
    from fastembed.sparse.bm25 import Bm25

    # Bm25 requires a folder, from which it would read stop words if none were given.
    folder = str(Path(__file__).parent)
    words: dict[str, str] = json.loads(_STOP_WORDS.read_text("utf-8"))
    return Bm25(
        "Qdrant/bm25",
        folder,
        language=STEMMERS.get(language, STEMMERS[ENGLISH]),
        disable_stemmer=not language,
        stopwords=set(words.get(language, "").split()),
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

    Passages are numbered from 0 in the order they are added. One that is hidden keeps its number
    and its place in the lists until a new index is made. Not safe for several threads at once.
    """

    def __init__(self) -> None:
        none = np.zeros(0, np.int64)
        self._first = _Sorted.of(none, none, np.zeros(0, np.float32))
        self._lists: dict[int, _List] = {}  # of the passages that were added later
        self._alive = np.zeros(0, bool)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def fill(
        self,
        counts: NDArray[np.int64],
        terms: NDArray[np.uint32],
        weights: NDArray[np.float32],
    ) -> None:
        """Add the first passages, all at once: how many terms each has, then the terms and the
        weights of one passage after another.
        """
        self._first = _Sorted.of(np.repeat(np.arange(len(counts)), counts), terms, weights)
        self._alive = np.ones(len(counts), bool)
        self._count = len(counts)

    def add(self, passages: Sequence[Terms]) -> range:
        """Add passages. Returns their numbers."""
        numbers = range(len(self._alive), len(self._alive) + len(passages))
        self._alive = np.concatenate([self._alive, np.ones(len(passages), bool)])
        self._count += len(passages)
        counts = [len(terms) for terms in passages]
        holders = np.repeat(np.array(numbers, np.int32), counts)
        terms = np.fromiter(chain.from_iterable(passages), np.int64, sum(counts))
        weights = np.fromiter(
            chain.from_iterable(each.values() for each in passages), np.float32, sum(counts)
        )
        of_terms = _Sorted.of(holders, terms, weights)
        for number, term in enumerate(of_terms.terms.tolist()):
            self._lists.setdefault(term, _List()).extend(*of_terms.at(number))
        return numbers

    def hide(self, numbers: NDArray[np.int64]) -> None:
        self._alive[numbers] = False
        self._count = int(self._alive.sum())

    def show(self, numbers: NDArray[np.int64]) -> None:
        self._alive[numbers] = True
        self._count = int(self._alive.sum())

    def search(self, terms: Terms, limit: int) -> list[tuple[int, float]]:
        """The numbers and scores of the best passages that share a term, best first."""
        scores = self.scores(terms)
        order = np.argsort(-scores, kind="stable")[:limit]
        return [(int(number), float(scores[number])) for number in order if scores[number] > 0]

    def known(self, terms: Iterable[int]) -> set[int]:
        """Those of the terms that a passage has, or had before it was hidden."""
        return {term for term in terms if self._first.has(term) or term in self._lists}

    def scores(self, terms: Terms) -> NDArray[np.float32]:
        """Of each passage, by its number; 0 where it shares no term, or is hidden."""
        scores = np.zeros(len(self._alive), np.float32)
        for term, weight in terms.items():
            parts = [*self._first.of_term(term), *self._of_term(term)]
            containing = sum(int(self._alive[passages].sum()) for passages, _ in parts)
            rarity = inverse_document_frequency(len(self), containing)
            for passages, weights in parts:
                scores[passages] += weight * rarity * weights
        scores[~self._alive] = 0
        return scores

    def _of_term(self, term: int) -> Iterator["_Holders"]:
        if term in self._lists:
            yield self._lists[term].arrays()


_Holders = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Passages, and the weight of one term in each."""


class _Sorted:
    """The lists of all terms one after another, in the order of the terms."""

    def __init__(
        self,
        terms: NDArray[np.int64],
        starts: NDArray[np.int64],
        holders: NDArray[np.int32],
        weights: NDArray[np.float32],
    ) -> None:
        self.terms, self._starts, self._holders, self._weights = terms, starts, holders, weights

    @classmethod
    def of(
        cls,
        holders: NDArray[Any],
        terms: NDArray[Any],
        weights: NDArray[np.float32],
    ) -> "_Sorted":
        """`holders`, `terms` and `weights` belong together."""
        order = np.argsort(terms, kind="stable")
        ordered = terms[order]
        starts = np.flatnonzero(np.diff(ordered.astype(np.int64), prepend=-1))
        return cls(
            ordered[starts].astype(np.int64),
            np.append(starts, len(ordered)),
            holders[order].astype(np.int32),
            weights[order],
        )

    def at(self, place: int) -> _Holders:
        part = slice(int(self._starts[place]), int(self._starts[place + 1]))
        return self._holders[part], self._weights[part]

    def has(self, term: int) -> bool:
        place = int(np.searchsorted(self.terms, term))
        return place < len(self.terms) and bool(self.terms[place] == term)

    def of_term(self, term: int) -> Iterator[_Holders]:
        place = int(np.searchsorted(self.terms, term))
        if place < len(self.terms) and self.terms[place] == term:
            yield self.at(place)


class _List:
    """The passages of one term, and its weight in each. Arrays are joined when they are read."""

    def __init__(self) -> None:
        self._passages: list[NDArray[np.int32]] = []
        self._weights: list[NDArray[np.float32]] = []

    def extend(self, passages: NDArray[np.int32], weights: NDArray[np.float32]) -> None:
        self._passages.append(passages)
        self._weights.append(weights)

    def arrays(self) -> _Holders:
        if len(self._passages) > 1:
            self._passages = [np.concatenate(self._passages)]
            self._weights = [np.concatenate(self._weights)]
        return self._passages[0], self._weights[0]
