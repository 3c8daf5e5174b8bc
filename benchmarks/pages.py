"""How soon the app is there, and each page: from outside, and as its script runs.

    python -m benchmarks.pages [start] [browser] [script]

start: `make run` where all is set up, without a network, to a page that takes a question.
browser: each page in a new Chromium profile, to its first paint and until all is drawn.
script: each page's script with nothing asked of it, through Streamlit's test harness.

Prints medians of RUNS, and keeps them in results/pages.json. The sample documents are in the
collection, and one question has been asked. Needs the weights and a Chromium.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, Page
from streamlit.testing.v1 import AppTest

from benchmarks.figures import Figures, keep
from engine.config import Config
from engine.settings import Settings
from engine.workspace import Workspace
from pages.parts import resources
from pages.parts.samples import load_samples
from tests.browser import (
    DEFAULTS,
    ROOT,
    chromium,
    free_port,
    open_page,
    running_app,
    share_models,
    wait_until_idle,
)

RUNS = 10
STARTS = 5
PAGES = ("ask", "library", "agent", "compare", "walkthrough", "models")
START_GOAL, PAINT_GOAL, SCRIPT_GOAL = 10.0, 1.5, 0.2  # seconds
LIMIT = 120.0  # seconds; what hangs for ever still ends
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
QUESTION = "Who built the tide mill?"


def starts() -> Figures:
    with chromium() as browser:
        seen = [_start(browser) for _ in range(STARTS)]
    answers, ready = zip(*seen, strict=True)
    return {
        "starts": STARTS,
        "from `make run` until the server answers, median, s": median(answers),
        "from `make run` to a page that takes a question, median, s": median(ready),
        "the longest, s": max(ready),
        **_reached(max(ready), START_GOAL),
    }


def _start(browser: Browser) -> tuple[float, float]:
    """Seconds from `make run` until the server answers, and until the page takes a question."""
    with tempfile.TemporaryDirectory() as data:
        share_models(Path(data))
        port = free_port()
        own = {"DATA_DIR": data, "STREAMLIT_SERVER_PORT": port, "PIP_INDEX_URL": "http://0.0.0.0:9"}
        tab = browser.new_page()
        began = time.perf_counter()
        app = subprocess.Popen(
            ["make", "run"],
            cwd=ROOT,
            env=os.environ | DEFAULTS | own,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            answers = _once_served(tab, f"http://localhost:{port}") - began
            tab.get_by_test_id("stChatInputTextArea").wait_for(timeout=LIMIT * 1000)
            return answers, time.perf_counter() - began
        finally:
            tab.close()
            os.killpg(app.pid, signal.SIGTERM)
            app.wait(LIMIT)


def _once_served(tab: Page, url: str) -> float:
    """Go there as soon as somebody answers. Returns when that was."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health", timeout=LIMIT):
            served = time.perf_counter()
            tab.goto(url)
            return served
        time.sleep(0.02)
    raise TimeoutError(f"No answer from {url}.")


def in_the_browser() -> Iterator[tuple[str, Figures]]:
    with (
        tempfile.TemporaryDirectory() as data,
        running_app(Path(data)) as app,
        chromium() as browser,
    ):
        _add_samples(browser, app.url)
        for page in PAGES:
            seen = [_open(browser, f"{app.url}/{page}") for _ in range(RUNS)]
            painted, drawn = zip(*seen, strict=True)
            yield (
                f"{page}, in the browser",
                {
                    "runs": RUNS,
                    "first paint, median, s": median(painted),
                    "all drawn, median, s": median(drawn),
                    **_reached(median(painted), PAINT_GOAL),
                },
            )


def _add_samples(browser: Browser, url: str) -> None:
    tab = browser.new_page()
    open_page(tab, url)
    tab.get_by_role("button", name="sample documents").click()
    tab.get_by_text("5 documents").first.wait_for(timeout=LIMIT * 1000)
    tab.get_by_text(QUESTION).click()
    tab.get_by_text("first token").first.wait_for(timeout=LIMIT * 1000)
    tab.close()


def _open(browser: Browser, url: str) -> tuple[float, float]:
    """Seconds to the first paint, and until the script has run; nothing is in a cache."""
    with browser.new_context() as context:
        tab = context.new_page()
        began = time.perf_counter()
        tab.goto(url)
        wait_until_idle(tab)
        drawn = time.perf_counter() - began
        return tab.evaluate(PAINTED) / 1000, drawn


def scripts() -> Iterator[tuple[str, Figures]]:
    with _workspace() as conversation:
        for page in PAGES:
            app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=LIMIT).run()
            app.switch_page(f"pages/{page}.py")
            app.query_params["conversation"] = conversation  # what Ask shows
            app.run()  # the first run imports
            assert not app.exception, app.exception
            seconds = [_seconds(app.run) for _ in range(RUNS)]
            yield (
                f"{page}, its script",
                {
                    "runs": RUNS,
                    "median, s": median(seconds),
                    "the longest, s": max(seconds),
                    **_reached(median(seconds), SCRIPT_GOAL),
                },
            )


@contextmanager
def _workspace() -> Iterator[str]:
    """One with the samples, which pages find as theirs. Yields a conversation of one question."""
    with tempfile.TemporaryDirectory() as data:
        workspace = Workspace(Path(data), Config(data_dir=Path(data)), Settings.llm)
        resources._opened.append(workspace)
        load_samples(workspace, "default")
        while any(not each.stage.ended for each in workspace.ingestor.uploads("default")):
            time.sleep(0.05)
        conversation = workspace.conversations.create("default")
        str(workspace.ask(conversation, QUESTION))
        yield conversation.id
        workspace.close()


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _reached(seconds: float, goal: float) -> Figures:
    return {"goal, s": goal, "reached": "yes" if seconds < goal else "no"}


def main(wanted: list[str]) -> None:
    if "start" in wanted or not wanted:
        keep("pages", "start", starts())
    if "browser" in wanted or not wanted:
        for part, figures in in_the_browser():
            keep("pages", part, figures)
    if "script" in wanted or not wanted:
        for part, figures in scripts():
            keep("pages", part, figures)


if __name__ == "__main__":
    main(sys.argv[1:])
