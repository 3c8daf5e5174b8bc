"""Every page, in both themes, as axe-core judges it; and the whole way with the keyboard alone."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import (
    DESKTOP,
    PHONE,
    ROOT,
    RunningApp,
    open_page,
    running_app,
    wait_until_idle,
)

pytestmark = pytest.mark.browser
MILLISECONDS = 60_000.0  # a loaded machine; a page that hangs for ever still fails
AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
HANDBOOK = ROOT / "samples" / "keepers-handbook.pdf"
QUESTION = "How often does the lamp of Cold Ness Light flash?"
LONG = "Write a poem of twelve lines about Bosun, the station's cat."
NAME = "e => e.getAttribute('aria-label') || e.innerText || e.placeholder || ''"
Scheme = Literal["light", "dark"]


def faults(page: Page) -> list[str]:
    """What axe-core calls serious or critical: its rule, and where it is broken."""
    page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{violation['impact']}: {violation['help']}: {node['target']} {node['html'][:150]}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def stayed(page: Page) -> Page:
    page.set_default_timeout(MILLISECONDS)
    expect.set_options(MILLISECONDS)
    return page


@pytest.fixture(scope="module")
def answered_at(app: RunningApp, browser: Browser) -> str:
    """The address of a conversation about the handbook, with an answer."""
    page = stayed(browser.new_page())
    open_page(page, app.url)
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(HANDBOOK)
    expect(page.get_by_text("1 document").first).to_be_visible()
    wait_until_idle(page)
    page.get_by_test_id("stChatInputTextArea").fill(QUESTION)
    page.keyboard.press("Enter")
    expect(page.get_by_text("finished after")).to_be_visible()
    wait_until_idle(page)
    address = page.url
    page.close()
    return address


@pytest.fixture
def themed(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    scheme: Scheme = request.param
    context = browser.new_context(color_scheme=scheme, viewport=DESKTOP)
    yield stayed(context.new_page())
    context.close()


both_themes = pytest.mark.parametrize("themed", ["light", "dark"], indirect=True)


@both_themes
@pytest.mark.parametrize("name", ["library", "agent", "compare", "walkthrough", "models"])
def test_a_page_has_no_serious_fault(
    themed: Page, app: RunningApp, answered_at: str, name: str
) -> None:
    open_page(themed, f"{app.url}/{name}")
    themed.get_by_role("heading", level=1).wait_for()
    wait_until_idle(themed)
    assert faults(themed) == []


@both_themes
def test_ask_has_no_serious_fault_in_any_state(
    themed: Page, app: RunningApp, answered_at: str
) -> None:
    open_page(themed, app.url)  # a new conversation
    themed.get_by_role("heading", level=1).wait_for()
    wait_until_idle(themed)
    assert faults(themed) == []
    open_page(themed, answered_at)
    themed.get_by_role("link", name="[1]").click()
    themed.locator(".st-key-source-panel img").wait_for()
    wait_until_idle(themed)
    assert faults(themed) == []
    themed.set_viewport_size(PHONE)
    assert faults(themed) == []
    themed.set_viewport_size(DESKTOP)
    themed.get_by_role("button", name="Close").click()
    themed.get_by_role("button", name="Settings").click()
    expect(themed.get_by_role("slider").first).to_be_visible()
    assert faults(themed) == []


@both_themes
def test_an_empty_library_and_ask_have_no_serious_fault(themed: Page, tmp_path: Path) -> None:
    with running_app(tmp_path) as empty:
        for path in ("", "/library"):
            open_page(themed, f"{empty.url}{path}")
            themed.get_by_role("heading", level=1).wait_for()
            wait_until_idle(themed)
            assert faults(themed) == [], path


def tab_to(page: Page, name: str, limit: int = 40) -> None:
    """Press Tab until a control of this name has the focus."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        focused = page.locator(":focus:is(a, button, input, textarea)")
        if focused.count() and name in focused.evaluate(NAME):
            return
    pytest.fail(f"{limit} tabs do not reach {name!r}")


def test_the_keyboard_alone_leads_from_an_empty_library_to_a_page_and_an_export(
    page: Page, tmp_path: Path
) -> None:
    stayed(page)
    with running_app(tmp_path) as empty:
        open_page(page, empty.url)
        page.get_by_role("heading", level=1).wait_for()
        wait_until_idle(page)
        tab_to(page, "Try it with")
        page.keyboard.press("Enter")
        expect(page.get_by_text("5 documents").first).to_be_visible()
        wait_until_idle(page)
        tab_to(page, "Ask your documents")
        page.keyboard.type(QUESTION)
        page.keyboard.press("Enter")
        expect(page.get_by_text("finished after")).to_be_visible()
        wait_until_idle(page)

        page.get_by_test_id("stMain").evaluate("e => e.focus()")
        tab_to(page, "[1]")
        page.keyboard.press("Enter")
        expect(page.locator(".st-key-source-panel img")).to_be_in_viewport()
        expect(page.get_by_role("button", name="Close")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator(".st-key-source-panel")).to_have_count(0)

        tab_to(page, "Ask your documents")
        page.keyboard.type(LONG)
        page.keyboard.press("Enter")
        expect(page.get_by_text("writing,")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_text("stopped after")).to_be_visible()
        expect(page.get_by_test_id("stChatInputTextArea")).to_be_focused()

        page.get_by_test_id("stMain").evaluate("e => e.focus()")
        tab_to(page, "Conversation")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Export as Markdown")).to_be_visible()
        with page.expect_download() as download:
            tab_to(page, "Export as Markdown")
            page.keyboard.press("Enter")
        text = Path(download.value.path()).read_text(encoding="utf-8")
        assert f"## {QUESTION}" in text
