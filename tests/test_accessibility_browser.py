"""Every page, in both themes, as axe-core judges it; and the whole way with the keyboard alone."""

import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from engine.api.client import Client
from tests.browser import (
    DESKTOP,
    PHONE,
    ROOT,
    RunningApp,
    open_page,
    running_app,
    wait_until_idle,
    wait_until_true,
)

pytestmark = pytest.mark.browser
MILLISECONDS = 60_000.0  # a loaded machine; a page that hangs for ever still fails
AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
HANDBOOK = ROOT / "samples" / "keepers-handbook.pdf"
QUESTION = "How often does the lamp of Cold Ness Light flash?"
LONG = "Write a poem of twelve lines about Bosun, the station's cat."
NAME = "e => e.getAttribute('aria-label') || e.innerText || e.placeholder || ''"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
IS_THEMED = """scheme => {
  const app = document.querySelector("[data-testid=stApp]");
  const red = parseInt(getComputedStyle(app).backgroundColor.match(/\\d+/));
  return (scheme === "light") === (red > 127);
}"""


def faults(page: Page) -> list[str]:
    """What axe-core calls serious or critical in either theme: its rule, and where it is broken."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    found = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        wait_until_true(page, IS_THEMED, scheme)  # the page follows the system
        wait_until_idle(page)
        result: dict[str, Any] = page.evaluate("axe.run({resultTypes: ['violations']})")
        found += [
            f"{scheme}, {violation['impact']}: {violation['help']}: {node['target']} "
            f"{node['html'][:150]}"
            for violation in result["violations"]
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"]
        ]
    return found


def stayed(page: Page) -> Page:
    page.set_default_timeout(MILLISECONDS)
    expect.set_options(MILLISECONDS)
    return page


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app, with damaged settings. Its library is empty until the keyboard has filled it."""
    data = tmp_path_factory.mktemp("data")
    (data / "app").mkdir()
    (data / "app" / "settings.json").write_text(
        '{"temperature": "hot", "length": 1024, "first_token_budget": 0.0}'
    )
    with running_app(data) as started:
        yield started


@pytest.fixture(scope="module")
def answered_at(app: RunningApp, browser: Browser) -> str:
    """The address of a conversation about the handbook, with an answer."""
    with Client(app.url) as client:
        added = client.add(HANDBOOK, "default")
        deadline = time.monotonic() + MILLISECONDS / 1000
        while client.file(added["id"])["status"] == "uploaded":
            assert time.monotonic() < deadline
            time.sleep(0.05)
    page = stayed(browser.new_page())
    open_page(page, app.url)
    page.get_by_test_id("stChatInputTextArea").fill(QUESTION)
    page.keyboard.press("Enter")
    expect(page.get_by_text("finished after")).to_be_visible()
    wait_until_idle(page)
    address = page.url
    page.close()
    return address


@pytest.fixture
def tab(page: Page) -> Page:
    return stayed(page)


def test_an_empty_library_and_ask_have_no_serious_fault_and_a_notice_is_dismissed_beside_it(
    tab: Page, app: RunningApp
) -> None:
    for path in ("", "/library"):
        open_page(tab, f"{app.url}{path}")
        tab.get_by_role("heading", level=1).wait_for()
        wait_until_idle(tab)
        assert faults(tab) == [], path
    dismiss = tab.get_by_role("button", name="Dismiss")
    notice, beside = tab.get_by_role("alert").bounding_box(), dismiss.bounding_box()
    assert notice and beside
    assert beside["x"] >= notice["x"] + notice["width"]
    assert notice["y"] <= beside["y"] < notice["y"] + notice["height"]
    dismiss.click()
    expect(tab.get_by_role("alert")).to_have_count(0)


def tab_to(page: Page, name: str, limit: int = 40) -> None:
    """Press Tab until a control of this name has the focus."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        focused = page.locator(":focus:is(a, button, input, textarea)")
        if focused.count() and name in focused.evaluate(NAME):
            return
    pytest.fail(f"{limit} tabs do not reach {name!r}")


def test_the_keyboard_alone_leads_from_an_empty_library_to_a_page_and_an_export(
    tab: Page, app: RunningApp
) -> None:
    open_page(tab, app.url)
    tab.get_by_role("heading", level=1).wait_for()
    wait_until_idle(tab)
    tab_to(tab, "Try it with")
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("5 documents").first).to_be_visible()
    wait_until_idle(tab)
    tab_to(tab, "Ask your documents")
    tab.keyboard.type(QUESTION)
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("finished after")).to_be_visible()
    wait_until_idle(tab)

    tab.get_by_test_id("stMain").evaluate("e => e.focus()")
    tab_to(tab, "[1]")
    tab.keyboard.press("Enter")
    expect(tab.locator(".st-key-source-panel img")).to_be_in_viewport()
    expect(tab.get_by_role("button", name="Close")).to_be_focused()
    tab.keyboard.press("Escape")
    expect(tab.locator(".st-key-source-panel")).to_have_count(0)

    tab_to(tab, "Ask your documents")
    tab.keyboard.type(LONG)
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("writing,")).to_be_visible()
    tab.keyboard.press("Escape")
    expect(tab.get_by_text("stopped after")).to_be_visible()
    expect(tab.get_by_test_id("stChatInputTextArea")).to_be_focused()

    tab.get_by_test_id("stMain").evaluate("e => e.focus()")
    tab_to(tab, "Conversation")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("button", name="Export as Markdown")).to_be_visible()
    with tab.expect_download() as download:
        tab_to(tab, "Export as Markdown")
        tab.keyboard.press("Enter")
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert f"## {QUESTION}" in text


@pytest.mark.parametrize(
    "name", ["library", "agent", "compare", "walkthrough", "connect", "models"]
)
def test_a_page_has_no_serious_fault(
    tab: Page, app: RunningApp, answered_at: str, name: str
) -> None:
    open_page(tab, f"{app.url}/{name}")
    tab.get_by_role("heading", level=1).wait_for()
    wait_until_idle(tab)
    assert faults(tab) == []


def test_ask_has_no_serious_fault_in_any_state(
    tab: Page, app: RunningApp, answered_at: str
) -> None:
    open_page(tab, app.url)  # a new conversation
    tab.get_by_role("heading", level=1).wait_for()
    wait_until_idle(tab)
    assert faults(tab) == []
    open_page(tab, answered_at)
    tab.get_by_role("link", name="[1]").click()
    tab.locator(".st-key-source-panel img").wait_for()
    wait_until_idle(tab)
    assert faults(tab) == []
    tab.set_viewport_size(PHONE)
    assert faults(tab) == []
    tab.set_viewport_size(DESKTOP)
    tab.get_by_role("button", name="Close").click()
    tab.get_by_role("button", name="Edit").click()
    expect(tab.get_by_role("button", name="Cancel")).to_be_visible()
    tab.get_by_role("button", name="Settings").click()
    expect(tab.get_by_role("slider").first).to_be_visible()
    assert faults(tab) == []
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name="Report").click()
    expect(tab.get_by_role("dialog")).to_be_visible()
    wait_until_idle(tab)
    assert faults(tab) == []
