"""The whole way of a scan in a real browser: upload, progress, question, page with marked words."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import ROOT, open_page, running_app, wait_until_idle

pytestmark = pytest.mark.browser
MILLISECONDS = 90_000.0
SCAN = ROOT / "tests" / "files" / "scan.pdf"
PICTURES = os.environ.get("SCAN_PICTURES")  # a folder to keep pictures of the pages in


def keep(page: Page, name: str) -> None:
    if PICTURES:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for width, height in ((1280, 800), (390, 844)):
                page.set_viewport_size({"width": width, "height": height})
                wait_until_idle(page)
                page.screenshot(path=Path(PICTURES, f"{name}-{scheme}-{width}.png"))
        page.set_viewport_size({"width": 1280, "height": 800})
        page.emulate_media(color_scheme="light")


def test_a_scan_is_recognised_found_and_shown_with_its_words_marked(
    page: Page, tmp_path: Path
) -> None:
    with running_app(tmp_path / "data") as app:
        open_page(page, f"{app.url}/library")
        page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(SCAN)
        expect(page.get_by_text("recognising text 0 of 1")).to_be_visible(timeout=MILLISECONDS)
        keep(page, "upload")
        expect(page.get_by_text("1 file ready").first).to_be_visible(timeout=MILLISECONDS)
        wait_until_idle(page)
        keep(page, "library")
        open_page(page, app.url)
        page.get_by_test_id("stChatInputTextArea").fill("Which boats is the harbour closed to?")
        page.keyboard.press("Enter")
        expect(page.get_by_text("finished after")).to_be_visible(timeout=MILLISECONDS)
        wait_until_idle(page)
        page.locator('[class*="st-key-source-row-"] button').first.click()
        picture = page.locator('.st-key-source-panel [data-testid="stImage"] img')
        expect(picture).to_be_visible(timeout=MILLISECONDS)
        expect(page.get_by_text("Recognised in a picture (OCR), confidence")).to_be_visible()
        expect(page.get_by_text("could not be located")).to_have_count(0)
        keep(page, "source")
