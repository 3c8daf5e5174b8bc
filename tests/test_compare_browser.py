"""The Compare page in a real browser: a real comparison, its race, an export that comes back."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import PHONE, go_to, open_page, wait_until_idle

LIMIT = 180_000  # milliseconds: 13 runs on a machine that others load, too
QUESTION, ANOTHER = "Who built the tide mill?", "On which day is the bakery closed?"

# When each piece of the streaming panel appears, in seconds in real time.
TIMES = """() => [...document.querySelectorAll('.ft-panel:first-child .ft-text span')]
    .map(piece => parseFloat(getComputedStyle(piece).getPropertyValue('--d')))"""

# Stops the replay so many seconds after its beginning, and counts the pieces that each panel shows.
AT = """seconds => {
    for (const each of document.querySelector('.ft-race').getAnimations({subtree: true})) {
        each.pause();
        each.currentTime = seconds * 1000;
    }
    return [...document.querySelectorAll('.ft-panel')].map(panel =>
        [...panel.querySelectorAll('.ft-text span')]
            .filter(piece => getComputedStyle(piece).fontSize !== '0px').length);
}"""

# What sticks out of the window, or is cut off within its box, in the sections that are open.
TOO_WIDE = """() => [...document.querySelectorAll(
        '[data-testid=stMain] :is(.ft-panel, .ft-chart, .ft-word, .ft-name, p, button, summary)')]
    .filter(each => each.checkVisibility())
    .filter(each => each.getBoundingClientRect().right > innerWidth + 1
        || getComputedStyle(each).overflowX === "hidden" && each.scrollWidth > each.clientWidth + 1)
    .map(each => each.className + ' ' + each.textContent.slice(0, 60))"""

SECTIONS = ("What a reader notices", "Every run", "Where the time goes", "The metrics")


@pytest.fixture(scope="module")
def compared(browser: Browser, app_url: str) -> Page:
    """A tab in which the samples were added and two short questions were compared."""
    tab = browser.new_context(accept_downloads=True).new_page()
    open_page(tab, app_url)
    go_to(tab, "Compare")
    tab.get_by_role("button", name="Try it with").click()
    tab.get_by_role("button", name="Run the comparison").wait_for(timeout=LIMIT)
    wait_until_idle(tab)
    box = tab.get_by_role("textbox", name="Questions")
    tab.get_by_text(QUESTION, exact=True).click(timeout=LIMIT)
    expect(box).to_have_value(QUESTION)
    box.fill(f"{QUESTION}\n{ANOTHER}")
    box.press("Control+Enter")
    expect(tab.get_by_text("2 questions, 12 runs")).to_be_visible()
    tab.get_by_role("button", name="Run the comparison").click()
    expect(tab.get_by_test_id("stMain").get_by_role("button", name="Stop")).to_be_visible()
    tab.get_by_role("heading", name="The race").wait_for(timeout=LIMIT)
    wait_until_idle(tab)
    return tab


def verdict(tab: Page) -> str:
    found = tab.get_by_text(re.compile(r"; the whole answer (takes|shows)")).first
    found.wait_for(timeout=LIMIT)
    return found.inner_text()


@pytest.mark.browser
def test_a_real_comparison_ends_in_a_finding_and_every_section(compared: Page) -> None:
    assert verdict(compared)
    for section in ("The questions", *SECTIONS):
        expect(compared.locator("summary", has_text=section).first).to_be_visible()
    expect(compared.locator(".ft-chart").first).to_be_visible()
    expect(compared.locator("[data-testid=stException]")).to_have_count(0)


@pytest.mark.browser
def test_the_exported_page_opens_offline_in_another_browser_and_tells_the_same(
    compared: Page, browser: Browser, tmp_path: Path
) -> None:
    said = verdict(compared)
    with compared.expect_download() as download:
        compared.get_by_role("button", name="This measurement as a page").click()
    file = tmp_path / "measurement.html"
    download.value.save_as(file)
    elsewhere = browser.new_context(offline=True, viewport=PHONE)
    try:
        tab = elsewhere.new_page()
        complaints: list[str] = []
        asked: list[str] = []
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(file.as_uri())
        expect(tab.get_by_text(said)).to_be_visible()
        assert tab.locator(".ft-panel").count() == 2
        for section in SECTIONS:
            tab.locator("summary", has_text=section).first.click()
        assert tab.locator(".ft-chart:visible").count() >= 5
        assert tab.get_by_text("SmolLM2").first.is_visible()
        assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        began = "document.querySelector('.ft-race').getAnimations({subtree: true})[0].startTime"
        before = tab.evaluate(began)
        tab.get_by_role("button", name="Half speed").click()
        assert tab.evaluate(began) != before, "the replay has begun again"
        assert complaints == [] and asked == [file.as_uri()]
    finally:
        elsewhere.close()


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
    button = compared.locator(".st-key-run-load button")
    button.focus()
    compared.keyboard.press("Enter")
    expect(button).to_contain_text("Stop", timeout=LIMIT)
    expect(button).to_be_focused()
    compared.keyboard.press("Enter")
    expect(button).to_contain_text("Measure the load", timeout=LIMIT)
    expect(button).to_be_focused()
    expect(compared.get_by_role("status").filter(has_text="has stopped")).to_have_count(
        1, timeout=LIMIT
    )


@pytest.mark.browser
def test_an_export_comes_back_with_the_same_finding(compared: Page, tmp_path: Path) -> None:
    said = verdict(compared)
    compared.get_by_role("button", name="For other tools").click()
    with compared.expect_download() as download:
        compared.get_by_role("button", name="Tokens, JSONL").click()
    file = tmp_path / "tokens.jsonl"
    download.value.save_as(file)
    compared.keyboard.press("Escape")
    compared.get_by_role("button", name="Delete").click()
    expect(compared.get_by_text("No measurement is kept yet")).to_be_visible(timeout=LIMIT)
    compared.locator("[data-testid=stFileUploader] input[type=file]").last.set_input_files(file)
    expect(compared.get_by_text(said)).to_be_visible(timeout=LIMIT)
    expect(compared.get_by_text("imported").first).to_be_visible()


@pytest.mark.browser
def test_nothing_is_wider_than_a_phone(compared: Page) -> None:
    compared.set_viewport_size(PHONE)
    wait_until_idle(compared)
    shown: list[str] = compared.evaluate(TOO_WIDE)
    assert shown == []


@pytest.mark.soak
@pytest.mark.browser
def test_answers_are_measured_up_to_the_text_that_can_be_seen(compared: Page) -> None:
    """The way through the page and the browser has stages of its own."""
    compared.get_by_role("button", name="answers in this browser").click()
    said = compared.get_by_text(re.compile("^In process against in the browser: the first words"))
    said.first.wait_for(timeout=LIMIT)
    wait_until_idle(compared)
    compared.locator("summary", has_text="Where the time goes").first.click()
    compared.get_by_role("radio", name="In the browser").click()
    for stage in ("to the app", "rerank", "to the page", "to the screen"):
        expect(compared.locator(".ft-label", has_text=stage)).to_be_visible()
    expect(compared.get_by_text("6 in process and 6 in the browser")).to_be_visible()


@pytest.mark.soak
@pytest.mark.browser
def test_ten_questions_about_the_documents_in_process_and_over_http(
    compared: Page, browser: Browser, tmp_path: Path
) -> None:
    """The whole way with ten questions, from choosing them to the page opened offline."""
    compared.get_by_role("button", name="More questions").click()
    compared.get_by_role("button", name="Ask about the documents").click()
    compared.keyboard.press("Escape")
    expect(compared.get_by_text("10 questions, 20 runs")).to_be_visible(timeout=LIMIT)
    compared.get_by_role("button", name="Settings", exact=True).click()
    compared.get_by_role("combobox", name="What to compare").click()
    compared.get_by_role("option", name="In process and over HTTP").click()
    compared.keyboard.press("Escape")
    compared.get_by_role("button", name="Run the comparison").click()
    said = compared.get_by_text(re.compile("^In process against over HTTP: the first words"))
    said.first.wait_for(timeout=2 * LIMIT)
    with compared.expect_download() as download:
        compared.get_by_role("button", name="This measurement as a page").click()
    file = tmp_path / "ten.html"
    download.value.save_as(file)
    elsewhere = browser.new_context(offline=True)
    try:
        tab = elsewhere.new_page()
        tab.goto(file.as_uri())
        expect(tab.get_by_text(said.first.inner_text())).to_be_visible()
        tab.locator("summary", has_text="Where the time goes: over HTTP").click()
        for stage in ("request", "rerank", "response"):
            expect(tab.locator(".ft-label:visible", has_text=stage).first).to_be_visible()
    finally:
        elsewhere.close()
