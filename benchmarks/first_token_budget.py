"""The first token's budget: right answers and kept budgets, on SQuAD.

    python -m benchmarks.first_token_budget times [--questions 300]
    python -m benchmarks.first_token_budget answers [--questions 300]
    python -m benchmarks.first_token_budget large FILE.gguf ... [--questions 15]
    python -m benchmarks.first_token_budget prepared FILE.gguf ... [--questions 15]

`times`, then `answers`: the default model; only the times need a quiet machine. `large`: files of
larger shapes, such as those of benchmarks/synthetic.py, against LlamaIndex with the same file and
three passages; only speed counts there. `prepared`: the same, whole passages, where the model has
read the three passages before.
"""

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figures, keep
from benchmarks.retrieval import documents
from benchmarks.squad import Question, Squad, load, sample
from benchmarks.versus import Peer
from engine.index import VectorStoreIndex
from engine.llm import LlamaCpp
from engine.llm.base import ContextFormat, GenerationOptions
from engine.prompting import SYSTEM, answer_prompt, excerpts, passage_prompt
from engine.query_engine import RetrieverQueryEngine
from engine.response import Response
from engine.schema import ChatMessage
from engine.settings import Settings
from engine.synthesis import ResponseSynthesizer

BUDGETS = (0.15, 0.25, 0.5, 1.0, 2.0)
PASSAGES = 3
FIRST_TOKEN = GenerationOptions(max_tokens=1)
CALM = 0.08  # of the processor: a question during which others use more does not count
WARM_UP = 6  # questions before the figures: the rates are learnt from them


class Others:
    """How much of the processor other programs use, from Linux's /proc/stat."""

    def __init__(self) -> None:
        self._began = self._used()

    def share(self) -> float:
        """Since the beginning: 1 is all cores. The steps of the count are of 0.01 s."""
        (busy, total), (busy_before, total_before) = self._used(), self._began
        return max(0.0, busy - busy_before) / max(1.0, total - total_before)

    @staticmethod
    def _used() -> tuple[float, float]:
        fields = [int(each) for each in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        own = sum(os.times()[:2]) * os.sysconf("SC_CLK_TCK")
        return sum(fields) - fields[3] - fields[4] - own, float(sum(fields))


def wait_for_calm() -> None:
    """Until other programs hardly compute, a second at most."""
    for _ in range(5):
        others = Others()
        time.sleep(0.2)
        if others.share() < CALM:
            return


@dataclass(frozen=True, slots=True)
class Asked:
    """Seconds; `fits`: the smallest reading was expected within the budget. `others`: the share of
    the processor that other programs used during the question."""

    first: float
    predicted: float
    fits: bool
    sentences: int
    passages: int
    others: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["times", "answers", "large", "prepared"])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--questions", type=int, default=0)
    options = parser.parse_args()
    if options.part in ("times", "answers"):
        with closing(LlamaCpp(Settings.weights.chat_model)) as llm:
            if options.part == "times":
                times(llm, options.questions or 300)
            else:
                keep("first_token_budget", "answers", answers(llm, options.questions or 300))
    measure = large if options.part == "large" else prepared
    for file in options.files:
        part = f"{options.part}, {file.name}"
        keep("first_token_budget", part, measure(file, options.questions or 15))


def fresh(squad: Squad, count: int) -> list[Question]:
    """Questions that no other benchmark asks, always the same."""
    used = {id(each) for each in sample(squad.answerable, 600)}
    used |= {id(each) for each in sample(squad.answerable, 200, seed=23)}
    unused = [each for each in squad.answerable if id(each) not in used]
    return random.Random(16).sample(unused, count)


