"""Citing: which passage supports each sentence of an answer. Pure and deterministic.

A sentence of the answer is cited if one sentence of a passage has most of its words, most of those
that are not in the question, and all of its numbers and names. Only words are compared: a missing
"not" goes unnoticed.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.checking import Known, missing_names, missing_numbers, ungrouped
from engine.lexical import passage_terms
from engine.schema import NodeWithScore
from engine.splitting import sentence_spans

# A passage's sentence must contain these shares of an answer's words: of all words, and of those
# that are not in the question. The second share prevents citations of a repeated question.
OF_ALL, OF_NEW = 0.5, 0.75
# An answer of fewer words is supported only by a sentence that the search found relevant. "Blue" is
# in many sentences.
FEW = 3


@dataclass(frozen=True, slots=True)
class Citation:
    """`answer[start:end]` is a sentence; `passage` counts the passages from 1."""

    start: int
    end: int
    passage: int


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence of a passage. `relevant`: the search found it so, or it has not looked."""

    passage: int
    known: Known
    relevant: bool


def cite(answer: str, question: str, passages: Sequence[NodeWithScore]) -> list[Citation]:
    """Citations in the order of the answer. A sentence that no passage supports has none."""
    asked = frozenset(passage_terms(question))
    sentences: dict[str, _Sentence] = {}
    for number, found in enumerate(passages, start=1):
        for start, end in sentence_spans(found.text):
            relevant = not found.evidence or any(
                each.start < end and start < each.end for each in found.evidence
            )
            text = found.text[start:end]
            if text not in sentences:
                sentences[text] = _Sentence(number, Known.of(text), relevant)

    @functools.cache
    def supporting(said: str) -> int:
        """The passage that has most of a sentence's words, or 0."""
        shares = [(_share(said, each, asked), -each.passage) for each in sentences.values()]
        best, number = max(shares, default=(0.0, 0))
        return -number if best > 0 else 0

    spans = [span for span in sentence_spans(answer) if not _is_heading(answer[slice(*span)])]
    found_for = [(start, end, supporting(answer[start:end])) for start, end in spans]
    return [Citation(start, end, passage) for start, end, passage in found_for if passage]


def _is_heading(text: str) -> bool:
    """Whether a sentence states nothing: a question, or a line in bold above an answer."""
    in_bold = re.fullmatch(r"\s*\*\*[^*]+\*\*\s*", text)
    return text.rstrip(" *_").endswith("?") or in_bold is not None


def _share(said: str, sentence: _Sentence, asked: frozenset[int]) -> float:
    """How many of the answer's words (`said`) the sentence has, 0 to 2; 0 if they are too few."""
    terms = frozenset(passage_terms(ungrouped(said)))
    if not terms or (len(terms) < FEW and not sentence.relevant):
        return 0.0
    new = terms - asked
    of_all = len(terms & sentence.known.stems) / len(terms)
    of_new = len(new & sentence.known.stems) / len(new) if new else of_all
    if of_all < OF_ALL or of_new < (OF_NEW if new else 1.0):
        return 0.0
    if missing_numbers(said, sentence.known):
        return 0.0
    names = missing_names(said, sentence.known)
    return of_all + of_new if frozenset(passage_terms(" ".join(names))) <= asked else 0.0
