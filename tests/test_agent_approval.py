"""Approval of calls by a person: approve, edit, always allow, deny, stop, come back later."""

import pytest

from engine.agent import (
    AgentHandler,
    AgentWorkflow,
    ApprovalGiven,
    ApprovalRequested,
    FunctionTool,
    ToolCall,
    ToolCallResult,
)
from engine.errors import ToolError
from engine.run import Phase
from tests.scripted import ScriptedLLM
from tests.test_agent import ANSWER, decision


@pytest.fixture
def sent() -> list[tuple[str, int]]:
    """The letters that the tool has sent."""
    return []


@pytest.fixture
def tool(sent: list[tuple[str, int]]) -> FunctionTool:
    def send(to: str, copies: int = 1) -> str:
        """Send a letter."""
        sent.append((to, copies))
        return f"Sent to {to}."

    return FunctionTool(send, requires_approval=True)


def asked(tool: FunctionTool, llm: ScriptedLLM | None = None) -> AgentHandler:
    """A run that waits for approval, with nobody reading it."""
    llm = llm or ScriptedLLM(decision("send", to="Ann"), ANSWER, ["Well."])
    handler = AgentWorkflow.from_tools([tool], llm).run("Write to Ann.")
    for event in handler.events():
        if isinstance(event, ApprovalRequested):
            break
    return handler


def waiting(handler: AgentHandler) -> ApprovalRequested:
    pending = handler.pending
    assert pending
    return pending


def test_nothing_runs_before_it_is_approved(
    tool: FunctionTool, sent: list[tuple[str, int]]
) -> None:
    handler = asked(tool)
    assert sent == []
    assert waiting(handler).tool_kwargs == {"to": "Ann", "copies": 1}
    assert not any(isinstance(event, ToolCall) for event in handler.so_far)
    handler.approve(waiting(handler).tool_id)
    assert str(handler.result()) == "Well."
    assert sent == [("Ann", 1)]
    assert handler.pending is None


def test_edited_arguments_are_the_ones_that_run(
    tool: FunctionTool, sent: list[tuple[str, int]]
) -> None:
    handler = asked(tool)
    handler.approve(waiting(handler).tool_id, {"to": "Bob", "copies": "3"})
    handler.result()
    assert sent == [("Bob", 3)]
    kinds = (ApprovalGiven, ToolCall, ToolCallResult)
    events = [event for event in handler.so_far if isinstance(event, kinds)]
    assert [event.tool_kwargs["to"] for event in events] == ["Bob"] * 3
    assert len({event.tool_id for event in events}) == 1


def test_edits_that_do_not_fit_are_refused_and_it_waits_on(
    tool: FunctionTool, sent: list[tuple[str, int]]
) -> None:
    handler = asked(tool)
    with pytest.raises(ToolError, match="copies: input should be a valid integer"):
        handler.approve(waiting(handler).tool_id, {"to": "Bob", "copies": "many"})
    assert sent == []
    handler.approve(waiting(handler).tool_id)
    handler.result()
    assert sent == [("Ann", 1)]


def test_a_refusal_goes_to_the_model_with_its_reason(
    tool: FunctionTool, sent: list[tuple[str, int]]
) -> None:
    llm = ScriptedLLM(decision("send", to="Ann"), ANSWER, ["As you like."])
    handler = asked(tool, llm)
    handler.refuse(waiting(handler).tool_id, "She has moved.")
    assert str(handler.result()) == "As you like."
    assert sent == []
    given = next(event for event in handler.so_far if isinstance(event, ApprovalGiven))
    assert (given.approved, given.reason) == (False, "She has moved.")
    assert not any(isinstance(event, ToolCall) for event in handler.so_far)
    assert "The call of send was denied: She has moved." in [m.content for m in llm.prompts[-1]]


def test_always_asks_only_once_in_a_run(tool: FunctionTool, sent: list[tuple[str, int]]) -> None:
    llm = ScriptedLLM(decision("send", to="Ann"), decision("send", to="Bob"), ANSWER, ["Well."])
    handler = asked(tool, llm)
    handler.approve(waiting(handler).tool_id, always=True)
    handler.result()
    assert sent == [("Ann", 1), ("Bob", 1)]
    assert sum(isinstance(event, ApprovalRequested) for event in handler.so_far) == 1


def test_cancel_while_a_person_is_asked(tool: FunctionTool, sent: list[tuple[str, int]]) -> None:
    handler = asked(tool)
    call = waiting(handler)
    handler.cancel()
    assert str(handler.result()) == ""
    assert handler.phase is Phase.STOPPED
    assert sent == []
    with pytest.raises(ToolError, match="no longer waits"):
        handler.approve(call.tool_id)


def test_an_answer_to_another_call_is_refused(tool: FunctionTool) -> None:
    handler = asked(tool)
    with pytest.raises(ToolError, match="no longer waits"):
        handler.refuse("another")
    handler.cancel()


def test_a_reader_who_comes_back_sees_it_wait_and_go_on(
    tool: FunctionTool, sent: list[tuple[str, int]]
) -> None:
    """What a page does: it leaves in the middle, attaches again, and decides then."""
    handler = asked(tool)
    handler.hold(0.2)
    handler.hold(30)
    again = handler.events()
    first = [next(again) for _ in handler.so_far]
    assert isinstance(first[-1], ApprovalRequested)
    handler.approve(waiting(handler).tool_id)
    assert [type(event).__name__ for event in again][:3] == [
        "ApprovalGiven",
        "ToolCall",
        "ToolCallResult",
    ]
    assert sent == [("Ann", 1)]


def test_a_held_run_that_nobody_comes_back_to_is_stopped(tool: FunctionTool) -> None:
    handler = asked(tool)
    handler.hold(0.1)
    handler.result()
    assert handler.phase is Phase.STOPPED


def test_the_time_a_person_takes_is_recorded_apart(tool: FunctionTool) -> None:
    handler = asked(tool)
    handler.approve(waiting(handler).tool_id)
    handler.result()
    asked_at = next(e.at for e in handler.so_far if isinstance(e, ApprovalRequested))
    given = next(event for event in handler.so_far if isinstance(event, ApprovalGiven))
    assert 0 < given.seconds <= given.at - asked_at + 0.001
    approval, tool_span = (
        next(span for span in handler.run.trace.spans if span.name == name)
        for name in ("approval", "tool")
    )
    assert approval.end is not None
    assert approval.end <= tool_span.start


def test_a_tool_of_the_small_models_policy_can_be_refused_too(
    tool: FunctionTool, llm: object
) -> None:
    from engine.agent.routing import RoutingPolicy
    from engine.llm.base import LLM

    assert isinstance(llm, LLM)
    workflow = AgentWorkflow([tool], RoutingPolicy(llm))
    handler = workflow.run("Send a letter to Ann.")
    for event in handler.events():
        if isinstance(event, ApprovalRequested):
            handler.refuse(event.tool_id, "Not today")
    assert str(handler.result()) == "The call of send was denied: Not today"
