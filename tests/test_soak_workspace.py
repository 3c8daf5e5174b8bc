"""Kills, damage, full disks and crowds: what was said to be saved is there afterwards.

Each test has a quick version for the ordinary suite and a long one for `make soak`, and prints a
row of a table: what was tried, how often, how often something had to be repaired, what was lost.
"""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from engine.config import Config
from engine.run import Phase
from engine.workspace import AskSettings, Workspace
from engine.workspace.conversations import ConversationStore
from tests.browser import ROOT, RunningApp, open_page
from tests.damage import DAMAGES, remove
from tests.scripted import ScriptedLLM

Row = Callable[[str, int, int, int], None]


def times(quick: int, long: int) -> pytest.MarkDecorator:
    """How often: a few times in the ordinary suite, many in the soak."""
    return pytest.mark.parametrize("times", [quick, pytest.param(long, marks=pytest.mark.soak)])


@pytest.fixture
def row(capsys: pytest.CaptureFixture[str]) -> Row:
    def show(what: str, tried: int, healed: int, lost: int) -> None:
        with capsys.disabled():
            print(f"\n| {what} | {tried} | {healed} | {lost} |")

    return show


class Child:
    """A process of soak_children.py, which works until it is killed."""

    def __init__(self, what: str, folder: Path, *limit: int) -> None:
        arguments = [what, str(folder), *map(str, limit)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak_children", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        first = self.process.stdout.readline()
        if "ready" not in first:
            raise AssertionError(self.process.communicate(timeout=60)[1])
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._said.append(line)

    def wait_for(self, word: str) -> None:
        """Until it says something with this word."""
        while not any(word in line for line in self._said):
            assert self.process.poll() is None
            threading.Event().wait(0.01)

    def end(self, number: signal.Signals) -> list[dict[str, Any]]:
        """Send the signal; what it had said, in order. A line that was cut off was not said."""
        self.process.send_signal(number)
        self.process.wait(30)
        self._reader.join(30)
        return [json.loads(line) for line in self._said if line.endswith("}\n")]


def missing_turns(store: ConversationStore, said: Sequence[dict[str, Any]]) -> list[str]:
    """The turns that were said to be saved and are not there as they were."""
    gone = {each["deleting"] for each in said if "deleting" in each}
    deleted = {each["deleted"] for each in said if "deleted" in each}
    lost = [each for each in deleted if store.find(each)]
    for each in said:
        if each.get("conversation") in gone or "conversation" not in each:
            continue
        turns = {turn.id: turn for turn in store.turns(each["conversation"])}
        turn = turns.get(each.get("asked") or each["answered"])
        if turn is None or len(turn.text) < each.get("length", 0):
            lost.append(str(each))
    return lost


@times(2, 40)
def test_kills_while_conversations_are_written(tmp_path: Path, row: Row, times: int) -> None:
    chance, healed, lost = random.Random(1), 0, []
    for _ in range(times):
        child = Child("conversations", tmp_path)
        threading.Event().wait(chance.uniform(0.0, 0.5))  # the moment of the kill
        said = child.end(signal.SIGKILL)
        with closing(ConversationStore(tmp_path / "conversations.sqlite3")) as store:
            healed += bool(store.notices)
            lost += missing_turns(store, said)
    row("kill while conversations are written", times, healed, len(lost))
    assert lost == []


@times(1, 20)
def test_kills_while_settings_are_written(tmp_path: Path, row: Row, times: int) -> None:
    chance, healed, lost = random.Random(2), 0, []
    file = tmp_path / "settings.json"
    for _ in range(times):
        child = Child("settings", tmp_path)
        threading.Event().wait(chance.uniform(0.05, 0.5))
        said = [each["settings"] for each in child.end(signal.SIGKILL) if "settings" in each]
        now, unusable = AskSettings.from_dict(json.loads(file.read_text()))
        healed += bool(unusable)
        if said and now == AskSettings():
            lost.append(str(now))
        assert not unusable
    row("kill while settings are written", times, healed, len(lost))
    assert lost == []


@times(2, 25)
def test_orderly_ends_while_answers_are_written(tmp_path: Path, row: Row, times: int) -> None:
    chance, lost, asked = random.Random(3), [], 0
    for number in range(times):
        child = Child("shutdown", tmp_path)
        threading.Event().wait(chance.uniform(0.0, 1.0))
        said = child.end((signal.SIGTERM, signal.SIGINT)[number % 2])
        assert child.process.returncode == 0
        with closing(ConversationStore(tmp_path / "conversations.sqlite3")) as store:
            for each in said:
                if "run" not in each:
                    continue
                asked += 1
                turns = {turn.run_id: turn for turn in store.turns(each["conversation"])}
                turn = turns.get(each["run"])
                if turn is None or turn.phase not in (Phase.DONE, Phase.STOPPED):
                    lost.append(f"{each}: {turn.phase if turn else 'not there'}")
    row(f"SIGTERM or Ctrl-C while {asked} answers were written", times, 0, len(lost))
    assert lost == []


@times(2, 40)
def test_a_disk_that_is_full_at_some_byte(tmp_path: Path, row: Row, times: int) -> None:
    chance, healed, lost = random.Random(4), 0, []
    for number in range(times):
        folder = tmp_path / str(number)
        folder.mkdir()
        child = Child("conversations", folder, chance.randrange(90_000, 900_000))
        child.wait_for("full")
        said = child.end(signal.SIGKILL)
        with closing(ConversationStore(folder / "conversations.sqlite3")) as store:
            healed += bool(store.notices)
            lost += missing_turns(store, said)
        shutil.rmtree(folder)
    row("full disk at a random byte", times, healed, len(lost))
    assert lost == []


FILES = (
    "conversations.sqlite3",
    "conversations.sqlite3-wal",
    "conversations.mirror.sqlite3",
    "settings.json",
)


@times(3, len(FILES) * len(DAMAGES))
def test_each_file_damaged_in_six_ways(tmp_path: Path, row: Row, times: int) -> None:
    """After a kill, so that the write-ahead logs are there."""
    whole = tmp_path / "whole"
    whole.mkdir()
    said = []
    for what in ("settings", "conversations"):
        child = Child(what, whole)
        threading.Event().wait(0.6)
        said = child.end(signal.SIGKILL)
    ways = [(name, harm) for name in FILES for harm in DAMAGES]
    chosen = ways if times == len(ways) else random.Random(5).sample(ways, times)
    healed, lost = 0, []
    for name, harm in chosen:
        folder = tmp_path / "damaged"
        remove(folder)
        shutil.copytree(whole, folder)
        if not (folder / name).exists():
            continue
        harm(folder / name)
        with closing(Workspace(folder, Config(data_dir=folder), ScriptedLLM())) as workspace:
            healed += bool(workspace.notices)
            gone = missing_turns(workspace.conversations, said)
            lost += [f"{name} {harm.__name__}: {each}" for each in gone]
            workspace.settings = AskSettings(passages=9)
            conversation = workspace.conversations.create("default")
            assert workspace.conversations.find(conversation.id)
    row("damage of conversations and settings", len(chosen), healed, len(lost))
    assert lost == []


@times(8, 20)
def test_sessions_at_once_do_not_mix(tmp_path: Path, row: Row, times: int) -> None:
    llm = ScriptedLLM(["In 1684."], seconds=0.005)
    lost = []
    with closing(Workspace(tmp_path, Config(data_dir=tmp_path), llm)) as workspace:
        upload = workspace.ingestor.add("default", "mill.txt", b"The mill was built in 1684.")
        while not upload.stage.ended:
            threading.Event().wait(0.01)

        def session(number: int) -> None:
            conversation = workspace.conversations.create("default")
            for at in range(5):
                workspace.settings = AskSettings(passages=1 + number % 10)
                question = f"Session {number}, question {at}: when was the mill built?"
                str(workspace.ask(conversation, question))
                while workspace.running(conversation.id):
                    threading.Event().wait(0.001)
            turns = workspace.turns(conversation.id)
            for at, turn in enumerate(turns):
                expected = f"Session {number}, question {at}:"
                if not turn.question.startswith(expected) or turn.phase is not Phase.DONE:
                    lost.append(f"{expected} {turn.question} {turn.phase} {turn.error}")
            if len(turns) != 5:
                lost.append(f"Session {number} has {len(turns)} turns")

        sessions = [threading.Thread(target=session, args=(number,)) for number in range(times)]
        for thread in sessions:
            thread.start()
        for thread in sessions:
            thread.join(300)
        assert not any(thread.is_alive() for thread in sessions)
    row("sessions at once", times, 0, len(lost))
    assert lost == []


@pytest.mark.soak
@pytest.mark.browser
def test_twenty_tabs_ask_at_once(browser: Browser, app: RunningApp, row: Row) -> None:
    first = browser.new_context().new_page()
    open_page(first, app.url)
    upload = first.get_by_test_id("stFileUploaderDropzoneInput")
    upload.set_input_files(ROOT / "samples" / "keepers-handbook.pdf")
    expect(first.get_by_text("1 document", exact=False).first).to_be_visible(timeout=60_000)
    tabs = [browser.new_context().new_page() for _ in range(20)]
    for tab in tabs:
        open_page(tab, app.url)
    for number, tab in enumerate(tabs):
        field = tab.get_by_test_id("stChatInputTextArea")
        field.fill(f"How often does the lamp flash, tab {number}?")
        field.press("Enter")
    lost = 0
    for number, tab in enumerate(tabs):
        expect(tab.get_by_text("finished after")).to_be_visible(timeout=300_000)
        asked = re.findall(r"tab (\d+)\?", tab.get_by_test_id("stMain").inner_text())
        lost += set(asked) != {str(number)}
        tab.context.close()
    first.context.close()
    row("tabs at once", len(tabs), 0, lost)
    assert lost == 0
