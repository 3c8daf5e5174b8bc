"""Agents: a model with tools, told as events while it happens.

    question → policy → tool calls → results → policy → … → answer

events.py    what is reported
tools.py     typed functions as tools; calling.py: one call, with its limits
shipped.py   the tools that ship, with arithmetic.py and web.py
task.py      what is known so far, and the protocol of a policy: how to go on from there
policies.py  which policy suits a model:
    routing.py   tools are chosen for a small one
    planning.py  a larger one decides in JSON
    native.py    one that was made for tool calls makes them
filling.py, fitting.py, thoughts.py   arguments, prompts that fit, reasoning told from text
handler.py   one run: its events, and the person's way in
workflow.py  the loop
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
