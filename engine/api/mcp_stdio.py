"""MCP over standard input and output, for clients that start a program: a bridge to /mcp.

The tools run in the app's process. Each request is passed on to it, and its answer and progress
are passed back.
"""

import asyncio
from typing import Any

from httpx2 import AsyncClient, Timeout
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
)

Context = ServerRequestContext[Any, Any]


def bridge(url: str, key: str) -> None:
    """Serve standard input until it ends."""
    asyncio.run(_bridge(url, key))


async def _bridge(url: str, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        AsyncClient(headers=headers, timeout=Timeout(None), trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http)) as app,
    ):

        async def list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
            return await app.list_tools()

        async def call_tool(context: Context, asked: CallToolRequestParams) -> CallToolResult:
            report = context.session.report_progress
            return await app.call_tool(asked.name, asked.arguments, progress_callback=report)

        async def list_resources(
            _: Context, __: PaginatedRequestParams | None
        ) -> ListResourcesResult:
            return await app.list_resources()

        async def read_resource(_: Context, asked: ReadResourceRequestParams) -> ReadResourceResult:
            return await app.read_resource(asked.uri)

        server: Server[Any] = Server(
            "first-token",
            title="First Token",
            instructions=app.instructions,
            on_list_tools=list_tools,
            on_call_tool=call_tool,
            on_list_resources=list_resources,
            on_read_resource=read_resource,
        )
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())
