"""The Walkthrough page as a person uses it: a real Chromium, the real app and model."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from pages.cells.lessons import LESSONS
from tests.browser import (
    DESKTOP,
    PHONE,
    RunningApp,
    low_contrast,
    open_page,
    running_app,
    wait_until_idle,
)

pytestmark = pytest.mark.browser
SECONDS = 90_000.0  # milliseconds; a loaded machine, and a page that hangs for ever still fails
FINISHED = re.compile("finished after")


@pytest.fixture
def walkthrough(page: Page, app: RunningApp) -> Page:
    page.set_default_timeout(SECONDS)
    open_page(page, f"{app.url}/walkthrough")
    expect(page.get_by_role("heading", name="Walkthrough")).to_be_visible(timeout=SECONDS)
    wait_until_idle(page)
    return page


@pytest.fixture(scope="module")
def ran(browser: Browser, app: RunningApp) -> Iterator[Page]:
    """A tab in which the keyboard has run all cells, once for all tests that need it."""
    with browser.new_context(viewport=DESKTOP) as context:
        page = context.new_page()
        page.set_default_timeout(SECONDS)
        open_page(page, f"{app.url}/walkthrough")
        run_all(page).focus()
        page.keyboard.press("Enter")
        expect(run_all(page)).to_contain_text("Stop", timeout=SECONDS)
        # Before the last cell ends: the page scrolls to each cell that runs.
        expect(cell(page, LESSONS[-1].name)).to_be_in_viewport(timeout=SECONDS)
        expect(page.get_by_text(FINISHED)).to_have_count(len(LESSONS), timeout=SECONDS)
        wait_until_idle(page)
        yield page


def run_all(page: Page) -> Locator:
    return page.locator(".st-key-run-all-button button")


def cell(page: Page, name: str) -> Locator:
    return page.locator(f".st-key-cell-{name}")


def output(page: Page, name: str) -> Locator:
    return page.locator(f".st-key-output-{name}")


def shows(place: Locator, text: str) -> None:
    expect(place).to_contain_text(text, timeout=SECONDS)


def test_run_all_scrolls_to_the_running_cell_keeps_the_focus_and_announces_its_end(
    ran: Page,
) -> None:
    expect(cell(ran, LESSONS[-1].name)).to_be_in_viewport()  # nobody has scrolled
    expect(run_all(ran)).to_contain_text("Run all", timeout=SECONDS)
    expect(run_all(ran)).to_be_focused()
    status = ran.get_by_role("status").filter(has_text="An agent's events: finished.")
    expect(status).to_have_count(1, timeout=SECONDS)


def test_run_all_runs_every_cell_and_a_new_question_puts_those_that_ask_it_out_of_date(
    ran: Page,
) -> None:
    for lesson in LESSONS:
        assert len(output(ran, lesson.name).inner_text().strip()) > 10
    contents = ran.locator(".st-key-contents")
    expect(contents.get_by_text("update")).to_have_count(0)
    old = output(ran, "iterate_the_stream").inner_text()
    ran.get_by_label("Question").fill("On which day is the bakery closed?")
    ran.keyboard.press("Enter")
    shows(cell(ran, "iterate_the_stream"), "out of date")
    assert output(ran, "iterate_the_stream").inner_text() == old
    assert "On which day" in cell(ran, "iterate_the_stream").inner_text()
    # The list of cells agrees with the cells.
    asking = set[str]()
    made = set[str]()
    for lesson in LESSONS:
        if "question" in lesson.values or made & set(lesson.needs):
            asking.add(lesson.name)
            made |= set(lesson.makes)
    stale = ran.get_by_test_id("stMain").get_by_text("out of date")
    expect(stale).to_have_count(len(asking), timeout=SECONDS)
    expect(contents.get_by_text("update")).to_have_count(len(asking), timeout=SECONDS)
    for untouched in ("load_documents", "build_index", "set_the_model", "count_the_chunks"):
        shows(cell(ran, untouched), "finished")
    cell(ran, "iterate_the_stream").get_by_role("button", name="Run again").click()
    shows(output(ran, "iterate_the_stream"), "Monday")
    shows(cell(ran, "print_the_stream"), "out of date")
    ran.reload()
    shows(output(ran, "iterate_the_stream"), "Monday")


def test_a_single_cell_runs_what_it_needs_and_nothing_moves_while_it_does(
    walkthrough: Page,
) -> None:
    shows(cell(walkthrough, "print_the_stream"), "runs 1, 2, 3 and 5 first")
    cell(walkthrough, "print_the_stream").get_by_role("button", name="Run").click()
    shows(cell(walkthrough, "print_the_stream"), "finished")
    shows(output(walkthrough, "print_the_stream"), "Voss")
    shows(cell(walkthrough, "ask_for_the_whole"), "never run")
    height = output(walkthrough, "print_the_stream").bounding_box()
    cell(walkthrough, "print_the_stream").get_by_role("button", name="Run again").click()
    shows(output(walkthrough, "print_the_stream"), "Voss")
    again = output(walkthrough, "print_the_stream").bounding_box()
    assert height and again and height["height"] == again["height"]


def test_a_rerun_of_the_page_in_mid_cell_loses_nothing_and_stop_stops(walkthrough: Page) -> None:
    walkthrough.get_by_role("button", name="Run all").click()
    walkthrough.get_by_text("Show code").click()
    expect(walkthrough.get_by_test_id("stCode").filter(has_text="import")).to_have_count(
        0, timeout=SECONDS
    )
    walkthrough.get_by_text("Show code").click()
    walkthrough.get_by_role("link", name="Library").click()
    walkthrough.get_by_role("link", name="Walkthrough").click()
    shows(output(walkthrough, "build_index"), "can be searched")
    button = walkthrough.locator(".st-key-run-all-button button")
    if "Stop" in button.inner_text():
        button.click()
    expect(button).to_contain_text("Run all", timeout=SECONDS)
    shows(cell(walkthrough, "load_documents"), "finished")


def test_code_is_edited_in_place_runs_as_edited_and_is_reset(walkthrough: Page) -> None:
    place = cell(walkthrough, "set_the_model")
    place.get_by_role("button", name="Edit").click()
    place.get_by_role("textbox").fill("llm = options = None\nprint('edited here')")
    place.get_by_role("button", name="Done").click()
    shows(place.get_by_test_id("stCode").first, "edited here")
    place.get_by_role("button", name="Run").click()
    shows(output(walkthrough, "set_the_model"), "edited here")
    place.get_by_role("button", name="Reset").click()
    shows(place.get_by_test_id("stCode").first, "Settings.llm")
    shows(place, "out of date")


def test_editing_is_off_where_the_settings_say_so(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = tmp_path_factory.mktemp("locked")
    with running_app(data, environ={"WALKTHROUGH_EDITING": "False"}) as locked:
        page = browser.new_page()
        open_page(page, f"{locked.url}/walkthrough")
        page.get_by_role("heading", name="An agent's events").wait_for(timeout=SECONDS)
        wait_until_idle(page)
        expect(page.get_by_role("button", name="Edit")).to_have_count(0)
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_can_be_read_at_phone_width(browser: Browser, app_url: str, scheme: str) -> None:
    context = browser.new_context(viewport=PHONE, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    open_page(page, f"{app_url}/walkthrough")
    page.get_by_role("heading", name="An agent's events").wait_for()
    wait_until_idle(page)
    # A slider's value stands beside its knob and has the same colour, so the measurement takes the
    # knob for the background. The colours of the two change at different times.
    low = [each for each in low_contrast(page) if not re.fullmatch(r"[\d.]+ [\d.]+", each)]
    assert low == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    context.close()


def test_the_downloads_are_the_page(walkthrough: Page) -> None:
    walkthrough.get_by_role("button", name="Download").click()
    for button, name in (("Notebook", "walkthrough.ipynb"), ("Script", "walkthrough.py")):
        with walkthrough.expect_download() as saved:
            walkthrough.get_by_role("button", name=button).click()
        assert saved.value.suggested_filename.endswith(name)
        assert "as_query_engine" in saved.value.path().read_text(encoding="utf-8")
