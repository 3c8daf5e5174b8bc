"""The tools that ship with First Token: document search, calculator, clock and web search.

Each has examples (examples.json), by which RoutingPolicy chooses it. The examples are short, as
people write them. None is among the questions of the benchmark.
"""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from engine.agent.arithmetic import calculator, count_numbers, plain_arithmetic, unknown_numbers
from engine.agent.events import ToolOutput
from engine.agent.tools import Example, FunctionTool
from engine.errors import ToolError
from engine.retrieving import Retriever, is_relevant
from engine.run import Run
from engine.schema import Node, NodeWithScore
from engine.settings import Settings

log = logging.getLogger(__name__)

# Questions by tool name. "answer" has those that need no tool.
QUESTIONS: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("examples.json").read_text(encoding="utf-8")
)


def search_tool(retriever: Retriever) -> FunctionTool:
    """Document search. The result has the passages that the retriever finds, and their sources."""

    def search_documents(query: str, run: Run) -> ToolOutput:
        """Find passages in the user's own documents that answer a question."""
        found = tuple(retriever.retrieve(query, run))
        if not found:
            return ToolOutput("There are no documents to search yet. Add some first.", found=False)
        if not is_relevant(found):
            return ToolOutput("I found no answer to this in your documents.", found, found=False)
        passages = (f"[{n}] {each.node.label}\n{each.text}" for n, each in enumerate(found, 1))
        return ToolOutput("\n\n".join(passages), found)

    return FunctionTool(
        search_documents,
        arguments_from=lambda question: {"query": question},
        examples=[
            Example(question, {"query": question}) for question in QUESTIONS["search_documents"]
        ],
    )


# Calculator

_UNITS = (
    "second seconds minute minutes hour hours day days week weeks month months year years metre "
    "metres meter meters kilometre kilometres kilometer kilometers mile miles foot feet inch "
    "inches gram grams kilogram kilograms pound pounds ounce ounces litre litres liter liters "
    "gallon gallons celsius fahrenheit degrees"
)


def calculator_tool() -> FunctionTool:
    """Arithmetic. A small model gets results only for expressions that the task states: of 17 word
    problems the default model got 7 right, and a wrong result looks like a right one."""

    def read(question: str) -> dict[str, str] | None:
        expression = plain_arithmetic(question)
        return None if expression is None else {"expression": expression}

    def suits(question: str) -> bool:
        """A calculation has two numbers, or a number with two units: "3 weeks in hours"."""
        units = set(_UNITS.split()) & set(re.findall(r"[a-z]+", question.lower()))
        numbers = count_numbers(question)
        return read(question) is not None or numbers > 1 or (numbers == 1 and len(units) > 1)

    def declines(question: str) -> str:
        if read(question) is not None:
            return ""
        return (
            "I cannot set up this calculation reliably with the model in use. Write it as an "
            "expression, such as 12 * 7."
        )

    def check_sources(arguments: Mapping[str, Any], sources: Sequence[str]) -> str:
        unknown = unknown_numbers(str(arguments.get("expression", "")), sources)
        if not unknown:
            return ""
        verb = "is" if len(unknown) == 1 else "are"
        return (
            f"This was not calculated: {', '.join(dict.fromkeys(unknown))} {verb} not in the task "
            "or in a tool's result. Use only numbers from there, or named constants."
        )

    return FunctionTool(
        calculator,
        suits=suits,
        claims=lambda question: plain_arithmetic(question) is not None,
        arguments_from=read,
        declines=declines,
        check_sources=check_sources,
        return_direct=True,
        examples=[
            *(Example(question) for question in QUESTIONS["calculator"]),
            *(Example(question, {"expression": e}) for question, e in _WORD_PROBLEMS.items()),
        ],
    )


_WORD_PROBLEMS = {
    "If one costs 3, what do 12 cost?": "12 * 3",
    "How many hours are there in 3 weeks?": "3 * days_per_week * hours_per_day",
    "7 people share 84 euros. What does each get?": "84 / 7",
    "How many weeks are 56 days?": "56 / days_per_week",
}


# Clock

_MONTHS = "january february march april may june july august september october november december"
_CLOCK_WORDS = (
    "time timezone clock hour hours minute minutes late early date dates day days today tonight "
    "now week weekday month year morning noon afternoon evening midnight monday tuesday wednesday "
    f"thursday friday saturday sunday tomorrow yesterday utc gmt {_MONTHS}"
)
_OTHER_CLOCK_WORDS = (  # of a question about the time
    "what which how is it s the a in at on of for to and or with please thanks hello hi tell give "
    "show let say saying read check look see find remind need want like know wonder think be been "
    "are am have has got do does did can could would should will shall already still yet past just "
    "exact exactly current currently present actual correct local right official moment here there "
    "over out up by about if whether me us you i we they my our your much many don t not weekend "
    "holiday easter christmas summer winter spring autumn season"
)
_DATE_CALCULATION = (
    "until till tomorrow yesterday ago since next last between after before left from was were will"
)


def clock_tool() -> FunctionTool:
    """The present date and time. It declines calculations with dates for small models."""

    def suits(question: str) -> bool:
        """The question asks only for the time, unlike "On which day is the bakery closed?"."""
        words = set(re.findall(r"[a-z]+", question.lower()))
        place = set(re.findall(r"[a-z]+", _place_in(question).lower()))
        known = {*_CLOCK_WORDS.split(), *_DATE_CALCULATION.split()}
        others = words - known - place - set(_OTHER_CLOCK_WORDS.split())
        return bool(words & known) and not others

    def declines(question: str) -> str:
        words = set(re.findall(r"[a-z]+", question.lower()))
        if not words & set(_DATE_CALCULATION.split()) and not re.search(r"[0-9]", question):
            return ""
        return "I can give the present date and time, and I cannot calculate with dates."

    return FunctionTool(
        date_and_time,
        suits=suits,
        arguments_from=lambda question: {"place": _place_in(question)},
        declines=declines,
        return_direct=True,
        examples=[Example(question) for question in QUESTIONS["date_and_time"]],
    )


