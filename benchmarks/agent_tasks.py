"""Agents with the default model: are the answers right, and does the agent say when it cannot?

    python -m benchmarks.agent_tasks --half tune      # the tasks that the rules were made with
    python -m benchmarks.agent_tasks --half heldout   # tasks that were unused until the end
    python -m benchmarks.agent_tasks --half fresh     # others, written later, with other documents
    python -m benchmarks.agent_tasks --half fresh2    # others again, and fresh3

The tasks are in questions/agent_<half>.json, and their documents in questions/documents/. They were
written by somebody who had seen neither the code nor its examples. A task without documents of its
own is asked over the samples. The table says for each kind how many answers were

- right;
- wrong with the look of a computed result: a wrong value, and a calculation that succeeded;
- wrong otherwise;
- rightly declined: the task cannot be done, its answer is in no document, or a refusal is accepted;
- wrongly declined.

Figures are printed and kept in benchmarks/results/.
"""

import argparse
import json
import re
import statistics
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.figures import keep
from engine import SimpleDirectoryReader, VectorStoreIndex
from engine.agent import AgentStream, AgentWorkflow, ToolCallResult
from engine.agent.assisted import AssistedPolicy
from engine.agent.handler import AgentHandler
from engine.agent.planning import PlanningPolicy
from engine.agent.policy import Policy
from engine.agent.routing import RoutingPolicy
from engine.agent.shipped import document_search, shipped_tools
from engine.agent.tools import FunctionTool
from engine.agent.workflow import policy_for
from engine.llm.base import LLM
from engine.llm.repetition import repeats_from
from engine.schema import ChatMessage
from engine.settings import Settings

QUESTIONS = Path(__file__).parent / "questions"
SAMPLES = Path(__file__).parents[1] / "samples"
SHORT = 500  # characters of an answer to small talk, at most

RIGHT, COMPUTED, WRONG = "right", "wrong, looks computed", "wrong otherwise"
DECLINED_RIGHTLY, DECLINED_WRONGLY = "rightly declined", "wrongly declined"
OUTCOMES = (RIGHT, COMPUTED, WRONG, DECLINED_RIGHTLY, DECLINED_WRONGLY)

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Given:
    """An answer: its text, whether a calculation succeeded, which tools ran, and its time.

    first: seconds until the first token of the model; None if the model wrote nothing. work: the
    thoughts and the calls, and the tokens of each call of the model.
    """

    text: str
    computed: bool
    tools: tuple[str, ...]
    seconds: float
    first: float | None
    work: str


# Asking


POLICIES: dict[str, Callable[[LLM], Policy]] = {
    "chosen": policy_for,
    "routing": RoutingPolicy,
    "assisted": AssistedPolicy,
    "planning": PlanningPolicy,
}


@cache
def tools_for(documents: str) -> tuple[FunctionTool, ...]:
    folder = QUESTIONS / "documents" / documents if documents else SAMPLES
    index = VectorStoreIndex.from_documents(SimpleDirectoryReader(folder).load_data())
    return tuple(shipped_tools(document_search(index)))


def ask(entry: Entry, policy: Policy) -> Given:
    agent = AgentWorkflow(tools_for(entry.get("set") or ""), policy)
    history: list[ChatMessage] = []
    for message in entry.get("earlier", []):
        answer = str(agent.run(message, history).result())
        history += [ChatMessage("user", message), ChatMessage("assistant", answer)]
    began = time.perf_counter()
    handler: AgentHandler = agent.run(entry["task"], history)
    text = str(handler.result())
    results = [event for event in handler.so_far if isinstance(event, ToolCallResult)]
    exact = [each for each in results if each.tool_name != "search_documents" and not each.is_error]
    calls = handler.run.trace.calls
    return Given(
        text,
        bool(exact),
        tuple(each.tool_name for each in results),
        time.perf_counter() - began,
        min((call.token_times[0] for call in calls if call.token_times), default=None),
        work_of(handler),
    )


