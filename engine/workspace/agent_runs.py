"""Agent runs: the running ones, and the last ones that have ended.

A run belongs to the workspace and not to a page, so a rerun, another page and a reload find it in
its current state. Runs are kept in memory until the program ends.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from engine.agent import AgentHandler, AgentWorkflow, FunctionTool, TavilyToolSpec
from engine.agent.shipped import calculator_tool, clock_tool, search_tool
from engine.llm.base import LLM
from engine.retrieving import Retriever
from engine.schema import Filters

KEPT = 20  # runs; a run's events take about 100 KB
PASSAGES = 3  # that a search returns
# Seconds that a run continues while no page shows it. A working run is also limited by its steps
# and their time limits. A run that waits for an approval uses no resources.
WORKING, WAITING = 600.0, 24 * 3600.0


@dataclass(frozen=True, slots=True)
class AgentRun:
    """A run, the collection and the documents that its search tool searches, and the model that it
    asks.
    """

    handler: AgentHandler
    collection: str
    llm: LLM | None = None
    filters: Filters = Filters()


class AgentRuns:
    """Safe to use from any thread.

    asks_first: the tools of which a person must approve each call. By default, the tools that send
    data to other machines.
    """

    def __init__(
        self, retriever: Callable[[str, int, Filters], Retriever], llm: Callable[[], LLM]
    ) -> None:
        """`retriever` searches a collection, for a number of passages."""
        self._retriever, self._llm = retriever, llm
        self._runs: dict[str, AgentRun] = {}
        self._lock = threading.Lock()
        self.asks_first = {"web_search"}

    def tools(self, collection: str, filters: Filters = Filters()) -> list[FunctionTool]:
        """The tools for tasks on that collection. `filters` says which documents are searched."""
        search = search_tool(self._retriever(collection, PASSAGES, filters))
        tools = [search, calculator_tool(), clock_tool(), *TavilyToolSpec().to_tool_list()]
        for tool in tools:
            # An unavailable tool needs no approval: its call fails at once with the reason.
            tool.requires_approval = tool.name in self.asks_first and not tool.unavailable
        return tools

    def start(
        self, collection: str, task: str, filters: Filters = Filters()
    ) -> AgentHandler:
        """Begin a run.

        Raises:
            ValueError: the task is empty.
        """
        llm = self._llm()
        handler = AgentWorkflow.from_tools(self.tools(collection, filters), llm).run(task)
        self.hold(handler)
        with self._lock:
            self._runs[handler.id] = AgentRun(handler, collection, llm, filters)
            ended = [run_id for run_id, run in self._runs.items() if run.handler.phase.ended]
            for run_id in ended[: max(0, len(self._runs) - KEPT)]:
                del self._runs[run_id]
        return handler

    def find(self, run_id: str) -> AgentRun | None:
        return self._runs.get(run_id)

    def latest(self) -> list[AgentRun]:
        """All runs that are kept, the latest first."""
        return list(reversed(list(self._runs.values())))

    def uses(self, llm: LLM) -> bool:
        """Whether a run that has not ended asks this model."""
        return any(run.llm is llm and not run.handler.phase.ended for run in self.latest())

    def hold(self, handler: AgentHandler) -> None:
        """Keep a run going while a page shows it, and for some time afterwards: longer while it
        waits for an approval."""
        handler.hold(WAITING if handler.pending else WORKING)

    def ask_first(self, tool_name: str, wanted: bool) -> None:
        """Set whether each call of this tool needs an approval, from the next run on."""
        (self.asks_first.add if wanted else self.asks_first.discard)(tool_name)

    def close(self) -> None:
        """Stop all runs."""
        for run in self.latest():
            run.handler.cancel()
