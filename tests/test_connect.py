"""What the page for other tools gives to copy works, and nothing of it is in the log."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp.client import Client as McpClient
from mcp.client.stdio import StdioServerParameters, stdio_client

from engine.api.client import Client
from pages.parts import connect_code
from pages.parts.connect_code import ROOT, Target
from tests.browser import DEFAULTS, RunningApp, running_app

QUESTION = 'Who built the "tide mill" of Pell\'s Creek?'


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def app(data: Path) -> Iterator[RunningApp]:
    """The real app, with one document that another program has added."""
    with running_app(data) as started, Client(started.url) as client:
        added = client.add(ROOT / "samples" / "tide-mill.md", "default")
        deadline = time.monotonic() + 60
        while client.file(added["id"])["status"] == "uploaded":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield started


@pytest.fixture
def target(app: RunningApp) -> Target:
    return Target(app.url, "default", False, ROOT, Path(sys.executable))


def run(command: str, data: Path) -> str:
    """What a command in a shell prints."""
    environment = {**os.environ, **DEFAULTS, "DATA_DIR": str(data)}
    return subprocess.run(
        ["sh", "-c", command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout


def test_the_commands_to_copy_work(target: Target, data: Path) -> None:
    if shutil.which("curl"):
        printed = run(connect_code.curl(target, QUESTION), data)
        assert '"sources":[{' in printed and printed.rstrip().endswith("data: [DONE]")
    code = connect_code.python(target, QUESTION)
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert "tide-mill.md" in printed and "Voss" in printed
    first, ask, search, listing, _ = connect_code.terminal(target, QUESTION).splitlines()
    assert "Voss" in run(f"{first} && {ask}", data)
    assert json.loads(run(f"{first} && {search}", data))["data"]
    assert "tide-mill.md" in run(f"{first} && {listing}", data)


def test_nothing_of_documents_questions_and_answers_is_in_the_log(
    app: RunningApp, target: Target, data: Path
) -> None:
    with Client(app.url) as client:
        client.search("default", QUESTION, 3)
        asked = {"model": target.model, "messages": [{"role": "user", "content": QUESTION}]}
        assert "Voss" in next(client.ask(asked))["choices"][0]["message"]["content"]
    logged = app.log.read_text() + (data / "logs" / "first-token.log").read_text()
    assert "tokens" in logged  # the answer is logged, without its words
    for word in ("Voss", "Pell", "tide mill"):
        assert word not in logged


def test_the_mcp_configurations_work(target: Target, data: Path) -> None:
    environment = {**DEFAULTS, "DATA_DIR": str(data), "PATH": os.environ["PATH"]}
    (command,) = json.loads(connect_code.mcp_by_command(target))["mcpServers"].values()
    (address,) = json.loads(connect_code.mcp_by_address(target))["mcpServers"].values()

    async def tools_of(client: McpClient) -> set[str]:
        async with client:
            return {tool.name for tool in (await client.list_tools()).tools}

    async def both() -> None:
        started = StdioServerParameters(**command, env=environment)
        for server in (stdio_client(started), address["url"]):
            assert await tools_of(McpClient(server)) == {"search", "fetch", "ask"}

    asyncio.run(both())
