"""Agents as a whole: the real default model, real tools, every event in its order."""

import ast
import asyncio
import json
import os
import re
import threading
import time
from functools import partial
from pathlib import Path

import pytest

import engine
from engine import Document, Settings, VectorStoreIndex
from engine.agent import (
    AgentHandler,
    AgentOutput,
    AgentStream,
    AgentWorkflow,
    ApprovalRequested,
    Event,
    FunctionTool,
    TavilyToolSpec,
    ToolCall,
    ToolCallResult,
)
from engine.agent.shipped import document_search, shipped_tools
from engine.errors import GenerationError, ServerError, ToolError
from engine.llm.repetition import NOTE, repeats_from
from engine.run import Phase
from engine.schema import ChatMessage
from tests.scripted import ScriptedLLM
from tests.tavily_server import TavilyServer
from tests.test_agent_dates import NOW

SEEDS = Path(__file__).parents[2] / "shared" / "seeds"
FACT = "The tide mill was built in 1684 by Hannah Voss. She sold two fishing boats to pay for it."


def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"In {city} it is foggy, at 14 degrees."


def kinds(events: list[Event]) -> list[str]:
    """The names of the events, runs of the same one as one."""
    names = [type(event).__name__ for event in events]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


def wait_until(handler: AgentHandler, kind: type[Event]) -> Event:
    return next(event for event in handler.events() if isinstance(event, kind))


def decision(tool: str, **arguments: object) -> list[str]:
    """What a larger model writes for a call, in two pieces."""
    written = json.dumps({"thought": "Let me look.", "tool": tool, "arguments": arguments})
    return [written[:20], written[20:]]


ANSWER = ['{"thought": "Enough.", "tool": "answer"}']


@pytest.fixture(scope="module")
def agent(llm: engine.LlamaCpp) -> AgentWorkflow:
    """The real model with the tools that ship, over one document."""
    index = VectorStoreIndex.from_documents([Document(FACT, {"file_name": "mill.txt"})])
    return AgentWorkflow.from_tools(shipped_tools(document_search(index), lambda: NOW), llm)


def test_the_real_model_reports_every_event_in_its_order(llm: engine.LlamaCpp) -> None:
    tool = FunctionTool(get_weather, requires_approval=True)
    handler = AgentWorkflow.from_tools([tool], llm).run("What is the weather in San Francisco?")
    wait_until(handler, ApprovalRequested)
    assert handler.pending
    handler.approve(handler.pending.tool_id)
    events = list(handler.events())
    assert kinds(events) == [
        *("AgentInput", "AgentStream", "AgentOutput"),
        *("ApprovalRequested", "ApprovalGiven", "ToolCall", "ToolCallResult"),
        *("AgentInput", "AgentStream", "AgentOutput"),
    ]
    assert [event.at for event in events] == sorted(event.at for event in events)
    thought = next(event for event in events if isinstance(event, AgentStream))
    assert thought.thinking_delta
    assert thought.delta == ""
    text = [event for event in events if isinstance(event, AgentStream) and event.delta]
    assert len(text) >= 2
    assert text[-1].response == "".join(event.delta for event in text) == str(handler.result())


def test_the_documents_are_searched_and_their_sources_are_in_the_result(
    agent: AgentWorkflow,
) -> None:
    handler = agent.run("Who built the tide mill?")
    assert "Voss" in str(handler.result())
    result = wait_until(handler, ToolCallResult)
    assert isinstance(result, ToolCallResult)
    assert result.tool_name == "search_documents"
    assert [source.node.file_name for source in result.tool_output.sources] == ["mill.txt"]
    assert result.tool_output.sources[0].evidence


def test_a_step_uses_the_result_of_an_earlier_step(agent: AgentWorkflow) -> None:
    handler = agent.run("How old is the tide mill in 2026?")
    answer = str(handler.result())
    assert answer.startswith("342 years\n\n2026 - 1684 = 342\n\n“The tide mill was built in 1684")
    calls = [event for event in handler.so_far if isinstance(event, ToolCall)]
    assert [call.tool_name for call in calls] == ["search_documents", "calculator"]
    assert kinds(handler.so_far) == [
        *("AgentInput", "AgentStream", "AgentOutput", "ToolCall", "ToolCallResult"),
        *("AgentInput", "AgentStream", "AgentOutput", "ToolCall", "ToolCallResult"),
        *("AgentInput", "AgentStream", "AgentOutput"),
    ]


def test_a_follow_up_goes_on_from_the_answer_before_it(agent: AgentWorkflow) -> None:
    asked = ChatMessage("user", "What is 17 + 25?")
    said = ChatMessage("assistant", "17 + 25 = 42")
    assert str(agent.run("now double it", [asked, said]).result()) == "(17 + 25) * 2 = 84"
    assert str(agent.run("What is 63 / 7?", [asked, said]).result()) == "63 / 7 = 9"


