"""A run's events as the cells of a page, and who was busy when."""

from typing import Any

from engine.agent import (
    AgentInput,
    AgentOutput,
    AgentStream,
    ApprovalGiven,
    ApprovalRequested,
    Event,
    ToolCall,
    ToolCallResult,
    ToolOutput,
)
from pages.parts.agent_story import Call, Choice, Text, story
from pages.parts.agent_timeline import intervals

ASKED: dict[str, Any] = {"tool_name": "send", "tool_kwargs": {"to": "Ann"}, "tool_id": "1"}
EDITED: dict[str, Any] = {**ASKED, "tool_kwargs": {"to": "Bob"}}
RUN: list[Event] = [
    AgentInput((), at=0.0),
    AgentStream("", thinking_delta="A letter", at=0.1),
    AgentStream("", thinking_delta=" to Ann.", at=0.2),
    AgentOutput("", (ToolCall(**ASKED),), at=0.3),
    ApprovalRequested(**ASKED, at=0.3),
    ApprovalGiven(**EDITED, seconds=2.0, at=2.3),
    ToolCall(**EDITED, at=2.3),
    ToolCallResult(**EDITED, tool_output=ToolOutput("Sent."), seconds=0.5, at=2.8),
    AgentInput((), at=2.8),
    AgentStream("Sent", "Sent", at=3.0),
    AgentStream(" it.", "Sent it.", at=3.1),
    AgentOutput("Sent it.", at=3.2),
]


def test_a_run_becomes_a_choice_a_call_and_a_text() -> None:
    choice, call, text = story(RUN)
    assert choice == Choice(0.0, "A letter to Ann.", ("send",), 0.3)
    assert isinstance(call, Call)
    assert call.arguments == {"to": "Bob"}
    assert call.edited
    assert call.result
    assert str(call.result.tool_output) == "Sent."
    assert text == Text(2.8, "Sent it.", 3.2)


def test_cells_come_and_change_only_at_the_end() -> None:
    before: list[object] = []
    for count in range(len(RUN) + 1):
        cells = story(RUN[:count])
        assert [type(cell) for cell in cells][: len(before)] == [type(cell) for cell in before]
        assert cells[: len(before) - 1] == before[:-1]
        before = list(cells)


def test_a_call_waits_until_the_user_has_decided() -> None:
    (call,) = (cell for cell in story(RUN[:5]) if isinstance(cell, Call))
    assert call.waiting
    denied = [*RUN[:5], ApprovalGiven(**ASKED, approved=False, at=2.3)]
    (call,) = (cell for cell in story(denied) if isinstance(cell, Call))
    assert (call.waiting, call.denied, call.edited) == (False, True, False)


def test_a_thought_before_the_answer_is_a_choice_of_its_own() -> None:
    events: list[Event] = [
        AgentInput((), at=0.0),
        AgentStream("", thinking_delta="I know.", at=0.1),
        AgentStream("Yes.", "Yes.", at=0.5),
        AgentOutput("Yes.", at=0.6),
    ]
    assert story(events) == [Choice(0.0, "I know.", (), 0.5), Text(0.5, "Yes.", 0.6)]


def test_the_time_goes_to_the_model_the_person_and_the_tools() -> None:
    found = [(each.who, each.what, each.start, each.end) for each in intervals(story(RUN), 3.2)]
    assert found == [
        ("model", "choosing", 0.0, 0.3),
        ("you", "deciding", 0.3, 2.3),
        ("tools", "send", 2.3, 2.8),
        ("model", "writing", 2.8, 3.2),
    ]


def test_what_was_cut_off_lasts_to_the_end() -> None:
    stopped = intervals(story(RUN[:5]), 9.0)
    assert [(each.who, each.end) for each in stopped] == [("model", 0.3), ("you", 9.0)]
