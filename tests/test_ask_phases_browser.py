"""The Ask page in each phase of an answer, in a real Chromium: the real app, slowed down."""

import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import (
    PHONE,
    ROOT,
    RunningApp,
    open_page,
    running_app,
    wait_until_idle,
    wait_until_true,
)
from tests.slow import FAILS, WORDS, hold, slow_frame

pytestmark = pytest.mark.browser
MILLISECONDS = 60_000.0  # a loaded machine; a page that hangs for ever still fails
HANDBOOK = ROOT / "samples" / "keepers-handbook.pdf"
QUESTION = "How often does the lamp of Cold Ness Light flash?"
PHASES = {
    "searching": r"searching ·",
    "queued": r"queued behind [12] ·",
    "reading": r"reading \d+ of 480 tokens ·",
    "writing": r"writing, \d+ tokens ·",
}

# Keeps each sentence that the live region says.
HEAR = """() => {
  window.heard = [];
  const region = document.querySelector(".st-key-announcement [role=status]");
  new MutationObserver(() => window.heard.push(region.textContent))
    .observe(region, {childList: true, characterData: true, subtree: true});
}"""
# Adds up how far what is shown moves by itself: the browser's own measure.
WATCH_SHIFTS = """() => {
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
  }).observe({type: "layout-shift", buffered: false});
}"""

NARROW_SIDEBAR = """(document.querySelector("[data-testid=stSidebar]")
  ?.getBoundingClientRect().width ?? 0) <= 1"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    folder = slow_frame(tmp_path_factory.mktemp("slow") / "app")
    with running_app(tmp_path_factory.mktemp("data"), folder) as started:
        yield started


@pytest.fixture
def asked(page: Page, app: RunningApp) -> Iterator[Page]:
    """The Ask page with the handbook in its collection."""
    page.set_default_timeout(MILLISECONDS)
    expect.set_options(MILLISECONDS)
    open_page(page, app.url)
    page.get_by_test_id("stChatInputTextArea").wait_for()  # the page's last part: all is there
    if page.get_by_test_id("stFileUploaderDropzone").is_visible():
        page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(HANDBOOK)
    expect(page.get_by_text("1 document", exact=False).first).to_be_visible()
    wait_until_idle(page)
    yield page
    hold(app, "")


@pytest.fixture(scope="module")
def answered_at() -> list[str]:
    """The address of a conversation with one whole answer, once there is one."""
    return []


@pytest.fixture
def answered(asked: Page, answered_at: list[str]) -> Page:
    """The page of a conversation that has been answered."""
    if answered_at:
        open_page(asked, answered_at[0])
    else:
        ask(asked)
    expect(asked.get_by_text("finished after")).to_be_visible()
    wait_until_idle(asked)
    answered_at.append(asked.url)
    return asked


def box(page: Page) -> Locator:
    return page.get_by_test_id("stChatInputTextArea")


def said(page: Page) -> Locator:
    """The live region."""
    return page.locator(".st-key-announcement").get_by_role("status")


def stop(page: Page) -> Locator:
    """The Stop beside the box, not the one in Streamlit's toolbar."""
    return page.locator(".st-key-stop").get_by_role("button", name="Stop")


def ask(page: Page, question: str = QUESTION) -> None:
    box(page).fill(question)
    page.keyboard.press("Enter")


def phase(page: Page, name: str) -> Locator:
    return page.get_by_text(re.compile(PHASES[name])).first


def answer(page: Page) -> str:
    """The text of the last answer, without its marks."""
    return re.sub(r" \[\d\]", "", page.locator('[class*="st-key-text-"]').last.inner_text())


def says(page: Page, words: Sequence[str]) -> None:
    """Wait until the last answer has these words."""
    deadline = time.monotonic() + MILLISECONDS / 1000
    while (written := answer(page).split()) != words:
        assert time.monotonic() < deadline, written
        time.sleep(0.05)


def test_each_phase_says_what_is_happening_and_reading_has_a_bar(
    asked: Page, app: RunningApp
) -> None:
    for name in PHASES:
        hold(app, name)
        if name == "searching":
            ask(asked)
        expect(phase(asked, name)).to_be_visible()
        if name == "reading":
            expect(asked.get_by_role("progressbar")).to_be_visible()
    hold(app, "")
    expect(asked.get_by_text("finished after")).to_be_visible()
    says(asked, WORDS.split())


