"""The calculator: what it computes, what it refuses, and what it reads off a question."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.agent.arithmetic import (
    calculator,
    count_numbers,
    plain_arithmetic,
    unknown_numbers,
)
from engine.agent.planning import PlanningPolicy
from engine.agent.policy import Task
from engine.agent.routing import parts_of
from engine.agent.shipped import calculator_tool, clock_tool
from engine.errors import ToolError
from engine.run import Run
from tests.scripted import ScriptedLLM

QUESTIONS = json.loads((Path(__file__).parents[1] / "benchmarks/agent_choice.json").read_text())


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 + 3 * 4", "14"),
        ("(2 + 3) * 4", "20"),
        ("0.1 + 0.2", "0.3"),
        ("2**100", "1267650600228229401496703205376"),
        ("10 / 4", "2.5"),
        ("10 / 5", "2"),
        ("-7 // 2", "-4"),
        ("17 % 5", "2"),
        ("sqrt(2) ** 2", "2"),
        ("max(1, 200) + abs(-3)", "203"),
        ("1,000 + 2,500", "3500"),
        ("15% of 240", "36"),
        ("100 + 5% of 100", "105"),
        ("3 × 4 ÷ 2 − 1", "5"),
        ("2 ^ 10", "1024"),
        ("2 * pi", "6.28318530718"),
    ],
)
def test_arithmetic_as_people_and_python_write_it(expression: str, value: str) -> None:
    assert calculator(expression).rpartition(" = ")[2] == value


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "(1).__class__",
        "[1, 2]",
        "'a' * 3",
        "lambda: 1",
        "open('x')",
        "True + 1",
        "1 if 1 else 2",
        "x + 1",
        "max(*[1])",
        "round(1, ndigits=2)",
        "1j * 1j",
        "",
        "2 +",
        "(" * 150,
        "1 / 0",
        "1 % 0",
        "9 ** 9 ** 9",
        "2 ** 99999999",
        "1e308 * 10",
        "10.0 ** 400",
        "(-1) ** 0.5",
        "sqrt(-1)",
        "sqrt()",
        "1" * 201,
        "100 + 5%",
        "round(1, -99999999)",
        "round(1, 10**9)",
        "max(1, 2) ** max(9**9, 9)",
    ],
)
def test_everything_else_is_refused_with_a_sentence_and_at_once(expression: str) -> None:
    with pytest.raises(ToolError) as raised:
        calculator(expression)
    assert str(raised.value).endswith(".")


def test_what_is_read_off_a_question_is_right_and_only_read_where_it_stands() -> None:
    read = 0
    for entry in QUESTIONS["sums"] + QUESTIONS["report"]:
        if (expression := plain_arithmetic(entry["question"])) is None:
            continue
        assert "value" in entry, entry["question"]
        result = float(calculator(expression).rpartition(" = ")[2])
        assert result == pytest.approx(entry["value"]), entry["question"]
        read += 1
    assert read >= 29  # of 42; the others are word problems


@pytest.mark.parametrize(
    "question",
    [
        *("How many dogs?", "In 1684?", "What is 5?", "7 or 8?", "()", "7, 8?", "What is pi?"),
        *("What is 5!", "What is 3! + 2?", "What is 2026-11-21?", "24/12/2026?", "100 + 5%?"),
        *("If a ticket costs 12 and I buy 7, how much is it?", "Add 17 and 25, then double it"),
        "2 + 2 " * 400,
    ],
)
def test_a_question_that_states_no_expression_has_none(question: str) -> None:
    assert plain_arithmetic(question) is None


@pytest.mark.parametrize(
    ("expression", "task", "unknown"),
    [
        ("1887 * 100", "How thick was the ice in 1887?", ["100"]),
        ("84 * 1.609", "Convert 84 kilometres to miles", ["1.609"]),
        ("15 / 100 * 240", "What is 15% of 240?", []),
        ("0.15 * 1240.0", "What is 15 percent of 1,240?", []),
        ("12 * 3", "What do three cost, if one costs a dozen?", []),
        ("3 * days_per_week + pi", "How many days are 3 weeks?", []),
        ("1240 / 2", "Half of 1,240", []),
        ("5 - 7", "5", ["7"]),
    ],
)
def test_numbers_that_are_in_no_source_are_found(
    expression: str, task: str, unknown: list[str]
) -> None:
    assert unknown_numbers(expression, [task]) == unknown


# A task is untrusted text: whatever reads it takes time in proportion to its length


def _thought(text: str) -> None:
    policy = PlanningPolicy(ScriptedLLM(['{"thought": "' + text], context_window=10**6))
    for _ in policy.step(Task("x"), [calculator_tool()], Run()):
        pass


def _calculate(text: str) -> None:
    with pytest.raises(ToolError):
        calculator(text)


READERS: dict[str, Callable[[str], object]] = {
    "calculator": _calculate,
    "plain_arithmetic": plain_arithmetic,
    "count_numbers": count_numbers,
    "unknown_numbers": lambda text: unknown_numbers("7", [text]),
    "parts_of": parts_of,
    "calculator suits": calculator_tool().suits,
    "calculator declines": calculator_tool().declines,
    "clock suits": clock_tool().suits,
    "clock declines": clock_tool().declines,
    "clock arguments": clock_tool().arguments_from,
    "thought": _thought,
}
PIECES = [
    *("1", "1,", ",000", "1.", "1e", "% ", " ", "(", "-", "*", "a", "A", "in ", "in A ", "time "),
    *("? ", ", and ", " and", ";", "\\", "\\u0", '"', "é", "1 plus ", "add 1 and "),
    *("half of ", "\n"),
]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("piece", PIECES)
def test_time_grows_in_proportion_to_the_length(name: str, piece: str) -> None:
    """Four times the text may take eight times as long and not sixteen, which is quadratic. The
    best of several measurements counts, and growth that a busy machine hides is measured again."""

    def best(length: int) -> float:
        text = (piece * length)[:length] + "x"
        times = []
        for _ in range(3):
            began = time.thread_time()
            READERS[name](text)
            times.append(time.thread_time() - began)
        return min(times)

    for _ in range(4):
        if best(16_000) < 8 * best(4_000) + 0.002:
            return
    pytest.fail(f"{name} takes more than linear time for {piece!r}")
