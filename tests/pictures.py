"""The README's pictures, taken of the real app with the samples: `python -m tests.pictures`.

Take them on a quiet machine: the figures in them are real.
"""

import re
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.browser import DESKTOP, ROOT, chromium, open_page, running_app, wait_until_idle

DOCS = ROOT / "docs"
LIMIT = 120_000.0  # milliseconds
QUESTION = "Who built the tide mill?"
TASK = "Who built the tide mill, and what is 2026 - 1684?"


def ask(tab: Page, url: str) -> None:
    open_page(tab, url)
    tab.get_by_role("button", name="sample documents").click()
    tab.get_by_text("5 documents").first.wait_for()
    for _ in range(2):  # the second time nothing is loaded on first use any more
        open_page(tab, url)
        tab.get_by_text(QUESTION).last.click()
        tab.get_by_text(re.compile(r"first token [\d.]+ s")).first.wait_for()
        wait_until_idle(tab)
    _to_the_top(tab)


def library(tab: Page, url: str) -> None:
    open_page(tab, f"{url}/library")
    tab.get_by_role("heading", name="Library").wait_for()
    wait_until_idle(tab)


def agent(tab: Page, url: str) -> None:
    open_page(tab, f"{url}/agent")
    tab.get_by_test_id("stChatInputTextArea").fill(TASK)
    tab.keyboard.press("Enter")
    tab.get_by_text("finished after").first.wait_for()
    wait_until_idle(tab)
    _to_the_top(tab)


def compare(tab: Page, url: str) -> None:
    open_page(tab, f"{url}/compare")
    tab.get_by_role("textbox", name="Question").fill(QUESTION)
    tab.keyboard.press("Enter")
    wait_until_idle(tab)
    tab.get_by_role("button", name="Run the comparison").click()
    tab.get_by_role("heading", name="The race").wait_for()
    wait_until_idle(tab)
    tab.get_by_role("heading", name="The race").evaluate("e => e.scrollIntoView()")


def walkthrough(tab: Page, url: str) -> None:
    open_page(tab, f"{url}/walkthrough")
    tab.get_by_role("button", name="Run all").click()
    finished = tab.get_by_text(re.compile("finished after"))
    expect(finished).to_have_count(13, timeout=LIMIT)
    wait_until_idle(tab)
    tab.locator(".st-key-cell-iterate_the_stream").evaluate("e => e.scrollIntoView()")


def models(tab: Page, url: str) -> None:
    open_page(tab, f"{url}/models")
    tab.get_by_role("button", name=re.compile("Run( again)?$")).click()
    tab.get_by_text("finished after").wait_for()
    wait_until_idle(tab)
    tab.get_by_role("heading", name="How fast it is here").evaluate("e => e.scrollIntoView()")


def _to_the_top(tab: Page) -> None:
    tab.get_by_test_id("stMainBlockContainer").evaluate("e => e.scrollIntoView()")


def take(browser: Browser, url: str) -> None:
    for page in (ask, library, agent, compare, walkthrough, models):
        with browser.new_context(viewport=DESKTOP) as context:
            tab = context.new_page()
            tab.set_default_timeout(LIMIT)
            page(tab, url)
            tab.wait_for_timeout(1000)  # until charts and fonts are drawn
            tab.screenshot(path=DOCS / f"{page.__name__}.png")


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as data,
        running_app(Path(data)) as app,
        chromium() as browser,
    ):
        take(browser, app.url)


if __name__ == "__main__":
    main()
