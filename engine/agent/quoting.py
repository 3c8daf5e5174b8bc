"""The answer to a question about documents as a quotation, or nothing if no sentence answers it.

A sentence is quoted if the reranker is sure of it, or if its passage has all the words that say
what the question is about, and if it has what is asked for, such as a weight. So "What is the name
of the insurance company?" does not get a sentence about a company.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.agent.forms import read_forms
from engine.agent.values import Kind, cells_of, mentions, stems
from engine.retrieving import RELEVANT
from engine.schema import NodeWithScore
from engine.splitting import sentence_spans

# With at least this logit, a passage need not have the question's words, only its numbers. In
# benchmarks/questions/tune.json, 1 of 17 questions about what is in no document reaches it, which
# names a year that is nowhere; of 24 questions whose best sentence answers them, 15 do.
SURE = 4.0
TITLE = 8  # words of a line without a full stop that is a title

_DATA = read_forms(__file__)
_GENERAL = frozenset(stems(_DATA.data["words"]["general"]))
_ASKED = [
    (re.compile(pattern, re.I), Kind[name] if name in Kind.__members__ else name)
    for name, pattern in _DATA.data["asked"].items()
]
_COLUMNS = {
    word: frozenset(stems(names)) for word, names in _DATA.data["columns"].items()
}  # what a question word asks for


@dataclass(frozen=True, slots=True)
class _Sentence:
    text: str
    source: NodeWithScore
    end: int  # in its passage

    def quoted(self) -> str:
        """With its file. A title, or a question, is followed by the sentences below it."""
        text = self.text
        if text.endswith("?") or (text[-1:] not in ".!:;" and len(text.split()) <= TITLE):
            below = self.source.text[self.end :]
            spans = sentence_spans(below)[:2]
            text = " ".join([text, *(below[start:end] for start, end in spans)])
        return f"“{' '.join(text.split())}” ({self.source.node.label})"


def quotation(question: str, sources: Sequence[NodeWithScore]) -> str:
    """The sentence that answers a question, with its file; empty if none does."""
    words = frozenset(stems(question)) - _GENERAL
    numbers = frozenset(word for word in words if word.isdecimal())
    asked = next((kind for pattern, kind in _ASKED if pattern.search(question)), None)
    sentences = [each for each in _sentences(sources) if _states(asked, each.text)]
    for each in sentences:
        if _answers_by_row(question, words, each.text):
            return each.quoted()
    judged = any(each.scores.rerank is not None for each in sources)
    for each in sentences:
        logit, around = each.source.scores.rerank, _around(each.source)
        if not judged or (logit is not None and logit >= SURE and numbers <= around):
            return each.quoted()
        if logit is not None and logit >= RELEVANT and words <= around:
            return each.quoted()
    for each in sentences:
        if len(words) > 1 and words <= frozenset(stems(each.text)):
            return each.quoted()
    return ""


def _sentences(sources: Sequence[NodeWithScore]) -> Iterator[_Sentence]:
    """The sentences that may answer, the best first; of passages without evidence, all."""
    for source in sources:
        spans = [(each.start, each.end) for each in source.evidence]
        for start, end in spans or sentence_spans(source.text):
            yield _Sentence(source.text[start:end], source, end)


def _around(source: NodeWithScore) -> frozenset[str]:
    heading = source.metadata.get("heading") or ""
    name = source.node.file_name.replace("_", " ")
    return frozenset(stems(f"{source.text} {heading} {name}".replace("_", " ")))


def _states(asked: Kind | str | None, sentence: str) -> bool:
    """Whether a sentence has a value of the kind that is asked for."""
    if asked is None:
        return True
    if asked == "TIME_OR_DATE":
        return re.search(_DATA.data["words"]["times"].replace("\n", ""), sentence, re.I) is not None
    if asked == "NUMBER":
        return bool(mentions(sentence)) or re.search(r"\d", sentence) is not None or (
            re.search(_DATA.data["words"]["none"].replace("\n", ""), sentence, re.I) is not None
        )  # fmt: skip
    names = frozenset(stems(" ".join(name.replace("_", " ") for name, _ in cells_of(sentence))))
    columns = _COLUMNS.get(str(asked.name).lower(), frozenset()) if isinstance(asked, Kind) else ()
    return any(each.kind is asked for each in mentions(sentence)) or bool(names & set(columns))


def _answers_by_row(question: str, words: frozenset[str], line: str) -> bool:
    """Whether a row of a table is about the thing, and has the column that is asked for.

    "Where is the portable relay stored?" → "item: Portable relay; …; location: radio room".
    """
    cells = cells_of(line)
    named = [frozenset(stems(value)) for _, value in cells]
    thing = frozenset().union(*(each for each in named if each and each <= words))
    if not thing:
        return False
    columns = frozenset(stems(" ".join(name.replace("_", " ") for name, _ in cells)))
    first = question.lower().split()[0]
    meant = next((names for word, names in _COLUMNS.items() if word in question.lower()), None)
    wanted = _COLUMNS.get(first) or meant or frozenset()
    rest = words - thing - columns
    return bool(columns & (wanted | (words - thing))) and rest <= wanted
