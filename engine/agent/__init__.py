"""Agents: a model with tools, told as events while it happens.

    question → policy → tool calls → results → policy → … → answer

events.py     what is reported        task.py       what is known so far, and the policy protocol
tools.py      functions as tools      routing.py    the policy for small models
calling.py    one call, with limits   planning.py   for larger ones: decisions in JSON
handler.py    one run, live           native.py     for those with tool calls of their own
workflow.py   the loop                shipped.py, arithmetic.py, web.py   the tools that ship
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
from engine.agent.tools import Example, FunctionTool
from engine.agent.web import TavilyToolSpec
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
