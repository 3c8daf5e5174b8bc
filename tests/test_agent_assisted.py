"""The policy for medium-sized models: rules first, then the model, whose work is checked."""

import json

import pytest

from engine.agent import AgentWorkflow, FunctionTool, ToolCallResult
from engine.agent.assisted import (
    NO_SOURCE,
    SEARCHES,
    AssistedPolicy,
    as_expression,
    same_value,
)
from engine.agent.handler import AgentHandler
from engine.agent.shipped import search_tool, shipped_tools
from tests.scripted import ScriptedLLM, ScriptedRetriever
from tests.test_agent_dates import NOW

EGGS = "Eggs come in boxes of 12. I need 150 eggs for a breakfast. How many boxes must I buy?"
ANSWER = ['{"tool": "answer"}']


@pytest.fixture(scope="module")
def tools() -> list[FunctionTool]:
    return shipped_tools(search_tool(ScriptedRetriever("x")), lambda: NOW)


def call(tool: str, **arguments: str) -> list[str]:
    return [json.dumps({"tool": tool, "arguments": arguments})]


def run(tools: list[FunctionTool], llm: ScriptedLLM, task: str) -> tuple[str, AgentHandler]:
    handler = AgentWorkflow(tools, AssistedPolicy(llm)).run(task)
    return str(handler.result()), handler


def results(handler: AgentHandler) -> list[ToolCallResult]:
    return [event for event in handler.so_far if isinstance(event, ToolCallResult)]


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ("What is 15% of 240?", "15 / 100 * 240 = 36"),
        ("Convert 84 kilometres to miles", "84 kilometres ≈ 52.1952 miles"),
        ("Please send an e-mail to Anna.", "I cannot"),
        ("What is 5 divided by 0?", "Division by zero has no result."),
    ],
)
def test_what_rules_answer_or_rightly_decline_needs_no_model(
    tools: list[FunctionTool], task: str, answer: str
) -> None:
    llm = ScriptedLLM()
    text, _ = run(tools, llm, task)
    assert text.startswith(answer)
    assert not llm.prompts


def test_what_rules_decline_the_model_sets_up_twice_and_the_tool_computes(
    tools: list[FunctionTool],
) -> None:
    program = ["boxes = 150 / 12\n", "answer = ceil(boxes)"]
    llm = ScriptedLLM(call("calculator", expression="ceil(150 / 12)"), program, ANSWER)
    text, handler = run(tools, llm, EGGS)
    assert text == "ceil(150 / 12) = 13"
    assert len(results(handler)) == 1


def test_a_calculation_that_was_set_up_in_two_ways_is_not_computed(
    tools: list[FunctionTool],
) -> None:
    llm = ScriptedLLM(call("calculator", expression="150 / 12"), ["answer = 150 * 12"])
    text, handler = run(tools, llm, EGGS)
    assert "two ways to set it up gave different results" in text
    assert not results(handler)


def test_a_number_from_nowhere_is_refused_and_after_two_failures_the_rules_have_the_word(
    tools: list[FunctionTool],
) -> None:
    llm = ScriptedLLM(
        call("calculator", expression="150 / 10"), call("calculator", expression="150 / 6")
    )
    text, handler = run(tools, llm, EGGS)
    assert text.startswith("I cannot set up this calculation reliably")
    assert [each.is_error for each in results(handler)] == [True, True]
    assert len(llm.prompts) == 2


def test_a_repeated_call_ends_the_steps(tools: list[FunctionTool]) -> None:
    same = call("calculator", expression="ceil(150 / 12)")
    llm = ScriptedLLM(same, ["answer = ceil(150 / 12)"], same)
    text, handler = run(tools, llm, EGGS)
    assert text == "ceil(150 / 12) = 13"
    assert len(results(handler)) == 1


def test_without_a_result_the_model_gives_no_answer(tools: list[FunctionTool]) -> None:
    text, _ = run(tools, ScriptedLLM(ANSWER, ["It is 13."]), EGGS)
    assert text.startswith("I cannot set up this calculation reliably")


