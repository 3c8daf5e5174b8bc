"""MCP: the tools search, fetch and ask, and the documents as resources, through the official SDK.

`search` and `fetch` have the shapes that ChatGPT's connectors expect. All tools only read.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    TextContent,
    TextResourceContents,
    Tool,
    ToolAnnotations,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.types import Receive, Scope, Send

from engine.api.asking import (
    MODEL,
    begin,
    file_id,
    kind_json,
    sources_json,
    text_of,
    timings_json,
)
from engine.api.files import documents, find_document
from engine.api.filtering import DocumentFilters
from engine.api.problems import Problem, problem_of
from engine.api.requests import ChatRequest, Message
from engine.api.searching import search
from engine.api.threads import in_thread
from engine.schema import Node
from engine.store import Source
from engine.workspace import Workspace
from engine.workspace.library import DEFAULT_COLLECTION

Context = ServerRequestContext[Any, Any]

LONGEST_TEXT = 100_000  # characters of a document that `fetch` gives: 25,000 tokens
PROGRESS = 0.25  # seconds between two notifications
SCHEME = "first-token://"


class SearchArguments(BaseModel):
    model_config = ConfigDict(extra="forbid")
    query: str = Field(description="A question or a few words.")
    collection: str = Field(DEFAULT_COLLECTION, description="The collection to search.")
    passages: int = Field(5, ge=1, le=20, description="Passages to return at most.")
    filters: DocumentFilters | None = Field(None, description="Search only these documents.")


class FetchArguments(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str = Field(description="The id of a result of search, or of a document.")


class AskArguments(BaseModel):
    model_config = ConfigDict(extra="forbid")
    question: str = Field(description="A question that the documents may answer.")
    collection: str = Field(DEFAULT_COLLECTION, description="The collection to answer from.")
    passages: int = Field(3, ge=1, le=10, description="Passages to answer from.")
    filters: DocumentFilters | None = Field(None, description="Answer only from these documents.")
    first_token_budget: float | None = Field(
        None, ge=0, description="The longest wait for the first word, in seconds; 0: no limit."
    )


def _tool(name: str, title: str, description: str, arguments: type[BaseModel]) -> Tool:
    reads = ToolAnnotations(
        title=title, read_only_hint=True, idempotent_hint=True, open_world_hint=False
    )
    schema = arguments.model_json_schema()
    return Tool(
        name=name, title=title, description=description, input_schema=schema, annotations=reads
    )


TOOLS = [
    _tool(
        "search",
        "Search documents",
        "Search the documents that the user has added to First Token on this machine, by meaning "
        "and by words. Returns the most relevant passages, best first, each with the id for fetch, "
        "its file and page, its text, and the sentence that answers best, word for word.",
        SearchArguments,
    ),
    _tool(
        "fetch",
        "Read a document",
        "Read more of what search has found. With the id of a passage: that passage with those "
        "before and after it. With the id of a document (the part before #): its whole text.",
        FetchArguments,
    ),
    _tool(
        "ask",
        "Ask the documents",
        "Answer a question from the user's documents with the language model of First Token on "
        "this machine. Returns the answer and its sources with exact quotations. The model is "
        "small: prefer search, and read the passages yourself, where an answer needs reasoning.",
        AskArguments,
    ),
]


class Tools:
    """The tools and resources of a workspace. `server` serves them over any transport."""

    def __init__(self, open_workspace: Callable[[], Workspace]) -> None:
        self._open_workspace = open_workspace
        self.server: Server[Any] = Server(
            "first-token",
            title="First Token",
            instructions="The user's own documents, on the user's own machine. Search them before "
            "answering a question about them, and cite file and page.",
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_read_resource=self._read_resource,
        )

    async def _list_tools(self, _: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=TOOLS)

    async def _call_tool(self, context: Context, params: CallToolRequestParams) -> CallToolResult:
        """An error that the caller can do something about is a result with `is_error`."""
        calls = {"search": self._search, "fetch": self._fetch, "ask": self._ask}
        if params.name not in calls:
            raise MCPError(INVALID_PARAMS, f"There is no tool {params.name[:80]!r}.")
        try:
            workspace = await in_thread(self._open_workspace)
            found = await calls[params.name](workspace, context, params.arguments or {})
        except ValidationError as fault:
            first = fault.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            return _failed(f"{place or 'The arguments'}: {first['msg']}.")
        except Exception as error:
            return _failed(problem_of(error).message)
        return found

    async def _search(
        self, workspace: Workspace, context: Context, values: dict[str, Any]
    ) -> CallToolResult:
        asked = SearchArguments.model_validate(values)
        found = await in_thread(
            search, workspace, asked.collection, asked.query, asked.passages, asked.filters
        )
        shown = sources_json(asked.collection, found)
        results = [
            {
                "id": f"{source['document_id']}#{each.node.position}",
                "title": each.node.label,
                "url": _address(context, source["document_id"]),
                "text": source["text"],
                "quote": source["quote"],
                "score": source["score"],
            }
            for each, source in zip(found, shown, strict=True)
        ]
        return _result({"results": results})

    async def _fetch(
        self, workspace: Workspace, context: Context, values: dict[str, Any]
    ) -> CallToolResult:
        asked = FetchArguments.model_validate(values)
        return _result(await in_thread(self._fetched, workspace, context, asked.id))

    def _fetched(self, workspace: Workspace, context: Context, wanted: str) -> dict[str, Any]:
        document_id, _, position = wanted.partition("#")
        collection, source = find_document(workspace, document_id)
        nodes = workspace.library.passages(collection, source.source_id)
        if position:
            if not position.isdecimal() or int(position) >= len(nodes):
                raise Problem(404, "There is no passage of this id. Search again.")
            middle = int(position)
            nodes = nodes[max(0, middle - 1) : middle + 2]
        return {
            "id": wanted,
            "title": nodes[0].label if position and nodes else source.file_name,
            "text": _text_of(nodes),
            "url": _address(context, document_id),
            "metadata": {"collection": collection, "pages": source.pages},
        }

    async def _ask(
        self, workspace: Workspace, context: Context, values: dict[str, Any]
    ) -> CallToolResult:
        asked = AskArguments.model_validate(values)
        request = ChatRequest(
            model=MODEL + asked.collection,
            messages=[Message(role="user", content=asked.question)],
            stream=workspace.llm.metadata.can_stream,
            passages=asked.passages,
            filters=asked.filters,
            first_token_budget=asked.first_token_budget,
        )
        response = await begin(lambda: workspace, request)
        reporting = asyncio.create_task(_report(context, lambda: str(response.progress)))
        try:
            async for _ in response.async_response_gen():
                pass
        finally:  # a caller who leaves stops the model
            reporting.cancel()
            response.cancel()
        sources = sources_json(asked.collection, response.found or ())
        cited = [
            f"[{number}] {each.node.label}: {source['quote'] or source['text'][:200]}"
            for number, (each, source) in enumerate(
                zip(response.found or (), sources, strict=True), start=1
            )
        ]
        answer = text_of(response)
        return CallToolResult(
            content=[TextContent(text="\n".join([answer, "", *cited]))],
            structured_content={
                "answer": answer,
                "sources": sources,
                "kind": kind_json(response.trace),
                "notes": response.notes,
                "timings": timings_json(response.trace),
            },
        )

    async def _list_resources(
        self, _: Context, __: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        workspace = await in_thread(self._open_workspace)
        found = await in_thread(lambda: list(documents(workspace)))
        return ListResourcesResult(resources=[_resource(*each) for each in found])

    async def _read_resource(
        self, _: Context, params: ReadResourceRequestParams
    ) -> ReadResourceResult:
        workspace = await in_thread(self._open_workspace)
        collection, _slash, wanted = params.uri.removeprefix(SCHEME).partition("/")
        try:
            found, source = await in_thread(find_document, workspace, wanted)
        except Problem as problem:
            raise MCPError(INVALID_PARAMS, problem.message) from problem
        if found != unquote(collection):
            raise MCPError(INVALID_PARAMS, "There is no resource of this address.")
        nodes = await in_thread(workspace.library.passages, found, source.source_id)
        contents = TextResourceContents(
            uri=params.uri, mime_type="text/plain", text=_text_of(nodes)
        )
        return ReadResourceResult(contents=[contents])


class OverHttp:
    """The tools as an ASGI app: streamable HTTP, without sessions.

    The SDK's manager needs a task that runs as long as the server. It begins with the first
    request and ends with `close`.
    """

    def __init__(self, server: Server[Any]) -> None:
        self._manager = StreamableHTTPSessionManager(server, stateless=True)
        self._running: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            # Without sessions a server has nothing to say by itself, nor anything to end.
            raise Problem(405, "This address takes POST only.", headers={"Allow": "POST"})
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        await self._begun.wait()
        await self._manager.handle_request(scope, receive, send)

    async def _run(self) -> None:
        async with self._manager.run():
            self._begun.set()
            await asyncio.Event().wait()


async def _report(context: Context, say: Callable[[], str]) -> None:
    """Notify the caller, if it wants that, of each change of what `say` gives."""
    said, number = "", 0
    while True:
        if (now := say()) != said:
            said, number = now, number + 1
            await context.session.report_progress(number, message=said)
        await asyncio.sleep(PROGRESS)


def _result(value: dict[str, Any]) -> CallToolResult:
    """The value, also as JSON in a text, which is where ChatGPT's connectors look."""
    text = json.dumps(value, ensure_ascii=False)
    return CallToolResult(content=[TextContent(text=text)], structured_content=value)


def _failed(sentence: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=sentence)], is_error=True)


def _resource(collection: str, source: Source) -> Resource:
    wanted = file_id(collection, source.source_id)
    return Resource(
        name=source.file_name,
        uri=f"{SCHEME}{quote(collection)}/{wanted}",
        description=f"{source.pages} pages, collection {collection}",
        mime_type="text/plain",
    )


def _text_of(nodes: list[Node]) -> str:
    """The passages one after another, up to LONGEST_TEXT."""
    text = "\n\n".join(node.text for node in nodes)
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}\n\n[The document is longer. Search it for the rest.]"


def _address(context: Context, document_id: str) -> str:
    """Where the original file can be had."""
    request = context.request
    base = str(request.base_url).rstrip("/") if request is not None else ""
    return f"{base}/v1/files/{document_id}/content"