def times(llm: LlamaCpp, count: int) -> None:
    """Each question with each budget, as to a model that has read only the system message.

    Every row is kept at once, and a later run continues.
    """
    squad = load()
    index = _index(squad)
    asked = fresh(squad, count + WARM_UP)
    for question in asked[count:]:
        _ask(llm, index, question, 1.0)
    done = {row["number"] for row in _rows()}
    for number, question in enumerate(asked[:count]):
        if number in done:
            continue
        rows = []
        for place in range(len(BUDGETS)):
            budget = BUDGETS[(place + number) % len(BUDGETS)]
            response, figures = _ask(llm, index, question, budget)
            row = {"number": number, "budget": budget, "best": _best_sentence(response)}
            rows.append({**row, **asdict(figures)})
        with _kept_rows().open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def answers(llm: LlamaCpp, count: int) -> Figures:
    """What `times` has kept, and whether the answers are right: the same prompt gets the same
    words, so each is answered once."""
    asked = fresh(load(), count + WARM_UP)
    rows = [row for row in _rows() if row["number"] < count]
    right: dict[tuple[int, str], bool] = {}
    for row in rows:
        number, best = row["number"], row["best"]
        if (number, best) not in right:
            question = asked[number]
            prompt = answer_prompt(question.text, best, context_format=ContextFormat.SENTENCES)
            text = llm.chat(prompt, GenerationOptions(max_tokens=64)).content
            right[number, best] = question.answered_by(text)
    figures: dict[str, float | int | str] = {"questions": len({row["number"] for row in rows})}
    timed: dict[float, list[Asked]] = {}
    for budget in BUDGETS:
        own = [row for row in rows if row["budget"] == budget]
        share = statistics.fmean(right[row["number"], row["best"]] for row in own)
        figures[f"{budget} s: right answers"] = share
        timed[budget] = [Asked(**{name: row[name] for name in Asked.__slots__}) for row in own]
        figures |= _figures(f"{budget} s", budget, timed[budget])
    everything = [each for some in timed.values() for each in some]
    return {**figures, "predicted within 20 %": _close(_calm(everything))}


def _index(squad: Squad) -> VectorStoreIndex:
    folder = Settings.config.data_dir / "benchmarks" / "first_token_budget"
    return VectorStoreIndex.from_documents(documents(squad.paragraphs), path=folder)


def _kept_rows() -> Path:
    return Settings.config.data_dir / "first_token_budget.jsonl"


def _rows() -> list[dict[str, Any]]:
    file = _kept_rows()
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def large(file: Path, count: int) -> Figures:
    """Seconds to the first token with each budget and none, and LlamaIndex's."""
    squad = load()
    index = _index(squad)
    asked = iter(fresh(squad, 646 * 2))
    timed: dict[float | None, list[Asked]] = {}
    theirs: list[float] = []
    with closing(LlamaCpp(file)) as llm, closing(Peer(file)) as peer:
        peer("index", texts=[each.text for each in squad.paragraphs])
        for number in range(-2, count):
            wait_for_calm()
            reply = peer("ask", question=next(asked).text, top_k=PASSAGES, tokens=1)
            for budget in (0.5, 1.0, 2.0, None):
                _, figures = _ask(llm, index, next(asked), budget)
                if number >= 0:
                    timed.setdefault(budget, []).append(figures)
            if number >= 0:
                theirs.append(float(reply["first"]))
    other = statistics.median(theirs)
    figures_of: dict[str, float | int | str] = {"questions": count, "LlamaIndex, s": other}
    for budget, some in timed.items():
        name = "no limit" if budget is None else f"{budget} s"
        figures_of |= _figures(name, budget, some)
        ours = statistics.median(each.first for each in _calm(some))
        figures_of[f"{name}: first token / LlamaIndex"] = ours / other
    everything = [each for some in timed.values() for each in some]
    return {**figures_of, "predicted within 20 %": _close(_calm(everything))}


