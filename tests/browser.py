"""The real app and a real Chromium, for tests that look at a page as a person does.

`running_app` starts the app in a process of its own, on a free port, with a data folder of its
own, and ends that process and no other. `chromium` launches the browser with what a machine
without a screen needs. The fixtures that tests use are in conftest.py.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from engine.config import Config, load_config
from tests import on_a_server

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT = 120.0  # seconds; 4 on two idle cores, 30 where others compute on them
STOP_LIMIT = 10.0

# The browser's own traffic (updates, sync, safe browsing) would look like a leak of the app's. The
# tabs of one app share a process, which is started and compiles the app's scripts once.
CHROMIUM_FLAGS = (
    "--process-per-site",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Streamlit marks its root with the state of connection and script. It also says "not running"
# before the first run, when nothing is there yet.
IDLE = (
    '[data-testid="stApp"][data-test-connection-state="CONNECTED"]'
    '[data-test-script-state="notRunning"]:has([data-testid="stElementContainer"])'
)

CONTRAST = (ROOT / "tests" / "contrast.js").read_text(encoding="utf-8")

DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}

# A developer's .env must not reach the tests: empty counts as not set.
DEFAULTS = {setting.name.upper(): "" for setting in fields(Config)}


@dataclass(frozen=True, slots=True)
class RunningApp:
    """`url` is where it answers; `log` is the file that takes what it prints."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]

    def log_tail(self, lines: int = 60) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def chromium_path() -> str | None:
    """The browser on this machine: $CHROMIUM, or the first of the usual names; None without."""
    named = os.environ.get("CHROMIUM")
    found = (shutil.which(name) for name in (named, *CHROMIUM_NAMES) if name)
    return next((path for path in found if path), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser with a fresh profile, gone at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(), headless=True, args=list(CHROMIUM_FLAGS)
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def running_app(
    data_dir: Path,
    folder: Path = ROOT,
    environ: Mapping[str, str] | None = None,
    port: str = "",
) -> Iterator[RunningApp]:
    """The app in `folder`, ready to be asked; `environ` adds to the environment. `port`: by default
    a free one.

    Raises:
        RuntimeError: it did not become healthy; the message carries what it printed.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    share_models(data_dir)
    port = port or free_port()
    log = data_dir / "app.log"
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", port]
    settings = {**DEFAULTS, **on_a_server.app_settings(data_dir), "DATA_DIR": str(data_dir)}
    environment = {**os.environ, **settings, **(environ or {})}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its children end with it, and nobody else's do
        )
    app = RunningApp(f"http://localhost:{port}", log, process)
    try:
        _wait_until_healthy(app)
        yield app
    finally:
        _end(process)


def frame_around(page_source: str, folder: Path) -> Path:
    """Make `folder` an app of one page, in the real frame with its settings and headers."""
    (folder / "pages").mkdir(parents=True)
    for name in (".streamlit", "static", "engine", "pages/parts"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "streamlit_app.py", folder)
    (folder / "pages" / "ask.py").write_text(page_source, encoding="utf-8")
    return folder


def open_page(browser_page: Page, url: str) -> None:
    """Go there and wait until the page's script has run."""
    browser_page.goto(url)
    wait_until_idle(browser_page)


def go_to(browser_page: Page, name: str) -> None:
    """Change the page with its link, and wait until it is drawn.

    Until then the former page can be clicked, and a click there brings it back.
    """
    browser_page.get_by_role("link", name=name, exact=True).click()
    browser_page.get_by_role("heading", name=name, exact=True, level=1).wait_for()
    wait_until_idle(browser_page)


def wait_until_idle(browser_page: Page, timeout: float = 60.0) -> None:
    """Wait (seconds) until the page has been drawn and no script runs."""
    browser_page.wait_for_selector(IDLE, timeout=timeout * 1000)


def wait_until_true(
    browser_page: Page, expression: str, argument: object = None, timeout: float = 30.0
) -> None:
    """Evaluate a JavaScript expression until it is true, or `timeout` seconds have passed.

    Playwright's `wait_for_function` cannot do this here: its timer calls `eval` in the page, which
    the app's Content-Security-Policy forbids.
    """
    deadline = time.monotonic() + timeout
    while not browser_page.evaluate(expression, argument):
        assert time.monotonic() < deadline, f"Not true after {timeout} s: {expression}"
        time.sleep(0.05)


def low_contrast(browser_page: Page, asked: float = 4.5) -> list[str]:
    """The texts on the page with less contrast than WCAG asks, each after its ratio."""
    found: list[str] = browser_page.evaluate(CONTRAST, asked)
    return found


def share_models(data_dir: Path) -> None:
    """Nothing but the models, which are large and never change, comes from the usual folder."""
    models, link = load_config(ROOT / ".env").weights_dir.resolve(), data_dir / "weights"
    if models.is_dir() and not link.exists():
        link.symlink_to(models)


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return str(probe.getsockname()[1])


def _wait_until_healthy(app: RunningApp) -> None:
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline and app.process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{app.url}/_stcore/health", timeout=2):
            return
        time.sleep(0.1)
    raise RuntimeError(f"The app did not start. It printed:\n{app.log_tail()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask, wait, then insist: the process and its children, by their group."""
    for demand in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, demand)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_LIMIT)
            return
