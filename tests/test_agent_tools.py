"""Tools: what a signature becomes, and what an agent does if a tool fails, hangs or floods."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from engine.agent import AgentHandler, AgentWorkflow, FunctionTool, ToolCallResult, ToolOutput
from engine.agent.shipped import search_tool
from engine.agent.tools import call_tool
from engine.errors import Cancelled, StoreError, ToolError
from engine.run import Phase, Run
from tests.scripted import ScriptedLLM, ScriptedRetriever
from tests.test_agent import ANSWER, decision


class Unit(Enum):
    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


class Guest(BaseModel):
    name: str
    age: Annotated[int, Field(ge=0)] = 30


def book(
    guests: list[Guest],
    nights: int,
    arrival: date,
    room: Literal["single", "double"] = "single",
    unit: Unit = Unit.CELSIUS,
    note: str | None = None,
) -> str:
    """Book a room.

    Guests are named one by one.
    """
    return f"{len(guests)} in a {room} room for {nights} nights from {arrival:%d.%m.} {unit.name}"


def test_a_function_becomes_a_tool_by_its_name_docstring_and_signature() -> None:
    tool = FunctionTool(book)
    assert tool.name == "book"
    assert tool.summary == "Book a room."
    assert "one by one" in tool.description
    schema = tool.parameters
    assert schema["required"] == ["guests", "nights", "arrival"]
    assert schema["properties"]["room"]["enum"] == ["single", "double"]
    assert schema["properties"]["arrival"]["format"] == "date"
    assert schema["additionalProperties"] is False


def test_arguments_arrive_in_the_types_of_the_signature() -> None:
    tool = FunctionTool(book)
    checked = tool.check(
        {"guests": [{"name": "Ann"}], "nights": "2", "arrival": "2027-03-04", "unit": "celsius"}
    )
    assert checked["guests"] == [Guest(name="Ann", age=30)]
    assert checked["nights"] == 2
    assert checked["arrival"] == date(2027, 3, 4)
    assert checked["unit"] is Unit.CELSIUS
    result = call_tool(tool, checked, Run())
    assert str(result.output) == "1 in a single room for 2 nights from 04.03. CELSIUS"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "guests: field required"),
        ({"guests": [], "nights": "two", "arrival": "2027-03-04"}, "nights: input should be"),
        ({"guests": [], "nights": 1, "arrival": "soon"}, "arrival: "),
        ({"guests": [], "nights": 1, "arrival": "2027-03-04", "pets": 1}, "pets: extra"),
        ({"guests": [{"name": "A", "age": -1}], "nights": 1, "arrival": "2027-03-04"}, "guests.0"),
    ],
)
def test_wrong_arguments_are_refused_with_the_place_and_the_reason(
    arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(ToolError, match="Wrong arguments for book") as raised:
        FunctionTool(book).check(arguments)
    assert said in str(raised.value)


def no_types(city) -> str:  # type: ignore[no-untyped-def]
    return str(city)


def stars(*cities: str) -> str:
    return str(cities)


def odd(lock: threading.Event) -> str:
    return str(lock)


@pytest.mark.parametrize("function", [no_types, stars, odd])
def test_a_signature_that_cannot_be_described_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(ToolError, match=function.__name__):
        FunctionTool(function)


def test_a_method_a_lambda_and_an_async_function_are_tools_too() -> None:
    class Counter:
        def add(self, number: int) -> int:
            """Add one."""
            return number + 1

    async def wait_and_double(number: int) -> int:
        """Double."""
        await asyncio.sleep(0.001)
        return 2 * number

    assert str(call_tool(FunctionTool(Counter().add), {"number": 1}, Run()).output) == "2"
    assert str(call_tool(FunctionTool(wait_and_double), {"number": 4}, Run()).output) == "8"
    assert str(call_tool(FunctionTool(lambda: "x", name="x"), {}, Run()).output) == "x"


@dataclass
class Point:
    x: int
    when: date


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        (None, "Done."),
        (3.5, "3.5"),
        ({"a": [1, "ü"]}, '{"a": [1, "ü"]}'),
        (Point(1, date(2027, 1, 2)), '{"x": 1, "when": "2027-01-02"}'),
        ([Guest(name="Ann")], '[{"name": "Ann", "age": 30}]'),
        (ToolOutput("mine"), "mine"),
    ],
)
def test_what_a_function_returns_becomes_text(value: Any, text: str) -> None:
    tool = FunctionTool(lambda: value, name="value")
    assert str(call_tool(tool, {}, Run()).output) == text


# Tools that misbehave: an event says so, and the agent goes on


def ended(tool: FunctionTool) -> tuple[ToolCallResult, AgentHandler]:
    """What an agent reports of a call of this tool, and its run, which has gone on."""
    llm = ScriptedLLM(decision(tool.name), ANSWER, ["I went on."])
    handler = AgentWorkflow.from_tools([tool], llm).run("Go.")
    assert str(handler.result()) == "I went on."
    result = next(event for event in handler.so_far if isinstance(event, ToolCallResult))
    return result, handler


def broken() -> str:
    """Fail."""
    raise KeyError("no such thing")


def quits() -> str:
    """Try to end the program."""
    raise SystemExit(3)


def store() -> str:
    """Fail with a sentence."""
    raise StoreError("The collection cannot be read. Start again.")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (broken, "broken failed: 'no such thing'."),
        (quits, "quits failed: 3."),
        (store, "The collection cannot be read. Start again."),
    ],
)
def test_a_tool_that_fails_is_reported_and_the_agent_goes_on(
    function: Callable[[], str], said: str
) -> None:
    result, _ = ended(FunctionTool(function))
    assert result.is_error
    assert str(result.tool_output) == said


@pytest.mark.parametrize("kind", ["sync", "async", "async that blocks"])
def test_a_tool_that_hangs_is_left_after_its_time(kind: str) -> None:
    released = threading.Event()
    cancelled = threading.Event()

    def hang() -> str:
        released.wait(30)
        return "too late"

    async def hang_async() -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "too late"

    async def block() -> str:
        return hang()

    function = {"sync": hang, "async": hang_async, "async that blocks": block}[kind]
    result, _ = ended(FunctionTool(function, name="hang", timeout=0.2))
    released.set()
    assert result.is_error
    assert str(result.tool_output) == "hang did not answer within 0.2 seconds."
    if kind == "async":
        assert cancelled.wait(30)


def test_a_megabyte_is_cut_and_the_event_says_so() -> None:
    result, _ = ended(FunctionTool(lambda: "x" * 1_000_000, name="flood"))
    assert not result.is_error
    assert len(result.tool_output.content) == 8000
    assert result.tool_output.left_out == 992_000


def test_a_megabyte_of_an_error_is_cut_too() -> None:
    def flood() -> str:
        raise RuntimeError("x" * 1_000_000)

    result, _ = ended(FunctionTool(flood))
    assert result.is_error
    assert len(result.tool_output.content) == 8000


def test_long_results_are_shortened_if_the_prompt_would_not_fit() -> None:
    llm = ScriptedLLM(decision("words"), ANSWER, ["Read."], context_window=600)
    tool = FunctionTool(lambda: "word " * 1500, name="words")
    handler = AgentWorkflow.from_tools([tool], llm).run("Go.")
    assert str(handler.result()) == "Read."
    assert llm.count_tokens(llm.prompts[-1]) < 600
    assert "were shortened to fit" in handler.run.notes[0]
    assert all(prompt[1].content == "Go." for prompt in llm.prompts)


def test_a_tool_can_look_whether_it_is_still_wanted() -> None:
    seen = threading.Event()

    def patient(run: Run) -> str:
        """Work in small steps."""
        while not run.cancelled:
            time.sleep(0.005)
        seen.set()
        return ""

    tool = FunctionTool(patient, timeout=0.1)
    assert "run" not in tool.parameters.get("properties", {})
    result, _ = ended(tool)
    assert result.is_error
    assert seen.wait(30)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_cancel_in_a_tool_ends_the_run_at_once(kind: str) -> None:
    released, cancelled = threading.Event(), threading.Event()

    def hang() -> str:
        released.wait(30)
        return ""

    async def hang_async() -> str:
        try:
            await asyncio.sleep(30)
        finally:
            cancelled.set()
        return ""

    tool = FunctionTool(hang if kind == "sync" else hang_async, name="hang")
    handler = AgentWorkflow.from_tools([tool], ScriptedLLM(decision("hang"))).run("Go.")
    for event in handler.events():
        if handler.running:
            assert event
            handler.cancel()
    assert handler.phase is Phase.STOPPED
    assert not any(isinstance(event, ToolCallResult) for event in handler.so_far)
    assert str(handler.result()) == ""
    released.set()
    assert kind == "sync" or cancelled.wait(30)


def test_a_call_of_a_cancelled_run_is_cancelled() -> None:
    run = Run()
    run.cancel()
    with pytest.raises(Cancelled):
        call_tool(FunctionTool(lambda: "x", name="x"), {}, run)


# The tools that ship


def test_an_unavailable_tool_says_how_to_get_it() -> None:
    result, _ = ended(FunctionTool(lambda: "x", name="x", unavailable="Put a key into .env."))
    assert result.is_error
    assert str(result.tool_output) == "Put a key into .env."


def test_searching_without_documents_says_so() -> None:
    output = call_tool(search_tool(ScriptedRetriever()), {"query": "x"}, Run()).output
    assert not output.found
    assert "no documents" in output.content


def test_found_passages_are_numbered_and_named() -> None:
    tool = search_tool(ScriptedRetriever("First.", "Second."))
    output = call_tool(tool, {"query": "x"}, Run()).output
    assert output.content == "[1] 0.txt\nFirst.\n\n[2] 1.txt\nSecond."
    assert [source.text for source in output.sources] == ["First.", "Second."]
