"""Is the reported time to first token what somebody outside sees? Three observers, and their gaps.

    python -m benchmarks.observer [engine] [http] [browser]

1. A timer around `response_gen`, in the same process: from before `start()` to the first chunk.
2. A relay on plain sockets, in a process of its own, through which the Compare page's lane over
   HTTP asks: from the first byte of a request to the first text, against the lane's own figure for
   the same request.
3. A browser on the Ask page: from the Enter key to the first text of the answer in the page,
   against the figure that the page reports. The gap has two parts: until the engine's clock
   starts, and from the engine's first text until the browser shows it.

Prints the medians of RUNS runs each, and keeps them in results/observer.json.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, expect

from benchmarks.figures import Figures, keep
from benchmarks.http import add_samples
from engine import SimpleDirectoryReader, VectorStoreIndex
from engine.api.client import Client
from engine.measuring import Lane, Mode, Setup, Transport
from engine.measuring.asking import OverHttp
from engine.run import Run
from engine.timing import Trace
from engine.workspace.conversations import ConversationStore
from tests.browser import ROOT, chromium, open_page, running_app, wait_until_idle

RUNS = 12
SAMPLE = ROOT / "samples" / "tide-mill.md"
# Questions for a fact: of the other kinds, code writes many answers, which have no first token.
QUESTIONS = (
    "Who built the tide mill?",
    "What broke the mill dam?",
    "What is the water wheel made of?",
    "When was the tide mill built?",
)
LIMIT = 120_000  # milliseconds
ENGINE_GOAL, BROWSER_GOAL = 5.0, 100.0  # milliseconds between the observer and the report

# Notes when Enter is pressed, and when the last answer's cell first holds text.
WATCH = """() => {
  window.pressed = window.seen = null;
  document.addEventListener('keydown', event => {
    if (event.key === 'Enter' && window.pressed === null) window.pressed = performance.now();
  }, true);
  new MutationObserver(() => {
    if (window.pressed === null || window.seen !== null) return;
    const cells = document.querySelectorAll('[class*="st-key-text-"]');
    if (cells.length && cells[cells.length - 1].innerText.trim()) window.seen = performance.now();
  }).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""


@dataclass(frozen=True, slots=True)
class Sight:
    """One answer's first text, in seconds: what was reported, and what somebody outside saw.

    `before` and `after` are the parts of the gap: from the Enter key to the engine's submit, and
    from the engine's first text to the observer's.
    """

    reported: float
    observed: float
    before: float = 0.0

    @property
    def gap(self) -> float:
        return self.observed - self.reported

    @property
    def after(self) -> float:
        return self.gap - self.before


def from_the_engine() -> list[Sight]:
    """A timer around `response_gen`."""
    documents = SimpleDirectoryReader(input_files=[SAMPLE]).load_data()
    engine = VectorStoreIndex.from_documents(documents).as_query_engine(streaming=True)
    str(engine.query(QUESTIONS[0]))  # loads what is loaded on first use
    sights = []
    for run in range(RUNS):
        began = time.perf_counter()
        response = engine.start(QUESTIONS[run % len(QUESTIONS)])
        chunks = response.response_gen
        next(chunks)
        observed = time.perf_counter() - began
        for _ in chunks:
            pass
        sights.append(Sight(response.trace.metrics.ttft or 0.0, observed))
    return sights


@contextmanager
def relay_to(url: str) -> Iterator[tuple[str, Iterator[str]]]:
    """The address of a relay to the app at `url`, and the lines that it prints."""
    port = url.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "benchmarks.relay", port]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        try:
            yield f"http://localhost:{next(lines).strip()}", lines
        finally:
            process.terminate()


