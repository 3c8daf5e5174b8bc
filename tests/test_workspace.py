"""What the app keeps: settings, answers on a full disk, and what closing does."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from engine.config import Config
from engine.errors import StoreError, StoreInUseError
from engine.measuring.schedule import Experiment
from engine.run import Phase
from engine.workspace import AskSettings, Workspace
from engine.workspace import workspace as module
from engine.workspace.ingestion import Stage
from tests.damage import DAMAGES, foreign, garbage, truncated, unreadable
from tests.scripted import ScriptedLLM

FULL = "PRAGMA max_page_count = 1"  # SQLite's own "disk is full" from here on
ROOM = "PRAGMA max_page_count = 1000000"


DAMAGED, WHOLE = (f"{digit * 8}-0000-0000-0000-000000000000" for digit in "ab")


class Gate:
    """Lets a model write its first piece, and holds the others back until it is opened."""

    def __init__(self) -> None:
        self.began, self.opened = threading.Event(), threading.Event()

    def __call__(self, number: int) -> None:
        if number:
            self.began.set()
            self.opened.wait(30)


@pytest.fixture
def gate() -> Gate:
    return Gate()


Opened = Callable[..., Workspace]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Opens workspaces of this test's folder, which are closed at its end."""
    with ExitStack() as stack:

        def open_one(llm: ScriptedLLM | None = None) -> Workspace:
            workspace = Workspace(tmp_path, Config(data_dir=tmp_path), llm or ScriptedLLM())
            return stack.enter_context(closing(workspace))

        yield open_one


def with_document(workspace: Workspace) -> Workspace:
    upload = workspace.ingestor.add("default", "mill.txt", b"The mill was built in 1684.")
    finished = threading.Event()
    while not upload.stage.ended:
        finished.wait(0.01)
    assert upload.stage is Stage.READY
    return workspace


def test_a_wrong_value_falls_back_alone(opened: Opened, tmp_path: Path) -> None:
    saved = {"streaming": False, "passages": "many", "length": 99_999, "temperature": 1, "new": 2}
    (tmp_path / "settings.json").write_text(json.dumps(saved))
    workspace = opened()
    assert workspace.settings == AskSettings(streaming=False, temperature=1.0)
    (notice,) = workspace.notices
    assert "passages, length" in notice
    (aside,) = (tmp_path / "set-aside").iterdir()
    assert json.loads(aside.read_text()) == saved
    assert opened_again(workspace, opened).notices == []


def opened_again(workspace: Workspace, opened: Opened) -> Workspace:
    workspace.close()
    return opened()


@pytest.mark.parametrize("harm", [garbage, truncated, unreadable, foreign])
def test_damaged_settings_are_set_aside_and_the_defaults_hold(
    opened: Opened, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    workspace = opened()
    workspace.settings = AskSettings(passages=7)
    workspace.close()
    harm(tmp_path / "settings.json")
    workspace = opened()
    assert workspace.settings == AskSettings()
    assert str(tmp_path / "set-aside") in workspace.notices[0]
    workspace.settings = AskSettings(passages=6)
    assert opened_again(workspace, opened).settings.passages == 6


def test_tabs_that_change_settings_at_once_see_whole_ones(opened: Opened, tmp_path: Path) -> None:
    workspace = opened()
    workspace.settings = AskSettings(passages=2)
    faults: list[BaseException] = []
    seen: set[int] = set()
    done = threading.Event()

    def change(passages: int) -> None:
        try:
            for _ in range(40):
                workspace.settings = AskSettings(passages=passages)
        except BaseException as fault:
            faults.append(fault)

    def read() -> None:
        while not done.is_set():
            seen.add(workspace.settings.passages)
            seen.add(json.loads((tmp_path / "settings.json").read_text())["passages"])

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=change, args=(number,)) for number in (4, 5, 6)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert faults == []
    assert seen <= {2, 4, 5, 6}
    assert [file.name for file in tmp_path.iterdir() if "settings" in file.name] == [
        "settings.json"
    ]


