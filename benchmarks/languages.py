"""How often the right passage and sentence come first, in documents that are not English.

    python -m benchmarks.languages [--embedder NAME] [--reranker NAME] [--json]

Other models than the default ones are fetched from the hub, if they are not here.

`languages.json` has three invented documents in each of German, French and Spanish, and 40
questions: eight of them are English. All nine documents are in one collection. hit@1: the first
passage has the answer; sentence@1: the sentence that is quoted above the answer has it. refused:
the answer would have been "not in your documents", although it is there.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.embedding import Embedding, Reranker
from engine.index import VectorStoreIndex
from engine.models.asking import Hub
from engine.models.searching import SearchModels
from engine.retrieving import is_relevant
from engine.schema import Document, NodeWithScore
from engine.settings import Settings

FILE = Path(__file__).with_name("languages.json")


def documents(read: Mapping[str, Any]) -> list[Document]:
    return [
        Document("\n\n".join(paragraphs), {"file_name": name}, source_id=f"{language}-{name}")
        for language in ("de", "fr", "es")
        for name, paragraphs in read[language].items()
    ]


def measure(
    embedder: Embedding | None = None,
    reranker: Reranker | None = None,
    top_k: int = 3,
    about: Sequence[str] = ("de", "fr", "es"),
) -> dict[str, dict[str, float]]:
    """By the question's language and that of the documents, such as "en→de": the three rates.

    `about`: the languages of the documents that are asked about.
    """
    read = json.loads(FILE.read_text("utf-8"))
    index = VectorStoreIndex.from_documents(documents(read), embed_model=embedder)
    retriever = index.as_retriever(top_k, reranker=reranker)
    found: dict[str, list[tuple[bool, bool, bool]]] = defaultdict(list)
    for each in read["questions"]:
        if each["in"] not in about:
            continue
        results = retriever.retrieve(each["ask"])
        asked = each.get("of", each["in"])
        group = asked if asked == each["in"] else f"{asked}→{each['in']}"
        outcome = _outcome(results, each["gold"])
        found[group].append(outcome)
        found["all"].append(outcome)
    return {
        group: {
            "questions": len(outcomes),
            "hit@1": _share([each[0] for each in outcomes]),
            "sentence@1": _share([each[1] for each in outcomes]),
            "refused": _share([each[2] for each in outcomes]),
        }
        for group, outcomes in found.items()
    }


def _outcome(results: Sequence[NodeWithScore], gold: str) -> tuple[bool, bool, bool]:
    first = results[0]
    quoted = first.sentence(first.evidence[0]) if first.evidence else ""
    return gold in first.text, gold in quoted, not is_relevant(results)


def _share(values: Sequence[bool]) -> float:
    return round(sum(values) / len(values), 3)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.languages",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for what in ("--embedder", "--reranker"):
        name = "of fastembed's list (default: the one of First Token)"
        parser.add_argument(what, default="", metavar="NAME", help=name)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    config, weights = Settings.config, Settings.weights
    folder = config.data_dir / "app"
    folder.mkdir(parents=True, exist_ok=True)
    default = weights.embedder, weights.reranker
    models = SearchModels(folder, Hub(config), lambda: default)
    rates = measure(models.embedder(arguments.embedder), models.reranker(arguments.reranker))
    if arguments.json:
        print(json.dumps(rates, indent=1, ensure_ascii=False))
        return
    for group, values in rates.items():
        print(f"{group:8}" + "  ".join(f"{name} {value:g}" for name, value in values.items()))


if __name__ == "__main__":
    main()
