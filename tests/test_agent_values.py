"""Values of documents are read only where the text leaves no choice; plans compute with them."""

from collections.abc import Sequence

import pytest

from engine.agent import FunctionTool
from engine.agent.events import ToolCall, ToolOutput
from engine.agent.plans import document_plan
from engine.agent.policy import CompletedCall
from engine.agent.shipped import calculator_tool, search_tool, units_tool
from engine.agent.tools import call_tool
from engine.agent.values import Kind, Value, Wanted, find_value, find_year, mentions, wanted
from engine.run import Run
from engine.schema import Node, NodeWithScore
from tests.scripted import ScriptedRetriever

FARES = (
    "Ferry fare for: Adult; Price: 14 crowns; Conditions: one crossing\n"
    "Ferry fare for: Adult return; Price: 25 crowns; Conditions: valid for thirty days\n"
    "Ferry fare for: Small car; Price: 48 crowns; Conditions: book a day ahead"
)
STOCK = (
    "item_no: E-08; item: Steel-cable winch; quantity: 1; unit_price_eur: 8900.00; at: garage\n"
    "item_no: E-09; item: Climbing harness; quantity: 30; unit_price_eur: 79.00; at: locker room\n"
    "item_no: E-10; item: Cover for a winch; quantity: 3; unit_price_eur: 25.50; at: garage\n"
    "item_no: E-11; item: Rope 100 m; quantity: 6; unit_price_eur: 312.00; at: store\n"
    "item_no: E-12; item: Rope 200 m; quantity: 2; unit_price_eur: 598.00; at: store"
)
HISTORY = (
    "The station stands in Skarn, 1,140 metres above the sea. It was founded in 1953 by six "
    "foresters. The building of today was opened in 1994. The area includes the Great Fang "
    "(2,871 m), the Little Fang (2,604 m) and a ski area. A sledge carries up to 160 kilograms."
)
PRICES = (
    "3. Guest room\nIt costs 22 euros per night for members.\n"
    "4. Shop\nA box of 12 eggs costs 6 euros. Hours that are missing cost 15 euros each. From May "
    "on the lamp gets 90 euros dearer. There is an entrance fee of 75 euros."
)


def passages(*texts: str) -> list[NodeWithScore]:
    return [NodeWithScore(Node(text, {"file_name": "notes.txt"}), 1.0) for text in texts]


@pytest.mark.parametrize(
    ("want", "texts", "value"),
    [
        (wanted("the price of the climbing harness"), [STOCK], "79 euros"),
        (wanted("the price of the winch"), [STOCK], "8900 euros"),
        (wanted("the price of the rope 200 m"), [STOCK], "598 euros"),
        (Wanted("adult tickets", Kind.MONEY), [FARES], "14 crowns"),
        (Wanted("Great Fang", Kind.LENGTH, ("high",)), [HISTORY], "2871 metres"),
        (wanted("the entrance fee"), [PRICES, STOCK], "75 euros"),
        (Wanted("nights in the guest room", Kind.MONEY, per="nights in the guest room"), [PRICES],
         "22 euros"),
        (Wanted("missing hours", Kind.MONEY, per="missing hours"), [PRICES], "15 euros"),
    ],
)  # fmt: skip
def test_a_value_is_read_with_its_unit_and_its_sentence(
    want: Wanted, texts: Sequence[str], value: str
) -> None:
    found = find_value(want, passages(*texts))
    assert isinstance(found, Value), found
    assert str(found) == value
    assert found.text in found.quote.replace(",", "").replace(".00", "")


@pytest.mark.parametrize(
    ("want", "why"),
    [
        (wanted("the price of the rope"), "several values: 312 euros, 598 euros"),
        (wanted("the price of the tower"), "no sentence"),
        (Wanted("eggs", Kind.MONEY, per="eggs"), "no sentence"),  # 6 euros are for twelve
        (wanted("the price of the lamp"), "no sentence"),  # "90 euros dearer" is no price
        (Wanted("sledge", Kind.MASS), "no sentence"),  # "up to 160 kilograms" is no weight
        (wanted("the price of the cover"), "25.5"),
    ],
)
def test_a_value_that_is_not_certain_is_not_read_and_the_reason_is_given(
    want: Wanted, why: str
) -> None:
    found = find_value(want, passages(STOCK, HISTORY, PRICES))
    assert why in str(found)


