"""Questions about the library that no rule knows, recognised by examples.

A question with a word for documents is compared with the examples of examples.json, by the
embedding model. It is taken for one about the library if its nearest example is, and is closer by
MARGIN than any question for a fact that has such a word, too: a question for a fact that is taken
for one about the library is worse than the other way round. One that names no topic can only be
about the contents or the list of documents, and one with a topic about where it is mentioned.
"""

import json
import re
from pathlib import Path

from engine.embedding import Embedding, Vectors
from engine.kinds.recognising import Asked, Kind
from engine.kinds.words import terms_of

# Cosine, of bge-small. With it, one of 2,910 questions of SQuAD is taken for one about the library,
# besides 3 by the rules.
MARGIN = 0.02
_DOCUMENTS = re.compile(
    r"\b(?:documents?|docs?|files?|pdfs?|texts?|papers|sources|collection|library|folder|archive|"
    r"uploads?|uploaded|all this|in here)\b",
    re.IGNORECASE,
)
_ALL = re.compile(
    r"\b(?:documents|docs|files|texts|papers|sources|collection|library|folder|archive)\b", re.I
)
# Words of such questions that are no topic
_NO_TOPIC = frozenset(
    terms_of(
        "document doc file pdf text paper source collection library folder archive upload mention "
        "discuss describe cover deal talk say come turn appear occur refer find read contain "
        "something anything information word name list show tell give open look rough roughly "
        "broad broadly general generally brief briefly kind sort topic theme subject content idea "
        "sentence short which what who where how many number all those these them whole collect "
        "gather everything overview please have get"
    )
)
_EXAMPLES: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("examples.json").read_text(encoding="utf-8")
)
_LABELS = [label for label, questions in _EXAMPLES.items() for _ in questions]


def by_example(question: str, embedding: Embedding) -> Asked | None:
    """The question as one about the library, or None."""
    if not _DOCUMENTS.search(question):
        return None
    cosines = _vectors(embedding) @ embedding.embed_query(question)
    best: dict[str, float] = {}
    for label, cosine in zip(_LABELS, cosines.tolist(), strict=True):
        best[label] = max(cosine, best.get(label, -1.0))
    topic = topic_phrase(question)
    labels = best if topic else ["contents", "inventory", "other"]
    label = max(labels, key=lambda each: best[each])
    if best[label] < best["other"] + MARGIN or (topic and label != "mentions"):
        return None
    match label:
        case "contents":
            return Asked(Kind.SUMMARY, question, {"about": "all of my documents"})
        case "mentions":
            return Asked(Kind.LIBRARY, question, {"about": topic})
    return Asked(Kind.LIBRARY, question)


def names_all(phrase: str) -> bool:
    """Whether a phrase means all documents: "this collection of texts", and names no topic."""
    return bool(_ALL.search(phrase)) and not topic_phrase(phrase)


def topic_phrase(question: str) -> str:
    """The words of a question about documents from the first to the last that are a topic."""
    words = list(re.finditer(r"[^\s?!.,;:]+", question))
    own = [each for each in words if set(terms_of(each[0])) - _NO_TOPIC]
    return question[own[0].start() : own[-1].end()] if own else ""


_vectors_of: dict[str, Vectors] = {}  # by the name of the embedding model


def _vectors(embedding: Embedding) -> Vectors:
    if embedding.name not in _vectors_of:
        questions = [each for questions in _EXAMPLES.values() for each in questions]
        _vectors_of[embedding.name] = embedding.embed(questions)
    return _vectors_of[embedding.name]
