"""The tools that ship with First Token: document search, calculator, units, dates and web search.

Each has examples (examples.json), by which RoutingPolicy chooses it. The examples are short, as
people write them. None is among the questions of the benchmark.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.agent.calculator import calculator
from engine.agent.clock import asks_for_the_time, read_clock
from engine.agent.date_tools import DateTools, Now, local_time
from engine.agent.dates import read_dates
from engine.agent.events import ToolOutput
from engine.agent.numbers import count_numbers, unknown_numbers
from engine.agent.plans import SEARCHED
from engine.agent.sums import read_sum
from engine.agent.tools import Example, FunctionTool
from engine.agent.units import convert_units, follow_up_conversion, read_conversion
from engine.agent.values import is_table
from engine.agent.wording import of_documents
from engine.errors import ToolError
from engine.index import VectorStoreIndex
from engine.kinds.finding import Treated
from engine.kinds.row_answers import row_answer
from engine.retrieving import Retriever, is_relevant
from engine.run import Run
from engine.schema import Filters, Node, NodeWithScore
from engine.settings import Settings

log = logging.getLogger(__name__)

PASSAGES = 3  # that a search returns, unless more are asked for
NOT_FOUND = "I did not find this in your documents."

# Questions by tool name. "answer" has those that need no tool.
QUESTIONS: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("examples.json").read_text(encoding="utf-8")
)


def shipped_tools(search: FunctionTool, now: Now = local_time) -> list[FunctionTool]:
    """All of them. search: `document_search` of an index. now: the clock, which tests replace."""
    web = TavilyToolSpec().to_tool_list()
    return [search, calculator_tool(), units_tool(), *date_tools(now), *web]


# Document search

# Documents of more passages are not read as a whole to look up a value in their tables.
WHOLE = 300


def document_search(
    index: VectorStoreIndex, filters: Filters = Filters(), also: Sequence[VectorStoreIndex] = ()
) -> FunctionTool:
    """Document search over an index, and over those in `also`. Lists, counts, summaries and the
    other kinds of question of `engine/kinds/` are answered as on the Ask page."""

    def nodes_of(source_id: str) -> Sequence[Node]:
        found = (each.collection.nodes_of(source_id) for each in (index, *also))
        return next(filter(None, found), [])

    kinds = index.as_kinds(PASSAGES, filters, also=also)
    retriever = index.as_retriever(SEARCHED, filters=filters, also=also)
    return search_tool(retriever, kinds.treat, nodes_of)


def search_tool(
    retriever: Retriever,
    treat: Callable[[str, Run], Treated | None] = lambda *_: None,
    nodes_of: Callable[[str], Sequence[Node]] = lambda _: (),
) -> FunctionTool:
    """Document search. The result has the passages that the retriever finds, and their sources.

    treat: answers a question by code, or returns None. nodes_of: the passages of a document.
    """

    def search_documents(query: str, run: Run, passages: int = PASSAGES) -> ToolOutput:
        """Find passages in the user's own documents that answer a question."""
        looks_up = passages > PASSAGES
        treated = None if looks_up else treat(query, run)
        if treated is not None and not treated.missing and treated.text:
            return ToolOutput("".join(treated.text), tuple(treated.sources), is_answer=True)
        found = retriever.retrieve(query, run)[: max(1, passages)]
        if not found:
            return ToolOutput("There are no documents to search yet. Add some first.", found=False)
        if looks_up:
            found = _with_tables(found, nodes_of)
        if (treated is not None and treated.missing) or not (looks_up or is_relevant(found)):
            return ToolOutput(NOT_FOUND, tuple(found), found=False)
        if not looks_up and (row := row_answer(query, found)):
            return ToolOutput("".join(row.text), tuple(row.sources), is_answer=True)
        shown = enumerate(found[:passages], 1)
        texts = (f"[{n}] {each.node.label}\n{each.text}" for n, each in shown)
        return ToolOutput("\n\n".join(texts), tuple(found))

    return FunctionTool(
        search_documents,
        arguments_from=lambda question: {"query": of_documents(question)},
        examples=[
            Example(question, {"query": question}) for question in QUESTIONS["search_documents"]
        ],
    )


def _with_tables(
    found: Sequence[NodeWithScore], nodes_of: Callable[[str], Sequence[Node]]
) -> list[NodeWithScore]:
    """The passages, and the others of their documents that are tables: a value in one row is only
    certain if no other row has another value for the same thing."""
    passages = list(found)
    known = {each.node.id_ for each in found}
    for source_id in dict.fromkeys(each.node.source_id for each in found if is_table(each.text)):
        nodes = nodes_of(source_id)
        if len(nodes) <= WHOLE:
            passages += [NodeWithScore(node, 0.0) for node in nodes if node.id_ not in known]
    return passages


