"""Citing: which passage supports each sentence of an answer. Pure and deterministic.

A sentence of the answer is cited if one sentence of a passage has most of its words, most of those
that are not in the question, and all of its numbers. Only words are compared: a citation does not
show that the answer is right, and a missing "not" goes unnoticed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.lexical import passage_terms
from engine.schema import NodeWithScore
from engine.splitting import sentence_spans

# A passage's sentence must contain these shares of an answer's words: of all words, and of those
# that are not in the question. The second share prevents citations of a repeated question.
OF_ALL, OF_NEW = 0.5, 0.75

_GROUPED = re.compile(r"(?<=\d),(?=\d{3})")  # 9,000 is 9000
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True)
class Citation:
    """`answer[start:end]` is a sentence; `passage` counts the passages from 1."""

    start: int
    end: int
    passage: int


@dataclass(frozen=True, slots=True)
class _Words:
    terms: frozenset[int]
    numbers: frozenset[str]


def cite(answer: str, question: str, passages: Sequence[NodeWithScore]) -> list[Citation]:
    """Citations in the order of the answer. A sentence that no passage supports has none."""
    asked = frozenset(passage_terms(question))
    sentences = [
        (number, _words(found.text[start:end]))
        for number, found in enumerate(passages, start=1)
        for start, end in sentence_spans(found.text)
    ]
    cited = []
    for start, end in sentence_spans(answer):
        said = _words(answer[start:end])
        shares = [(_share(said, words, asked), -number) for number, words in sentences]
        best, number = max(shares, default=(0.0, 0))
        if best > 0:
            cited.append(Citation(start, end, -number))
    return cited


def _words(text: str) -> _Words:
    text = _GROUPED.sub("", text)
    return _Words(frozenset(passage_terms(text)), frozenset(_NUMBER.findall(text)))


def _share(said: _Words, sentence: _Words, asked: frozenset[int]) -> float:
    """How many of the answer's words (`said`) the sentence has, 0 to 2; 0 if they are too few."""
    if not said.terms or not said.numbers <= sentence.numbers:
        return 0.0
    new = said.terms - asked
    of_all = len(said.terms & sentence.terms) / len(said.terms)
    of_new = len(new & sentence.terms) / len(new) if new else of_all
    enough = of_all >= OF_ALL and of_new >= (OF_NEW if new else 1.0)
    return of_all + of_new if enough else 0.0