def test_the_year_of_a_beginning_is_told_from_other_years() -> None:
    found = find_year("rescue station", passages("Rescue handbook\n\n" + HISTORY))
    assert isinstance(found, Value)
    assert found.text == "1953"
    assert isinstance(find_year("ski area", passages(HISTORY)), str)


def test_numbers_of_dates_ranges_and_articles_are_no_values() -> None:
    sentence = "On 2024-05-01 the HR-55 had 7 to 9 wheels at 18:30 and cost $ 45 plus 19 %."
    assert [each.text for each in mentions(sentence)] == ["2024", "7", "9", "45"]


# Plans, with real tools over these passages


def outcome(question: str, *texts: str) -> tuple[list[str], str]:
    """The calls of a plan, and its reply."""
    tools: list[FunctionTool] = [search_tool(ScriptedRetriever(*texts)), calculator_tool()]
    tools.append(units_tool())
    plan = document_plan(question, tools)
    if plan is None:
        return [], ""
    by_name, calls = {tool.name: tool for tool in tools}, []
    try:
        step = next(plan)
        while True:
            request = step.request
            calls.append(request.tool_name)
            result = call_tool(by_name[request.tool_name], request.arguments, Run())
            call = ToolCall(request.tool_name, request.arguments, "1")
            output: ToolOutput = result.output
            step = plan.send(CompletedCall(call, output, result.is_error))
    except StopIteration as ended:
        return calls, ended.value.text


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("How old was the station in 2025?", "72 years\n\n2025 - 1953 = 72"),
        ("What do 10 climbing harnesses cost?", "790 euros\n\n10 * 79 = 790"),
        ("How much do five nights in the guest room cost?", "110 euros\n\n5 * 22 = 110"),
        ("What do two adult tickets and a small car cost on the ferry together?", "76 crowns"),
        ("How much higher is the Great Fang than the Little Fang, in metres?", "267 metres"),
        ("What is the price of the winch times 2?", "17800 euros\n\n8900 * 2 = 17800"),
        ("What is 20% of the entrance fee?", "15 euros"),
        ("How high is the Little Fang in feet?", "2604 metres ≈ 8543.31 feet"),
        ("How many years after the station was founded was the building opened?", "41 years"),
    ],
)
def test_a_plan_finds_its_values_and_computes_with_them(question: str, said: str) -> None:
    calls, reply = outcome(question, FARES, STOCK, HISTORY, PRICES)
    assert reply.startswith(said), reply
    assert calls[0] == "search_documents"
    assert calls[-1] in ("calculator", "convert_units")
    assert "“" in reply  # the sentence that the value is from


@pytest.mark.parametrize(
    "question",
    [
        "What do 3 ropes cost?",
        "What do 12 eggs cost?",
        "What do 3 bicycles cost on the train?",
        "How old was the tower in 2025?",
        "How much higher is the Great Fang than the tower?",
    ],
)
def test_a_plan_without_a_certain_value_computes_nothing_and_says_why(question: str) -> None:
    calls, reply = outcome(question, FARES, STOCK, HISTORY, PRICES)
    assert set(calls) == {"search_documents"}
    assert reply.startswith("I cannot calculate this: for “")


@pytest.mark.parametrize(
    "question",
    [
        "What does a small car cost on the ferry?",
        "Who founded the station?",
        "What is the difference between a ketch and a yawl?",
        "How much is it?",
        "How old are you?",
    ],
)
def test_a_question_for_a_fact_has_no_plan(question: str) -> None:
    assert outcome(question, STOCK) == ([], "")
