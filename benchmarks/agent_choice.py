"""Agents with the small default model: calling or answering, with which tool, and sums.

    python -m benchmarks.agent_choice

The questions are in agent_choice.json. They were written after the method and the examples that
it chooses by (engine/agent/examples.json), but by the same hands, so expect less of strangers'
questions. Figures are printed and kept in benchmarks/results/.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import keep
from engine.agent import FunctionTool
from engine.agent.calculator import calculator
from engine.agent.policy import ANSWER, CallRequest, Task
from engine.agent.routing import SMALL_TALK, RoutingPolicy
from engine.agent.shipped import QUESTIONS as EXAMPLES
from engine.agent.shipped import (
    TavilyToolSpec,
    calculator_tool,
    date_tools,
    search_tool,
    units_tool,
)
from engine.llm.base import LLM, GenerationOptions
from engine.prompting import answer_prompt
from engine.run import Run
from engine.schema import ChatMessage, NodeWithScore
from engine.settings import Settings

QUESTIONS = json.loads(Path(__file__).with_suffix(".json").read_text())

SHIPS = "rules, then the nearest examples (ships)"

Question = dict[str, Any]
Choose = Callable[[str], str]


class _Empty:
    def retrieve(
        self,
        question: str,  # noqa: ARG002
        run: Run | None = None,  # noqa: ARG002
        earlier: str = "",  # noqa: ARG002
    ) -> list[NodeWithScore]:
        return []


def shipped() -> list[FunctionTool]:
    tools = [search_tool(_Empty()), calculator_tool(), units_tool(), *date_tools()]
    return [*tools, *TavilyToolSpec(api_key="none").to_tool_list()]


# Who chooses


# The questions were written when the calculator also converted units, and the clock was the only
# tool for dates.
SAME = {
    "convert_units": "calculator",
    "time_between": "date_and_time",
    "date_after": "date_and_time",
    "date_facts": "date_and_time",
}


def as_shipped(tools: Sequence[FunctionTool]) -> Choose:
    """Rules, then the three nearest examples by the embedding model."""
    policy = RoutingPolicy(Settings.llm)

    def choose(question: str) -> str:
        for part in policy.step(Task(question), tools, Run()):
            if isinstance(part, CallRequest):
                return SAME.get(part.tool_name, part.tool_name)
            if isinstance(part, str):
                break
        return ANSWER

    return choose


def by_examples(tools: Sequence[FunctionTool]) -> Choose:
    """The three nearest examples alone."""
    policy = RoutingPolicy(Settings.llm)

    def choose(question: str) -> str:
        tool = policy.choose(question, tools).tool
        return SAME.get(tool.name, tool.name) if tool else ANSWER

    return choose


def by_descriptions(tools: Sequence[FunctionTool]) -> Choose:
    """The same without examples: descriptions against small talk."""
    return by_examples([FunctionTool(tool.fn, name=tool.name) for tool in tools])


def by_cross_encoder(tools: Sequence[FunctionTool]) -> Choose:
    """The reranker scores the descriptions; below the threshold that suits the examples best, no
    tool."""

    def scores(question: str) -> list[float]:
        return Settings.reranker.score(question, [tool.summary for tool in tools])

    tuned = [(scores(each), right) for right, some in EXAMPLES.items() for each in some]
    names = [tool.name for tool in tools]

    def right_at(threshold: float) -> int:
        return sum(_above(names, each, threshold) == right for each, right in tuned)

    threshold = max(np.arange(-11.5, 0, 0.25), key=right_at)
    return lambda question: _above(names, scores(question), float(threshold))


def _above(names: Sequence[str], scores: Sequence[float], threshold: float) -> str:
    best = int(np.argmax(scores))
    return names[best] if scores[best] > threshold else ANSWER


def by_model(llm: LLM, tools: Sequence[FunctionTool], shots: int) -> Choose:
    """The model names a tool, in JSON that its grammar keeps to the tools there are."""
    described = "\n".join(f"- {tool.name}: {tool.summary}" for tool in tools)
    task = (
        f"Choose the tool that helps with the message. Reply with JSON.\n{described}\n"
        f"- {ANSWER}: Answer at once, where no tool is needed."
    )
    examples = {tool.name: [each.question for each in tool.examples] for tool in tools}
    examples[ANSWER] = list(SMALL_TALK)
    prompt = [ChatMessage("system", task)]
    for number in range(shots):
        for name, questions in examples.items():
            prompt.append(ChatMessage("user", questions[number % len(questions)]))
            prompt.append(ChatMessage("assistant", json.dumps({"tool": name})))
    schema = {
        "type": "object",
        "properties": {"tool": {"enum": [*examples]}},
        "required": ["tool"],
    }
    options = GenerationOptions(json_schema=schema, max_tokens=40)

    def choose(question: str) -> str:
        reply = llm.chat([*prompt, ChatMessage("user", question)], options)
        return str(json.loads(reply.content)["tool"])

    return choose


def measure_choice(name: str, choose: Choose, questions: Sequence[Question]) -> None:
    choose("Warm up, please.")
    rows, times = [], []
    for each in questions:
        began = time.perf_counter()
        rows.append((each["right"], choose(each["question"])))
        times.append(time.perf_counter() - began)
    keep(
        "agent_choice",
        name,
        {
            "questions": len(rows),
            "the right tool, or none": sum(right == said for right, said in rows) / len(rows),
            "calls or answers rightly": sum(
                (right == ANSWER) == (said == ANSWER) for right, said in rows
            )
            / len(rows),
            "median time, ms": statistics.median(times) * 1000,
        },
    )


# Results of calculations


def measure_sums(questions: Sequence[Question]) -> None:
    """Every calculation is computed or declined with a sentence; none may be wrong."""
    tool = calculator_tool()
    sums = [each for each in questions if "value" in each]
    expressions = [(each, tool.claims(each["question"], [])) for each in sums]
    computed = [(each, arguments) for each, arguments in expressions if arguments is not None]
    right = 0
    for each, arguments in computed:
        result = float(calculator(**arguments).rpartition(" ")[2])
        right += abs(result - each["value"]) <= 1e-6 * max(1.0, abs(result))
    keep(
        "agent_choice",
        "calculations, all questions",
        {
            "questions": len(sums),
            "computed": len(computed),
            "computed, right": right,
            "declined (word problems)": len(sums) - len(computed),
        },
    )


def measure_repeating(questions: Sequence[Question]) -> None:
    """Does the model keep a number that it is given? Exact results are quoted because it does
    not."""
    sums = [each for each in questions if "value" in each]
    kept = 0
    for each in sums:
        number = f"{each['value']:.10g}"
        prompt = answer_prompt(each["question"], f"The result is {number}.")
        reply = Settings.llm.chat(prompt, GenerationOptions(max_tokens=48)).content
        kept += number in reply.replace(",", "")
    keep("agent_choice", "results repeated by the model", {"results": len(sums), "kept": kept})


def main() -> None:
    tools, questions = shipped(), QUESTIONS["report"]
    choosers = {
        SHIPS: as_shipped(tools),
        "the nearest examples, by embedding": by_examples(tools),
        "descriptions alone, by embedding": by_descriptions(tools),
        "descriptions, by cross-encoder": by_cross_encoder(tools),
        "the model itself, no examples": by_model(Settings.llm, tools, 0),
        "the model itself, one example a tool": by_model(Settings.llm, tools, 1),
        "the model itself, three examples a tool": by_model(Settings.llm, tools, 3),
    }
    for name, choose in choosers.items():
        measure_choice(name, choose, questions)
    measure_choice(f"{SHIPS}, fresh questions", choosers[SHIPS], QUESTIONS["fresh"])
    everything = [*QUESTIONS["sums"], *questions, *QUESTIONS["fresh"]]
    measure_sums(everything)
    measure_repeating(everything)


if __name__ == "__main__":
    main()
