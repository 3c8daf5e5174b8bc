"""Text → terms with weights, and an index of terms in memory, for BM25.

Terms are words, stemmed by their language's rules and hashed to numbers, as Qdrant's sparse vectors
need them. A passage's weights hold BM25's term frequencies. The rarity of a term (IDF) is applied
in the search, by a Qdrant server or by `TermIndex`, with the same formula.
"""

import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

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