def test_a_number_of_the_documents_is_quoted_under_the_result() -> None:
    tools = shipped_tools(
        search_tool(ScriptedRetriever("The shop is open. Pale malt costs 688 pounds a tonne.")),
        lambda: NOW,
    )
    task = "Look up the price of pale malt. What would 31 tonnes cost at this price?"
    llm = ScriptedLLM(call("calculator", expression="31 * 688"), ["answer = 31 * 688"], ANSWER)
    text, _ = run(tools, llm, task)
    assert text == "31 * 688 = 21328\n\n“Pale malt costs 688 pounds a tonne.” (0.txt)"


def test_an_answer_from_documents_with_another_number_is_replaced_and_marked() -> None:
    passage = "Pale malt costs 688 pounds a tonne."
    tools = shipped_tools(search_tool(ScriptedRetriever(passage)), lambda: NOW)
    llm = ScriptedLLM(ANSWER, ["It costs 21,328 pounds."])
    task = "Look up the price of pale malt. What would 31 tonnes cost at this price?"
    text, handler = run(tools, llm, task)
    assert "21" not in text
    assert NO_SOURCE in handler.run.notes


def test_a_program_is_compared_with_an_expression_by_its_value() -> None:
    program = "tax = 80 * 15 / 100\nanswer = round(80 - tax, 2)"
    assert as_expression(program) == "round(80 - (80 * 15 / 100), 2)"
    assert same_value("80 * (1 - 15 / 100)", as_expression(program))
    assert same_value("72 / 320 * 100", "round(72 / 320 * 100)")  # rounded unasked
    assert not same_value("ceil(72 / 320 * 100)", "72 / 320 * 100")
    assert not same_value("80 - 15", "rate * 80")


def test_a_date_from_nowhere_is_not_computed_with(tools: list[FunctionTool]) -> None:
    task = "A parcel was sent on 27 February 2026 and took 9 days. On which date did it arrive?"
    invented = call("date_after", start="28 February 2026", duration="9 days")
    text, handler = run(tools, ScriptedLLM(invented), task)
    assert "date_after" not in {each.tool_name for each in results(handler)}
    right = call("date_after", start="2026-02-27", duration="9 days")
    text, _ = run(tools, ScriptedLLM(right, ANSWER), task)
    assert text.endswith("Sunday, 8 March 2026.")


def test_the_time_of_day_is_no_answer_to_what_rules_decline(tools: list[FunctionTool]) -> None:
    text, handler = run(tools, ScriptedLLM(call("date_and_time"), ANSWER, ["It is 14:32."]), EGGS)
    assert len(results(handler)) == 1
    assert "14:32" not in text


def test_the_model_decides_on_tools_that_no_rule_knows() -> None:
    def count_rooms(house: str) -> str:
        """The number of rooms of a house."""
        return f"{house} has 12 rooms."

    tools = shipped_tools(search_tool(ScriptedRetriever("x")), lambda: NOW)
    own = FunctionTool(count_rooms)
    llm = ScriptedLLM(
        call("count_rooms", house="Mill House"),
        call("count_rooms", house="Oast House"),
        call("calculator", expression="12 + 12"), ["answer = 12 + 12"], ANSWER,
    )  # fmt: skip
    text, handler = run([own, *tools], llm, "Count the rooms of Mill House and Oast House.")
    names = [each.tool_name for each in results(handler)]
    assert names[-3:] == ["count_rooms", "count_rooms", "calculator"]
    assert text == "12 + 12 = 24"


def test_a_task_gets_no_more_than_a_few_searches() -> None:
    tools = shipped_tools(search_tool(ScriptedRetriever("Malt costs 688 pounds.")), lambda: NOW)
    searches = [call("search_documents", query=f"Question {n}?") for n in range(SEARCHES)]
    llm = ScriptedLLM(*searches[1:], ANSWER, ["688 pounds."])
    _, handler = run(tools, llm, "Look up the price of malt. What would 31 tonnes cost?")
    assert sum(each.tool_name == "search_documents" for each in results(handler)) == SEARCHES
    offered = [str(options.json_schema) for options in llm.options if options.json_schema]
    assert "search_documents" not in offered[-1]
