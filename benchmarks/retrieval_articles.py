"""nDCG@10 where SQuAD's paragraphs are merged into whole articles and split by our splitter.

A passage is relevant if it holds the gold answer at its place. Measured for several passage
lengths, hybrid against dense only, on the same passages.
"""

import math
import statistics
from collections.abc import Sequence

from benchmarks.figures import Figures
from benchmarks.squad import Question, Squad, load, sample
from engine.index import VectorStoreIndex
from engine.run import Run
from engine.schema import Document, Node
from engine.settings import Settings
from engine.splitting import SentenceSplitter

LENGTHS = (128, 200, 256, 384, 510, 1024)
SEPARATOR = "\n\n"
Places = list[tuple[int, int]]


def measure(count: int) -> Figures:
    squad = load()
    questions = sample(squad.answerable, count or 600)
    figures: dict[str, float | int] = {"questions": len(questions)}
    for length in LENGTHS:
        figures |= _measure(squad, questions, length)
    return figures


def _measure(squad: Squad, questions: Sequence[Question], length: int) -> dict[str, float | int]:
    splitter = SentenceSplitter(length, 20, Settings.embed_model.count_tokens)
    index = VectorStoreIndex.from_documents(_articles(squad), node_parser=splitter)
    offsets = _offsets(squad)
    passages = [node for source in squad.articles for node in index.collection.nodes_of(source)]
    retriever, hybrid, plain, evident, seconds = index.as_retriever(10), [], [], [], []
    for question in questions:
        places = _places(question, offsets)
        relevant = sum(_holds(node, question, places) for node in passages)
        run = Run()
        found = retriever.retrieve(question.text, run)
        hybrid.append(ndcg([_holds(each.node, question, places) for each in found], relevant))
        nodes = _dense(index, question)
        plain.append(ndcg([_holds(node, question, places) for node in nodes], relevant))
        best = sorted(
            ((e.score, each.sentence(e)) for each in found for e in each.evidence), reverse=True
        )
        evident.append(question.answered_by("\n".join(text for _, text in best[:2])))
        seconds.append(sum(span.duration for span in run.trace.spans))
    return {
        f"{length} tokens: passages": len(passages),
        f"{length} tokens: nDCG@10": statistics.fmean(hybrid),
        f"{length} tokens: nDCG@10, dense only": statistics.fmean(plain),
        f"{length} tokens: gold span in two sentences": statistics.fmean(evident),
        f"{length} tokens: ms, median": statistics.median(seconds) * 1000,
    }


def _articles(squad: Squad) -> list[Document]:
    return [
        Document(
            SEPARATOR.join(each.text for each in squad.paragraphs if each.article == article),
            {"file_name": f"{article}.txt"},
            source_id=article,
        )
        for article in squad.articles
    ]


def _offsets(squad: Squad) -> list[int]:
    """Where each paragraph starts in its article."""
    offsets: list[int] = []
    place, article = 0, ""
    for paragraph in squad.paragraphs:
        place = 0 if paragraph.article != article else place
        article = paragraph.article
        offsets.append(place)
        place += len(paragraph.text) + len(SEPARATOR)
    return offsets


def _places(question: Question, offsets: Sequence[int]) -> Places:
    start = offsets[question.paragraph.number]
    return [(start + at, start + at + len(answer)) for answer, at in question.answers]


def _holds(node: Node, question: Question, places: Places) -> bool:
    return node.source_id == question.paragraph.article and any(
        node.start_char <= start and end <= node.end_char for start, end in places
    )


def _dense(index: VectorStoreIndex, question: Question) -> list[Node]:
    hits = index.collection.search_dense(index.embed_model.embed_query(question.text), 10)
    return [node for node in index.collection.nodes([h.point_id for h in hits]) if node]


def ndcg(relevances: Sequence[bool], relevant: int) -> float:
    """Of the first ten, with gain 1 for a relevant passage."""
    gain = sum(1 / math.log2(rank + 2) for rank, good in enumerate(relevances[:10]) if good)
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(relevant, 10)))
    return gain / ideal if ideal else 0.0
