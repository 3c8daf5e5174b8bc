"""Agents: a model with tools, whose work is reported as events while it happens.

    task → policy → tool calls → results → policy → … → answer

Read in this order:

workflow.py    the loop: a step of the policy, its calls, the next step
handler.py     one run: its events, approval by a person, cancelling
events.py      what is reported
policy.py      what a policy sees and returns, and helpers that policies share
routing.py     the policy for small models: tools are chosen for the model
planning.py    the policies for larger models: native tool calls, or decisions in JSON
tools.py       a function as a tool, and one call of it with its limits
shipped.py     the tools that ship: document search, calculator, clock, web search
arithmetic.py  the calculator
"""

from engine.agent.events import (
    AgentInput,
    AgentOutput,
    AgentStream,
    ApprovalGiven,
    ApprovalRequested,
    Event,
    ToolCall,
    ToolCallResult,
    ToolEvent,
    ToolOutput,
)
from engine.agent.handler import AgentHandler
from engine.agent.shipped import TavilyToolSpec
from engine.agent.tools import Example, FunctionTool
from engine.agent.workflow import AgentWorkflow

__all__ = [
    "AgentHandler",
    "AgentInput",
    "AgentOutput",
    "AgentStream",
    "AgentWorkflow",
    "ApprovalGiven",
    "ApprovalRequested",
    "Event",
    "Example",
    "FunctionTool",
    "TavilyToolSpec",
    "ToolCall",
    "ToolCallResult",
    "ToolEvent",
    "ToolOutput",
]
