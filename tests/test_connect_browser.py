"""The page for other tools: what it gives to copy works, and its button shows the real stream."""

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
from playwright.sync_api import Page, expect

from engine.api.client import Client
from pages.parts import connect_code
from pages.parts.connect_code import ROOT, Target
from tests.browser import DEFAULTS, PHONE, RunningApp, low_contrast, open_page, running_app

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


@pytest.fixture(autouse=True)
def patience() -> None:
    expect.set_options(60_000)  # ms; two cores may be shared with a model


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


@pytest.mark.browser
def test_the_javascript_to_copy_works_on_a_page_of_the_app(
    app: RunningApp, target: Target, page: Page
) -> None:
    open_page(page, app.url)
    code = connect_code.javascript(target, QUESTION)
    printed = page.evaluate(
        f"""async () => {{
            const said = [];
            const console = {{ log: (...parts) => said.push(parts.join(" ")) }};
            {code}
            return said.join("\\n");
        }}"""
    )
    assert "tide-mill.md" in printed and "Voss" in printed


@pytest.mark.browser
def test_a_page_of_another_site_can_neither_read_nor_ask(
    app: RunningApp, target: Target, page: Page
) -> None:
    page.goto("data:text/html,<title>elsewhere</title>")
    for path, method in (("/v1/models", "GET"), ("/v1/chat/completions", "POST")):
        seen = page.evaluate(
            "([url, method]) => fetch(url, { method }).then(() => 'read', () => 'refused')",
            [target.url + path, method],
        )
        assert seen == "refused"


@pytest.mark.browser
def test_the_button_shows_the_stream_frame_by_frame_and_stop_ends_it(
    app: RunningApp, page: Page
) -> None:
    open_page(page, f"{app.url}/connect")
    page.get_by_role("button", name="Try it").click()
    told = page.get_by_role("status").filter(has_text="Sources after")
    expect(told).to_contain_text("first text after")
    frames = page.get_by_label("The frames of the stream").locator("li")
    expect(frames.first).to_contain_text('"sources":[{"document_id"')
    expect(frames.first.locator("time")).to_contain_text("ms")
    expect(frames.last).to_contain_text("data: [DONE]")

    page.route(
        "**/v1/chat/completions",
        lambda route: route.continue_(
            post_data=json.dumps(
                {**route.request.post_data_json, "max_tokens": 2000, "ignore_eos": True}
            )
        ),
    )
    page.get_by_role("button", name="Try it").click()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text("the model has stopped")).to_be_visible()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_and_can_be_read(app: RunningApp, page: Page, scheme: str) -> None:
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    open_page(page, f"{app.url}/connect")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("status").filter(has_text="Sources after")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert low_contrast(page) == []
