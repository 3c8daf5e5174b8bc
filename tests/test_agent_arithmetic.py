"""The calculator, and the calculations that questions state: what is read, computed and refused."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.agent.calculator import calculator
from engine.agent.clock import asks_for_the_time, read_clock
from engine.agent.dates import read_dates
from engine.agent.expressions import NotASum
from engine.agent.limits import declined
from engine.agent.numbers import count_numbers, tokens, unknown_numbers
from engine.agent.planning import PlanningPolicy
from engine.agent.plans import document_plan
from engine.agent.policy import Task
from engine.agent.problems import read_problem
from engine.agent.shipped import calculator_tool, search_tool
from engine.agent.sums import read_sum
from engine.agent.units import read_conversion
from engine.agent.wording import parts_of, plain
from engine.arithmetic import evaluate
from engine.errors import ToolError
from engine.run import Run
from tests.scripted import ScriptedLLM, ScriptedRetriever
from tests.test_agent_dates import NOW

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
        ("100 + 5%", "105"),
        ("3 × 4 ÷ 2 − 1", "5"),
        ("2 ^ 10", "1024"),
        ("2 ** 3 ** 2", "512"),
        ("sqrt(1764)", "42"),
        ("round(2.5)", "3"),
        ("round(2.345, 2)", "2.35"),
        ("mean(4, 8, 15)", "9"),
        ("123456789012.34 + 1", "123456789013.34"),
    ],
)
def test_arithmetic_as_people_and_python_write_it(expression: str, value: str) -> None:
    assert calculator(expression).rpartition(" ")[2] == value


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
        "2.5 ** 9999",
        "(-1) ** 0.5",
        "sqrt(-1)",
        "sqrt()",
        "1" * 201,
        "round(1, -99999999)",
        "round(1, 10**9)",
        "max(1, 2) ** max(9**9, 9)",
    ],
)
def test_everything_else_is_refused_with_a_sentence_and_at_once(expression: str) -> None:
    with pytest.raises(ToolError) as raised:
        calculator(expression)
    assert str(raised.value).endswith(".")


@pytest.mark.parametrize("expression", ["100 / 7", "2 * pi", "sqrt(2)"])
def test_a_result_whose_digits_are_cut_off_is_marked_as_about(expression: str) -> None:
    assert " ≈ " in calculator(expression)


def test_what_is_read_off_a_question_is_right_and_only_read_where_it_stands() -> None:
    read = 0
    for entry in QUESTIONS["sums"] + QUESTIONS["report"]:
        if (stated := read_sum(entry["question"])) is None:
            continue
        assert "value" in entry, entry["question"]
        result = float(evaluate(stated.expression).rpartition(" ")[2])
        assert result == pytest.approx(entry["value"]), entry["question"]
        read += 1
    assert read >= 29  # of 42; the others are conversions and word problems


@pytest.mark.parametrize(
    ("question", "result"),
    [
        ("Add 17 and 25, then double it", "(17 + 25) * 2 = 84"),
        ("Add 17 and 25. Double the result.", "(17 + 25) * 2 = 84"),
        ("take 12, add 8, divide by 4 and subtract 1", "(12 + 8) / 4 - 1 = 4"),
        ("What is the product of 12 and 13, minus 6?", "12 * 13 - 6 = 150"),
        ("Subtract 5 from 20, then square what is left", "(20 - 5) ** 2 = 225"),
        ("Divide 100 by 7 and round it to 2 decimals", "round(100 / 7, 2) = 14.29"),
        ("What is 2026 - 1684?", "2026 - 1684 = 342"),
        ("one hundred and five plus 2.5 million", "105 + 2500000 = 2500105"),
        ("two and a half times 4", "2.5 * 4 = 10"),
        ("two thirds of 90", "2 / 3 * 90 = 60"),
        ("How much is 7 dozen?", "7 * 12 = 84"),
        ("What is 80 plus 10%?", "80 + 10 / 100 * 80 = 88"),
        ("What is 20% off 80?", "80 - 20 / 100 * 80 = 64"),
        ("Increase 80 by 15%", "80 + 15 / 100 * 80 = 92"),
        ("What is 45 euros plus 19% VAT?", "45 + 19 / 100 * 45 = 53.55"),
        ("what percentage of 80 is 20?", "20 / 80 * 100 = 25"),
        ("20 is what percent of 80?", "20 / 80 * 100 = 25"),
        ("the percentage increase from 40 to 50", "(50 - 40) / 40 * 100 = 25"),
        ("What is 10 less than 50?", "50 - 10 = 40"),
        ("the difference between 378 and 1000", "abs(378 - 1000) = 622"),
        ("the average of 4, 8 and 15", "mean(4, 8, 15) = 9"),
        ("the cube root of 27", "cbrt(27) = 3"),
        ("What is the remainder when 17 is divided by 5?", "17 % 5 = 2"),
        ("How many times does 7 go into 84?", "84 / 7 = 12"),
        ("What is 5!?", "factorial(5) = 120"),
    ],
)
def test_a_calculation_in_words_is_read_as_a_whole(question: str, result: str) -> None:
    stated = read_sum(question)
    assert stated
    assert evaluate(stated.expression) == result


@pytest.mark.parametrize(
    "question",
    [
        *("How many dogs?", "In 1684?", "What is 5?", "7 or 8?", "()", "7, 8?", "What is pi?"),
        *("What is 2026-11-21?", "24/12/2026?", "Who was born in 1684?"),
        "If a ticket costs 12 and I buy 7, how much is it?",
        "What is the difference between a ketch and a yawl?",
        "Add 17 and 25, then paint it",
        "2 + 2 " * 400,
    ],
)
def test_a_question_that_states_no_calculation_has_none(question: str) -> None:
    assert read_sum(question) is None


@pytest.mark.parametrize("question", ["3,5 + 2", "What is 3 + 4!", "1.240,50 * 2"])
def test_a_calculation_with_two_readings_is_refused_with_a_sentence(question: str) -> None:
    with pytest.raises(NotASum, match="can be"):
        read_sum(question)


def test_a_follow_up_goes_on_from_the_result_before_it_and_no_other_question_does() -> None:
    doubled = read_sum("now double it", ["What is 17 + 25?"])
    assert doubled
    assert evaluate(doubled.expression) == "(17 + 25) * 2 = 84"
    further = read_sum("add 6", ["What is 17 + 25?", "now double it"])
    assert further
    assert evaluate(further.expression).endswith(" = 90")
    alone = read_sum("What is 63 divided by 7?", ["What is 1,200 + 345?"])
    assert alone
    assert alone.expression == "63 / 7"


def test_other_words_stand_for_values_where_these_are_allowed() -> None:
    question = "What is the price of the Otter rover times 2?"
    assert read_sum(question) is None
    stated = read_sum(question, references=True)
    assert stated
    assert (stated.expression, stated.references) == (
        "value_1 * 2",
        ("price of the Otter rover",),
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,240", "1240"),
        ("twenty-five", "25"),
        ("two hundred and six", "206"),
        ("a thousand", "1000"),
        ("3.5 million", "3500000"),
        ("2½", "2.5"),
        ("three point one four", "3.14"),
    ],
)
def test_a_number_in_words_is_one_number(text: str, number: str) -> None:
    assert [token.text for token in tokens(text)] == [number]


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


def _sum(text: str) -> None:
    for references in (False, True):
        try:
            read_sum(text, ["What is 2 + 3?"], references=references)
        except NotASum:
            continue


TOOLS = [calculator_tool(), search_tool(ScriptedRetriever("x"))]
READERS: dict[str, Callable[[str], object]] = {
    "calculator": _calculate,
    "read_sum": _sum,
    "count_numbers": count_numbers,
    "unknown_numbers": lambda text: unknown_numbers("7", [text]),
    "parts_of": parts_of,
    "plain": plain,
    "read_conversion": read_conversion,
    "read_dates": lambda text: read_dates(text, NOW),
    "read_clock": read_clock,
    "read_problem": read_problem,
    "document_plan": lambda text: document_plan(text, TOOLS),
    "declined": lambda text: declined(text, web="No web."),
    "calculator suits": calculator_tool().suits,
    "asks_for_the_time": asks_for_the_time,
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