def work_of(handler: AgentHandler) -> str:
    """The thoughts and calls of a run, and the tokens that the model read and wrote."""
    lines = [""]
    for event in handler.so_far:
        if isinstance(event, AgentStream):
            lines[-1] += event.thinking_delta.replace("\n", " ")
        if isinstance(event, ToolCallResult):
            given = ", ".join(f"{name}={value!r}" for name, value in event.tool_kwargs.items())
            result = " ".join(str(event.tool_output).split())[:160]
            lines += [f"{event.tool_name}({given}) -> {result}", ""]
    for call in handler.run.trace.calls:
        read = f"{call.prompt_tokens} tokens read, {call.reused_tokens} of them kept"
        lines.append(f"{call.purpose}: {read}, {call.output_tokens} written")
    return "\n        ".join(filter(None, lines))


# Judging

_DECLINES = re.compile(
    r"\b(?:cannot|can ?not|can't|could not|did not find|found no|have no|not (?:in|stated in) your "
    r"documents|do not know|no result|not defined|not able|needs a key|undefined|no date)\b",
    re.I,
)


def declines(text: str) -> bool:
    return bool(_DECLINES.search(text))


def normal(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    return re.sub(r"\s+", " ", re.sub(r"[‐-―−]", "-", text))


def has(text: str, wanted: str) -> bool:
    """Whether a text has this number, or these words."""
    text, wanted = normal(text), normal(wanted)
    if not re.search(r"\.\d*0$", wanted):  # 138.00 is 138
        text = re.sub(r"(?<=\d)\.0+(?!\d)", "", text)
    before, after = "", ""
    if re.fullmatch(r"-?\d[\d., ]*", wanted):
        before, after = r"(?<!\d)(?<!\d[.,])", r"(?![.,]?\d)"
    elif re.fullmatch(r"[a-z]{1,6}|[a-z]-?\d+", wanted):
        before, after = r"(?<![a-z0-9])", r"(?![a-z0-9])"
    return re.search(before + re.escape(wanted) + after, text) is not None


def rounds_to(text: str, wanted: str) -> bool:
    """Whether a text has a number that is this one, rounded to its decimals."""
    if not re.fullmatch(r"\d+(?:\.\d+)?", wanted):
        return False
    decimals = len(wanted.partition(".")[2])
    return any(round(each, decimals) == float(wanted) for each in numbers(text))


def numbers(text: str) -> list[float]:
    pattern = r"-?\d+(?:[ ,']\d{3})+(?:\.\d+)?(?!\d)|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
    return [float(re.sub("[ ,']", "", each)) for each in re.findall(pattern, normal(text))]


def date_forms(day: date) -> list[str]:
    """A date as people write it."""
    month = f"{day:%B}"
    return [
        day.isoformat(), f"{day.day} {month} {day.year}", f"{month} {day.day}, {day.year}",
        f"{day.day} {month}", f"{month} {day.day}", f"{day.day}th of {month}",
        f"{day.day} {month[:3]}", f"{month[:3]} {day.day}", f"{day:%d.%m.%Y}", f"{day:%d/%m/%Y}",
    ]  # fmt: skip


def wanted_texts(entry: Entry, today: date) -> list[list[str]]:
    """Groups of alternatives. Of tasks about today, they are computed by the entry's rule."""
    if "rule" not in entry:
        return [list(group) for group in entry.get("answer", [])]
    names = {"today": today, "date": date, "timedelta": timedelta, "date_forms": date_forms,
             "str": str, "format": format, "int": int, "len": len, "range": range}  # fmt: skip
    groups = eval(entry["rule"], names)
    return [list(map(str, group)) for group in groups]


def fits(entry: Entry, text: str, today: date) -> bool:
    groups = wanted_texts(entry, today)
    rounded = entry["kind"] == "units"  # 42.1648 km is right where 42.16 is wanted
    met = sum(
        any(has(text, each) or (rounded and rounds_to(text, each)) for each in group)
        for group in groups
    )
    right = met >= entry.get("at_least", len(groups))
    if "value" in entry and not right:
        room = entry.get("tolerance", 0.005) * abs(entry["value"])
        right = any(abs(each - entry["value"]) <= room for each in numbers(text))
    return right and not any(has(text, each) for each in entry.get("must_not_contain", []))


def judge(entry: Entry, given: Given, today: date) -> str:
    refused = declines(given.text)
    expected = entry.get("expect", "")
    if expected == "short answer":
        talk = 0 < len(given.text) <= SHORT and repeats_from(given.text) is None
        return RIGHT if talk and "search_documents" not in given.tools else WRONG
    if expected in ("cannot", "not found"):
        if refused and not given.computed:
            return DECLINED_RIGHTLY
        return COMPUTED if given.computed else WRONG
    if fits(entry, given.text, today):
        return RIGHT
    if refused and not given.computed:
        return DECLINED_RIGHTLY if entry.get("acceptable_refusal") else DECLINED_WRONGLY
    return COMPUTED if given.computed else WRONG


# The table


def measure(part: str, entries: Sequence[Entry], policy: Policy, shown: bool) -> None:
    rows: dict[str, Counter[str]] = {}
    times: list[float] = []
    first: list[float] = []
    for entry in entries:
        given = ask(entry, policy)
        outcome = judge(entry, given, date.today())
        rows.setdefault(entry["kind"], Counter())[outcome] += 1
        times.append(given.seconds)
        first += [given.first] if given.first is not None else []
        if shown or outcome in (COMPUTED, WRONG, DECLINED_WRONGLY):
            print(f"\n{outcome}: {entry['id']}: {entry['task']}\n    {given.text[:500]}")
            print(f"        {given.seconds:.1f} s. {given.work}", flush=True)
    print(f"\n{'kind':22}{''.join(f'{name:>24}' for name in OUTCOMES)}")
    for kind, counts in sorted(rows.items()):
        print(f"{kind:22}{''.join(f'{counts[name]:24}' for name in OUTCOMES)}")
    total: Counter[str] = sum(rows.values(), Counter())
    good = total[RIGHT] + total[DECLINED_RIGHTLY]
    figures: dict[str, float | int | str] = {
        "tasks": len(entries),
        **{name: total[name] for name in OUTCOMES},
        "right, or rightly declined": good / len(entries),
        "median time, ms": statistics.median(times) * 1000,
        "longest time, ms": max(times) * 1000,
        "answers with text of the model": len(first),
    }
    if first:
        figures["median time to the model's first token, ms"] = statistics.median(first) * 1000
    for kind, counts in sorted(rows.items()):
        figures[kind] = ", ".join(f"{counts[name]} {name}" for name in OUTCOMES if counts[name])
    keep("agent_tasks", part, figures)


def main() -> None:
    parser = argparse.ArgumentParser()
    halves = ("tune", "heldout", "fresh", "fresh2", "fresh3")
    parser.add_argument("--half", choices=halves, default="tune")
    parser.add_argument("--tasks", type=Path, help="another file of tasks")
    parser.add_argument("--kind", default="", help="only tasks of this kind")
    parser.add_argument("--every", type=int, default=1, help="only every n-th task of each kind")
    parser.add_argument("--policy", choices=POLICIES, default="chosen")
    parser.add_argument("--ids", default="", help="only tasks whose ids match this pattern")
    parser.add_argument("--all", action="store_true", help="print right answers too")
    chosen = parser.parse_args()
    file = chosen.tasks or QUESTIONS / f"agent_{chosen.half}.json"
    entries = json.loads(file.read_text(encoding="utf-8"))
    entries = [each for each in entries if each["kind"].startswith(chosen.kind)]
    entries = [
        each
        for kind in dict.fromkeys(each["kind"] for each in entries)
        for each in [each for each in entries if each["kind"] == kind][:: chosen.every]
    ]
    entries = [each for each in entries if re.search(chosen.ids, each["id"])]
    llm = Settings.llm
    part = f"{chosen.half}, {llm.metadata.model_name}, {chosen.policy}"
    for name, value in (("kind", chosen.kind), ("ids", chosen.ids), ("every", chosen.every)):
        if value not in ("", 1):
            part += f", {name} {value}"
    measure(part, entries, POLICIES[chosen.policy](llm), chosen.all)


if __name__ == "__main__":
    main()