@pytest.mark.parametrize("name", PHASES)
def test_stop_stops_in_each_phase_and_keeps_what_was_written(
    asked: Page, app: RunningApp, name: str
) -> None:
    hold(app, name)
    ask(asked)
    expect(phase(asked, name)).to_be_visible()
    stop(asked).click()
    expect(asked.get_by_text("stopped after")).to_be_visible()
    expect(stop(asked)).to_have_count(0)
    expect(box(asked)).to_be_focused()
    alert = asked.get_by_role("alert")
    if name == "writing":
        expect(alert).to_contain_text("This answer was stopped. It is not complete.")
        written, end = answer(asked).rsplit(" ", 1)
        assert written and WORDS.startswith(written) and end == "…"
    else:
        expect(alert).to_contain_text("This answer was stopped. Nothing was written yet.")


def test_a_fault_in_the_middle_keeps_the_text_and_says_what_to_do(asked: Page) -> None:
    ask(asked, f"{QUESTION} {FAILS}.")
    expect(asked.get_by_role("alert")).to_contain_text("The model failed in the middle.")
    says(asked, WORDS.split()[:10])
    expect(said(asked)).to_contain_text("The answer failed. The model failed in")


def test_escape_in_the_box_stops_the_answer_and_the_box_keeps_the_focus(
    asked: Page, app: RunningApp
) -> None:
    hold(app, "writing")
    ask(asked)
    expect(phase(asked, "writing")).to_be_visible()
    expect(box(asked)).to_be_focused()
    asked.keyboard.press("Escape")
    expect(asked.get_by_text("stopped after")).to_be_visible()
    expect(said(asked)).to_contain_text("The answer was stopped. The lamp")
    expect(box(asked)).to_be_focused()


def test_the_stop_in_the_toolbar_stops_the_answer_too(asked: Page, app: RunningApp) -> None:
    hold(app, "writing")
    ask(asked)
    expect(phase(asked, "writing")).to_be_visible()
    asked.get_by_test_id("stHeader").get_by_role("button", name="Stop").click()
    expect(asked.get_by_text("stopped after")).to_be_visible()
    hold(app, "")
    wait_until_idle(asked)
    ask(asked)
    expect(asked.get_by_text("finished after")).to_be_visible()


def test_a_question_during_an_answer_returns_to_the_box_with_the_reason(
    asked: Page, app: RunningApp
) -> None:
    hold(app, "writing")
    ask(asked)
    expect(phase(asked, "writing")).to_be_visible()
    other = asked.context.new_page()
    other.goto(asked.url)
    expect(other.get_by_text("writing,")).to_be_visible()
    ask(other, "How high is the tower?")
    expect(other.get_by_text("An answer is still being written here.")).to_be_visible()
    expect(box(other)).to_have_value("How high is the tower?")
    hold(app, "")
    expect(asked.get_by_text("finished after")).to_be_visible()
    expect(other.get_by_text("finished after")).to_be_visible()
    expect(box(other)).to_have_value("How high is the tower?")


def test_a_link_to_the_page_leads_back_to_the_running_answer(asked: Page, app: RunningApp) -> None:
    hold(app, "writing")
    ask(asked)
    expect(phase(asked, "writing")).to_be_visible()
    asked.get_by_role("link", name="Library").click()
    expect(asked.get_by_role("heading", name="Library")).to_be_visible()
    asked.get_by_role("link", name="Ask", exact=True).click()
    expect(phase(asked, "writing")).to_be_visible()
    hold(app, "")
    expect(asked.get_by_text("finished after")).to_be_visible()
    says(asked, WORDS.split())


def test_the_answer_is_announced_when_it_begins_and_once_when_it_is_complete(asked: Page) -> None:
    said(asked).wait_for(state="attached")
    asked.evaluate(HEAR)
    ask(asked)
    expect(asked.get_by_text("finished after")).to_be_visible()
    expect(said(asked)).to_contain_text("The answer is complete.")
    begun, complete = asked.evaluate("window.heard")
    assert begun == "The answer is being written."
    assert complete.split() == f"The answer is complete. {WORDS}".split()


def test_the_view_follows_the_answer_until_the_person_scrolls_up_and_nothing_jumps(
    asked: Page, app: RunningApp
) -> None:
    asked.set_viewport_size({"width": 1280, "height": 420})
    asked.evaluate(WATCH_SHIFTS)
    hold(app, "writing")
    ask(asked)
    expect(phase(asked, "writing")).to_be_visible()
    text = asked.locator('[class*="st-key-text-"]').last
    expect(text).to_contain_text("whale")
    expect(text).to_be_in_viewport()
    asked.mouse.move(700, 200)
    asked.mouse.wheel(0, -2000)
    expect(asked.get_by_role("heading", name="Ask")).to_be_in_viewport()
    hold(app, "")
    expect(asked.get_by_text("finished after")).to_be_visible()
    wait_until_idle(asked)
    expect(asked.get_by_role("heading", name="Ask")).to_be_in_viewport()
    assert asked.evaluate("window.shifted") < 0.05  # the limit of a good page: web.dev/cls


