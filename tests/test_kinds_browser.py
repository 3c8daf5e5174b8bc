"""Kinds of question as a person uses them: a summary that is stopped, and a table."""

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser import ROOT, RunningApp, open_page, wait_until_idle

pytestmark = pytest.mark.browser
SECONDS = 60_000.0  # milliseconds; a loaded machine, and a page that hangs for ever still fails
TOWNS = ("Bergen", "Turku", "Porto", "Galway", "Gdynia", "Varna", "Odense", "Cadiz", "Riga", "Bari")
GOODS = ("herring", "salt", "timber", "wool", "tar", "glass", "oranges", "clocks", "tea", "iron")
# Long enough that reading it takes seconds: that is when it is stopped
LONG = "\n\n".join(
    f"In the year {1500 + n} the harbour of {TOWNS[n % 10]} received {n + 7} ships with "
    f"{GOODS[n * 7 % 10]} and sent {n % 13 + 2} of them on to {TOWNS[n * 3 % 10]} before winter."
    for n in range(500)
)


@pytest.fixture
def asked(page: Page, app: RunningApp) -> Page:
    """The Ask page with the ferry's fares and a long chronicle in its collection."""
    page.set_default_timeout(SECONDS)
    open_page(page, app.url)
    page.get_by_test_id("stChatInputTextArea").wait_for()
    if page.get_by_test_id("stFileUploaderDropzone").is_visible():
        fares = (ROOT / "samples" / "ferry-fares.csv").read_bytes()
        page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
            [
                FilePayload(name="ferry-fares.csv", mimeType="text/csv", buffer=fares),
                FilePayload(name="chronicle.txt", mimeType="text/plain", buffer=LONG.encode()),
            ]
        )
    expect(page.get_by_text("2 documents", exact=False).first).to_be_visible(timeout=SECONDS)
    wait_until_idle(page)
    return page


def ask(page: Page, question: str) -> None:
    page.get_by_test_id("stChatInputTextArea").fill(question)
    page.keyboard.press("Enter")


def test_a_table_question_shows_its_rows_and_what_was_computed(asked: Page) -> None:
    ask(asked, "How many ferry fares cost less than 5 crowns?")
    expect(asked.get_by_text("4 of 11 rows of ferry-fares.csv, computed")).to_be_visible()
    table = asked.locator('[class*="st-key-text-"] table')
    expect(table.get_by_text("Late parcel")).to_be_visible(timeout=SECONDS)
    expect(table.locator("tbody tr")).to_have_count(4)
    expect(asked.get_by_text("without the model")).to_be_visible()


def test_a_summary_shows_its_progress_stops_and_is_made_by_the_button_beside_a_source(
    asked: Page,
) -> None:
    ask(asked, "Summarise chronicle.txt")
    expect(asked.get_by_text("parts", exact=False).first).to_be_visible(timeout=SECONDS)
    # not the Stop of the toolbar, which Streamlit shows while a script runs
    asked.locator(".st-key-stop").get_by_role("button", name="Stop").click()
    expect(asked.get_by_text("This answer was stopped.", exact=False)).to_be_visible()
    wait_until_idle(asked)
    ask(asked, "How many ships did Varna receive in 1505?")
    expect(asked.get_by_text("finished after")).to_be_visible(timeout=SECONDS)
    wait_until_idle(asked)
    asked.get_by_role("button", name="Summarise", exact=True).first.click()
    expect(asked.get_by_text("Summary of chronicle.txt, read in", exact=False)).to_be_visible(
        timeout=SECONDS
    )
    expect(asked.get_by_text("finished after")).to_have_count(2, timeout=SECONDS)
