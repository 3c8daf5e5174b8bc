"""A run's events → the cells that a page shows of it, while it works or afterwards.

    Choice   the model decides what to do, and may say why
    Call     one tool: the request, the approval, the result
    Text     what the model writes

New events change the last cell or add one; earlier cells stay as they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
    ToolEvent,
)


@dataclass(slots=True)
class Choice:
    """Times are in seconds since the run began. `ended` is None while it lasts, here and below.

    tools: those chosen; none means the answer.
    """

    began: float
    thought: str = ""
    tools: tuple[str, ...] = ()
    ended: float | None = None


@dataclass(slots=True)
class Call:
    """`arguments`: as requested, then as approved."""

    id: str
    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    asked: ApprovalRequested | None = None
    given: ApprovalGiven | None = None
    began: float | None = None
    result: ToolCallResult | None = None

    @property
    def waiting(self) -> bool:
        return self.asked is not None and self.given is None

    @property
    def denied(self) -> bool:
        return self.given is not None and not self.given.approved

    @property
    def edited(self) -> bool:
        return bool(self.asked and self.given and self.asked.tool_kwargs != self.given.tool_kwargs)


@dataclass(slots=True)
class Text:
    began: float
    text: str = ""
    ended: float | None = None


Cell = Choice | Call | Text


def story(events: Iterable[Event]) -> list[Cell]:
    """The cells of a run so far, in order."""
    cells: list[Cell] = []
    began = 0.0
    for event in events:
        if isinstance(event, AgentInput):
            began = event.at
        elif isinstance(event, AgentStream):
            _take_stream(cells, event, began)
        elif isinstance(event, AgentOutput):
            _end_step(cells, event)
        elif isinstance(event, ToolEvent):
            _take_tool_event(_call(cells, event), event)
    return cells


def _take_stream(cells: list[Cell], event: AgentStream, began: float) -> None:
    last = cells[-1] if cells else None
    if event.thinking_delta:
        if not (isinstance(last, Choice) and last.ended is None):
            last = Choice(began)
            cells.append(last)
        last.thought += event.thinking_delta
    if event.delta:
        if not (isinstance(last, Text) and last.ended is None):
            if isinstance(last, Choice) and last.ended is None:
                last.ended = began = event.at
            last = Text(began)
            cells.append(last)
        last.text += event.delta


def _end_step(cells: list[Cell], event: AgentOutput) -> None:
    last = cells[-1] if cells else None
    if isinstance(last, Choice | Text) and last.ended is None:
        last.ended = event.at
        if isinstance(last, Choice):
            last.tools = tuple(call.tool_name for call in event.tool_calls)


def _call(cells: list[Cell], event: ToolEvent) -> Call:
    known = (cell for cell in cells if isinstance(cell, Call) and cell.id == event.tool_id)
    call = next(known, None)
    if call is None:
        call = Call(event.tool_id, event.tool_name)
        cells.append(call)
    return call


def _take_tool_event(call: Call, event: ToolEvent) -> None:
    call.arguments = event.tool_kwargs
    if isinstance(event, ApprovalRequested):
        call.asked = event
    elif isinstance(event, ApprovalGiven):
        call.given = event
    elif isinstance(event, ToolCall):
        call.began = event.at
    elif isinstance(event, ToolCallResult):
        call.result = event
