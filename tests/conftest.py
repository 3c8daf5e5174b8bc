"""Fixtures: the real model, the real app in a real Chromium, and what it shows on failure."""

import logging
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page

from engine.config import Config, load_config
from engine.llm import LlamaCpp
from engine.settings import Settings
from engine.weights import ensure_weights
from engine.workspace import Workspace
from pages.parts import resources
from tests.browser import DESKTOP, RunningApp, chromium, chromium_path, running_app
from tests.on_a_server import own_collections, stores_on_the_server  # noqa: F401 - for all tests

RESULTS = Path("test-results")
LAUNCHED = pytest.StashKey[Browser]()  # for a fixture that fails before a test has its browser

# Tests start many processes of First Token: apps, readers of files, proofs. Where this variable is
# set, each of them compiles its modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


# The files that take longest come first: `--dist loadfile` gives a file to one process, and a long
# one at the end would leave the other process without work. A file that is missing here is run
# after these, and before the short ones if it drives a browser.
LONGEST_FIRST = (
    "test_ask_phases_browser", "test_models_browser", "test_people_browser", "test_llama_cpp",
    "test_llama_cpp_batches",
    "test_walkthrough_browser", "test_accessibility_browser", "test_walkthrough",
    "test_llama_cpp_probe", "test_setup", "test_connect_browser", "test_agent_browser",
    "test_library_browser", "test_ask_page", "test_agent_arithmetic", "test_terminal",
    "test_library", "test_compare_browser", "test_library_page", "test_compare_page",
    "test_soak_workspace", "test_soak_storage", "test_kinds_browser", "test_shutdown",
    "test_regex_time", "test_models_switching", "test_scan_browser", "test_agent_page",
    "test_ask_browser", "test_agent_policies", "test_api_sockets", "test_reading_scans",
    "test_reembedding", "test_api", "test_workspace", "test_weights",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    browser = len(places)

    def place(item: pytest.Item) -> int:
        name = item.path.stem
        return places.get(name, browser if name.endswith("_browser") else browser + 1)

    items.sort(key=place)
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            # A browser and an app on two busy cores: an action can come before the page is ready.
            # What is broken fails twice. The summary names each test that had to run again.
            item.add_marker(pytest.mark.flaky(reruns=1))


class FailuresAtOnce:
    """Prints the crash of a failed test at once: a run ended from outside has no summary."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self.terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome in ("failed", "rerun"):
            crash = getattr(report.longrepr, "reprcrash", None)
            outcome = report.outcome.upper()
            self.terminal.write_line(f"\n{outcome} {report.nodeid} ({report.when}): {crash}")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        config.pluginmanager.register(FailuresAtOnce(terminal))


@pytest.fixture(autouse=True)
def page_errors(request: pytest.FixtureRequest) -> Iterator[list[logging.LogRecord]]:
    """Errors of pages that nobody expected. Pages show them as sentences, and `AppTest` sees no
    exception: a test fails for them, unless it takes this fixture and looks at them itself."""
    records: list[logging.LogRecord] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Collector(logging.ERROR)
    pages = logging.getLogger(resources.__name__)
    pages.addHandler(handler)
    yield records
    pages.removeHandler(handler)
    if records and "page_errors" not in request.function.__code__.co_varnames:
        error = records[0].exc_info[1] if records[0].exc_info else None
        raise AssertionError(records[0].getMessage()) from error


@pytest.fixture(scope="session")
def chat_model_path() -> Path:
    return ensure_weights(load_config().weights_dir).chat_model


@pytest.fixture(scope="session")
def llm(chat_model_path: Path) -> Iterator[LlamaCpp]:
    """The real model as shipped. Tests share it, and its kept states."""
    model = LlamaCpp(chat_model_path)
    yield model
    model.close()


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace of this test's own with the real model, which the pages find as theirs."""
    opened = Workspace(tmp_path, Config(data_dir=tmp_path), Settings.llm)
    monkeypatch.setattr(resources, "_opened", [opened])
    yield opened
    opened.close()


# Module-wide, not session-wide: while Playwright's synchronous driver runs, its thread has a
# running event loop, and a test elsewhere could not call asyncio.run.
@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """A headless Chromium. Without one the test is skipped; on CI it fails."""
    if chromium_path() is None:
        missing = "No Chromium here: install one, or name it with CHROMIUM=/path/to/it."
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    with chromium() as launched:
        request.config.stash[LAUNCHED] = launched
        yield launched


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The real app, with an empty data folder (the models apart) for this module's tests."""
    with running_app(tmp_path_factory.mktemp("data")) as started:
        yield started


@pytest.fixture(scope="module")
def app_url(app: RunningApp) -> str:
    return app.url


@pytest.fixture(scope="module")
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """The profile of this module's tabs. A new one would load the app from nothing for each test,
    which computes for 2.5 s instead of 1 s: its first tab stays open, and with it the process that
    has compiled the app's scripts."""
    context = browser.new_context(viewport=DESKTOP)
    context.set_default_timeout(60_000)  # ms; two cores may be shared with a model
    context.new_page()
    yield context
    context.close()


@pytest.fixture
def page(profile: BrowserContext) -> Iterator[Page]:
    """A tab of desktop size, in which nothing is stored."""
    tab = profile.new_page()
    yield tab
    first, *others = profile.pages
    if tab.url.startswith("http://localhost"):
        tab.evaluate("localStorage.clear()")
        with suppress(Error):  # an app that this test has ended
            first.goto(urljoin(tab.url, "/app/static/icon.svg"))
    for each in others:
        each.close()
    profile.clear_cookies()
    profile.clear_permissions()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a failed browser test, show what the app printed and what each tab shows, and keep a
    picture of the test's tab."""
    report = yield
    if report.when != "teardown" and report.failed:
        app, tab = item.funcargs.get("app"), item.funcargs.get("page")
        if isinstance(app, RunningApp):
            report.sections.append(("What the app printed", app.log_tail()))
        if "browser" in item.fixturenames and LAUNCHED in item.config.stash:
            contexts = item.config.stash[LAUNCHED].contexts
            for each in (page for context in contexts for page in context.pages):
                with suppress(Error):  # it is closed, or its process has crashed
                    text = each.locator("body").inner_text(timeout=5000)
                    report.sections.append((f"The text at {each.url}", text[:4000]))
        if isinstance(tab, Page):
            RESULTS.mkdir(exist_ok=True)
            picture = RESULTS / f"{item.name}.png"
            with suppress(Error):
                tab.screenshot(path=picture)
            report.sections.append(("A picture of the page", str(picture.resolve())))
    return report
