"""Every kind of question, over three sets of documents: how many answers are right, by kind.

    python -m benchmarks.questions [--half tune|heldout|fresh|fresh2|fresh3] [--kind KIND] [--show]

The documents and questions in benchmarks/questions/ were written by people who did not see the
code. The methods were made with the halves `tune` and `heldout`. `fresh` has other documents, and
was read after its first run. `fresh2` and `fresh3` have others again. Each question is asked as the
Ask page asks it, with the model of .env or the environment. An answer is right if it holds what
`must_contain` lists, and says no "yes" where a "no" is right. The answer is its text, or the
quotation, where the text failed the check of engine/checking.py: then the page says that the
quotation stands as the answer.

    right            the answer is right
    text alone       the text is right, whatever the check said
    wrong            an answer that is not right, or an answer where the documents have none
    wrongly refused  "I did not find this", although the documents have the answer
    rightly refused  the same, where they have none
"""

import argparse
import json
import re
import statistics
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.figures import keep
from engine.index import VectorStoreIndex
from engine.llm.base import GenerationOptions
from engine.query_engine import RetrieverQueryEngine
from engine.reading import SimpleDirectoryReader
from engine.response import StreamingResponse
from engine.retrieving import NOT_FOUND, is_relevant, may_be_relevant
from engine.schema import ChatMessage
from engine.settings import Settings
from engine.synthesis import ResponseSynthesizer

FOLDER = Path(__file__).parent / "questions"
HALVES = ("tune", "heldout", "fresh", "fresh2", "fresh3")
# As the app: three passages, and the first word within a second
PASSAGES, BUDGET = 3, 1.0

