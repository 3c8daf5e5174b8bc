"""AgentHandler: one run of an agent, with its events, approvals and cancellation.

The run's thread writes events and waits for approvals. Any number of readers, sync or async,
follow the events live or read them afterwards.
"""

import asyncio
from collections.abc import AsyncIterator, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.agent.events import (
    AgentOutput,
    AgentStream,
    ApprovalGiven,
    ApprovalRequested,
    Event,
    ToolCall,
    ToolEvent,
)
from engine.agent.tools import FunctionTool
from engine.errors import ToolError
from engine.live import Live
from engine.schema import new_id


@dataclass(frozen=True, slots=True)
class ApprovalDecision:
    """A person's decision on a call. `tool_kwargs` includes the person's changes."""

    approved: bool
    tool_kwargs: Mapping[str, Any]
    reason: str = ""


class AgentHandler(Live[Event]):
    """A run of an agent. Read its events, await it, approve its calls, cancel it.

    When the last reader leaves before the end, the run stops, unless `hold` keeps it running or a
    call waits for approval.
    """

    kind = "agent run"

    def __init__(self, user_msg: str) -> None:
        super().__init__()
        self.id = new_id()
        self.user_msg = user_msg
        self._waiting: tuple[ApprovalRequested, FunctionTool] | None = None
        self._decision: ApprovalDecision | None = None
        self._always: set[str] = set()
        self.run.on_cancel(self.stream.notify)

    # For readers

    def stream_events(self) -> AsyncIterator[Event]:
        """Every event from the first on, as it happens, without blocking the event loop.

        Raises:
            FirstTokenError: the run failed. It is raised after the last event.
        """
        return self.stream.read_async()

    def events(self) -> Generator[Event, None, None]:
        """`stream_events` for code without an event loop."""
        return self.stream.read()

    @property
    def so_far(self) -> list[Event]:
        """The events so far, without waiting."""
        return self.stream.items

    def result(self) -> AgentOutput:
        """Wait for the end. A stopped run returns the text that it has written.

        Raises:
            FirstTokenError: the run failed. `so_far` has the events before the failure.
        """
        self.stream.wait(lambda: False)
        return self._outcome()

    def __await__(self) -> Generator[Any, None, AgentOutput]:
        return self._result_async().__await__()

    async def _result_async(self) -> AgentOutput:
        try:
            await self.stream.wait_async(lambda: False)
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self._outcome()

    def _outcome(self) -> AgentOutput:
        if self.stream.error is not None:
            raise self.stream.error
        last = self.so_far[-1] if self.so_far else None
        return last if isinstance(last, AgentOutput) else AgentOutput(response=self.text)

    @property
    def text(self) -> str:
        """The answer so far: the text of the latest step; empty while tools are called."""
        for event in reversed(self.so_far):
            if isinstance(event, AgentStream) and event.delta:
                return event.response
            if isinstance(event, ToolEvent):
                return ""
        return ""

    @property
    def pending(self) -> ApprovalRequested | None:
        """The call that waits for approval, or None."""
        waiting = self._waiting
        return waiting[0] if waiting else None

    @property
    def running(self) -> ToolCall | None:
        """The call whose tool is running, or None."""
        last = self.so_far[-1] if self.so_far else None
        return last if isinstance(last, ToolCall) and not self.phase.ended else None

    # For the user

    def approve(
        self, tool_id: str, tool_kwargs: Mapping[str, Any] | None = None, *, always: bool = False
    ) -> None:
        """Let a waiting call run, with other arguments if given.

        always: later calls of this tool in this run need no approval.

        Raises:
            ToolError: the arguments do not fit the tool, or the call does not wait for approval.
        """
        request, tool = self._awaited(tool_id)
        arguments = tool.check(request.tool_kwargs if tool_kwargs is None else tool_kwargs)
        if always:
            self._always.add(tool.name)
        self._decide(ApprovalDecision(True, arguments))

    def refuse(self, tool_id: str, reason: str = "") -> None:
        """Deny a waiting call. The agent continues without it.

        Raises:
            ToolError: the call does not wait for approval.
        """
        request, _ = self._awaited(tool_id)
        self._decide(ApprovalDecision(False, request.tool_kwargs, reason.strip()))

    def _awaited(self, tool_id: str) -> tuple[ApprovalRequested, FunctionTool]:
        waiting = self._waiting
        if waiting is None or waiting[0].tool_id != tool_id:
            raise ToolError("This call no longer waits for approval.")
        return waiting

    def _decide(self, decision: ApprovalDecision) -> None:
        self._waiting, self._decision = None, decision
        self.stream.notify()

    def _abandoned(self) -> None:
        if self.pending is None:
            super()._abandoned()

    # For the run's thread

    def emit(self, event: Event) -> None:
        if isinstance(event, AgentStream) and event.delta:
            self.run.trace.chunk()
        self.stream.append(replace(event, at=self.run.trace.now()))

    def ask(self, call: ToolCall, tool: FunctionTool) -> ApprovalDecision:
        """Wait for approval if the tool needs it.

        Raises:
            Cancelled: the run was stopped while it waited.
        """
        if not tool.requires_approval or tool.name in self._always:
            return ApprovalDecision(True, call.tool_kwargs)
        request = ApprovalRequested(call.tool_name, call.tool_kwargs, call.tool_id)
        self._decision, self._waiting = None, (request, tool)
        self.emit(request)
        began = self.run.trace.now()
        with self.run.span("approval"):
            self.stream.wait(lambda: self._decision is not None or self.run.cancelled)
        self._waiting, decision = None, self._decision
        self.run.check()
        assert decision
        self.emit(
            ApprovalGiven(
                call.tool_name,
                decision.tool_kwargs,
                call.tool_id,
                approved=decision.approved,
                reason=decision.reason,
                seconds=self.run.trace.now() - began,
            )
        )
        return decision

    def to_dict(self) -> dict[str, Any]:
        """The whole run as JSON values, for export."""
        return {
            "run_id": self.run.id,
            "user_msg": self.user_msg,
            "phase": str(self.phase),
            "error": str(self.error or ""),
            "notes": list(self.run.notes),
            "events": [event.to_dict() for event in self.so_far],
            "trace": self.run.trace.to_dict(),
        }
