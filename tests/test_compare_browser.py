"""The Compare page in a real browser: a real comparison, its race, an export that comes back."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import PHONE, open_page, wait_until_idle

LIMIT = 180_000  # milliseconds: 13 runs on a machine that others load, too
QUESTION = "Who built the tide mill?"

# When each piece of the streaming panel appears, in seconds in real time.
TIMES = """() => [...document.querySelectorAll('.ft-streaming .ft-text span')]
    .map(piece => parseFloat(getComputedStyle(piece).getPropertyValue('--d')))"""

# Stops the replay so many seconds after its beginning, and counts the pieces that each panel shows.
AT = """seconds => {
    for (const each of document.querySelector('.ft-race').getAnimations({subtree: true})) {
        each.pause();
        each.currentTime = seconds * 1000;
    }
    return ['streaming', 'non-streaming'].map(mode =>
        [...document.querySelectorAll(`.ft-${mode} .ft-text span`)]
            .filter(piece => getComputedStyle(piece).fontSize !== '0px').length);
}"""


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
    expect(tab.get_by_test_id("stMain").get_by_role("button", name="Stop")).to_be_visible()
    tab.get_by_role("heading", name="The race").wait_for(timeout=LIMIT)
    return tab


def verdict(tab: Page) -> str:
    found = tab.get_by_text(re.compile(r"; the whole answer (takes|shows)")).first
    found.wait_for(timeout=LIMIT)
    return found.inner_text()


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
    compared.get_by_role("radio", name="Half speed").or_(
        compared.get_by_role("button", name="Half speed")
    ).first.click()
    expect(compared.get_by_text("A replay at half speed")).to_be_visible()
    compared.get_by_role("button", name="Replay").click()
    wait_until_idle(compared)
    times = compared.evaluate(TIMES)
    total = len(times)
    assert total > 2
    gaps = zip([0.0, *times], times, strict=False)
    # An animation lasts 1 ms, so pieces that came together cannot be distinguished.
    apart = [(early, late) for early, late in gaps if late - early > 0.004]
    assert len(apart) > 2
    for early, late in apart:
        shown = sum(time <= early for time in times)
        at = (early + late) / 2 / 0.5
        assert compared.evaluate(AT, at) == [shown, 0], "one reads, one waits"
    assert compared.evaluate(AT, times[-1] / 0.5 + 1) == [total, 1]


@pytest.mark.browser
def test_the_focus_stays_on_the_button_that_was_pressed_and_the_end_is_announced(
    compared: Page,
) -> None:
    button = compared.locator(".st-key-run-readers button")
    button.focus()
    compared.keyboard.press("Enter")
    expect(button).to_contain_text("Stop", timeout=LIMIT)
    expect(button).to_be_focused()
    compared.keyboard.press("Enter")
    expect(button).to_contain_text("Test with 1, 2 and 4 readers", timeout=LIMIT)
    expect(button).to_be_focused()
    expect(compared.get_by_role("status").filter(has_text="has stopped")).to_have_count(
        1, timeout=LIMIT
    )


@pytest.mark.browser
def test_an_export_comes_back_with_the_same_finding(compared: Page, tmp_path: Path) -> None:
    said = verdict(compared)
    with compared.expect_download() as download:
        compared.get_by_role("button", name="Tokens, JSONL").click()
    file = tmp_path / "tokens.jsonl"
    download.value.save_as(file)
    compared.get_by_role("button", name="Delete").click()
    expect(compared.get_by_text("No measurement is kept yet")).to_be_visible(timeout=LIMIT)
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
