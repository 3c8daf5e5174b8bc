"""The Compare page in a real browser: a real comparison, its race, an export that comes back."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import PHONE, open_page, wait_until_idle

LIMIT = 180_000  # milliseconds: 13 runs on a machine that others load, too
QUESTION = "Who built the tide mill?"

# How many pieces of text each panel of the race shows.
SHOWN = """() => ['streaming', 'non-streaming'].map(mode =>
    [...document.querySelectorAll(`.ft-${mode} .ft-text span`)]
        .filter(piece => getComputedStyle(piece).fontSize !== '0px').length)"""


@pytest.fixture(scope="module")
def compared(browser: Browser, app_url: str) -> Page:
    """A tab in which the samples were added and one short question was compared."""
    tab = browser.new_context(accept_downloads=True).new_page()
    open_page(tab, app_url)
    tab.get_by_role("link", name="Compare").click()
    tab.get_by_role("button", name="Try it with").click()
    tab.get_by_role("button", name="Run the comparison").wait_for(timeout=LIMIT)
    wait_until_idle(tab)
    tab.get_by_text(QUESTION, exact=True).click(timeout=LIMIT)
    expect(tab.get_by_role("textbox", name="Question")).to_have_value(QUESTION)
    tab.get_by_role("button", name="Run the comparison").click()
    expect(tab.locator(".st-key-stop-measuring")).to_be_visible(timeout=LIMIT)
    tab.get_by_role("heading", name="The race").wait_for(timeout=LIMIT)
    return tab


def verdict(tab: Page) -> str:
    found = tab.get_by_text(re.compile(r"first words .* times|do not tell the modes apart")).first
    found.wait_for(timeout=LIMIT)
    return found.inner_text()


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


@pytest.mark.browser
def test_a_real_comparison_ends_in_a_finding_and_every_section(compared: Page) -> None:
    assert verdict(compared)
    for section in ("Every run", "Where the time goes", "Token by token", "The metrics"):
        expect(compared.get_by_role("heading", name=section)).to_be_visible()
    expect(compared.locator("[data-testid=stVegaLiteChart]").first).to_be_visible()
    expect(compared.locator("[data-testid=stException]")).to_have_count(0)


@pytest.mark.browser
def test_the_race_shows_one_reader_the_words_as_they_come_and_the_other_all_at_once(
    compared: Page,
) -> None:
    total = compared.locator(".ft-streaming .ft-text span").count()
    assert total > 2
    compared.get_by_role("radio", name="Half speed").or_(
        compared.get_by_role("button", name="Half speed")
    ).first.click()
    compared.get_by_role("button", name="Replay").click()
    until(lambda: compared.evaluate(SHOWN)[0] < total)
    seen: list[tuple[int, int]] = []

    def ended() -> bool:
        seen.append(tuple(compared.evaluate(SHOWN)))
        return seen[-1] == (total, 1)

    until(ended)
    assert [each for each in seen if 0 < each[0] < total and each[1] == 0], "one reads, one waits"
    assert not [each for each in seen if each[1] and each[0] < total - 1]
    expect(compared.get_by_text("A replay at half speed")).to_be_visible()


@pytest.mark.browser
def test_an_export_comes_back_with_the_same_finding(compared: Page, tmp_path: Path) -> None:
    said = verdict(compared)
    with compared.expect_download() as download:
        compared.get_by_role("button", name="Tokens, JSONL").click()
    file = tmp_path / "tokens.jsonl"
    download.value.save_as(file)
    compared.get_by_role("button", name="Delete").click()
    expect(compared.get_by_text("Nothing is kept yet")).to_be_visible(timeout=LIMIT)
    compared.locator("[data-testid=stFileUploader] input[type=file]").last.set_input_files(file)
    expect(compared.get_by_text(said)).to_be_visible(timeout=LIMIT)
    expect(compared.get_by_text("imported").first).to_be_visible()


@pytest.mark.browser
def test_nothing_is_wider_than_a_phone(compared: Page) -> None:
    compared.set_viewport_size(PHONE)
    wait_until_idle(compared)
    widest: Any = compared.evaluate(
        "Math.max(...[...document.querySelectorAll('[data-testid=stMain] canvas, .ft-panel')]"
        ".map(each => each.getBoundingClientRect().right))"
    )
    assert widest <= PHONE["width"]
