"""Overviews: "What does the handbook say about fog?" Everything that is said on a topic, quoted.

The topic occurs if a passage has its words, or if the reranker finds a sentence on it. Then the
sentences on it are quoted, by document and in the order of the text. A larger model writes the
answer from their passages instead.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.kinds.finding import Finder, Treated, marked
from engine.kinds.naming import books_named
from engine.kinds.recognising import EVERYTHING, Asked, Kind
from engine.kinds.words import terms_of
from engine.lexical import inverse_document_frequency
from engine.run import Run
from engine.schema import Node, NodeWithScore
from engine.splitting import sentence_spans

# Passages that are looked through, and sentences that the reranker scores
PASSAGES, SENTENCES = 16, 32
# Sentences that are quoted, at most
QUOTED = 8
# The share of the topic's words, by their rarity, that a passage must have for the topic to occur
OCCURS = 0.6
# A sentence with this logit is about the topic, whatever its words are
ABOUT = 1.0
# The lowest logit of a sentence that is quoted for its words
NOT_ABOUT = -6.0

_LEANS = re.compile(
    r"^(?:it|its|he|she|they|his|her|their|this|these|those|that|such|there|then|if it|the same)\b",
    re.I,
)


@dataclass(slots=True)
class _Sentence:
    """`place`: its number in its passage; `share`: how much of the topic's words it has."""

    node: Node
    start: int
    end: int
    place: int
    share: float
    score: float = 0.0

    @property
    def text(self) -> str:
        return self.node.text[self.start : self.end]


def overview(asked: Asked, finder: Finder, run: Run) -> Treated | None:
    topic, finder, where = _scope(asked, finder)
    if not terms_of(topic):
        return None
    found = finder.passages(topic, PASSAGES, run)
    chosen = _on_topic(topic, found, finder, run)
    named = f"“{' '.join(topic.split())[:80]}”"
    if not chosen:
        return Treated(Kind.OVERVIEW, f"Looked for {named} in {where}", found[:3], missing=True)
    sources = _sources(chosen)
    if not finder.small:
        did = f"What {where} say{'s' * (not where.startswith('your'))} about {named}"
        return Treated(
            Kind.OVERVIEW, f"{did}: written from {_count(len(sources), 'passage')}", sources
        )
    did = (
        f"What {where} say{'s' * (not where.startswith('your'))} about {named}: "
        f"{_count(len(chosen), 'sentence')} from {_count(len(sources), 'passage')}, quoted"
    )
    return Treated(Kind.OVERVIEW, did, sources, tuple(quotations(sources)))


def quotations(sources: Sequence[NodeWithScore], by_document: bool = True) -> list[str]:
    """Lines: the evidence of the sources as a list of quotations, below the names of documents."""
    lines: list[str] = []
    named = ""
    for source in sources:
        label = source.node.label
        if by_document and label != named:
            lines.append(f"{chr(10) * bool(lines)}**{label}**\n\n")
            named = label
        in_order = sorted(source.evidence, key=lambda each: each.start)
        lines += [f"- “{' '.join(source.sentence(each).split())}”\n" for each in in_order]
    return lines


def _scope(asked: Asked, finder: Finder) -> tuple[str, Finder, str]:
    """The topic, the documents that are asked about, and how they are called."""
    topic, phrase = asked["about"], asked["document"]
    books = finder.shelf.books()
    inside = re.search(r"^(.+?),? (?:in|according to|from) ((?:the|my|our) .+)$", topic)
    if inside and not phrase and books_named(inside[2], books).share == 1:
        topic, phrase = inside[1], inside[2]
    if phrase and not EVERYTHING.fullmatch(phrase):
        named = books_named(phrase, books)
        if named.books and len(named.books) < len(books):
            called = (
                named.books[0].name if len(named.books) == 1 else f"{len(named.books)} documents"
            )
            return topic, finder.within([each.source.source_id for each in named.books]), called
        if not named.books:
            topic = f"{topic} {phrase}" if not EVERYTHING.search(phrase) else topic
    return topic, finder, books[0].name if len(books) == 1 else "your documents"


def _on_topic(
    topic: str, found: Sequence[NodeWithScore], finder: Finder, run: Run
) -> list[_Sentence]:
    """The sentences on the topic, in the order of the documents and of their text."""
    terms = set(terms_of(topic))
    headings = {each.node.id_: set(terms_of(_heading(each.node))) for each in found}
    within = [set(terms_of(each.text)) | headings[each.node.id_] for each in found]
    rarity = {
        term: inverse_document_frequency(len(found) + 1, sum(term in each for each in within))
        for term in terms
    }

    def share(there: set[str]) -> float:
        return sum(rarity[term] for term in terms & there) / sum(rarity.values())

    # 1. The sentences that share the most words with the topic, or stand under a heading that does
    sentences: list[_Sentence] = []
    for each in found:
        for place, (start, end) in enumerate(sentence_spans(each.text)):
            text = each.text[start:end]
            if len(text.split()) >= 4 and text != _heading(each.node):
                words = set(terms_of(text)) | headings[each.node.id_]
                sentences.append(_Sentence(each.node, start, end, place, share(words)))
    sentences = sorted(sentences, key=lambda each: -each.share)[:SENTENCES]

    # 2. Those that the topic's words, or the reranker, find to be about it
    occurs = any(share(each) >= OCCURS for each in within)
    logits = finder.scores(topic, [each.text for each in sentences], run)
    kept = []
    for sentence, logit in zip(sentences, logits or [0.0] * len(sentences), strict=True):
        by_words = occurs and sentence.share >= OCCURS and logit > NOT_ABOUT
        if by_words or (logits and logit >= ABOUT):
            sentence.score = logit + 4 * sentence.share
            kept.append(sentence)
    kept.sort(key=lambda each: -each.score)
    kept = _with_what_leans(_without_repetitions(kept)[:QUOTED])
    order = {each.node.source_id: rank for rank, each in reversed(list(enumerate(found)))}
    return sorted(kept, key=lambda e: (order[e.node.source_id], e.node.position, e.start))


def _with_what_leans(kept: list[_Sentence]) -> list[_Sentence]:
    """The sentences, and the next one of each in its paragraph that goes on with "It" or "They"."""
    there = {(each.node.id_, each.start) for each in kept}
    more = []
    for each in kept:
        text = each.node.text
        for start, end in sentence_spans(text)[each.place + 1 : each.place + 2]:
            goes_on = _LEANS.match(text[start:end]) and "\n\n" not in text[each.end : start]
            if goes_on and (each.node.id_, start) not in there:
                more.append(
                    _Sentence(each.node, start, end, each.place + 1, each.share, each.score)
                )
    return kept + more


def _without_repetitions(sentences: Sequence[_Sentence]) -> list[_Sentence]:
    """Passages overlap: the same sentence is taken once."""
    there: dict[tuple[str, str], _Sentence] = {}
    for each in sentences:
        there.setdefault((each.node.source_id, " ".join(each.text.split())), each)
    return list(there.values())


def _sources(chosen: Sequence[_Sentence]) -> list[NodeWithScore]:
    nodes: dict[str, list[_Sentence]] = {}
    for each in chosen:
        nodes.setdefault(each.node.id_, []).append(each)
    return [
        marked(
            group[0].node, [(each.start, each.end) for each in group], max(e.score for e in group)
        )
        for group in nodes.values()
    ]


def _heading(node: Node) -> str:
    return str(node.metadata.get("heading") or "").rpartition(" › ")[2]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