def test_an_edited_question_replaces_its_turn_and_the_first_version_comes_back(
    asked: Page,
) -> None:
    ask(asked)
    expect(asked.get_by_text("finished after")).to_be_visible()
    wait_until_idle(asked)
    asked.get_by_role("button", name="Edit").click()
    field = asked.get_by_role("textbox", name="Question", exact=True)
    expect(field).to_be_focused()
    expect(field).to_be_in_viewport(ratio=1)
    field.fill("How often does it flash?")
    expect(asked.get_by_role("button", name="Ask", exact=True)).to_be_in_viewport(ratio=1)
    asked.get_by_role("button", name="Ask", exact=True).click()
    expect(asked.get_by_text("2 of 2")).to_be_visible()
    questions = asked.get_by_test_id("stChatMessage")
    expect(questions).to_have_count(2)
    expect(questions.first).to_contain_text("How often does it flash?")
    asked.get_by_role("button", name="Earlier version").click()
    expect(asked.get_by_text("1 of 2")).to_be_visible()
    expect(questions.first).to_contain_text(QUESTION)


def test_a_widget_touched_in_mid_answer_loses_nothing(asked: Page, app: RunningApp) -> None:
    hold(app, "writing")
    ask(asked)
    expect(phase(asked, "writing")).to_be_visible()
    asked.get_by_role("button", name="Settings").click()
    asked.get_by_text("Stream the answer").click()
    hold(app, "")
    expect(asked.get_by_text("finished after")).to_be_visible()
    says(asked, WORDS.split())
    wait_until_idle(asked)
    asked.get_by_text("Stream the answer").click()  # as it was, for the tests after
    wait_until_idle(asked)


def test_changing_page_in_mid_answer_loses_nothing(asked: Page, app: RunningApp) -> None:
    hold(app, "queued")
    ask(asked)
    expect(phase(asked, "queued")).to_be_visible()
    asked.get_by_role("link", name="Library").click()
    expect(asked.get_by_text("An answer is being written.")).to_be_visible()
    hold(app, "")
    expect(asked.get_by_text("Your answer is ready.")).to_be_visible()
    asked.get_by_role("link", name="Go to it").click()
    expect(asked.get_by_text("finished after")).to_be_visible()
    says(asked, WORDS.split())


def test_two_tabs_on_one_conversation_show_the_same(asked: Page, app: RunningApp) -> None:
    hold(app, "writing")
    ask(asked)
    expect(phase(asked, "writing")).to_be_visible()
    other = asked.context.new_page()
    other.goto(asked.url)
    expect(phase(other, "writing")).to_be_visible()
    hold(app, "")
    for tab in (asked, other):
        expect(tab.get_by_text("finished after")).to_be_visible()
        says(tab, WORDS.split())


def test_a_mark_opens_its_source_beside_the_answer_and_escape_closes_it(answered: Page) -> None:
    text = answered.locator('[class*="st-key-text-"]').last
    marks = text.get_by_role("link")
    expect(marks).to_have_count(2)  # the whale is in no handbook
    assert marks.first.inner_text() == "[1]"
    before = marks.first.bounding_box(), text.bounding_box()
    marks.first.click()
    panel = answered.locator(".st-key-source-panel")
    expect(panel.get_by_role("img", name="Page 2 of keepers-handbook.pdf")).to_be_in_viewport()
    expect(text).to_be_in_viewport()
    expect(panel.get_by_role("button", name="Close")).to_be_focused()
    expect(panel).to_contain_text("gives two white flashes every fifteen seconds.")
    # The sidebar has made room for the panel.
    wait_until_true(answered, NARROW_SIDEBAR)
    for then, now in zip(before, (marks.first.bounding_box(), text.bounding_box()), strict=True):
        assert then and now  # the text keeps its width and its lines, the reader the place
        assert (then["y"], then["width"]) == (now["y"], now["width"])
    place = panel.bounding_box()
    assert place and now and now["x"] + now["width"] <= place["x"]
    expect(answered.get_by_text("Everything stays on this computer.")).not_to_be_visible()
    answered.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    expect(marks.first).to_be_focused()


def test_on_a_phone_a_source_opens_as_a_sheet_from_below(answered: Page) -> None:
    answered.set_viewport_size(PHONE)
    answered.locator('[class*="st-key-source-row-"]').first.get_by_role("button").first.click()
    panel = answered.locator(".st-key-source-panel")
    expect(panel.get_by_role("img", name="Page 2 of keepers-handbook.pdf")).to_be_in_viewport()
    place = panel.bounding_box()
    assert place and place["width"] == PHONE["width"] and place["y"] > PHONE["height"] / 5
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_have_count(0)


