"""Follow-ups: "and in 1887?" What is found for it, by each way of taking the questions before in.

    python -m benchmarks.follow_ups [tune|report]

The questions, over the sample documents, are in follow_ups.json. The method was fixed on `tune`;
those to report on are by the same hand, so expect less of strangers' questions. Figures are
printed and kept in benchmarks/results/. `rewritten` is the question as a person rewrote it, in
place of a larger model's reply.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figures, keep
from engine.follow_ups import find, rewritten
from engine.index import VectorStoreIndex
from engine.llm.base import ContextFormat, GenerationOptions
from engine.prompting import answer_prompt, excerpts
from engine.reading import SimpleDirectoryReader
from engine.retrieving import HybridRetriever, is_relevant
from engine.run import Run
from engine.schema import ChatMessage, NodeWithScore
from engine.settings import Settings

QUESTIONS = json.loads(Path(__file__).with_suffix(".json").read_text())
SAMPLES = Path(__file__).parents[1] / "samples"

Asked = dict[str, Any]
Way = Callable[[Asked], list[NodeWithScore]]


def question_alone(retriever: HybridRetriever) -> Way:
    return lambda asked: retriever.retrieve(asked["question"])


def question_before_in_front(retriever: HybridRetriever) -> Way:
    return lambda asked: retriever.retrieve(f"{asked['asked']} {asked['question']}")


def both_and_the_reranker_chooses(retriever: HybridRetriever) -> Way:
    """Two searches; that whose best passage has the higher logit."""
    alone, front = question_alone(retriever), question_before_in_front(retriever)
    return lambda asked: max(alone(asked), front(asked), key=_logit)


def ships(retriever: HybridRetriever, rewrite: Callable[[Asked], str] = lambda _: "") -> Way:
    """As RetrieverQueryEngine does it. `rewrite`: the reply of a model to a rewriting prompt."""

    def retrieve(asked: Asked) -> list[NodeWithScore]:
        question, history = asked["question"], said_before(asked)
        found, _ = find(
            retriever, question, history, Run(), is_relevant, rewrite=lambda: rewrite(asked)
        )
        return found

    return retrieve


def by_the_default_model(asked: Asked) -> str:
    return rewritten(asked["question"], said_before(asked), Settings.llm, Run())


def by_hand(asked: Asked) -> str:
    """As a good model rewrites it. A question that stands alone stays as it is."""
    return str(asked.get("rewritten", asked["question"]))


def said_before(asked: Asked) -> list[ChatMessage]:
    return [ChatMessage("user", asked["asked"]), ChatMessage("assistant", asked["answered"])]


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one question: whether the best sentence, or its passage, has the string."""

    asked: Asked
    sentence: bool
    passage: bool
    relevant: bool
    seconds: float


def ask(way: Way, asked: Asked) -> Found:
    began = time.perf_counter()
    found = way(asked)
    seconds = time.perf_counter() - began
    best = found[0].sentence(found[0].evidence[0]) if found and found[0].evidence else ""
    passage = found[0].text if found else ""
    wanted = asked["contains"]
    return Found(asked, holds(best, wanted), holds(passage, wanted), is_relevant(found), seconds)


def holds(text: str, wanted: str) -> bool:
    """However its lines are broken."""
    return wanted.lower() in " ".join(text.lower().split())


def measure(way: Way, questions: Sequence[Asked]) -> Figures:
    found = [ask(way, asked) for asked in questions]
    follow_ups = [each for each in found if "alone" not in each.asked]
    alone = [each for each in found if "alone" in each.asked and each.asked["contains"]]
    absent = [each for each in found if not each.asked["contains"]]
    return {
        "follow-ups": len(follow_ups),
        "follow-ups: the best sentence is right": sum(each.sentence for each in follow_ups),
        "follow-ups: the best passage is right": sum(each.passage for each in follow_ups),
        "follow-ups: right, and taken for relevant": _shown(follow_ups),
        "questions that stand alone": len(alone),
        "alone: right, and taken for relevant": _shown(alone),
        "questions that no document answers": len(absent),
        "absent: told so": sum(not each.relevant for each in absent),
        "median time to the passages, ms": statistics.median(e.seconds for e in found) * 1000,
        "median time, follow-ups, ms": statistics.median(e.seconds for e in follow_ups) * 1000,
    }


def measure_prompts(way: Way, questions: Sequence[Asked]) -> Figures:
    """What the model should see, where the sentence is right: its answers that keep the string."""
    right = [each for each in questions if "alone" not in each and ask(way, each).sentence]
    figures: dict[str, float | int | str] = {"follow-ups": len(right)}
    for name in ("the follow-up", "the question before in front", "history, then the follow-up"):
        replies = [_reply(way(each), each, name) for each in right]
        pairs = zip(replies, right, strict=True)
        figures[f"answers that keep the string: {name}"] = sum(
            holds(reply, each["contains"]) for reply, each in pairs
        )
    return figures


def _reply(found: Sequence[NodeWithScore], asked: Asked, shown: str) -> str:
    text = "\n\n".join(excerpts(found, ContextFormat.SENTENCES))
    question = asked["question"]
    if shown == "the question before in front":
        question = f"{asked['asked']} {question}"
    history = said_before(asked) if shown.startswith("history") else []
    prompt = answer_prompt(question, text, history, ContextFormat.SENTENCES)
    return Settings.llm.chat(prompt, GenerationOptions(max_tokens=64)).content


def _shown(found: Sequence[Found]) -> int:
    return sum(each.sentence and each.relevant for each in found)


def _logit(found: Sequence[NodeWithScore]) -> float:
    logit = found[0].scores.rerank if found else None
    return float("-inf") if logit is None else logit


def main() -> None:
    part = sys.argv[1] if len(sys.argv) > 1 else "report"
    index = VectorStoreIndex.from_documents(SimpleDirectoryReader(SAMPLES).load_data())
    retriever = index.as_retriever(3)
    ways = {
        "the follow-up alone": question_alone(retriever),
        "the question before in front": question_before_in_front(retriever),
        "two searches, the reranker chooses": both_and_the_reranker_chooses(retriever),
        "rewritten by the default model": ships(retriever, by_the_default_model),
        "rewritten by hand": ships(retriever, by_hand),
        "ships, small models": ships(retriever),
    }
    for name, way in ways.items():
        way(QUESTIONS[part][0])
        keep("follow_ups", f"{part}: {name}", measure(way, QUESTIONS[part]))
    keep("follow_ups", f"{part}: prompts", measure_prompts(ships(retriever), QUESTIONS[part]))


if __name__ == "__main__":
    main()