Question = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a question. `ttft`: seconds to the first text, None if there was none."""

    asked: Question
    text: str
    quotation: str
    did: str
    refused: bool
    passed: bool
    ttft: float | None

    @property
    def right(self) -> bool:
        stands = self.text if self.passed else self.quotation
        return not self.refused and is_right(self.asked, stands)

    @property
    def name(self) -> str:
        if not self.asked["answerable"]:
            return "rightly refused" if self.refused else "wrong"
        if self.refused:
            return "wrongly refused"
        return "right" if self.right else "wrong"

    @property
    def right_alone(self) -> bool:
        return self.asked["answerable"] and not self.refused and is_right(self.asked, self.text)


def is_right(asked: Question, text: str) -> bool:
    """Whether a text holds enough of what is wanted, and nothing that is excluded."""
    groups: Sequence[Sequence[str]] = asked["must_contain"]
    there = sum(any(holds(text, form) for form in forms) for forms in groups)
    if there < asked.get("at_least", len(groups)):
        return False
    if any(holds(text, each) for each in asked.get("must_not_contain", ())):
        return False
    said = re.match(r"\W*(yes|no)\b", text, re.IGNORECASE)
    return not ("expected" in asked and said and said[1].lower() != asked["expected"])


def holds(text: str, wanted: str) -> bool:
    """Whether a text has the wanted words, or the wanted number as a number of its own. A number
    with more decimals is right if it is the wanted one when it is rounded."""
    text, wanted = _plain(text), _plain(wanted)
    if re.fullmatch(r"\d+\.\d+", wanted) and not re.fullmatch(r"[0-3]\d\.[01]\d", wanted):
        places = len(wanted.partition(".")[2])
        for number in re.findall(rf"(?<![\d.,])\d[\d,]*\.\d{{{places + 1},}}(?![.,]?\d)", text):
            if round(Decimal(number.replace(",", "")), places) == Decimal(wanted):
                return True
    pattern = re.escape(wanted)
    if re.fullmatch(r"-?\d[\d., ]*", wanted):
        if re.fullmatch(r"[0-3]\d\.[01]\d", wanted):
            text = re.sub(rf"\b{pattern}\.20\d\d\b", wanted, text)  # a date with its year
        zeros = "0*" if "." in wanted else r"(?:\.0+)?"  # 140 and 140.00 are one number
        pattern = rf"(?<![\d])(?<!\d[.,]){pattern}{zeros}(?![.,]?\d)"
    elif re.fullmatch(r"[a-z]{1,3}|[a-z]+-?\d+", wanted):
        pattern = rf"(?<![a-z0-9]){pattern}(?![a-z0-9])"
    elif re.fullmatch(r"[a-z]{4,6}", wanted):  # "elect" is wanted of "elected", too
        pattern = rf"(?<![a-z0-9]){pattern}"
    return re.search(pattern, text) is not None


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    return re.sub(r"\s+", " ", re.sub(r"[‐-―−]", "-", text))


def open_set(name: str, plain: bool = False, budget: float | None = BUDGET) -> RetrieverQueryEngine:
    """The query engine over the documents of a set, as the Ask page has it."""
    index = VectorStoreIndex.from_documents([])
    for file in sorted((FOLDER / "documents" / name).iterdir()):  # one after the other
        index.insert(SimpleDirectoryReader(input_files=[file]).load_data())
    synthesizer = ResponseSynthesizer(
        Settings.llm,
        streaming=True,
        options=GenerationOptions(max_tokens=256),
        first_token_budget=budget,
    )
    kinds = None if plain else index.as_kinds(PASSAGES)
    return RetrieverQueryEngine(
        index.as_retriever(PASSAGES), synthesizer, is_relevant, kinds, may_be_relevant
    )


def ask(engine: RetrieverQueryEngine, asked: Question) -> Outcome:
    """Ask a question, after those that come before it in its conversation."""
    history: list[ChatMessage] = []
    for earlier in asked.get("earlier", ()):
        answer = _asked(engine, earlier, history)
        history += [ChatMessage("user", earlier), ChatMessage("assistant", answer.text)]
    response = _asked(engine, asked["question"], history)
    sources = response.source_nodes
    best = sources[0] if sources and is_relevant(sources) else None
    kind = getattr(response.trace, "kind", None)
    return Outcome(
        asked,
        response.text,
        best.sentence(best.evidence[0]) if best and best.evidence else "",
        f"{kind.kind}: {kind.did}" if kind else "",
        not response.text and NOT_FOUND in response.notes,
        response.check.passed,
        response.trace.metrics.ttft,
    )


def _asked(
    engine: RetrieverQueryEngine, question: str, history: Sequence[ChatMessage]
) -> StreamingResponse:
    response = engine.start(question, history=list(history))
    for _ in response.response_gen:
        pass
    return response


def figures(outcomes: Sequence[Outcome]) -> dict[str, float | int | str]:
    names = [each.name for each in outcomes]
    times = [each.ttft for each in outcomes if each.ttft is not None]
    return {
        "questions": len(outcomes),
        "right": names.count("right"),
        "text alone": sum(each.right_alone for each in outcomes),
        "wrong": names.count("wrong"),
        "wrongly refused": names.count("wrongly refused"),
        "rightly refused": names.count("rightly refused"),
        "median ttft, s": round(statistics.median(times), 3) if times else "–",
    }


def table(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float | int | str]]:
    """The figures of each kind, and of all."""
    kinds: defaultdict[str, list[Outcome]] = defaultdict(list)
    for each in outcomes:
        kinds[each.asked["kind"]].append(each)
    return {kind: figures(kinds[kind]) for kind in sorted(kinds)} | {"all": figures(outcomes)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.questions")
    parser.add_argument("--half", choices=HALVES, default="tune")
    parser.add_argument("--kind", help="questions of this kind alone; nothing is kept")
    parser.add_argument("--show", action="store_true", help="print each answer that is not right")
    parser.add_argument("--plain", action="store_true", help="treat all questions as for a fact")
    parser.add_argument(
        "--budget", type=float, default=BUDGET, help="seconds until the first word; 0: no limit"
    )
    options = parser.parse_args()
    questions = json.loads((FOLDER / f"{options.half}.json").read_text(encoding="utf-8"))
    outcomes: list[Outcome] = []
    for name in sorted({each["set"] for each in questions}):
        engine = open_set(name, options.plain, options.budget or None)
        for asked in questions:
            if asked["set"] == name and options.kind in (None, asked["kind"]):
                outcomes.append(ask(engine, asked))
                _show(outcomes[-1], options.show)
    rows = table(outcomes)
    columns = list(rows["all"])
    print("\n" + " | ".join(["kind".ljust(14), *columns]))
    for kind, row in rows.items():
        cells = (str(row[name]).rjust(len(name)) for name in columns)
        print(" | ".join([kind.ljust(14), *cells]))
    setting = "" if options.budget == BUDGET else f", budget {options.budget:g} s"
    if not Settings.llm.metadata.model_name.startswith("SmolLM2-135M"):
        setting += f", {Settings.llm.metadata.model_name}"
    if not options.kind:
        for kind, row in rows.items():
            keep("questions", f"{options.half}: {kind}{setting}", row)


def _show(outcome: Outcome, whole: bool) -> None:
    good = outcome.name in ("right", "rightly refused")
    print(f"{'   ' if good else '!! '}{outcome.asked['id']}: {outcome.name}", flush=True)
    if whole and not good:
        print(f"     {outcome.asked['question']}  [{outcome.did}]")
        print(f"     wanted: {outcome.asked['must_contain']}")
        print(f"     quotation: {outcome.quotation}")
        print("     answer: " + outcome.text.replace("\n", "\n       "))


if __name__ == "__main__":
    main()