def test_a_question_about_dates_is_asked_of_the_tool_for_dates(agent: AgentWorkflow) -> None:
    handler = agent.run("How many days until 31 December?")
    assert ": 40 days" in str(handler.result())
    call = wait_until(handler, ToolCall)
    assert isinstance(call, ToolCall)
    assert (call.tool_name, dict(call.tool_kwargs)) == (
        "time_between",
        {"start": "today", "end": "2026-12-31", "unit": "day"},
    )


@pytest.mark.parametrize(
    "task", ["What is the height of the tower times 2?", "How old is the bell in 2026?"]
)
def test_a_value_that_no_document_states_is_not_computed_with(
    agent: AgentWorkflow, task: str
) -> None:
    handler = agent.run(task)
    assert str(handler.result()).startswith("I cannot calculate this")
    calls = [event for event in handler.so_far if isinstance(event, ToolCall)]
    assert [call.tool_name for call in calls] == ["search_documents"]


def test_what_the_small_model_writes_stops_when_it_repeats_itself(agent: AgentWorkflow) -> None:
    handler = agent.run("Write a limerick about a sailor")
    answer = str(handler.result())
    assert answer
    assert repeats_from(answer) is None or NOTE in handler.run.notes
    assert len(answer) < 900


def test_an_exact_result_is_quoted(agent: AgentWorkflow) -> None:
    assert str(agent.run("What is 15% of 240?").result()) == "15 / 100 * 240 = 36"


def test_a_question_of_two_parts_gets_two_calls_in_one_step(agent: AgentWorkflow) -> None:
    handler = agent.run("Who built the tide mill, and what is 1684 + 100?")
    answer = str(handler.result())
    first = next(event for event in handler.so_far if isinstance(event, AgentOutput))
    assert [call.tool_name for call in first.tool_calls] == ["search_documents", "calculator"]
    assert "1684 + 100 = 1784" in answer
    assert "Voss" in answer


def test_small_talk_is_answered_without_a_call(agent: AgentWorkflow) -> None:
    handler = agent.run("Hello!")
    assert str(handler.result())
    assert kinds(handler.so_far) == ["AgentInput", "AgentStream", "AgentOutput"]


def test_what_the_documents_do_not_say_is_not_made_up(agent: AgentWorkflow) -> None:
    answer = str(agent.run("What does the report say about whales?").result())
    assert answer == "I did not find this in your documents."


def test_awaiting_alone_gives_the_answer(agent: AgentWorkflow) -> None:
    async def ask() -> AgentOutput:
        return await agent.run("What is 6 * 7?")

    assert str(asyncio.run(ask())) == "6 * 7 = 42"


needs_seeds = pytest.mark.skipif(not SEEDS.is_dir(), reason="the seed documents are not here")


@needs_seeds
def test_the_agent_snippet_of_the_second_seed_runs(
    llm: engine.LlamaCpp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = next(SEEDS.glob("2-*.md")).read_text()
    blocks = re.findall(r"```python\n(.*?)```", text[text.index("## Agent Streaming") :], re.S)
    code = "\n".join(blocks)
    code = re.sub(r"^from llama_index.*\n", "", code, flags=re.M)
    code = code.replace('OpenAI(model="gpt-4o")', "llm") + "\noutput = await handler\n"
    monkeypatch.setattr(Settings, "llm", llm)
    with TavilyServer() as server:
        monkeypatch.setenv("TAVILY_API_KEY", server.key)
        names = {
            **{
                name: getattr(engine, name) for name in engine.__all__ if name != "OpenAICompatible"
            },
            "TavilyToolSpec": partial(TavilyToolSpec, api_base_url=server.url),
            "llm": llm,
            "os": os,
        }
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        asyncio.run(eval(compile(code, "seed", "exec", flags), names))
    printed = capsys.readouterr().out
    assert printed == str(names["output"])
    assert "13.9" in printed or "cloudy" in printed


# From here on the model is scripted: these tests are about the loop


def test_a_call_shows_before_its_slow_tool_has_a_result() -> None:
    release = threading.Event()

    def slow() -> str:
        """Take long."""
        release.wait(60)
        return "at last"

    handler = AgentWorkflow.from_tools(
        [slow], ScriptedLLM(decision("slow"), ANSWER, ["Done."])
    ).run("Go.")
    call = wait_for_running(handler)
    assert call.tool_name == "slow"
    assert not any(isinstance(event, ToolCallResult) for event in handler.so_far)
    release.set()
    assert str(handler.result()) == "Done."
    assert kinds(handler.so_far).index("ToolCall") < kinds(handler.so_far).index("ToolCallResult")


def wait_for_running(handler: AgentHandler) -> ToolCall:
    handler.hold(60)
    deadline = time.monotonic() + 30
    while handler.running is None and time.monotonic() < deadline:
        handler.wait_for(0.1)
    assert handler.running
    return handler.running


def test_a_call_of_an_unknown_tool_or_with_wrong_arguments_is_reported_to_the_model() -> None:
    llm = ScriptedLLM(
        decision("get_wether", city="Oslo"),
        decision("get_weather", town="Oslo"),
        ANSWER,
        ["Sorry."],
    )
    handler = AgentWorkflow.from_tools([get_weather], llm).run("Weather?")
    assert str(handler.result()) == "Sorry."
    results = [event for event in handler.so_far if isinstance(event, ToolCallResult)]
    assert [result.is_error for result in results] == [True, True]
    assert "The tools are: get_weather" in str(results[0].tool_output)
    assert "city: field required" in str(results[1].tool_output)
    assert "city: field required" in llm.prompts[-1][-3].content


def test_the_limit_of_steps_ends_in_an_answer() -> None:
    cities = ("Oslo", "Bergen", "Narvik")  # it would go on for ever
    llm = ScriptedLLM(*(decision("get_weather", city=city) for city in cities))
    handler = AgentWorkflow.from_tools([get_weather], llm, max_steps=2).run("Weather?")
    handler.result()
    assert sum(isinstance(event, ToolCall) for event in handler.so_far) == 2
    assert [bool(options.json_schema) for options in llm.options] == [True, True, False]


def test_readers_get_the_text_before_the_error_of_a_model_that_fails_in_mid_answer() -> None:
    llm = ScriptedLLM(ANSWER, ["It ", "is ", ServerError("The server hung up.")])
    handler = AgentWorkflow.from_tools([get_weather], llm).run("Weather?")
    seen: list[Event] = []
    with pytest.raises(ServerError, match="hung up"):
        for event in handler.events():
            seen.append(event)  # noqa: PERF402 - what came before the error counts
    assert handler.text == "It is "
    assert handler.phase is Phase.FAILED
    with pytest.raises(ServerError):
        handler.result()
    with pytest.raises(ServerError):
        asyncio.run(_await(handler))


async def _await(handler: AgentHandler) -> AgentOutput:
    return await handler


def test_readers_get_an_error_of_the_agent_itself() -> None:
    handler = AgentWorkflow.from_tools([], ScriptedLLM([KeyError("x")])).run("Go.")
    with pytest.raises(GenerationError, match="The agent failed"):
        handler.result()


@pytest.mark.parametrize("task", ["Hello \ud800", "\udfff 2 + 2", "\ud83d\ude00 Hello"])
def test_a_task_with_a_lone_surrogate_is_answered(agent: AgentWorkflow, task: str) -> None:
    handler = agent.run(task)
    assert str(handler.result())
    assert handler.user_msg.encode()  # it can be encoded


def test_a_task_that_is_too_long_is_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match="20,001 characters, and 20,000 are allowed"):
        AgentWorkflow.from_tools([], ScriptedLLM()).run("x" * 20_001)