# Calculator and units


def calculator_tool() -> FunctionTool:
    """Arithmetic with numbers of the task, of results, or named constants."""

    def read(question: str, earlier: Sequence[str]) -> dict[str, str] | None:
        stated = read_sum(question, earlier)
        return None if stated is None else {"expression": stated.expression}

    def suits(question: str) -> bool:
        """A calculation has two numbers, or a number with two units: "3 weeks in hours"."""
        units = set(_UNITS.split()) & set(re.findall(r"[a-z]+", question.lower()))
        numbers = count_numbers(question)
        return numbers > 1 or (numbers == 1 and len(units) > 1)

    return FunctionTool(
        calculator,
        claims=read,
        suits=suits,
        declines=(
            "I cannot set up this calculation reliably with the model in use. Write it as an "
            "expression, such as 12 * 7."
        ),
        check_sources=lambda arguments, sources: _unknown(
            str(arguments.get("expression", "")), sources
        ),
        return_direct=True,
        examples=[
            *(Example(question) for question in QUESTIONS["calculator"]),
            *(Example(question, {"expression": e}) for question, e in _WORD_PROBLEMS.items()),
        ],
    )


_UNITS = (
    "second seconds minute minutes hour hours day days week weeks month months year years metre "
    "metres meter meters kilometre kilometres kilometer kilometers mile miles foot feet inch "
    "inches gram grams kilogram kilograms pound pounds ounce ounces litre litres liter liters "
    "gallon gallons celsius fahrenheit degrees"
)
_WORD_PROBLEMS = {
    "If one costs 3, what do 12 cost?": "12 * 3",
    "How many hours are there in 3 weeks?": "3 * days_per_week * hours_per_day",
    "7 people share 84 euros. What does each get?": "84 / 7",
    "How many weeks are 56 days?": "56 / days_per_week",
}


def _unknown(text: str, sources: Sequence[str]) -> str:
    """Why a calculation must not run: its numbers are in no source."""
    unknown = unknown_numbers(text, sources)
    if not unknown:
        return ""
    verb = "is" if len(unknown) == 1 else "are"
    return (
        f"This was not calculated: {', '.join(dict.fromkeys(unknown))} {verb} not in the task or "
        "in a tool's result. Use only numbers from there, or named constants."
    )


def units_tool() -> FunctionTool:
    """Conversion of units, with pint's factors."""

    def read(question: str, earlier: Sequence[str]) -> dict[str, str] | None:
        return read_conversion(question) or follow_up_conversion(question, earlier)

    return FunctionTool(
        convert_units,
        claims=read,
        suits=lambda _: False,
        check_sources=lambda arguments, sources: _unknown(
            str(arguments.get("quantity", "")), sources
        ),
        return_direct=True,
        examples=[
            Example(
                "How far is 84 kilometres in miles?", {"quantity": "84 kilometres", "to": "miles"}
            )
        ],
    )


# Dates


def date_tools(now: Now = local_time) -> list[FunctionTool]:
    """The clock, and calculations with dates. `now`: the present time, which tests replace."""
    functions = DateTools(now)

    def claims(name: str) -> Callable[[str, Sequence[str]], dict[str, Any] | None]:
        def read(question: str, earlier: Sequence[str]) -> dict[str, Any] | None:
            call = read_dates(question, now(), earlier)
            return dict(call.arguments) if call and call.tool == name else None

        return read

    tools = [
        FunctionTool(
            function,
            claims=claims(name),
            suits=lambda _: False,
            return_direct=True,
            examples=[Example(question, arguments)],
        )
        for name, function, question, arguments in (
            ("time_between", functions.time_between, "How many days are left until 31 December?",
             {"start": "today", "end": "31 December"}),
            ("date_after", functions.date_after, "Which date is 90 days after 3 March 2026?",
             {"start": "3 March 2026", "duration": "90 days"}),
            ("date_facts", functions.date_facts, "On which weekday is 4 July 2026?",
             {"day": "4 July 2026"}),
        )
    ]  # fmt: skip
    return [clock_tool(functions), *tools]


def clock_tool(functions: DateTools | None = None) -> FunctionTool:
    """The present date and time, here and elsewhere."""
    functions = functions or DateTools()
    return FunctionTool(
        functions.date_and_time,
        claims=lambda question, _: read_clock(question),
        suits=asks_for_the_time,
        declines="I cannot calculate this. Name the dates, such as 31 December 2026.",
        return_direct=True,
        examples=[Example(question) for question in QUESTIONS["date_and_time"]],
    )


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
