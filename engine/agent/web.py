"""Web search through Tavily, with its own client; the only importer of it.

A question goes to api.tavily.com, and nothing else does. Without a key the tool is there and
says how to get one.
"""

from collections.abc import Mapping
from typing import Any

from engine.agent.events import ToolOutput
from engine.agent.examples import QUESTIONS
from engine.agent.tools import Example, FunctionTool
from engine.errors import ToolError
from engine.schema import Node, NodeWithScore
from engine.settings import Settings

NO_KEY = (
    "Web search needs a key. Get one at https://tavily.com, write TAVILY_API_KEY=your-key into "
    "the file .env, and start again."
)
SECONDS = 20.0  # for Tavily to answer: less than the tool's own limit, so its sentence is seen


class TavilyToolSpec:
    """Web search as a tool for an agent.

    api_key: without one, the configuration's. api_base_url: another server with Tavily's API.
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
        found = self._ask(query)
        pages = [page for page in found.get("results", []) if page.get("content")]
        answer = found.get("answer") or ""
        if not (pages or answer):
            return ToolOutput("The web search found nothing.", found=False)
        texts = [
            f"{page.get('title', '')} ({page.get('url', '')})\n{page['content']}" for page in pages
        ]
        return ToolOutput("\n\n".join([answer, *texts] if answer else texts), _sources(pages))

    def _ask(self, query: str) -> Mapping[str, Any]:
        import requests  # with tavily half a second to import: paid by the first search
        import tavily
        from tavily import errors

        client = tavily.TavilyClient(api_key=self._key, api_base_url=self._base_url)
        try:
            with client:
                answered: Mapping[str, Any] = client.search(
                    query, max_results=self._max_results, include_answer=True, timeout=SECONDS
                )
                return answered
        except errors.InvalidAPIKeyError:
            raise ToolError(
                "Tavily does not know this key. Check TAVILY_API_KEY in .env."
            ) from None
        except errors.UsageLimitExceededError as error:
            raise ToolError(
                f"Tavily's limit is reached{_said(error)}. Wait a minute, or look at your plan."
            ) from None
        except errors.ForbiddenError as error:
            raise ToolError(f"Tavily's plan does not allow this{_said(error)}.") from None
        except errors.BadRequestError as error:
            raise ToolError(f"Tavily refused the query{_said(error)}. Ask shorter.") from None
        except errors.TimeoutError:
            raise ToolError(f"Tavily did not answer within {SECONDS:g} seconds.") from None
        except requests.exceptions.JSONDecodeError:
            raise ToolError("Tavily answered with something unreadable. Try again.") from None
        except requests.exceptions.HTTPError as error:
            raise ToolError(f"Tavily is out of order: {error}. Try again later.") from None
        except requests.exceptions.RequestException as error:
            raise ToolError(
                f"Tavily could not be reached ({type(error).__name__}). Is this computer online?"
            ) from None


def _said(error: Exception) -> str:
    return f" ({error})" if str(error) else ""


def _sources(pages: list[dict[str, Any]]) -> tuple[NodeWithScore, ...]:
    return tuple(
        NodeWithScore(
            Node(
                page["content"],
                {
                    "file_name": page.get("title") or page.get("url", "web page"),
                    "url": page.get("url", ""),
                },
            ),
            float(page.get("score") or 0.0),
        )
        for page in pages
    )
