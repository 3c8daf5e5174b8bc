"""nDCG@10 of long questions on abstracts: the embedder alone, both searches, and reranked.

The collection in abstracts.json is invented: 48 abstracts in 12 subjects, four of each, and 42
questions of 21 words on average, with one to three relevant abstracts. If PUBMEDQA is the file
`ori_pqal.json` of PubMedQA (MIT licence), its questions and conclusions are asked too: each belongs
to one of 1,000 abstracts.
"""

import json
import os
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figures
from benchmarks.retrieval_articles import ndcg
from engine.index import VectorStoreIndex
from engine.schema import Document, NodeWithScore
from engine.splitting import SentenceSplitter

INVENTED = Path(__file__).with_name("abstracts.json")


@dataclass(frozen=True, slots=True)
class Asked:
    question: str
    relevant: frozenset[str]


def measure(count: int) -> Figures:
    collection = json.loads(INVENTED.read_text("utf-8"))
    texts = {each["id"]: f"{each['title']}\n\n{each['text']}" for each in collection["abstracts"]}
    asked = [
        Asked(each["question"], frozenset(each["relevant"])) for each in collection["questions"]
    ]
    figures = _measure("invented", texts, asked)
    if path := os.environ.get("PUBMEDQA"):
        articles = json.loads(Path(path).read_text("utf-8"))
        texts = {name: " ".join(each["CONTEXTS"]) for name, each in articles.items()}
        chosen = random.Random(1).sample(sorted(articles), count or 300)
        for label, field in (("PubMedQA", "QUESTION"), ("PubMedQA's conclusions", "LONG_ANSWER")):
            asked = [Asked(articles[name][field], frozenset([name])) for name in chosen]
            figures |= _measure(label, texts, asked)
    return figures


def _measure(label: str, texts: dict[str, str], questions: Sequence[Asked]) -> dict[str, float]:
    whole = SentenceSplitter(chunk_size=100_000, chunk_overlap=0)
    documents = [Document(text, {"name": name}, source_id=name) for name, text in texts.items()]
    index = VectorStoreIndex.from_documents(documents, node_parser=whole)
    collection, shipped = index.collection, index.as_retriever(10)
    fused = index.as_retriever(10, rerank=False)

    def dense(question: str) -> list[str]:
        hits = collection.search_dense(index.embed_model.embed_query(question), 10)
        nodes = collection.nodes([hit.point_id for hit in hits])
        return [str(node.metadata["name"]) for node in nodes if node]

    def named(found: Sequence[NodeWithScore]) -> list[str]:
        return [str(each.node.metadata["name"]) for each in found]

    def gain(found: Sequence[str], asked: Asked) -> float:
        return ndcg([name in asked.relevant for name in found], len(asked.relevant))

    ways: dict[str, Callable[[str], list[str]]] = {
        "embedder alone": dense,
        "both searches": lambda text: named(fused.retrieve(text)),
        "shipped": lambda text: named(shipped.retrieve(text)),
    }
    figures: dict[str, float] = {f"{label}: questions": len(questions)}
    for name, way in ways.items():
        gains = [gain(way(asked.question), asked) for asked in questions]
        figures[f"{label}: nDCG@10, {name}"] = statistics.fmean(gains)
    return figures
