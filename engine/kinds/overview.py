"""Overviews: "What does the handbook say about fog?" Everything that is said on a topic, quoted.

The sentences on the topic are quoted, by document and in the order of the text. If there is none,
the topic is absent.
"""

import re
from collections.abc import Sequence

from engine.english import counted
from engine.kinds.finding import Finder, Treated
from engine.kinds.naming import books_named
from engine.kinds.on_topic import (
    in_order,
    sentences_below,
    sentences_on,
    sources_of_sentences,
    with_their_paragraphs,
    with_what_leans,
)
from engine.kinds.recognising import EVERYTHING, LISTS, Asked, Kind
from engine.kinds.words import terms_of
from engine.run import Run
from engine.schema import NodeWithScore

# Sentences that are quoted, at most, and parts of a topic that are looked for alone
QUOTED, MOST_PARTS = 8, 4
# The share of a question's words that a sentence must have to be quoted as a list, how far behind
# the best one it may be, in points of logit, and how many are quoted
NEARLY_ALL, NEAR, FEW = 0.85, 4.0, 3


def overview(asked: Asked, finder: Finder, run: Run) -> Treated | None:
    """None if the question has no topic."""
    topic, finder, where = _scope(asked, finder)
    if not terms_of(topic):
        return None
    kept, found = sentences_on(topic, finder, run, QUOTED)
    parts = re.split(r",? and |, ", topic)
    if not kept and len(parts) > 1:  # "water and electricity": what is said on each
        for part in parts[:MOST_PARTS]:
            kept += sentences_on(part, finder, run, QUOTED // len(parts))[0]
    named = f"“{topic[:80]}”"
    if not kept:
        return Treated(Kind.OVERVIEW, f"Looked for {named} in {where}", found[:3], missing=True)
    few = len(kept) <= FEW  # then a paragraph says more than its first sentence
    chosen = in_order(with_their_paragraphs(kept) if few else with_what_leans(kept), found)
    sources = sources_of_sentences(chosen)
    did = f"What {where} say{'s' * (not where.startswith('your'))} about {named}: "
    did += f"{counted(len(chosen), 'sentence')} from {counted(len(sources), 'passage')}, quoted"
    return Treated(Kind.OVERVIEW, did, sources, tuple(quotations(sources)))


def prose_list(asked: Asked, finder: Finder, run: Run) -> Treated | None:
    """A list that is in sentences and in no table: "In which colours is the Heron sold?", or what
    stands below a heading that says what is asked: "What is not covered by the warranty?"

    None if no sentence, with the headings above it, has nearly all words of the question.
    """
    chosen = sentences_below(asked.question, finder, run, QUOTED)
    if not chosen and LISTS.match(asked.question):
        kept, found = sentences_on(asked.question, finder, run, QUOTED)
        near = [each for each in kept if each.score > kept[0].score - NEAR]
        chosen = in_order([each for each in near if each.share > NEARLY_ALL][:FEW], found)
    if not chosen:
        return None
    sources = sources_of_sentences(chosen)
    did = f"{counted(len(chosen), 'sentence')} with the words of the question, quoted"
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
        ordered = sorted(source.evidence, key=lambda each: each.start)
        lines += [f"- “{' '.join(source.sentence(each).split())}”\n" for each in ordered]
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
        chosen = [each.source.source_id for each in named.books]
        if 0 < len(chosen) < len(books):
            one = named.books[0].name
            return (
                topic,
                finder.within(chosen),
                one if len(chosen) == 1 else f"{len(chosen)} documents",
            )
        if not chosen and not EVERYTHING.search(phrase):
            topic = f"{topic} {phrase}"
    return topic, finder, books[0].name if len(books) == 1 else "your documents"
