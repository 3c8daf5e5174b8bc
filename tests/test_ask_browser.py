"""The Ask page as a person uses it: a real Chromium, the real app, model and collection."""

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
from playwright.sync_api import Page, expect

from tests.browser import ROOT, RunningApp, open_page, running_app, wait_until_idle

pytestmark = pytest.mark.browser
SECONDS = 60_000.0  # milliseconds; a loaded machine, and a page that hangs for ever still fails
HANDBOOK = ROOT / "samples" / "keepers-handbook.pdf"
# The handbook speaks of her, so it is answered, and the model goes on for 400 tokens or more.
LONG = "Write a poem of twelve lines about Bosun, the station's cat."
LENGTH = 256  # tokens: about two seconds of writing

# Records how long the answer's text is at each change that the browser sees.
WATCH = """() => {
  window.lengths = [];
  new MutationObserver(() => {
    const cells = document.querySelectorAll('[class*="st-key-text-"]');
    const length = cells.length ? cells[cells.length - 1].innerText.length : 0;
    if (length && length !== window.lengths.at(-1)) window.lengths.push(length);
  }).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app whose answers may be long enough to be seen growing, and no longer."""
    data = tmp_path_factory.mktemp("data")
    (data / "app").mkdir()
    # Without a time limit: what it leaves to be read and scored depends on the machine.
    settings = {"length": LENGTH, "first_token_budget": 0.0}
    (data / "app" / "settings.json").write_text(json.dumps(settings))
    with running_app(data) as started:
        yield started


@pytest.fixture
def asked(page: Page, app: RunningApp) -> Page:
    """The Ask page with the handbook in its collection."""
    page.set_default_timeout(SECONDS)
    open_page(page, app.url)
    page.get_by_test_id("stChatInputTextArea").wait_for()  # the page's last part: all is there
    if page.get_by_test_id("stFileUploaderDropzone").is_visible():
        page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(HANDBOOK)
    expect(page.get_by_text("1 document", exact=False).first).to_be_visible(timeout=SECONDS)
    wait_until_idle(page)
    return page


def ask(page: Page, question: str) -> None:
    page.get_by_test_id("stChatInputTextArea").fill(question)
    page.keyboard.press("Enter")


def test_an_uploaded_pdf_is_asked_and_the_answer_grows_while_it_is_written(asked: Page) -> None:
    asked.evaluate(WATCH)
    ask(asked, LONG)
    expect(asked.get_by_text("keepers-handbook.pdf, page").first).to_be_visible(timeout=SECONDS)
    expect(asked.get_by_text("finished after")).to_be_visible(timeout=SECONDS)
    lengths = asked.evaluate("window.lengths")
    grown = [b for a, b in pairwise(lengths) if b > a]
    assert len(grown) >= 3, lengths


def test_two_tabs_both_get_their_answers(asked: Page, app: RunningApp) -> None:
    other = asked.context.new_page()
    open_page(other, app.url)
    ask(asked, "When does the supply boat come?")
    ask(other, "How often does the lamp flash?")
    for tab in (asked, other):
        expect(tab.get_by_text("finished after")).to_be_visible(timeout=SECONDS)


def test_a_reload_finds_the_answer_again(asked: Page) -> None:
    ask(asked, "How often does the lamp flash?")
    expect(asked.get_by_text("finished after")).to_be_visible(timeout=SECONDS)
    asked.reload()
    expect(asked.get_by_text("finished after")).to_be_visible(timeout=SECONDS)
    expect(asked.get_by_text("How often does the lamp flash?").first).to_be_visible()


def test_a_follow_up_is_understood_and_says_what_was_searched_for(asked: Page) -> None:
    ask(asked, "What happened at Cold Ness Light in 1931?")
    expect(asked.get_by_text("finished after")).to_be_visible(timeout=SECONDS)
    wait_until_idle(asked)
    ask(asked, "And in 1887?")
    searched = "Searched for: What happened at Cold Ness Light in 1931? And in 1887?"
    expect(asked.get_by_text(searched)).to_be_visible(timeout=SECONDS)
    quoted = asked.locator("blockquote").filter(has_text="fog horn")  # not a folded source
    expect(quoted).to_be_visible(timeout=SECONDS)
    expect(asked.get_by_text("finished after")).to_have_count(2, timeout=SECONDS)
