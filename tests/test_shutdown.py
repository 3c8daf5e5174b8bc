"""The real app, stopped by signals: what was being written is saved, and the process ends well."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from engine.run import Phase
from engine.workspace.conversations import ConversationStore
from tests.browser import ROOT, RunningApp, go_to, open_page, running_app

LIMIT = 10  # seconds within which the process must have ended
HANDBOOK = ROOT / "samples" / "keepers-handbook.pdf"
LONG = "Write a poem of twelve lines about Bosun, the station's cat."
SECONDS = 60_000.0  # milliseconds, for the browser


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "settings.json").write_text(json.dumps({"length": 1024}))
    return folder


@pytest.fixture
def app(data: Path) -> Iterator[RunningApp]:
    with running_app(data) as started:
        yield started


def stop(app: RunningApp, number: signal.Signals) -> None:
    """Send the signal, and expect the process to end in time, with status 0, and without abort."""
    app.process.send_signal(number)
    assert app.process.wait(LIMIT) == 0, app.log_tail()
    printed = app.log.read_text(errors="replace")
    for word in ("terminate called", "Traceback", "Abort", "Segmentation"):
        assert word not in printed, app.log_tail()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_while_the_model_is_loaded_the_app_ends_with_status_0(
    app: RunningApp, number: signal.Signals
) -> None:
    stop(app, number)


@pytest.mark.browser
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.soak)]
)
def test_a_running_answer_is_saved_as_stopped(
    browser: Browser, app: RunningApp, data: Path, tmp_path: Path, number: signal.Signals
) -> None:
    tab = browser.new_context().new_page()
    tab.set_default_timeout(SECONDS)
    open_page(tab, app.url)
    long = tmp_path / "long.txt"  # embedded while the signal comes: onnxruntime's threads are busy
    lines = (f"Invoice {n}: 23 bolts and 41 washers, paid in full. " * 9 for n in range(4000))
    long.write_text("\n\n".join(lines))
    tab.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(HANDBOOK)
    expect(tab.get_by_text("1 document", exact=False).first).to_be_visible(timeout=SECONDS)
    go_to(tab, "Library")
    tab.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(long)
    tab.get_by_text("embedding", exact=False).first.wait_for()
    go_to(tab, "Ask")
    tab.get_by_test_id("stChatInputTextArea").fill(LONG)
    tab.keyboard.press("Enter")
    text = tab.locator('[class*="st-key-text-"]')
    expect(text).to_contain_text(re.compile(r"\w+ \w+"), timeout=SECONDS)
    stop(app, number)
    tab.context.close()
    store = ConversationStore(data / "app" / "conversations.sqlite3")
    (conversation,) = store.list("default")
    (turn,) = store.turns(conversation.id)
    assert turn.phase is Phase.STOPPED
    assert turn.text
    assert turn.error == ""
    log = (data / "logs" / "first-token.log").read_text()
    assert f"answer {turn.run_id} stopped: " in log
    assert "Stopped" in log.splitlines()[-1]
    assert "Bosun" not in log


HANGING = """
import logging, sys, time
sys.path.insert(0, sys.argv[1])
from pages.parts import shutdown
shutdown.LIMIT = float(sys.argv[2])
shutdown.Shutdown(lambda: time.sleep(600)).install()
print("ready", flush=True)
while True:
    time.sleep(1)
"""


def hanging(limit: float) -> subprocess.Popen[str]:
    """A process whose work does not end when it is asked to."""
    arguments = [sys.executable, "-c", HANGING, str(ROOT), str(limit)]
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def test_work_that_does_not_end_is_not_waited_for_longer_than_the_limit() -> None:
    process = hanging(limit=0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_a_second_ctrl_c_ends_at_once_and_a_second_term_does_not() -> None:
    process = hanging(limit=600)
    process.send_signal(signal.SIGTERM)
    assert process.stderr
    assert "Press Ctrl-C again" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130


def test_the_server_is_told_to_stop_as_well() -> None:
    program = HANGING.replace(
        "shutdown.Shutdown", "import signal\nsignal.signal(signal.SIGTERM, told)\nshutdown.Shutdown"
    ).replace("import logging", "def told(*_): print('told', flush=True)\nimport logging")
    arguments = [sys.executable, "-c", program, str(ROOT), "0.1"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGTERM)
    assert process.stdout.readline() == "told\n"
    assert process.wait(30) == 0
