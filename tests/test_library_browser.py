"""The Library page in a real browser: a document's page, Undo, and the index that heals itself."""

import os
import re
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from engine.config import Config
from engine.settings import Settings
from engine.workspace import Stage, Workspace
from tests.browser import ROOT, RunningApp, open_page, running_app, wait_until_idle
from tests.on_a_server import embedded_only
from tests.slow import hold, slow_frame
from tests.test_accessibility_browser import faults

pytestmark = pytest.mark.browser
MILLISECONDS = 90_000.0  # a loaded machine; a page that hangs for ever still fails
HANDBOOK = ROOT / "samples" / "keepers-handbook.pdf"
QUESTION = "How often does the lamp of Cold Ness Light flash?"


@pytest.fixture
def url(app: RunningApp) -> str:
    """The address of the app, whose library is empty."""
    with httpx.Client(base_url=app.url, timeout=60, trust_env=False) as client:
        for each in client.get("/v1/files").json()["data"]:
            client.delete(f"/v1/files/{each['id']}").raise_for_status()
    return app.url


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


def test_a_document_opens_at_the_top_of_a_page_of_its_own_and_back_leads_to_its_row(
    page: Page, url: str, tmp_path: Path
) -> None:
    add(page, url, HANDBOOK, *notes(tmp_path / "notes", 14))
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


def test_deleted_documents_return_at_once_with_undo(page: Page, url: str, tmp_path: Path) -> None:
    add(page, url, *notes(tmp_path / "notes", 3))
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


def test_no_state_of_the_page_has_a_serious_fault(page: Page, url: str, tmp_path: Path) -> None:
    """In both themes."""
    add(page, url, HANDBOOK, *notes(tmp_path / "notes", 6))
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


@embedded_only
def test_an_index_damaged_while_the_app_was_down_is_rebuilt_and_answers_as_before(
    page: Page, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    before = filled_and_asked(data)
    for file in (data / "app" / "qdrant").rglob("*.sqlite"):
        os.truncate(file, file.stat().st_size * 3 // 5)
    (data / "held").write_text("rebuilding", encoding="utf-8")
    with running_app(data, slow_frame(tmp_path / "app", "hold_rebuilding")) as app:
        page.goto(f"{app.url}/library")
        progress = page.get_by_text("Rebuilding the search index from your files: 0 of 2")
        expect(progress).to_be_visible(timeout=MILLISECONDS)
        expect(page.get_by_text("The search index was damaged.")).to_be_visible()
        hold(app, "")
        expect(page.get_by_text("Rebuilding")).to_have_count(0, timeout=MILLISECONDS)
        expect(page.locator('[class*="st-key-document-row-"]')).to_have_count(2)
        open_page(page, app.url)
        page.get_by_test_id("stChatInputTextArea").fill(QUESTION)
        page.keyboard.press("Enter")
        expect(page.get_by_text("finished after")).to_be_visible(timeout=MILLISECONDS)
        text = page.locator('[class*="st-key-text-"]').last.inner_text()
    assert re.sub(r" \[\d\]", "", text).split() == before.split()


def filled_and_asked(data: Path) -> str:
    """Make an app's data folder with two documents. Returns the answer to the question."""
    workspace = Workspace(data / "app", Config(data_dir=data), Settings.llm)
    with closing(workspace):
        # What a time limit leaves to be read would depend on the machine.
        workspace.settings = replace(workspace.settings, first_token_budget=0.0)
        for name, content in (("handbook.pdf", HANDBOOK.read_bytes()), ("cat.txt", b"A cat.")):
            upload = workspace.ingestor.add("default", name, content)
            while not upload.stage.ended:
                time.sleep(0.01)
            assert upload.stage is Stage.READY, upload.message
        conversation = workspace.conversations.create("default")
        return str(workspace.ask(conversation, QUESTION))
