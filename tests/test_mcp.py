"""MCP with the official client: the tools as they are described, over HTTP and over stdio."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from httpx2 import AsyncClient
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from engine.api.running import announce
from tests.api_server import QUESTION, ApiServer, api_server, wait_until
from tests.browser import DEFAULTS, ROOT


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("mcp") / "app") as server:
        yield server


Use = Callable[[Client], Awaitable[None]]


def over_http(api: ApiServer, use: Use) -> None:
    async def connect() -> None:
        headers = {"Authorization": f"Bearer {api.client.key}"}
        async with AsyncClient(headers=headers, timeout=60) as http:
            transport = streamable_http_client(f"{api.client.url}/mcp", http_client=http)
            async with Client(transport) as client:
                await use(client)

    asyncio.run(connect())


def over_stdio(api: ApiServer, folder: str, use: Use) -> None:
    async def connect() -> None:
        environment = {**DEFAULTS, "DATA_DIR": folder, "API_KEY": api.client.key}
        started = StdioServerParameters(
            command=sys.executable, args=["-m", "engine", "mcp"], env=environment, cwd=ROOT
        )
        async with Client(stdio_client(started)) as client:
            await use(client)

    asyncio.run(connect())


async def use_each_tool(client: Client) -> None:
    """Each as its description says."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"search", "fetch", "ask"}
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools.values())

    found = await call(client, "search", query="the storm that broke the dam")
    result = found["results"][0]
    assert {"id", "title", "url", "text", "quote"} <= set(result)
    assert "1791" in result["text"] and result["quote"] in result["text"]
    assert result["title"].startswith("tide-mill.md")

    passage = await call(client, "fetch", id=result["id"])
    assert {"id", "title", "text", "url", "metadata"} == set(passage)
    assert result["text"] in passage["text"]
    document = await call(client, "fetch", id=result["id"].partition("#")[0])
    assert len(document["text"]) > len(passage["text"]) and "1684" in document["text"]

    heard: list[str] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    answer = await client.call_tool("ask", {"question": QUESTION}, progress_callback=hear)
    assert heard
    assert answer.structured_content["sources"][0]["file_name"] == "tide-mill.md"
    text = getattr(answer.content[0], "text", "")
    assert "Voss" in answer.structured_content["answer"] and "[1] tide-mill.md" in text

    listed = (await client.list_resources()).resources
    mill = next(each for each in listed if each.name == "tide-mill.md")
    contents = (await client.read_resource(mill.uri)).contents
    assert "Hannah Voss" in getattr(contents[0], "text", "")


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The result of a tool, which is also JSON in its only text."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error
    (content,) = result.content
    assert json.loads(getattr(content, "text", "")) == result.structured_content
    return dict(result.structured_content)


def test_each_tool_does_what_its_description_says_over_http(api: ApiServer) -> None:
    over_http(api, use_each_tool)


def test_and_over_stdio_through_the_running_app(
    api: ApiServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("found")
    (folder / "app").mkdir()
    announce(folder / "app", api.client.url)
    over_stdio(api, str(folder), use_each_tool)


def test_wrong_arguments_are_answered_with_a_sentence(api: ApiServer) -> None:
    async def misuse(client: Client) -> None:
        wrong: list[tuple[str, dict[str, Any]]] = [
            ("search", {}),
            ("search", {"query": ""}),
            ("search", {"query": "x", "collection": "nowhere"}),
            ("fetch", {"id": "file-nothing"}),
            ("ask", {"question": QUESTION, "passages": 99}),
        ]
        for tool, arguments in wrong:
            result = await client.call_tool(tool, arguments)
            assert result.is_error and getattr(result.content[0], "text", "").endswith(".")

    over_http(api, misuse)


def test_a_caller_who_gives_up_stops_the_model(api: ApiServer) -> None:
    async def give_up(client: Client) -> None:
        asking = asyncio.create_task(client.call_tool("ask", {"question": f"{QUESTION} Tell all."}))
        while api.llm.jobs == 0 and not asking.done():
            await asyncio.sleep(0.001)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    over_http(api, give_up)
    wait_until(lambda: api.llm.jobs == 0)
