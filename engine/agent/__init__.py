"""Agents: a model with tools, whose work is reported as events while it happens.

    task → policy → tool calls → results → policy → … → answer

Read in this order:

workflow.py    the loop: a step of the policy, its calls, the next step
handler.py     one run: its events, approval by a person, cancelling
events.py      what is reported
policy.py      what a policy sees and returns, and helpers that policies share
planning.py    the policies for larger models: native tool calls, or decisions in JSON
routing.py     the policy for small models: rules and examples choose the tools
assisted.py    the policy for medium-sized local models: rules first, then the model, checked
tools.py       a function as a tool, and one call of it with its limits
shipped.py     the tools that ship: document search, calculator, units, dates, web search
calculator.py  the calculator, with engine/arithmetic.py; units.py converts units; date_tools.py has
               the clock and the calendar

For small and medium-sized models, these read what a task says, and nothing else. Most have words
and forms of questions in a TOML file of their name (forms.py reads them):

readings.py    a task without its demand for decimals, and other readings of it
limits.py      tasks that no tool can do
sums.py        calculations in plain words, with expressions.py and numbers.py
dates.py       questions about dates, with calendar.py; clock.py: about the present time
plans.py       questions that need values of the documents and a calculation; values.py finds these
problems.py    word problems that their units prove
quoting.py     the sentence of a document that answers a question
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
