"""Tasks with a demand for decimals, with remarks in brackets, and with "it" for a quantity."""

import pytest

from engine.agent import AgentWorkflow
from engine.agent.date_tools import DateTools
from engine.agent.plans import document_plan
from engine.agent.readings import readings, rounded
from engine.agent.routing import RoutingPolicy
from engine.agent.shipped import search_tool, shipped_tools
from tests.scripted import ScriptedLLM, ScriptedRetriever
from tests.test_agent_dates import NOW


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ("divide 22 by 7 and show two decimals", "Rounded: 3.14"),
        ("How many miles are 5 km? One decimal will do.", "Rounded: 3.1"),
        ("A parcel of 3.2 kg, how much is that in pounds? (one decimal)", "Rounded: 7.1"),
        ("We fly at 900 km/h. What is that in mph?", "900 kilometres per hour"),
        ("convert 20 stone (the weight) to kg", "kilograms"),
        ("The fare goes from 2.50 to 3, how many percent is that?", "= 20"),
        ("Take 120, subtract 36 and then halve the result", "= 42"),  # no misspelt "have"
        ("How many days lie between the fair on 3 May 2026 and 9 May 2026?", "6 days"),
    ],
)
def test_what_surrounds_a_task_does_not_keep_it_from_being_read(task: str, answer: str) -> None:
    tools = shipped_tools(search_tool(ScriptedRetriever("x")), lambda: NOW)
    handler = AgentWorkflow(tools, RoutingPolicy(ScriptedLLM())).run(task)
    assert answer in str(handler.result())


@pytest.mark.parametrize(
    "task",
    [
        "What is (3 + 4) * 2?",  # brackets of a calculation
        "I ran 5 km in 20 minutes. What is that in miles?",  # two quantities
        "The bridge is 300 m long. How high is it in feet?",  # another quantity
        "Divide 22 by 7 and round up to whole boxes",
        "Round 3.14159 to 2 decimals",  # the whole task
    ],
)
def test_nothing_else_is_taken_out_of_a_task(task: str) -> None:
    assert [each.text for each in readings(task)] == [task]


def test_only_the_result_is_rounded() -> None:
    assert rounded("about 3.366 pounds\n\n138 / 41 ≈ 3.36585\n\n“13.8%” (a.txt)", 2) == "3.37"
    assert not rounded("84 / 2 = 42", 1)


def test_the_date_of_one_of_two_dates_is_not_the_present_one() -> None:
    tools = shipped_tools(search_tool(ScriptedRetriever("x")), lambda: NOW)
    task = "Which is earlier: 90 days after 1 May 2027, or 20 July 2027? Tell me the date."
    handler = AgentWorkflow(tools, RoutingPolicy(ScriptedLLM())).run(task)
    assert "It is" not in str(handler.result())


def test_a_thing_that_is_not_named_is_not_compared() -> None:
    tools = shipped_tools(search_tool(ScriptedRetriever("x")), lambda: NOW)
    assert document_plan("How much more does the cart with a roof cost than the sledge?", tools)
    assert not document_plan("How much more does the cart with a roof cost than with none?", tools)


@pytest.mark.parametrize("day", ["February 2032", "2032-02", "2032-02-10"])
def test_the_length_of_a_month_needs_no_day(day: str) -> None:
    assert DateTools(lambda: NOW).date_facts(day, "month") == "February 2032 has 29 days."


@pytest.mark.parametrize(
    ("task", "read"),
    [
        ("How many pounds has 6 kg?", "convert 6 kg to pounds"),
        ("The parcel weighs 6 kg. In pounds?", "convert 6 kg to pounds"),
        ("18 knots, how fast is that in km/h?", "convert 18 knots to km / h"),
        ("How many inches does a 60 cm shelf have?", "convert 60 cm to inches"),
    ],
)
def test_one_quantity_and_one_other_unit_of_its_kind_are_a_conversion(task: str, read: str) -> None:
    assert read in [each.text for each in readings(task) if each.converts]


@pytest.mark.parametrize(
    "task",
    [
        "The bridge is 300 m long. How high is it in feet?",
        "A pool holds 50 cubic metres. How many litres of chlorine does it need?",
        "The plant grew 3 cm in a month. How many inches in a year?",
        "It is 3 km to the station. How many minutes do I need?",
        "I have 3 kg and need 12 pounds. How many ounces more?",
        "My room is 4 metres long. What is its area in square feet?",
        "The 6 kg parcel costs 4 euros. How many pounds does each half weigh?",
    ],
)
def test_a_task_that_wants_more_than_a_conversion_is_none(task: str) -> None:
    assert not any(each.text.startswith("convert") for each in readings(task))