def date_and_time(place: str = "") -> str:
    """The current date, time and day of the week, here or in a named time zone or large city."""
    zone = _zone_name(place) if place else ""
    if place and not zone:
        raise ToolError(
            f"No time zone is called {place}. Name one such as Europe/Berlin, or its city."
        )
    now = datetime.now(ZoneInfo(zone)) if zone else datetime.now().astimezone()
    where = f" in {place}" if place else ""
    return f"It is {now:%A}, {now.day} {now:%B %Y}, {now:%H:%M}{where} ({now.tzname()})."


def _zone_name(place: str) -> str:
    """The time zone with this name or city; empty if there is none."""
    return _zones().get(place.strip().replace(" ", "_").lower(), "")


@cache
def _zones() -> dict[str, str]:
    """Lower-case zone names and cities → zone names."""
    names = sorted(available_timezones(), reverse=True)
    cities = {name.lower().rpartition("/")[2]: name for name in names}
    return cities | {name.lower(): name for name in names}


def _place_in(question: str) -> str:
    """The place after "in": a known time zone or city, else a capitalised name."""
    words = [word.strip(",.;:!?") for word in question.split()]
    for at in [number for number, word in enumerate(words) if word.lower() == "in"]:
        after = words[at + 1 : at + 4]
        for count in range(len(after), 0, -1):
            if _zone_name(" ".join(after[:count])):
                return " ".join(after[:count])
        if after and after[0][:1].isupper() and after[0].lower() not in _MONTHS.split():
            rest = [number for number, word in enumerate(after) if not word[:1].isupper()]
            return " ".join(after[: rest[0] if rest else len(after)])
    return ""


# Web search

NO_KEY = (
    "Web search needs a key. Get one at https://tavily.com, write TAVILY_API_KEY=your-key into "
    "the file .env, and start First Token again."
)
# The time limit for Tavily, in seconds. It is shorter than the tool's time limit, so that the user
# sees the message about Tavily.
TAVILY_SECONDS = 20.0


class TavilyToolSpec:
    """Web search through Tavily as a tool for an agent.

    Only the query is sent, to api.tavily.com. Without a key the tool exists, and its calls fail
    with a message that says how to get one.

    api_key: the configuration's by default. api_base_url: another server with Tavily's API.
    requires_approval: a person sees each query before it leaves the machine.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        max_results: int = 4,
        requires_approval: bool = False,
        api_base_url: str | None = None,
    ) -> None:
        self._key = api_key or Settings.config.tavily_api_key
        self._max_results = max_results
        self._requires_approval = requires_approval
        self._base_url = api_base_url

    def to_tool_list(self) -> list[FunctionTool]:
        tool = FunctionTool(
            self.web_search,
            requires_approval=self._requires_approval,
            arguments_from=lambda question: {"query": question},
            examples=[
                Example(question, {"query": question}) for question in QUESTIONS["web_search"]
            ],
            unavailable="" if self._key else NO_KEY,
        )
        return [tool]

    def web_search(self, query: str) -> ToolOutput:
        """Search the web for news, weather, prices and other current facts."""
        response = self._request(query)
        pages = [page for page in response.get("results", []) if page.get("content")]
        answer = response.get("answer") or ""
        if not (pages or answer):
            return ToolOutput("The web search found nothing.", found=False)
        texts, sources = [answer] if answer else [], []
        for page in pages:
            title, url = page.get("title", ""), page.get("url", "")
            texts.append(f"{title} ({url})\n{page['content']}")
            metadata = {"file_name": title or url or "web page", "url": url}
            node = Node(page["content"], metadata)
            sources.append(NodeWithScore(node, float(page.get("score") or 0.0)))
        return ToolOutput("\n\n".join(texts), tuple(sources))

    def _request(self, query: str) -> Mapping[str, Any]:
        import requests  # here, because the import of requests and tavily takes half a second
        import tavily
        from tavily import errors

        client = tavily.TavilyClient(api_key=self._key, api_base_url=self._base_url)
        try:
            with client:
                answered: Mapping[str, Any] = client.search(
                    query,
                    max_results=self._max_results,
                    include_answer=True,
                    timeout=TAVILY_SECONDS,
                )
                return answered
        except errors.InvalidAPIKeyError:
            sentence = "Tavily does not accept this key. Check TAVILY_API_KEY in .env."
        except errors.UsageLimitExceededError as error:
            sentence = f"Tavily's limit is reached{_detail(error)}. Wait a minute."
        except errors.ForbiddenError as error:
            sentence = f"Tavily's plan does not allow this{_detail(error)}."
        except errors.BadRequestError as error:
            sentence = f"Tavily refused the query{_detail(error)}. Shorten it."
        except errors.TimeoutError:
            sentence = f"Tavily did not answer within {TAVILY_SECONDS:g} seconds."
        except requests.exceptions.JSONDecodeError:
            sentence = "Tavily's answer is not readable. Try again."
        except requests.exceptions.HTTPError as error:
            sentence = f"Tavily has a fault: {error}. Try again later."
        except requests.exceptions.RequestException as error:
            log.warning("Tavily could not be reached: %s", type(error).__name__)
            sentence = (
                f"Tavily could not be reached ({type(error).__name__}). Is this computer online?"
            )
        raise ToolError(sentence)


def _detail(error: Exception) -> str:
    return f" ({error})" if str(error) else ""