def test_a_run_logs_one_line_with_its_id_and_outcome(caplog: pytest.LogCaptureFixture) -> None:
    llm = ScriptedLLM(decision("get_weather", city="Oslo"), ANSWER, ["Foggy."])
    with caplog.at_level("INFO", "engine.live"):
        handler = AgentWorkflow.from_tools([get_weather], llm).run("Weather?")
        handler.result()
    (line,) = [each.getMessage() for each in caplog.records if handler.run.id in each.getMessage()]
    assert line.startswith(f"agent run {handler.run.id} done: ")
    assert "tool " in line
    assert "Weather" not in line


def test_an_empty_message_and_twin_tools_are_refused() -> None:
    with pytest.raises(ValueError, match="task is empty"):
        AgentWorkflow.from_tools([], ScriptedLLM()).run(" ")
    with pytest.raises(ToolError, match="Two tools are called get_weather"):
        AgentWorkflow.from_tools([get_weather, get_weather], ScriptedLLM())


def test_a_reader_who_leaves_early_stops_the_run_unless_it_is_held() -> None:
    for held in (False, True):
        llm = ScriptedLLM(["word "] * 40, seconds=0.01)
        handler = AgentWorkflow.from_tools([], llm).run("Go.")
        if held:
            handler.hold(30)
        for event in handler.events():
            if isinstance(event, AgentStream):
                break
        handler.result()
        assert handler.phase is (Phase.DONE if held else Phase.STOPPED)


def test_a_run_exports_as_json_that_says_everything() -> None:
    llm = ScriptedLLM(decision("get_weather", city="Oslo"), ANSWER, ["Foggy."])
    handler = AgentWorkflow.from_tools([get_weather], llm).run("Weather?")
    handler.result()
    record = json.loads(json.dumps(handler.to_dict()))
    assert record["phase"] == "done"
    assert [event["type"] for event in record["events"]] == [
        type(event).__name__ for event in handler.so_far
    ]
    result = next(event for event in record["events"] if event["type"] == "ToolCallResult")
    assert result["tool_output"]["content"] == "In Oslo it is foggy, at 14 degrees."
    assert record["trace"]["calls"]


def test_a_chat_history_comes_before_the_question() -> None:
    llm = ScriptedLLM(["Hello again."])
    history = [engine.ChatMessage("user", "I am Ann."), engine.ChatMessage("assistant", "Hi Ann.")]
    AgentWorkflow.from_tools([], llm).run("Who am I?", history).result()
    assert [message.content for message in llm.prompts[0]] == ["I am Ann.", "Hi Ann.", "Who am I?"]
