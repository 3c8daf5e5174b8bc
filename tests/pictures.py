"""The README's pictures, taken of the real app with the samples: `python -m tests.pictures`.

Also a recording of about ten seconds: a question, its quotation, its answer, its page. With names,
such as `compare recording`, it takes only these. Take them on a quiet machine: the figures in them
are real.
"""

import base64
import io
import re
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect

from pages.cells.lessons import LESSONS
from tests.browser import DESKTOP, ROOT, chromium, open_page, running_app, wait_until_idle

DOCS = ROOT / "docs"
LIMIT = 120_000.0  # milliseconds
QUESTION = "Who built the tide mill?"
RECORDED = "How often does the lamp of Cold Ness Light flash?"
STAGE: ViewportSize = {"width": 1120, "height": 680}  # of the recording: the page fits beside
TASK = "How old is the tide mill in 2026?"


def ask(tab: Page, url: str) -> None:
    open_page(tab, url)
    samples = tab.get_by_role("button", name="sample documents")
    samples.or_(tab.get_by_text("5 documents")).first.wait_for()
    if samples.is_visible():
        samples.click()
    tab.get_by_text("5 documents").first.wait_for()
    for _ in range(2):  # the second time nothing is loaded on first use any more
        open_page(tab, url)
        tab.get_by_text(QUESTION).last.click()
        tab.get_by_text(re.compile(r"first token [\d.]+ s")).first.wait_for()
        wait_until_idle(tab)
    tab.get_by_role("button", name="Report").wait_for()
    _to_the_top(tab)


def library(tab: Page, url: str) -> None:
    open_page(tab, f"{url}/library")
    tab.get_by_role("heading", name="Library").wait_for()
    wait_until_idle(tab)


def agent(tab: Page, url: str) -> None:
    open_page(tab, f"{url}/agent")
    tab.get_by_test_id("stChatInputTextArea").fill(TASK)
    tab.keyboard.press("Enter")
    tab.get_by_text("finished after").first.wait_for()
    wait_until_idle(tab)
    _to_the_top(tab)


def compare(tab: Page, url: str) -> None:
    open_page(tab, f"{url}/compare")
    tab.get_by_role("textbox", name="Questions").fill(QUESTION)
    tab.keyboard.press("Control+Enter")
    wait_until_idle(tab)
    tab.get_by_role("button", name="Run the comparison").click()
    tab.get_by_role("heading", name="The race").wait_for()
    wait_until_idle(tab)
    tab.get_by_role("heading", name="The result").evaluate("e => e.scrollIntoView()")


def walkthrough(tab: Page, url: str) -> None:
    open_page(tab, f"{url}/walkthrough")
    tab.get_by_role("button", name="Run all").click()
    finished = tab.get_by_text(re.compile("finished after"))
    expect(finished).to_have_count(len(LESSONS), timeout=LIMIT)
    wait_until_idle(tab)
    tab.locator(".st-key-cell-iterate_the_stream").evaluate("e => e.scrollIntoView()")


def models(tab: Page, url: str) -> None:
    open_page(tab, f"{url}/models")
    tab.get_by_role("button", name=re.compile("Run( again)?$")).click()
    tab.get_by_text("finished after").wait_for()
    wait_until_idle(tab)
    result = tab.locator(".st-key-output-measure_speed")
    result.evaluate("e => e.scrollIntoView({block: 'center'})")


def record(tab: Page, url: str) -> list[tuple[float, bytes]]:
    """The frames of the recording, each with its time in seconds: one for each change of the view.
    """
    open_page(tab, url)
    box = tab.get_by_test_id("stChatInputTextArea")
    box.wait_for()
    wait_until_idle(tab)
    frames: list[tuple[float, bytes]] = []
    session = tab.context.new_cdp_session(tab)

    def take(frame: dict[str, Any]) -> None:
        frames.append((frame["metadata"]["timestamp"], base64.b64decode(frame["data"])))
        session.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})

    session.on("Page.screencastFrame", take)
    session.send("Page.startScreencast", {"format": "png", "everyNthFrame": 2})
    box.press_sequentially(RECORDED, delay=40)
    tab.wait_for_timeout(300)
    box.press("Enter")
    tab.get_by_text("finished after").first.wait_for()
    wait_until_idle(tab)
    tab.wait_for_timeout(1500)
    tab.get_by_role("link", name="[1]").click()
    tab.locator(".st-key-source-panel img").wait_for()
    tab.wait_for_timeout(3000)
    session.send("Page.stopScreencast")
    return sorted(frames)  # a frame may arrive while the one before it is acknowledged


def save_recording(frames: list[tuple[float, bytes]], file: Path) -> None:
    """As an animated WebP, which browsers show like a picture; the last frame stays for 3 s."""
    times = [time for time, _ in frames]
    lasts = [max(1, round((b - a) * 1000)) for a, b in pairwise(times)]
    pictures = [Image.open(io.BytesIO(data)).convert("RGB") for _, data in frames]
    pictures[0].save(
        file,
        save_all=True,
        append_images=pictures[1:],
        duration=[*lasts, 3000],
        loop=0,
        lossless=True,  # with losses, what has gone from the page leaves traces
        quality=70,
        method=4,
    )


def _to_the_top(tab: Page) -> None:
    tab.get_by_test_id("stMainBlockContainer").evaluate("e => e.scrollIntoView()")


def _save(picture: bytes, file: Path) -> None:
    """As a PNG of 256 colours: half the size, and no difference that one sees."""
    whole = Image.open(io.BytesIO(picture)).convert("RGB")
    whole.quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)


def take(browser: Browser, url: str, wanted: list[str]) -> None:
    for page in (ask, library, agent, compare, walkthrough, models):
        if wanted and page is not ask and page.__name__ not in wanted:  # `ask` adds the samples
            continue
        with browser.new_context(viewport=DESKTOP) as context:
            tab = context.new_page()
            tab.set_default_timeout(LIMIT)
            page(tab, url)
            tab.wait_for_timeout(1000)  # until charts and fonts are drawn
            if not wanted or page.__name__ in wanted:
                _save(tab.screenshot(), DOCS / f"{page.__name__}.png")


def take_recording(browser: Browser, url: str) -> None:
    with browser.new_context(viewport=DESKTOP) as context:
        tab = context.new_page()
        tab.set_default_timeout(LIMIT)
        ask(tab, url)  # adds the samples, and loads what is loaded on first use
    with browser.new_context(viewport=STAGE) as context:
        tab = context.new_page()
        tab.set_default_timeout(LIMIT)
        save_recording(record(tab, url), DOCS / "first-token.webp")


def main(wanted: list[str]) -> None:
    with (
        tempfile.TemporaryDirectory() as data,
        running_app(Path(data)) as app,
        chromium() as browser,
    ):
        if wanted != ["recording"]:
            take(browser, app.url, wanted)
        if not wanted or "recording" in wanted:
            take_recording(browser, app.url)


if __name__ == "__main__":
    main(sys.argv[1:])
