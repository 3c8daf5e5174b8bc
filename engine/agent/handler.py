"""AgentHandler: one run of an agent, readable while it happens, and the person's way into it.

The run's thread writes events and waits for approvals; any number of readers, sync or async,
follow. It does not know how steps are taken.
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
from engine.errors import Cancelled, ToolError
from engine.lease import Lease
from engine.run import Phase, Progress, Run
from engine.schema import new_id
from engine.stream import Stream


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said to a call."""

    approved: bool
    tool_kwargs: Mapping[str, Any]
    reason: str = ""


class AgentHandler:
    """A run of an agent. Read its events, await it, approve its calls, cancel it.

    When its last reader leaves early, the run stops, unless somebody holds it, or it waits for
    approval: who leaves then may have gone to ask.
    """

    def __init__(self, user_msg: str) -> None:
        self.id = new_id()
        self.user_msg = user_msg
        self.run = Run.begin()
        self._events: Stream[Event] = Stream(on_abandoned=self._abandoned)
        self._lease = Lease(self.run.cancel, lambda: self._events.has_readers)
        self._waiting: tuple[ApprovalRequested, FunctionTool] | None = None
        self._decision: Decision | None = None
        self._always: set[str] = set()
        self.run.on_cancel(self._events.notify)

    # Readers

    def stream_events(self) -> AsyncIterator[Event]:
        """Every event from the first, as they happen, without blocking the event loop.

        Raises:
            LLMError: the model failed; after every event that came before.
        """
        return self._events.read_async()

    def events(self) -> Generator[Event, None, None]:
        """`stream_events` for code without an event loop."""
        return self._events.read()

    @property
    def so_far(self) -> list[Event]:
        """The events that have happened, without waiting."""
        return self._events.items

    def result(self) -> AgentOutput:
        """Wait for the end. Of a run that was stopped, what had been written.

        Raises:
            FirstTokenError: the run failed; `so_far` keeps what had happened.
        """
        self._events.wait(lambda: False)
        return self._outcome()

    def __await__(self) -> Generator[Any, None, AgentOutput]:
        return self._result_async().__await__()

    async def _result_async(self) -> AgentOutput:
        try:
            await self._events.wait_async(lambda: False)
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self._outcome()

    def _outcome(self) -> AgentOutput:
        if self._events.error is not None:
            raise self._events.error
        last = self.so_far[-1] if self.so_far else None
        return last if isinstance(last, AgentOutput) else AgentOutput(response=self.text)

    @property
    def text(self) -> str:
        """The answer so far: the text of the step that is being written, or was last."""
        for event in reversed(self.so_far):
            if isinstance(event, AgentStream) and event.delta:
                return event.response
            if isinstance(event, ToolEvent):
                return ""
        return ""

    @property
    def phase(self) -> Phase:
        return self.run.progress.phase

    @property
    def progress(self) -> Progress:
        return self.run.progress

    @property
    def error(self) -> BaseException | None:
        return self._events.error

    @property
    def pending(self) -> ApprovalRequested | None:
        """The call that waits for a person, or None."""
        waiting = self._waiting
        return waiting[0] if waiting else None

    @property
    def running(self) -> ToolCall | None:
        """The call whose tool is at work, or None."""
        last = self.so_far[-1] if self.so_far else None
        return last if isinstance(last, ToolCall) and not self.phase.ended else None

    def wait_for(self, seconds: float) -> None:
        """Block until something happens or the run ends, at most so long."""
        seen = len(self._events.items)
        self._events.wait(lambda: len(self._events.items) > seen, seconds)

    def hold(self, seconds: float) -> None:
        """Keep the run going for so long, whoever reads or leaves. Call again to renew."""
        self._lease.hold(seconds)

    # The person

    def cancel(self) -> None:
        """Stop, at any time: in the model, in a tool, in waiting for approval."""
        self.run.cancel()

    def approve(
        self, tool_id: str, tool_kwargs: Mapping[str, Any] | None = None, *, always: bool = False
    ) -> None:
        """Let a waiting call run, with other arguments where given.

        always: this tool needs no more approval in this run.

        Raises:
            ToolError: the arguments do not fit the tool, or no such call waits.
        """
        request, tool = self._awaited(tool_id)
        arguments = tool.check(request.tool_kwargs if tool_kwargs is None else tool_kwargs)
        if always:
            self._always.add(tool.name)
        self._decide(Decision(True, arguments))

    def refuse(self, tool_id: str, reason: str = "") -> None:
        """Tell the agent to go on without this call.

        Raises:
            ToolError: no such call waits.
        """
        request, _ = self._awaited(tool_id)
        self._decide(Decision(False, request.tool_kwargs, reason.strip()))

    def _awaited(self, tool_id: str) -> tuple[ApprovalRequested, FunctionTool]:
        waiting = self._waiting
        if waiting is None or waiting[0].tool_id != tool_id:
            raise ToolError("This call does not wait for approval any more.")
        return waiting

    def _decide(self, decision: Decision) -> None:
        self._waiting, self._decision = None, decision
        self._events.notify()

    def _abandoned(self) -> None:
        if self.pending is None:
            self._lease.abandoned()

    # The writer: the run's thread

    def emit(self, event: Event) -> None:
        if isinstance(event, AgentStream) and event.delta:
            self.run.trace.chunk()
        self._events.append(replace(event, at=self.run.trace.now()))

    def ask(self, call: ToolCall, tool: FunctionTool) -> Decision:
        """Wait for a person where the tool needs one.

        Raises:
            Cancelled: the run was stopped meanwhile.
        """
        if not tool.requires_approval or tool.name in self._always:
            return Decision(True, call.tool_kwargs)
        request = ApprovalRequested(call.tool_name, call.tool_kwargs, call.tool_id)
        self._decision, self._waiting = None, (request, tool)
        self.emit(request)
        began = self.run.trace.now()
        with self.run.span("approval"):
            self._events.wait(lambda: self._decision is not None or self.run.cancelled)
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

    def finish(self, error: BaseException | None = None) -> None:
        """End in one of three ways: done, stopped (by Cancelled), failed (by any other error)."""
        self.run.trace.finish()
        stopped = isinstance(error, Cancelled)
        self.run.report(Phase.STOPPED if stopped else Phase.FAILED if error else Phase.DONE)
        self._lease.end()
        self._events.end(None if stopped else error)

    def to_dict(self) -> dict[str, Any]:
        """JSON values: the whole run, for export."""
        return {
            "user_msg": self.user_msg,
            "phase": str(self.phase),
            "error": str(self.error or ""),
            "notes": list(self.run.notes),
            "events": [event.to_dict() for event in self.so_far],
            "trace": self.run.trace.to_dict(),
        }
