"""AgentWorkflow: a task → steps of a model and its tools → an answer, reported as events.

`run` starts a run on a thread of its own and returns its handler at once.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from engine.agent.assisted import AssistedPolicy
from engine.agent.events import (
    AgentInput,
    AgentOutput,
    AgentStream,
    ToolCall,
    ToolCallResult,
    ToolOutput,
)
from engine.agent.handler import AgentHandler
from engine.agent.planning import NativePolicy, PlanningPolicy
from engine.agent.policy import CallRequest, CompletedCall, Policy, Task, Thought
from engine.agent.routing import RoutingPolicy
from engine.agent.tools import AnyTool, CallOutcome, FunctionTool, as_tools, call_tool
from engine.errors import Cancelled, FirstTokenError, GenerationError, ToolError
from engine.llm.base import LLM, ContextFormat, GenerationOptions
from engine.llm.tool_calls import ToolCallingLLM
from engine.schema import ChatMessage, new_id
from engine.settings import Settings

log = logging.getLogger(__name__)

MAX_STEPS = 8  # steps with calls; the next step must be the answer
MAX_CHARACTERS = 20_000  # of a task


# Local models with fewer parameters get AssistedPolicy. The limit is a guess: with how many a model
# does better without the rules was not measured.
ASSISTED = 5_000_000_000


def policy_for(llm: LLM, options: GenerationOptions = GenerationOptions()) -> Policy:
    """The policy for a model: native tool calls if the model has them, rules for small models,
    rules with the model's help for medium-sized ones, and decisions in JSON for others."""
    if llm.metadata.native_tools and isinstance(llm, ToolCallingLLM):
        return NativePolicy(llm, options)
    if llm.metadata.context_format is ContextFormat.SENTENCES:
        return RoutingPolicy(llm, options)
    if llm.metadata.parameters is not None and llm.metadata.parameters < ASSISTED:
        return AssistedPolicy(llm, options)
    return PlanningPolicy(llm, options)


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
        tools: Sequence[AnyTool],
        llm: LLM | None = None,
        *,
        options: GenerationOptions = GenerationOptions(),
        policy: Policy | None = None,
        max_steps: int = MAX_STEPS,
    ) -> Self:
        """An agent with these tools: typed functions, FunctionTools, or sets of them.

        llm: `Settings.llm` by default. options: how to write the answer. policy: decides the steps;
        by default the policy for this model (`policy_for`).

        Raises:
            ToolError: two tools share a name, or a signature cannot be described.
        """
        known = as_tools(tools)
        return cls(known, policy or policy_for(llm or Settings.llm, options), max_steps)

    def run(self, user_msg: str, chat_history: Sequence[ChatMessage] = ()) -> AgentHandler:
        """Start a run and return its handler at once.

        A lone surrogate, which cannot be encoded, becomes U+FFFD.

        Raises:
            ValueError: the message is empty or longer than MAX_CHARACTERS.
        """
        if not user_msg.strip():
            raise ValueError("The task is empty. Write one.")
        if len(user_msg) > MAX_CHARACTERS:
            raise ValueError(
                f"The task has {len(user_msg):,} characters, and {MAX_CHARACTERS:,} are allowed. "
                "Shorten it, or add long texts to the library as documents."
            )
        user_msg = user_msg.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        handler = AgentHandler(user_msg)
        task = Task(user_msg, tuple(chat_history))
        work = threading.Thread(target=self._work, args=(task, handler), name="agent", daemon=True)
        work.start()
        return handler

    def _work(self, task: Task, handler: AgentHandler) -> None:
        """Take steps until one has no calls."""
        try:
            while requests := self._step(task, handler):
                task.steps.append([])
                for call, question in requests:
                    task.steps[-1].append(self._call(call, question, task, handler))
        except (FirstTokenError, Cancelled) as error:
            handler.finish(error)
        except Exception as fault:
            log.exception("Agent run %s failed", handler.run.id)
            failure = GenerationError(
                f"The agent failed: {fault or type(fault).__name__}. Ask again."
            )
            failure.__cause__ = fault
            handler.finish(failure)
        else:
            handler.finish()

    def _step(self, task: Task, handler: AgentHandler) -> list[tuple[ToolCall, str]]:
        """One step of the model. Returns the requested calls, each with its part of the task."""
        handler.run.check()
        handler.emit(AgentInput(tuple(task.messages())))
        tools = list(self.tools.values()) if len(task.steps) < self.max_steps else []
        text, calls = "", []
        for part in self.policy.step(task, tools, handler.run):
            handler.run.check()
            if isinstance(part, CallRequest):
                call = ToolCall(part.tool_name, part.arguments, part.id or new_id())
                calls.append((call, part.question))
            elif isinstance(part, Thought):
                handler.emit(AgentStream("", text, part.text))
            else:
                text += part
                handler.emit(AgentStream(part, text))
        handler.emit(AgentOutput(text, tuple(call for call, _ in calls)))
        return calls

    def _call(
        self, call: ToolCall, question: str, task: Task, handler: AgentHandler
    ) -> CompletedCall:
        """Check a call, ask for approval if the tool needs it, run the tool, report the result."""
        handler.run.check()
        try:
            if (tool := self.tools.get(call.tool_name)) is None:
                known = ", ".join(self.tools) or "none"
                raise ToolError(f"There is no tool {call.tool_name}. The tools are: {known}.")
            call = replace(call, tool_kwargs=tool.check(call.tool_kwargs))
            if refusal := tool.check_sources(call.tool_kwargs, task.sources):
                raise ToolError(refusal)
        except ToolError as error:
            handler.emit(call)
            outcome = CallOutcome(ToolOutput(str(error)), is_error=True, seconds=0.0)
        else:
            decision = handler.ask(call, tool)
            call = replace(call, tool_kwargs=decision.tool_kwargs)
            if not decision.approved:
                reason = f": {decision.reason}" if decision.reason else "."
                denied = ToolOutput(f"The call of {call.tool_name} was denied{reason}")
                return CompletedCall(call, denied, is_error=True, question=question)
            handler.emit(call)
            with handler.run.span("tool"):
                outcome = call_tool(tool, call.tool_kwargs, handler.run)
        handler.emit(
            ToolCallResult(
                call.tool_name,
                call.tool_kwargs,
                call.tool_id,
                tool_output=outcome.output,
                seconds=outcome.seconds,
                is_error=outcome.is_error,
            )
        )
        direct = tool is not None and tool.return_direct
        return CompletedCall(call, outcome.output, outcome.is_error, direct, question)
