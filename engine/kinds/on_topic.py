"""A topic → the sentences of the documents that are on it, for overviews and comparisons.

A sentence is on a topic if it stands under a heading that names it, if it has most of the topic's
words, by their rarity, or if the reranker says so. A number in the topic, such as a date, must be
there.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from engine.kinds.finding import Finder, marked
from engine.kinds.words import related, terms_of, words_of
from engine.lexical import inverse_document_frequency
from engine.run import Run
from engine.schema import Node, NodeWithScore
from engine.splitting import is_heading, sentence_spans

# Passages that are looked through, and sentences that the reranker scores
PASSAGES, SENTENCES = 16, 32
# Sentences of its paragraph that are quoted after each of a few, on average
FOLLOWING = 4
# The share of the topic's words that a sentence must have, with the headings above it
OCCURS = 0.6
# A sentence with this logit is on the topic, whatever its words are; one with the words and a lower
# logit than NOT_ABOUT is not. Chosen on benchmarks/questions (tune), over the default reranker.
ABOUT, NOT_ABOUT = 1.0, -6.0
# What the share of the topic's words is worth, in points of logit
SHARE_WEIGHT = 4.0

# A word with a capital inside a topic. Where the documents have a passage with all such words, a
# passage without them is on something else.
_NAME = re.compile(r"(?<=[\w,] )[A-Z][\w'’-]+")

_LEANS = re.compile(
    r"^(?:it|its|he|she|they|his|her|their|this|these|those|that|such|there|then|if it|the same)\b",
    re.I,
)


@dataclass(slots=True)
class Said:
    """`node.text[start:end]`, a sentence. `place`: its number in its passage; `share`: how much of
    the topic's words it has, with the headings above it; `headed`: whether the headings alone have
    them all; `heading`: the nearest one.
    """

    node: Node
    start: int
    end: int
    place: int
    share: float
    headed: bool
    heading: str = ""
    score: float = 0.0

    @property
    def text(self) -> str:
        return self.node.text[self.start : self.end]


def sentences_on(
    topic: str, finder: Finder, run: Run, most: int
) -> tuple[list[Said], list[NodeWithScore]]:
    """The sentences, best first, and the passages that were looked through."""
    sentences, found = statements(topic, finder, run)
    sentences = sorted(sentences, key=lambda each: -each.share)[:SENTENCES]
    logits = finder.scores(topic, [each.text for each in sentences], run)
    kept = []
    for sentence, logit in zip(sentences, logits or [0.0] * len(sentences), strict=True):
        by_words = sentence.share >= OCCURS and (logit > NOT_ABOUT or sentence.share > 0.99)
        if sentence.headed or by_words or (logits and logit >= ABOUT):
            sentence.score = logit + SHARE_WEIGHT * sentence.share
            kept.append(sentence)
    kept.sort(key=lambda each: -each.score)
    return _without_repetitions(kept)[:most], found


def sentences_below(topic: str, finder: Finder, run: Run, most: int) -> list[Said]:
    """The sentences below headings that have all words of the topic, in order; none is scored."""
    sentences, found = statements(topic, finder, run)
    headed = [each for each in sentences if each.headed]
    return in_order(_without_repetitions(headed), found)[:most]


def statements(topic: str, finder: Finder, run: Run) -> tuple[list[Said], list[NodeWithScore]]:
    """All sentences of the passages found for a topic that say something, and these passages."""
    found = finder.passages(topic, PASSAGES, run)
    sentences = _sentences(set(terms_of(topic)), found)
    if numbers := {word for word in words_of(topic) if word.isdigit()}:
        sentences = [each for each in sentences if numbers <= set(words_of(_around(each)))]
    if names := {name for each in _NAME.findall(topic) for name in terms_of(each)}:
        there = [
            each
            for each in sentences
            if names <= set(terms_of(f"{_around(each)} {each.node.file_name} {each.node.text}"))
        ]
        sentences = there or sentences
    return sentences, found


def in_order(sentences: Sequence[Said], found: Sequence[NodeWithScore]) -> list[Said]:
    """In the order of the documents as they were found, and of their text."""
    rank = {each.node.source_id: rank for rank, each in reversed(list(enumerate(found)))}
    return sorted(
        sentences, key=lambda e: (rank.get(e.node.source_id, 0), e.node.position, e.start)
    )


def with_what_leans(kept: Sequence[Said]) -> list[Said]:
    """The sentences, and the next one of each in its paragraph that goes on with "It" or "They"."""
    there = {(each.node.id_, each.start) for each in kept}
    more = []
    for each in kept:
        text = each.node.text
        for start, end in sentence_spans(text)[each.place + 1 : each.place + 2]:
            goes_on = _LEANS.match(text[start:end]) and "\n\n" not in text[each.end : start]
            if goes_on and (each.node.id_, start) not in there:
                more.append(
                    Said(each.node, start, end, each.place + 1, each.share, False, score=each.score)
                )
    return [*kept, *more]


def with_their_paragraphs(kept: Sequence[Said]) -> list[Said]:
    """The sentences, each with those that follow it in its paragraph, up to FOLLOWING."""
    there = {(each.node.id_, each.start) for each in kept}
    more: list[Said] = []
    for each in kept:
        last = each
        for start, end in sentence_spans(each.node.text):
            if start < each.end:
                continue
            if "\n" in each.node.text[last.end : start] or len(more) >= FOLLOWING * len(kept):
                break
            if (each.node.id_, start) not in there:
                there.add((each.node.id_, start))
                more.append(replace(each, start=start, end=end, place=last.place + 1))
            last = replace(each, start=start, end=end, place=last.place + 1)
    return [*kept, *more]


def sources_of_sentences(sentences: Sequence[Said]) -> list[NodeWithScore]:
    """Their passages, in the order of the sentences, with the sentences as evidence."""
    nodes: dict[str, list[Said]] = {}
    for each in sentences:
        nodes.setdefault(each.node.id_, []).append(each)
    return [
        marked(group[0].node, [(e.start, e.end) for e in group], max(e.score for e in group))
        for group in nodes.values()
    ]


def is_lead_in(text: str, start: int, end: int) -> bool:
    """Whether a sentence of a few words at the beginning of a line names what the rest is about."""
    begins = text.rfind("\n", 0, start) + 1
    item = re.match(r"\s*(?:[-*•–]|\d{1,3}[.)])\s", text[begins:end])
    paragraph = begins == 0 or text[:begins].endswith("\n\n")
    before = text[begins:start].strip("-*•–0123456789.() ")
    rest = text[end:].partition("\n")[0].strip()
    words = text[start:end].strip("-*•–0123456789.() ").split()
    return bool(rest) and not before and bool(item or paragraph) and 0 < len(words) <= 5


def is_statement(text: str) -> bool:
    """Whether a sentence says something: a heading and a question do not."""
    return len(text.split()) >= 3 and text.rstrip()[-1:] in '.!…。;:)”"'


def _sentences(terms: set[str], found: Sequence[NodeWithScore]) -> list[Said]:
    """All statements of the passages, with their shares of the terms."""
    above = [_headings(each.node) for each in found]
    within = [
        set(terms_of(each.text)) | headings
        for each, (headings, _) in zip(found, above, strict=True)
    ]
    rarity = {
        term: inverse_document_frequency(len(found) + 1, sum(_has(each, term) for each in within))
        for term in terms
    }
    total = sum(rarity.values())

    def share(there: set[str]) -> float:
        return sum(rarity[term] for term in terms if _has(there, term)) / total if total else 0.0

    sentences = []
    for each, (headings, nearest) in zip(found, above, strict=True):
        above_it = str(each.node.metadata.get("heading") or "").rpartition(" › ")[2]
        line: set[str] = set()  # the terms of the last line above that is a heading
        lead, lead_ends = set[str](), 0  # of "Break-in. At night …", and where its line ends
        for place, (start, end) in enumerate(sentence_spans(each.text)):
            text = each.text[start:end]
            if is_heading(each.text, start, end):
                above_it, line = text, set(terms_of(text))
                continue
            if is_lead_in(each.text, start, end):
                lead = set(terms_of(text))
                lead_ends = (each.text + "\n").find("\n", end)
            if is_statement(text) or ("; " in text and ": " in text):  # a row
                here = lead if start < lead_ends else set[str]()
                around = headings | line | here
                nearby = here | (line or nearest)
                headed = any(_has(nearby, term) for term in terms) and share(around) > 0.99
                there = set(terms_of(text)) | around
                sentences.append(Said(each.node, start, end, place, share(there), headed, above_it))
    return sentences


def _has(there: set[str], term: str) -> bool:
    return term in there or (len(term) > 4 and any(related(term, other) for other in there))


def _headings(node: Node) -> tuple[set[str], set[str]]:
    """The terms of all headings above a passage, with its file's name; of the nearest heading."""
    path = str(node.metadata.get("heading") or "").split(" › ")
    stem = PurePath(node.file_name).stem.replace("_", " ")
    return set(terms_of(" ".join([stem, *path]))), set(terms_of(path[-1]))


def _around(said: Said) -> str:
    """A sentence with its heading and the lines above it in its passage."""
    return f"{said.node.metadata.get('heading') or ''}\n{said.node.text[: said.end]}"


def _without_repetitions(sentences: Sequence[Said]) -> list[Said]:
    """Passages overlap: the same sentence is taken once."""
    there: dict[tuple[str, str], Said] = {}
    for each in sentences:
        there.setdefault((each.node.source_id, " ".join(each.text.split())), each)
    return list(there.values())