def prepared(file: Path, count: int) -> Figures:
    """Seconds to the first token where each of the three passages has been read before, and right
    answers of whole ones (which mean something for the default model only)."""
    squad = load()
    index = _index(squad)
    asked = iter(fresh(squad, 646 * 2)[600:])
    timed: dict[str, list[float]] = {}
    right: dict[str, list[bool]] = {}
    read: dict[str, list[float]] = {}
    with closing(LlamaCpp(file)) as llm, closing(Peer(file)) as peer:
        peer("index", texts=[each.text for each in squad.paragraphs])
        other = [
            float(peer("ask", question=next(asked).text, top_k=PASSAGES, tokens=1)["first"])
            for _ in range(4)
        ]
        goal = 0.1 * statistics.median(other[1:])
        for number in range(-4, count):
            wait_for_calm()
            reply = peer("ask", question=next(asked).text, top_k=PASSAGES, tokens=1)
            if number >= 0:
                timed.setdefault("LlamaIndex", []).append(float(reply["first"]))
            for name, budget, rerank in (
                ("within a tenth of LlamaIndex", goal, True),
                ("within a tenth of LlamaIndex, not reranked", goal, False),
                ("no limit", None, True),
            ):
                question = next(asked)
                retriever = index.as_retriever(PASSAGES, rerank=rerank)
                llm.forget()
                for found in retriever.retrieve(question.text):
                    llm.prepare(passage_prompt(found.text))
                synthesizer = ResponseSynthesizer(
                    llm,
                    streaming=True,
                    options=GenerationOptions(max_tokens=32),
                    context_format=ContextFormat.PASSAGES,
                    first_token_budget=budget,
                )
                engine = RetrieverQueryEngine(retriever, synthesizer)
                wait_for_calm()
                response = engine.query(question.text, stream=True)
                text, plan = str(response), response.trace.plan
                assert plan
                if number >= 0:
                    first = response.trace.calls[-1].token_times[0]
                    timed.setdefault(name, []).append(first)
                    right.setdefault(name, []).append(question.answered_by(text))
                    read.setdefault(name, []).append(plan.sentences)
    figures: dict[str, float | int | str] = {"questions": count, "a tenth of LlamaIndex, s": goal}
    other_median = statistics.median(timed.pop("LlamaIndex"))
    figures["LlamaIndex, s"] = other_median
    for name, seconds in timed.items():
        ours = statistics.median(seconds)
        figures[f"{name}: first token, s"] = ours
        figures[f"{name}: / LlamaIndex"] = ours / other_median
        figures[f"{name}: sentences read, mean"] = statistics.fmean(read[name])
        figures[f"{name}: right answers"] = statistics.fmean(right[name])
    return figures


def _ask(
    llm: LlamaCpp, index: VectorStoreIndex, question: Question, budget: float | None
) -> tuple[Response, Asked]:
    llm.forget()
    llm.prepare([ChatMessage("system", SYSTEM)])
    wait_for_calm()
    others = Others()
    engine = index.as_query_engine(
        llm=llm,
        streaming=True,
        similarity_top_k=PASSAGES,
        options=FIRST_TOKEN,
        first_token_budget=budget,
    )
    response = engine.query(question.text, stream=True)
    str(response)
    plan, times = response.trace.plan, response.trace.calls[-1].token_times
    assert plan
    fits = budget is None or plan.predicted <= budget
    asked = Asked(times[0], plan.predicted, fits, plan.sentences, plan.passages, others.share())
    return response, asked


def _best_sentence(response: Response) -> str:
    """What a small model is given."""
    (text,) = excerpts(response.source_nodes, ContextFormat.SENTENCES)[:1]
    return text


def _calm(asked: Sequence[Asked]) -> list[Asked]:
    return [each for each in asked if each.others < CALM] or list(asked)


def _figures(name: str, budget: float | None, asked: Sequence[Asked]) -> Figures:
    asked = _calm(asked)
    figures: dict[str, float | int | str] = {
        f"{name}: undisturbed": len(asked),
        f"{name}: first token, s, median": statistics.median(each.first for each in asked),
        f"{name}: sentences read, mean": statistics.fmean(each.sentences for each in asked),
        f"{name}: predicted within 20 %": _close(asked),
    }
    if budget is not None:
        figures[f"{name}: budget kept"] = _kept(asked, budget)
        fitting = [each for each in asked if each.fits]
        figures[f"{name}: the plan fits the budget"] = len(fitting) / len(asked)
        if fitting:
            figures[f"{name}: of those, budget kept"] = _kept(fitting, budget)
    return figures


def _kept(asked: Iterable[Asked], budget: float) -> float:
    return statistics.fmean(each.first <= budget for each in asked)


def _close(asked: Iterable[Asked]) -> float:
    return statistics.fmean(abs(each.predicted / each.first - 1) <= 0.2 for each in asked)


if __name__ == "__main__":
    main()