def from_a_socket(mode: Mode) -> list[Sight]:
    """A relay that sees the requests of the Compare page's lane over HTTP."""
    setup = Setup(QUESTIONS, "default", length=64)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_app(Path(folder)) as app,
        relay_to(app.url) as (address, lines),
        Client(address) as client,
    ):
        add_samples(app)
        asker = OverHttp(client, setup, Lane(mode, Transport.HTTP))
        sights = []
        for run in range(RUNS + 1):
            asked = asker.ask(QUESTIONS[run % len(QUESTIONS)], Run())
            assert not asked.error, asked.error
            seen = json.loads(next(lines))
            observed = seen["first"] if mode is Mode.STREAMING else seen["last"]
            sights.append(Sight(asked.trace.metrics.ttft or 0.0, observed))
    return sights[1:]  # the first one loads what is loaded on first use


def from_the_browser() -> list[Sight]:
    """Somebody who looks at the Ask page; every question begins a conversation."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_app(Path(folder)) as app,
        chromium() as browser,
    ):
        tab = browser.new_page()
        tab.set_default_timeout(LIMIT)
        open_page(tab, app.url)
        tab.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(SAMPLE)
        expect(tab.get_by_text("1 document").first).to_be_visible(timeout=LIMIT)
        kept = Path(folder) / "app" / "conversations.sqlite3"
        _ask(tab, app.url, QUESTIONS[0], kept)
        asked = (QUESTIONS[run % len(QUESTIONS)] for run in range(RUNS))
        return [_ask(tab, app.url, question, kept) for question in asked]


def _ask(tab: Page, url: str, question: str, kept: Path) -> Sight:
    open_page(tab, url)
    tab.evaluate(WATCH)
    tab.get_by_test_id("stChatInputTextArea").fill(question)
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("finished after").last).to_be_visible(timeout=LIMIT)
    figures = tab.get_by_text(re.compile(r"first token [\d.]+ s")).last
    assert figures.is_visible(), f"The model did not write the answer to: {question}"
    wait_until_idle(tab)
    trace = _latest(kept)
    reported = trace.metrics.ttft or 0.0
    shown = f"first token {reported:.2f} s"
    assert shown in figures.inner_text(), f"The page does not show {shown}."
    pressed, seen = tab.evaluate(
        "[window.pressed, window.seen].map(at => (performance.timeOrigin + at) / 1000)"
    )
    return Sight(reported, seen - pressed, trace.submitted_at - pressed)


def _latest(kept: Path) -> Trace:
    """The trace of the answer that the app has written last."""
    conversations = ConversationStore(kept)
    try:
        conversation = conversations.list("default")[0]
        trace = conversations.turns(conversation.id)[-1].trace
    finally:
        conversations.close()
    assert trace
    return trace


def figures_of(sights: list[Sight], goal: float) -> Figures:
    gap = median(each.gap for each in sights) * 1000
    return {
        "runs": len(sights),
        "reported time to first token, median, ms": median(s.reported for s in sights) * 1000,
        "seen by the observer, median, ms": median(s.observed for s in sights) * 1000,
        "observer later than the report, median, ms": gap,
        "observer later than the report, largest, ms": max(s.gap for s in sights) * 1000,
        "difference of the medians, ms": (
            median(s.observed for s in sights) - median(s.reported for s in sights)
        )
        * 1000,
        "runs within the goal": sum(abs(each.gap) * 1000 <= goal for each in sights),
        "of that, before the engine's clock starts, median, ms": median(s.before for s in sights)
        * 1000,
        "of that, after the engine's first text, median, ms": median(s.after for s in sights)
        * 1000,
        "goal for the median, ms": goal,
        "reached": "yes" if abs(gap) <= goal else "no",
    }


def main(wanted: list[str]) -> None:
    if "engine" in wanted:
        keep("observer", "a timer around response_gen", figures_of(from_the_engine(), ENGINE_GOAL))
    if "http" in wanted:
        for mode in Mode:
            figures = figures_of(from_a_socket(mode), ENGINE_GOAL)
            keep("observer", f"a relay on plain sockets, {mode}", figures)
    if "browser" in wanted:
        figures = figures_of(from_the_browser(), BROWSER_GOAL)
        keep("observer", "a browser on the Ask page", figures)


if __name__ == "__main__":
    main(sys.argv[1:] or ["engine", "http", "browser"])
