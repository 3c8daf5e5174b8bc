"""The Library page in a real browser: a document's page, Undo, and the index that heals itself."""

import os
import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import DESKTOP, ROOT, RunningApp, open_page, running_app, wait_until_idle
from tests.test_accessibility_browser import faults

pytestmark = pytest.mark.browser
MILLISECONDS = 90_000.0  # a loaded machine; a page that hangs for ever still fails
HANDBOOK = ROOT / "samples" / "keepers-handbook.pdf"
QUESTION = "How often does the lamp of Cold Ness Light flash?"


def add(page: Page, url: str, *files: Path) -> None:
    """Add files on the Library page, and wait until all are ready."""
    open_page(page, f"{url}/library")
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(list(files))
    count = f"{len(files)} file{'s' if len(files) > 1 else ''} ready"
    expect(page.get_by_text(count).first).to_be_visible(timeout=MILLISECONDS)
    wait_until_idle(page)


def notes(folder: Path, count: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    files = [folder / f"note-{n:02}.txt" for n in range(count)]
    for n, file in enumerate(files):
        file.write_text(f"Note {n}: the keeper lit the lamp at {n} minutes past six.")
    return files


def ask(page: Page, url: str) -> str:
    """Ask in a new conversation. Returns the answer."""
    open_page(page, url)
    page.get_by_test_id("stChatInputTextArea").fill(QUESTION)
    page.keyboard.press("Enter")
    expect(page.get_by_text("finished after")).to_be_visible(timeout=MILLISECONDS)
    wait_until_idle(page)
    return page.locator('[class*="st-key-text-"]').last.inner_text()


def test_a_document_opens_at_the_top_of_a_page_of_its_own_and_back_leads_to_its_row(
    page: Page, tmp_path: Path
) -> None:
    with running_app(tmp_path / "data") as app:
        add(page, app.url, HANDBOOK, *notes(tmp_path / "notes", 20))
        last = page.get_by_role("button", name="keepers-handbook.pdf")
        last.focus()  # the first one added is the last row, below the fold
        page.keyboard.press("Enter")
        back = page.get_by_role("button", name="All documents")
        expect(back).to_be_focused()
        expect(back).to_be_in_viewport()
        expect(page.get_by_role("heading", level=1)).to_have_text("keepers-handbook.pdf")
        expect(page.get_by_role("heading", level=1)).to_be_in_viewport()
        wait_until_idle(page)
        page.keyboard.press("Enter")
        expect(last).to_be_focused()
        expect(last).to_be_in_viewport()
        page.go_back()  # the address names the document
        expect(page.get_by_role("heading", level=1)).to_have_text("keepers-handbook.pdf")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        assert download.value.path().read_bytes() == HANDBOOK.read_bytes()


def test_deleted_documents_return_at_once_with_undo(page: Page, tmp_path: Path) -> None:
    with running_app(tmp_path / "data") as app:
        add(page, app.url, *notes(tmp_path / "notes", 3))
        rows = page.locator('[class*="st-key-document-row-"]')
        for name in ("note-00.txt", "note-01.txt"):
            page.get_by_role("checkbox", name=f"Select {name}").focus()
            page.keyboard.press("Space")
            expect(page.get_by_role("checkbox", name=f"Select {name}")).to_be_checked()
        page.get_by_role("button", name="Delete 2 documents").click()
        undo = page.get_by_role("button", name="Undo")
        expect(undo).to_be_focused()
        expect(rows).to_have_count(1)
        expect(page.get_by_role("status").get_by_text("2 documents deleted.")).to_have_count(1)
        page.keyboard.press("Enter")
        expect(rows).to_have_count(3)
        expect(undo).to_have_count(0)
        expect(page.get_by_text("Rebuilding the search index")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_state_of_the_page_has_a_serious_fault(
    browser: Browser, tmp_path: Path, scheme: Literal["light", "dark"]
) -> None:
    with (
        running_app(tmp_path / "data") as app,
        browser.new_context(viewport=DESKTOP, color_scheme=scheme) as context,
    ):
        page = context.new_page()
        add(page, app.url, HANDBOOK, *notes(tmp_path / "notes", 6))
        assert faults(page) == []
        page.get_by_role("button", name="keepers-handbook.pdf").click()
        expect(page.get_by_role("button", name="All documents")).to_be_focused()
        wait_until_idle(page)
        assert faults(page) == []
        page.get_by_role("button", name="Delete").click()
        expect(page.get_by_role("button", name="Undo")).to_be_focused()
        page.get_by_text("Recently deleted").click()
        expect(page.get_by_role("button", name="Empty the trash")).to_be_visible()
        wait_until_idle(page)
        assert faults(page) == []


def test_an_index_damaged_while_the_app_was_down_is_rebuilt_and_answers_as_before(
    browser: Browser, tmp_path: Path
) -> None:
    data, ledger = tmp_path / "data", tmp_path / "ledger.txt"
    # Long enough to be seen at work: about 200 passages, some seconds on two idle cores.
    line = "Invoice {}: {} bolts and {} washers, paid in full. "
    lines = (line.format(n, n % 31, n % 7) * 9 for n in range(450))
    ledger.write_text("\n\n".join(lines))
    with browser.new_context(viewport=DESKTOP) as context:
        page = context.new_page()
        page.set_default_timeout(MILLISECONDS)
        with running_app(data) as app:
            add(page, app.url, HANDBOOK, ledger)
            before = ask(page, app.url)
        for file in (data / "app" / "qdrant").rglob("*.sqlite"):
            os.truncate(file, file.stat().st_size * 3 // 5)
        with running_app(data) as app:
            assert_rebuilt(page, app)
            assert ask(page, app.url) == before


def assert_rebuilt(page: Page, app: RunningApp) -> None:
    """The page says what was found and what is done about it, and shows the documents after it."""
    page.goto(f"{app.url}/library")
    progress = page.get_by_text(re.compile(r"Rebuilding the search index from your files: \d of 2"))
    expect(progress).to_be_visible(timeout=MILLISECONDS)
    expect(page.get_by_text("The search index was damaged.")).to_be_visible()
    expect(progress).to_have_count(0, timeout=MILLISECONDS)
    expect(page.locator('[class*="st-key-document-row-"]')).to_have_count(2)