def test_on_a_phone_the_sidebar_closes_when_a_page_is_chosen_in_it(answered: Page) -> None:
    answered.set_viewport_size(PHONE)
    answered.reload()
    wait_until_idle(answered)  # the script that closes the sidebar has been loaded
    answered.get_by_test_id("stExpandSidebarButton").click()
    answered.get_by_role("link", name="Library").click()
    expect(answered.get_by_role("heading", name="Library")).to_be_visible()
    expect(answered.get_by_test_id("stExpandSidebarButton")).to_be_visible()
    expect(answered.get_by_role("link", name="Library")).not_to_be_in_viewport()


def test_copy_copies_the_answer_with_one_click(answered: Page) -> None:
    answered.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answered.get_by_role("button", name="Copy").click()
    expect(answered.get_by_role("button", name="Copied")).to_be_visible()
    assert answered.evaluate("navigator.clipboard.readText()").split() == WORDS.split()


def test_the_actions_under_an_answer_fit_a_phone(answered: Page) -> None:
    answered.set_viewport_size(PHONE)
    actions = answered.locator('[class*="st-key-actions-"]').get_by_role("button")
    expect(actions).to_have_count(4)
    places = actions.evaluate_all("all => all.map(each => each.getBoundingClientRect().toJSON())")
    assert all(place["right"] <= PHONE["width"] for place in places)
    rows = [place["top"] for place in places]
    assert max(rows) - min(rows) < 20  # px: one row
    expect(answered.locator("button kbd").locator("visible=true")).to_have_count(0)


def test_a_reload_returns_to_the_place_where_the_conversation_was_read(answered: Page) -> None:
    answered.set_viewport_size({"width": 1280, "height": 500})
    head, end = answered.get_by_role("heading", name="Ask"), answered.get_by_text("first token")
    for _ in range(2):
        answered.reload()
        expect(end).to_be_in_viewport()  # where it ends, as nobody has moved
    answered.mouse.move(700, 200)
    answered.mouse.wheel(0, -2000)
    expect(head).to_be_in_viewport()
    wait_until_true(answered, "Object.values(sessionStorage).includes('0')")
    answered.reload()
    expect(end).to_be_attached()
    wait_until_idle(answered)
    expect(head).to_be_in_viewport()


def test_a_wrong_answer_is_reported_to_a_file_here_and_exported(answered: Page) -> None:
    answered.get_by_role("button", name="Report", exact=True).click()
    dialog = answered.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("There is no whale.")
    dialog.get_by_role("button", name="Save the report").click()
    with answered.expect_download() as download:
        dialog.get_by_role("button", name="Export 1 report").click()
    report = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert report["remark"] == "There is no whale."
    assert report["model"] == "slow"
    (turn,) = report["turns"]
    assert (turn["question"], turn["text"].split()) == (QUESTION, WORDS.split())
    assert "gives two white flashes" in turn["sources"][0]["node"]["text"]
    dialog.get_by_role("button", name="Delete this report").click()
    expect(answered.get_by_role("button", name="Report", exact=True)).to_be_visible()


def test_the_code_behind_an_answer_is_shown_whole(answered: Page) -> None:
    answered.get_by_role("button", name="Code", exact=True).click()
    code = answered.get_by_role("dialog").get_by_test_id("stCode").first  # then as an API request
    expect(code).to_contain_text("print_response_stream()")
    expect(code).to_be_in_viewport(ratio=1)


def test_a_conversation_is_exported_with_its_quotations_and_timings(answered: Page) -> None:
    answered.get_by_role("button", name="Conversation", exact=True).click()
    with answered.expect_download() as download:
        answered.get_by_role("button", name="Export as Markdown").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert f"## {QUESTION}" in text
    assert "1. keepers-handbook.pdf, page 2\n   > “The lamp of Cold Ness Light gives" in text
    assert "First token after" in text


def test_a_deleted_document_answers_no_more(asked: Page) -> None:
    asked.get_by_role("link", name="Library").click()
    asked.get_by_text("Select all").click()
    asked.get_by_role("button", name="Delete 1 document").click()
    expect(asked.locator(".st-key-undo")).to_contain_text("keepers-handbook.pdf deleted.")
    asked.get_by_role("link", name="Ask", exact=True).click()
    ask(asked)
    expect(asked.get_by_text("No passage was found.")).to_be_visible()
