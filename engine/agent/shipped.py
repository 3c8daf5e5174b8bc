"""The tools that ship with First Token, beside the web search of web.py.

Each carries the questions it is right for, by which small models' tools are chosen. They know
no pages and no workspace.
"""

import re
from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

from engine.agent.arithmetic import calculator, names_a_number, plain_arithmetic
from engine.agent.events import ToolOutput
from engine.agent.examples import QUESTIONS
from engine.agent.tools import Example, FunctionTool
from engine.errors import ToolError
from engine.retrieving import Retriever, is_relevant
from engine.run import Run


def search_tool(retriever: Retriever) -> FunctionTool:
    """Search my documents: what the retriever finds, with the sources it comes from."""

    def search_documents(query: str, run: Run) -> ToolOutput:
        """Find passages in the user's own documents that answer a question."""
        found = tuple(retriever.retrieve(query, run))
        if not found:
            return ToolOutput("There are no documents to search yet. Add some first.", found=False)
        if not is_relevant(found):
            return ToolOutput("Nothing in your documents bears on this.", found, found=False)
        passages = (f"[{n}] {each.node.label}\n{each.text}" for n, each in enumerate(found, 1))
        return ToolOutput("\n\n".join(passages), found)

    return FunctionTool(
        search_documents,
        arguments_from=lambda question: {"query": question},
        examples=[
            Example(question, {"query": question}) for question in QUESTIONS["search_documents"]
        ],
    )


def calculator_tool() -> FunctionTool:
    def read(question: str) -> dict[str, str] | None:
        expression = plain_arithmetic(question)
        return None if expression is None else {"expression": expression}

    return FunctionTool(
        calculator,
        suits=names_a_number,
        arguments_from=read,
        return_direct=True,
        examples=[
            *(Example(question) for question in QUESTIONS["calculator"]),
            *(Example(question, {"expression": e}) for question, e in _WORD_PROBLEMS.items()),
        ],
    )


def clock_tool() -> FunctionTool:
    return FunctionTool(
        date_and_time,
        arguments_from=lambda question: {"place": _place_in(question)},
        return_direct=True,
        examples=[Example(question) for question in QUESTIONS["date_and_time"]],
    )


def date_and_time(place: str = "") -> str:
    """The current date, time and day of the week, here or in a named time zone or large city."""
    now = datetime.now(_zone(place)) if place else datetime.now().astimezone()
    where = f" in {place}" if place else ""
    return f"It is {now:%A}, {now.day} {now:%B %Y}, {now:%H:%M}{where} ({now.tzname()})."


def _zone(place: str) -> ZoneInfo:
    wanted = place.strip().replace(" ", "_").lower()
    for name in sorted(available_timezones()):
        if wanted in (name.lower(), name.lower().rpartition("/")[2]):
            return ZoneInfo(name)
    raise ToolError(f"No time zone is called {place}. Name one such as Europe/Berlin, or its city.")


_PLACE = re.compile(
    r"\b(?:time|clock|hour|late|date|day)\b.*?\bin ((?:[A-Z][\w'-]*|[A-Z][a-z]+/\w+)"
    r"(?: [A-Z][\w'-]*)*)"
)


def _place_in(question: str) -> str:
    found = _PLACE.search(question)
    return found[1] if found else ""


# For these a model must think. Of the 17 in the benchmark the small default gets 7 right.
_WORD_PROBLEMS = {
    "If one costs 3, what do 12 cost?": "12 * 3",
    "How many hours are there in 3 weeks?": "3 * 7 * 24",
    "7 people share 84 euros. What does each get?": "84 / 7",
    "How many weeks are 56 days?": "56 / 7",
}
