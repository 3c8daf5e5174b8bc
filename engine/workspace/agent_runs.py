"""Agent runs: the running ones, and the last ones that have ended.

A run belongs to the workspace and not to a page, so a rerun, another page and a reload find it in
its current state. Runs are kept in memory until the program ends.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from engine.agent import AgentHandler, AgentWorkflow, FunctionTool
from engine.agent.assisted import AssistedPolicy
from engine.agent.shipped import document_search, shipped_tools
from engine.agent.workflow import policy_for
from engine.errors import Cancelled, FirstTokenError
from engine.llm.base import LLM
from engine.schema import ChatMessage, Filters
from engine.workspace.library import Library

log = logging.getLogger(__name__)

KEPT = 20  # runs; a run's events take about 100 KB
EARLIER = 6  # messages before a task that its agent gets: three tasks and their answers
# Seconds that a run continues while no page shows it. A working run is also limited by its steps
# and their time limits. A run that waits for an approval uses no resources.
WORKING, WAITING = 600.0, 24 * 3600.0


@dataclass(frozen=True, slots=True)
class AgentRun:
    """A run, the collection and the documents that its search tool searches, and the model that it
    asks.

    earlier: the tasks before it, and their answers, to which it may refer ("now double it").
    """

    handler: AgentHandler
    collection: str
    llm: LLM | None = None
    filters: Filters = Filters()
    earlier: tuple[ChatMessage, ...] = ()

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """The conversation up to this run's answer."""
        asked = ChatMessage("user", self.handler.user_msg)
        return (*self.earlier, asked, ChatMessage("assistant", self.handler.text))[-EARLIER:]


class AgentRuns:
    """Safe to use from any thread.

    asks_first: the tools of which a person must approve each call. By default, the tools that send
    data to other machines.
    """

    def __init__(self, library: Library, llm: Callable[[], LLM]) -> None:
        self._library, self._llm = library, llm
        self._runs: dict[str, AgentRun] = {}
        self._lock = threading.Lock()
        self.asks_first = {"web_search"}
        self._prepared: LLM | None = None  # the model that has read the tools, or is reading them

    def prepare(self, collection: str) -> None:
        """Let the model read the descriptions of the tools ahead, on a thread, if it will need
        them. They are 1,200 tokens, which would delay the first task by seconds."""
        llm = self._llm()
        policy = policy_for(llm)
        with self._lock:
            if not isinstance(policy, AssistedPolicy) or llm is self._prepared:
                return
            self._prepared = llm
        tools = self.tools(collection)

        def read() -> None:
            try:
                policy.prepare(tools)
            except (Cancelled, FirstTokenError) as error:  # the task itself will say more
                log.info("The tools were not read ahead: %s", error)

        threading.Thread(target=read, name="tools", daemon=True).start()

    def tools(self, collection: str, filters: Filters = Filters()) -> list[FunctionTool]:
        """The tools for tasks on that collection. `filters` says which documents are searched."""
        index, *others = self._library.searched(collection, filters)
        search = document_search(index, filters, others)
        tools = shipped_tools(search)
        for tool in tools:
            # An unavailable tool needs no approval: its call fails at once with the reason.
            tool.requires_approval = tool.name in self.asks_first and not tool.unavailable
        return tools

    def start(
        self,
        collection: str,
        task: str,
        filters: Filters = Filters(),
        after: AgentRun | None = None,
    ) -> AgentHandler:
        """Begin a run. `after`: the run that the user sees, to which the task may refer.

        Raises:
            ValueError: the task is empty.
        """
        llm = self._llm()
        earlier = after.messages if after else ()
        agent = AgentWorkflow.from_tools(self.tools(collection, filters), llm)
        handler = agent.run(task, earlier)
        self.hold(handler)
        with self._lock:
            self._runs[handler.id] = AgentRun(handler, collection, llm, filters, earlier)
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
