"""The Ask page in each phase of an answer, in a real Chromium: the real app, slowed down."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import ROOT, RunningApp, open_page, running_app, wait_until_idle
from tests.slow import FAILS, WORDS, slow_frame

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


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    folder = slow_frame(tmp_path_factory.mktemp("slow") / "app")
    with running_app(tmp_path_factory.mktemp("data"), folder) as started:
        yield started


@pytest.fixture
def asked(page: Page, app: RunningApp) -> Page:
    """The Ask page with the handbook in its collection."""
    page.set_default_timeout(MILLISECONDS)
    expect.set_options(MILLISECONDS)
    open_page(page, app.url)
    page.get_by_test_id("stChatInputTextArea").wait_for()  # the page's last part: all is there
    if page.get_by_test_id("stFileUploaderDropzone").is_visible():
        page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(HANDBOOK)
    expect(page.get_by_text("1 document", exact=False).first).to_be_visible()
    wait_until_idle(page)
    return page


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


def ask(page: Page, question: str = QUESTION) -> None:
    page.get_by_test_id("stChatInputTextArea").fill(question)
    page.keyboard.press("Enter")


def phase(page: Page, name: str) -> Locator:
    return page.get_by_text(re.compile(PHASES[name])).first


def answer(page: Page) -> str:
    """The text of the last answer, without its marks."""
    return re.sub(r" \[\d\]", "", page.locator('[class*="st-key-text-"]').last.inner_text())


def test_each_phase_says_what_is_happening_and_reading_has_a_bar(asked: Page) -> None:
    ask(asked)
    for name in PHASES:
        expect(phase(asked, name)).to_be_visible()
        if name == "reading":
            expect(asked.get_by_role("progressbar")).to_be_visible()
        expect(asked.get_by_test_id("stChatInputTextArea")).to_be_disabled()
    expect(asked.get_by_text("finished after")).to_be_visible()
    assert answer(asked).split() == WORDS.split()


@pytest.mark.parametrize("name", PHASES)
def test_stop_stops_in_each_phase_and_keeps_what_was_written(asked: Page, name: str) -> None:
    ask(asked)
    expect(phase(asked, name)).to_be_visible()
    asked.get_by_role("button", name="Stop").last.click()
    expect(asked.get_by_text("stopped after")).to_be_visible()
    expect(asked.get_by_test_id("stChatInputTextArea")).to_be_enabled()
    if name == "writing":
        assert WORDS.startswith(answer(asked))
        assert answer(asked)


def test_a_fault_in_the_middle_keeps_the_text_and_says_what_to_do(asked: Page) -> None:
    ask(asked, f"{QUESTION} {FAILS}.")
    expect(asked.get_by_text("The model failed in the middle.")).to_be_visible()
    assert answer(asked).split() == WORDS.split()[:10]
    expect(asked.get_by_test_id("stChatInputTextArea")).to_be_enabled()


def test_a_widget_touched_in_mid_answer_loses_nothing(asked: Page) -> None:
    ask(asked)
    expect(phase(asked, "writing")).to_be_visible()
    asked.get_by_role("button", name="Settings").click()
    asked.get_by_text("Stream the answer").click()
    expect(asked.get_by_text("finished after")).to_be_visible()
    assert answer(asked).split() == WORDS.split()
    asked.get_by_text("Stream the answer").click()  # as it was, for the tests after


def test_changing_page_in_mid_answer_loses_nothing(asked: Page) -> None:
    ask(asked)
    expect(phase(asked, "queued")).to_be_visible()
    asked.get_by_role("link", name="Library").click()
    expect(asked.get_by_text("An answer is being written.")).to_be_visible()
    expect(asked.get_by_text("Your answer is ready.")).to_be_visible()
    asked.get_by_role("link", name="Go to it").click()
    expect(asked.get_by_text("finished after")).to_be_visible()
    assert answer(asked).split() == WORDS.split()


def test_two_tabs_on_one_conversation_show_the_same(asked: Page) -> None:
    ask(asked)
    expect(phase(asked, "reading")).to_be_visible()
    other = asked.context.new_page()
    other.goto(asked.url)
    expect(phase(other, "writing")).to_be_visible()
    for tab in (asked, other):
        expect(tab.get_by_text("finished after")).to_be_visible()
        assert answer(tab).split() == WORDS.split()


def test_a_mark_in_the_answer_leads_to_its_source(answered: Page) -> None:
    marks = answered.locator('[class*="st-key-text-"]').last.get_by_role("link")
    expect(marks).to_have_count(2)  # the whale is in no handbook
    assert marks.first.inner_text() == "[1]"
    marks.last.click()
    source = answered.locator(f"[id='{answered.url.partition('#')[2]}']")
    expect(source).to_have_text("1")
    expect(source).to_be_in_viewport()
    expect(answered.get_by_text("finished after")).to_be_visible()


def test_a_conversation_is_exported_with_its_sources_and_timings(answered: Page) -> None:
    answered.get_by_role("button", name="Conversation", exact=True).click()
    with answered.expect_download() as download:
        answered.get_by_role("button", name="As Markdown").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert f"## {QUESTION}" in text
    assert "1. keepers-handbook.pdf, page 2" in text
    assert "First token after" in text


def test_a_deleted_document_answers_no_more(asked: Page) -> None:
    asked.get_by_role("link", name="Library").click()
    table = asked.get_by_test_id("stDataFrame")
    table.click(position={"x": 20, "y": 52})  # the box before the first row
    asked.get_by_role("button", name="Delete 1 document").click()
    asked.get_by_role("button", name="Delete for good").click()
    expect(asked.get_by_text("Nothing here yet.")).to_be_visible()
    asked.get_by_role("link", name="Ask", exact=True).click()
    ask(asked)
    expect(asked.get_by_text("No passage was found.")).to_be_visible()