def test_settings_that_cannot_be_written_leave_the_old_ones(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = opened()
    workspace.settings = AskSettings(passages=5)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        workspace.settings = AskSettings(passages=7)
    assert workspace.settings.passages == 5
    assert json.loads((tmp_path / "settings.json").read_text())["passages"] == 5


def test_an_answer_that_ended_on_a_full_disk_is_saved_when_there_is_room(
    opened: Opened, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAVE_AGAIN", 0.01)
    llm = ScriptedLLM(["Built ", "in 1684. " * 2000], before_piece=gate)
    workspace = with_document(opened(llm))
    conversation = workspace.conversations.create("default")
    response = workspace.ask(conversation, "When was the mill built?")
    assert gate.began.wait(30)
    database = workspace.conversations._db
    database.execute(FULL)
    gate.opened.set()
    text = str(response)
    with workspace._changed:
        assert workspace._changed.wait_for(lambda: bool(workspace.unsaved), 30)
    (turn,) = workspace.turns(conversation.id)
    assert (turn.text, turn.phase) == (text, Phase.DONE)
    assert workspace.unsaved == [turn.id]
    with workspace.conversations._lock:
        database.execute(ROOM)
    deadline = time.monotonic() + 30
    while workspace.unsaved:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (saved,) = opened_again(workspace, opened).turns(conversation.id)
    assert (saved.text, saved.phase) == (text, Phase.DONE)


def test_a_question_that_cannot_be_saved_leaves_no_trace_later(
    opened: Opened, gate: Gate
) -> None:
    workspace = with_document(opened(ScriptedLLM(["a ", "b"], before_piece=gate)))
    conversation = workspace.conversations.create("default", "Empty")
    database = workspace.conversations._db
    database.execute(FULL)
    with pytest.raises(StoreError, match="Make room"):
        workspace.ask(conversation, "When? " + "really " * 560)
    database.execute(ROOM)
    gate.opened.set()
    answers = [each for each in threading.enumerate() if each.name.startswith("answer")]
    for thread in answers:
        thread.join(30)
    assert workspace.turns(conversation.id) == []
    found = workspace.conversations.find(conversation.id)
    assert found
    assert found.title == "Empty"
    workspace.ask(conversation, "When?")
    assert [turn.question for turn in opened_again(workspace, opened).turns(conversation.id)] == [
        "When?"
    ]


def test_closing_saves_what_an_answer_has_so_far_as_stopped(opened: Opened, gate: Gate) -> None:
    workspace = with_document(opened(ScriptedLLM(["Built in ", "1684."], before_piece=gate)))
    conversation = workspace.conversations.create("default")
    response = workspace.ask(conversation, "When was the mill built?")
    assert gate.began.wait(30)
    while not response.text:
        response.wait_for(0.1)
    response.hold(600)
    closer = threading.Thread(target=workspace.close)
    closer.start()
    while not workspace._closing:
        pass
    with pytest.raises(StoreError, match="is being stopped"):
        workspace.ask(conversation, "Another?")
    gate.opened.set()
    closer.join(30)
    (turn,) = opened().turns(conversation.id)
    assert (turn.text, turn.phase, turn.error) == ("Built in ", Phase.STOPPED, "")


def test_an_answer_that_does_not_end_in_time_is_saved_all_the_same(
    opened: Opened, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSING_SECONDS", 0.0)
    workspace = with_document(opened(ScriptedLLM(["Built in ", "1684."], before_piece=gate)))
    conversation = workspace.conversations.create("default")
    response = workspace.ask(conversation, "When was the mill built?")
    assert gate.began.wait(30)
    while not response.text:
        response.wait_for(0.1)
    workspace.close()
    gate.opened.set()
    str(response)
    (turn,) = opened().turns(conversation.id)
    assert (turn.text, turn.phase) == ("Built in ", Phase.STOPPED)


def test_each_question_is_one_line_in_the_log_without_its_text(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "engine")
    workspace = with_document(opened())
    conversation = workspace.conversations.create("default")
    response = workspace.ask(conversation, "When was the mill built?")
    assert str(response)
    (turn,) = opened_again(workspace, opened).turns(conversation.id)
    (line,) = (each for each in caplog.messages if each.startswith("answer"))
    assert line.startswith(f"answer {response.run_id} done: ")
    assert turn.run_id == response.run_id
    assert "search" in line
    assert any(each.startswith("Upload ") and ": ready" in each for each in caplog.messages)
    assert "mill" not in caplog.text
    assert "1684" not in caplog.text


@pytest.mark.parametrize("harm", DAMAGES, ids=lambda harm: str(harm.__name__))
def test_a_damaged_measurement_harms_no_other(
    opened: Opened, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    header = {
        "kind": "session",
        "format": 1,
        "what": str(next(iter(Experiment))),
        "started": 1.0,
        "setup": {
            "question": "?",
            "collection": "default",
            "passages": 1,
            "packing": None,
            "length": 16,
            "warm": True,
        },
        "fingerprint": {},
        "planned": 1,
        "imported": False,
    }
    folder = tmp_path / "measurements"
    folder.mkdir()
    for session_id in (DAMAGED, WHOLE):
        line = json.dumps(header | {"id": session_id}) + "\n"
        (folder / f"{session_id}.jsonl").write_text(line)
    harm(folder / f"{DAMAGED}.jsonl")
    workspace = opened()
    assert [each.id for each in workspace.measurements.sessions()] == [WHOLE]
    lost_nothing = harm.__name__ in ("missing", "empty")
    assert len(workspace.notices) == (0 if lost_nothing else 1)
    assert (tmp_path / "set-aside").exists() != lost_nothing


def test_a_second_workspace_in_the_same_folder_is_refused_and_harms_nothing(
    opened: Opened, tmp_path: Path
) -> None:
    first = opened()
    conversation = first.conversations.create("default")
    with pytest.raises(StoreInUseError, match="Another process is using"):
        opened()
    assert first.conversations.find(conversation.id)
    assert not (tmp_path / "set-aside").exists()
    assert opened_again(first, opened).conversations.find(conversation.id)


def test_a_question_with_characters_that_cannot_be_saved_is_asked_and_saved_without_them(
    opened: Opened,
) -> None:
    workspace = opened()
    conversation = workspace.conversations.create("default")
    response = workspace.ask(conversation, "Who \ud800 built it?")
    assert str(response) is not None
    (turn,) = workspace.conversations.turns(conversation.id)
    assert turn.question == response.question == "Who \ufffd built it?"


def test_a_question_that_is_too_long_is_refused_and_not_saved(opened: Opened) -> None:
    workspace = opened()
    conversation = workspace.conversations.create("default")
    with pytest.raises(ValueError, match="300,000 characters, and 4,000 are allowed"):
        workspace.ask(conversation, "x" * 300_000)
    assert workspace.conversations.turns(conversation.id) == []
