"""Finder: what the kinds of question need of the library: documents, passages, and their scores."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from engine.embedding import Embedding, Reranker
from engine.kinds.recognising import Kind
from engine.kinds.shelf import Shelf
from engine.kinds.tables import Row
from engine.retrieving import HybridRetriever, Searched
from engine.run import Run
from engine.schema import Evidence, Filters, Node, NodeWithScore

# The score of a sentence that code has chosen: all of them are marked in their passages
CHOSEN = 10.0
# Passages that are sources of one answer, at most
MOST_SOURCES = 10


@dataclass(frozen=True, slots=True)
class Treated:
    """A question that was treated in the way of its kind.

    `did`: what was done, in a few words. `text`: the answer, in whole lines, by code. Without it,
    the model writes the answer from the sources. `missing`: the documents have nothing on it.
    """

    kind: Kind
    did: str
    sources: list[NodeWithScore]
    text: tuple[str, ...] = ()
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Finder:
    """`searched`: one collection or several. `small`: the model gets a sentence or two, because it
    is small or the budget allows no more, and cannot write from several passages."""

    searched: Sequence[Searched]
    reranker: Reranker | None
    filters: Filters
    small: bool
    shelf: Shelf = field(init=False)

    def __post_init__(self) -> None:
        collections = [each.collection for each in self.searched]
        object.__setattr__(self, "shelf", Shelf(collections, self.filters))

    @property
    def embedding(self) -> Embedding:
        return self.searched[0].embedding

    def within(self, source_ids: Sequence[str]) -> "Finder":
        """The same for these documents alone."""
        chosen = Filters(source_ids=tuple(source_ids))
        return Finder(self.searched, self.reranker, chosen, self.small)

    def passages(self, query: str, most: int, run: Run) -> list[NodeWithScore]:
        """The best passages by both searches, without the reranker."""
        return HybridRetriever(self.searched, None, most, self.filters).retrieve(query, run)

    def retrieve(
        self, question: str, most: int, run: Run, earlier: str = ""
    ) -> list[NodeWithScore]:
        """The best passages, as for a question for a fact."""
        retriever = HybridRetriever(self.searched, self.reranker, most, self.filters)
        return retriever.retrieve(question, run, earlier)

    def scores(self, question: str, texts: Sequence[str], run: Run) -> list[float] | None:
        """The reranker's logits; None without a reranker that knows what its scores mean."""
        if self.reranker is None or not getattr(self.reranker, "calibrated", True):
            return None
        with run.span("rerank"):
            return self.reranker.score(question, texts, run)


def marked(node: Node, spans: Sequence[tuple[int, int]], score: float = CHOSEN) -> NodeWithScore:
    """A passage as a source, with these parts as its evidence; parts that touch are joined."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and not node.text[joined[-1][1] : start].strip():
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    evidence = tuple(
        Evidence(start, end, CHOSEN - n / 100) for n, (start, end) in enumerate(joined)
    )
    return NodeWithScore(node, score, evidence=evidence)


def sources_of(rows: Sequence[Row]) -> list[NodeWithScore]:
    """The passages of rows, those with the most rows first, each with its rows marked."""
    nodes: dict[str, tuple[Node, list[tuple[int, int]]]] = {}
    for row in rows:
        nodes.setdefault(row.node.id_, (row.node, []))[1].append((row.start, row.end))
    ordered = list(nodes.values())[:MOST_SOURCES]
    return [marked(node, spans) for node, spans in ordered]


def merged(sources: Sequence[NodeWithScore]) -> list[NodeWithScore]:
    """The same sources without repetitions; the evidence of a repeated one is joined."""
    found: dict[str, NodeWithScore] = {}
    for each in sources:
        before = found.get(each.node.id_)
        if before is None:
            found[each.node.id_] = each
        else:
            spans = {(e.start, e.end): e for e in (*each.evidence, *before.evidence)}
            found[each.node.id_] = replace(before, evidence=tuple(spans.values()))
    return list(found.values())
