"""The Models page in the browser, with a hub on loopback: a model is chosen, used and deleted."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import DESKTOP, ROOT, RunningApp, open_page, running_app, wait_until_idle
from tests.hub_server import FakeHub, Faults, hub_server

REPO, FILE = "maker/Mill-135M-GGUF", "mill-135m-Q8_0.gguf"
HANDBOOK = ROOT / "samples" / "keepers-handbook.pdf"
QUESTION = "Who is the station's cat?"
POEM = "Write a poem of twelve lines about Bosun, the station's cat."  # the model writes for long
LONG = 180_000  # ms: the model is proven and measured on a machine that others share

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def hub(chat_model_path: Path) -> Iterator[FakeHub]:
    """It has the default model under another name."""
    with hub_server({REPO: {FILE: chat_model_path.read_bytes()}}) as served:
        yield served


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, hub: FakeHub) -> Iterator[RunningApp]:
    folder = tmp_path_factory.mktemp("models")
    environ = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf"), "HF_TOKEN": ""}
    with running_app(folder / "data", environ=environ) as started:
        yield started


def open_ask_page(page: Page, app: RunningApp) -> None:
    """The Ask page, with the handbook in its collection."""
    open_page(page, app.url)
    page.get_by_test_id("stChatInputTextArea").wait_for()
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(HANDBOOK)
    expect(page.get_by_text("1 document", exact=False).first).to_be_visible(timeout=LONG)
    wait_until_idle(page)


def answered(page: Page) -> Locator:
    """A button that each answer has once it has ended."""
    return page.get_by_role("button", name="Copy", exact=True)


def test_a_model_is_chosen_downloaded_used_and_deleted(
    browser: Browser, app: RunningApp, hub: FakeHub
) -> None:
    context = browser.new_context(viewport=DESKTOP)
    context.set_default_timeout(60_000)
    asked_before = list(hub.asked)
    ask, page = context.new_page(), context.new_page()
    open_page(page, f"{app.url}/models")
    expect(page.get_by_text("Worth trying")).to_be_visible(timeout=LONG)
    assert hub.asked == asked_before, "the page asked the hub before a person did"

    # choose a repository and a file, and download it over a connection that breaks and stalls
    size = len(hub.files[REPO][FILE])
    hub.faults = Faults(break_at=[size // 4], hold_at=size // 2)
    page.get_by_text("Another model", exact=True).click()
    page.get_by_label("Repository").fill(REPO)
    page.get_by_role("button", name="Show its files").click()
    page.locator(".st-key-download-other").get_by_role("button").click()
    row = page.locator(".st-key-model-maker-Mill-135M-GGUF-mill-135m-Q8-0-gguf")
    expect(row).to_contain_text("of 144.8 MB", timeout=LONG)
    # it broke at a quarter, and has gone on to the half by itself
    expect(row).to_contain_text("72.", timeout=LONG)
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("Paused at 72.", timeout=LONG)
    hub.faults.go_on.set()
    hub.faults = Faults()
    row.get_by_role("button", name="Resume").click()
    use = row.get_by_role("button", name="Use", exact=True)
    expect(use).to_be_visible(timeout=LONG)

    # switch while an answer is written
    open_ask_page(ask, app)
    ask.get_by_test_id("stChatInputTextArea").fill(POEM)
    ask.keyboard.press("Enter")
    answers = ask.locator('[class*="st-key-text-"]')
    expect(answers.first).to_have_text(re.compile(".{20}"), timeout=LONG)
    use.click()
    expect(page.get_by_text("answers now.")).to_be_visible(timeout=LONG)
    expect(row).to_contain_text("In use", timeout=LONG)
    expect(page.get_by_text(FILE).first).to_be_visible(timeout=LONG)
    expect(answered(ask)).to_have_count(1, timeout=LONG)

    # ask the new model
    ask.get_by_test_id("stChatInputTextArea").fill(QUESTION)
    ask.keyboard.press("Enter")
    expect(answered(ask)).to_have_count(2, timeout=LONG)
    expect(answers.nth(1)).not_to_be_empty(timeout=LONG)

    # switch back, and delete it
    configured = page.locator(".st-key-model-configured")
    configured.get_by_role("button", name="Use", exact=True).click()
    expect(configured).to_contain_text("In use", timeout=LONG)
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete 144.8 MB").click()
    expect(row).to_have_count(0, timeout=LONG)
    cache = Path(app.log).parent.parent / "hf"
    left = [each for each in cache.rglob("*") if each.is_file() and each.stat().st_size > 10_000]
    assert left == []
    context.close()


def test_with_nothing_configured_no_request_leaves_the_machine(
    browser: Browser, tmp_path: Path, hub: FakeHub
) -> None:
    """Every attempt to reach another machine is refused and noted, in the app and its children."""
    noted = tmp_path / "connections"
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\n"
        "real = socket.socket.connect\n"
        "def connect(self, address):\n"
        "    host = str(address[0]) if isinstance(address, tuple) else 'unix'\n"
        "    if host not in ('unix', '127.0.0.1', '::1', 'localhost'):\n"
        f"        open({str(noted)!r}, 'a').write(f'{{address}}\\n')\n"
        "        raise OSError('no network')\n"
        "    return real(self, address)\n"
        "socket.socket.connect = connect\n"
        "lookup = socket.getaddrinfo\n"
        "def getaddrinfo(host, *args, **kwargs):\n"
        "    if host not in (None, '', 'localhost', '127.0.0.1', '::1', socket.gethostname()):\n"
        f"        open({str(noted)!r}, 'a').write(f'{{host}}\\n')\n"
        "        raise socket.gaierror('no network')\n"
        "    return lookup(host, *args, **kwargs)\n"
        "socket.getaddrinfo = getaddrinfo\n"
    )
    hub.asked.clear()
    environ = {"PYTHONPATH": str(tmp_path), "HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": ""}
    path = os.environ.get("PYTHONPATH")
    environ["PYTHONPATH"] += f":{path}" if path else ""
    outside: list[str] = []
    with running_app(tmp_path / "data", environ=environ) as started:
        page = browser.new_page()
        page.on(
            "request",
            lambda each: None
            if each.url.startswith((started.url, "data:", "blob:", "ws://localhost"))
            else outside.append(each.url),
        )
        open_page(page, f"{started.url}/models")
        expect(page.get_by_text("Worth trying")).to_be_visible(timeout=LONG)
        open_ask_page(page, started)
        page.get_by_test_id("stChatInputTextArea").fill(QUESTION)
        page.keyboard.press("Enter")
        expect(answered(page)).to_have_count(1, timeout=LONG)
        page.close()
    assert not noted.exists(), noted.read_text()
    assert outside == []
    assert hub.asked == []
