"""AgentWorkflow: a question → steps of a model and its tools → an answer, told as events.

`run` returns at once with the handler of a run that has begun on a thread of its own. It knows
neither how steps are chosen nor what the tools do.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from engine.agent.calling import Outcome, call_tool
from engine.agent.events import (
    AgentInput,
    AgentOutput,
    AgentStream,
    ToolCall,
    ToolCallResult,
    ToolOutput,
)
from engine.agent.handler import AgentHandler, Decision
from engine.agent.policies import policy_for
from engine.agent.task import Finished, Policy, Request, Task, Thought
from engine.agent.tools import FunctionTool, Toolish, as_tools
from engine.errors import Cancelled, FirstTokenError, GenerationError, ToolError
from engine.llm.base import LLM, GenerationOptions
from engine.schema import ChatMessage, new_id
from engine.settings import Settings

log = logging.getLogger(__name__)

MAX_STEPS = 8  # with calls, before the answer must come


class AgentWorkflow:
    """An agent: a model, its tools, and a limit of steps. Safe to use from many threads."""

    def __init__(
        self, tools: Sequence[FunctionTool], policy: Policy, max_steps: int = MAX_STEPS
    ) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.policy = policy
        self.max_steps = max_steps

    @classmethod
    def from_tools(
        cls,
        tools: Sequence[Toolish],
        llm: LLM | None = None,
        *,
        options: GenerationOptions = GenerationOptions(),
        policy: Policy | None = None,
        max_steps: int = MAX_STEPS,
    ) -> Self:
        """An agent with these tools: typed functions, FunctionTools, or sets of them.

        llm: without one, `Settings.llm`. options: how to write the answer. policy: how to choose
        between answering and calling; without one, what suits the model.

        Raises:
            ToolError: two tools share a name, or a signature cannot be described.
        """
        known = as_tools(tools)
        return cls(known, policy or policy_for(llm or Settings.llm, options), max_steps)

    def run(self, user_msg: str, chat_history: Sequence[ChatMessage] = ()) -> AgentHandler:
        """Begin, and return the handler at once.

        Raises:
            ValueError: the message is empty.
        """
        if not user_msg.strip():
            raise ValueError("The message is empty. Write one.")
        handler = AgentHandler(user_msg)
        task = Task(user_msg, tuple(chat_history))
        work = threading.Thread(target=self._work, args=(task, handler), name="agent", daemon=True)
        work.start()
        return handler

    def _work(self, task: Task, handler: AgentHandler) -> None:
        try:
            while requests := self._step(task, handler):
                task.steps.append([])
                for call, question in requests:
                    task.steps[-1].append(self._call(call, question, handler))
        except (FirstTokenError, Cancelled) as error:
            handler.finish(error)
        except Exception as fault:  # whatever it is, its readers must hear of it
            log.exception("Agent run %s failed", handler.run.id)
            failure = GenerationError(
                f"The agent failed: {fault or type(fault).__name__}. Ask again."
            )
            failure.__cause__ = fault
            handler.finish(failure)
        else:
            handler.finish()

    def _step(self, task: Task, handler: AgentHandler) -> list[tuple[ToolCall, str]]:
        """One step of the model. Returns the calls it wants, each with what it is for."""
        handler.run.check()
        handler.emit(AgentInput(tuple(task.messages())))
        tools = list(self.tools.values()) if len(task.steps) < self.max_steps else []
        text, calls = "", []
        for piece in self.policy.step(task, tools, handler.run):
            handler.run.check()
            if isinstance(piece, Request):
                call = ToolCall(piece.tool_name, piece.arguments, piece.id or new_id())
                calls.append((call, piece.question))
            elif isinstance(piece, Thought):
                handler.emit(AgentStream("", text, piece.text))
            else:
                text += piece
                handler.emit(AgentStream(piece, text))
        handler.emit(AgentOutput(text, tuple(call for call, _ in calls)))
        return calls

    def _call(self, call: ToolCall, question: str, handler: AgentHandler) -> Finished:
        """Check, ask the person where the tool needs it, run, report."""
        handler.run.check()
        try:
            tool = self._tool(call.tool_name)
            call = replace(call, tool_kwargs=tool.check(call.tool_kwargs))
        except ToolError as error:
            handler.emit(call)
            outcome = Outcome(ToolOutput(str(error)), is_error=True, seconds=0.0)
        else:
            decision = handler.ask(call, tool)
            call = replace(call, tool_kwargs=decision.tool_kwargs)
            if not decision.approved:
                return Finished(call, _refusal(call, decision), True, question)
            handler.emit(call)
            with handler.run.span("tool"):
                outcome = call_tool(tool, call.tool_kwargs, handler.run)
        handler.emit(_result(call, outcome))
        return Finished(call, outcome.output, outcome.is_error, question)

    def _tool(self, name: str) -> FunctionTool:
        if name not in self.tools:
            known = ", ".join(self.tools) or "none"
            raise ToolError(f"There is no tool {name}. The tools are: {known}.")
        return self.tools[name]


def _result(call: ToolCall, outcome: Outcome) -> ToolCallResult:
    return ToolCallResult(
        call.tool_name,
        call.tool_kwargs,
        call.tool_id,
        tool_output=outcome.output,
        seconds=outcome.seconds,
        is_error=outcome.is_error,
    )


def _refusal(call: ToolCall, decision: Decision) -> ToolOutput:
    reason = f": {decision.reason}" if decision.reason else "."
    return ToolOutput(f"{call.tool_name} was refused{reason}")
