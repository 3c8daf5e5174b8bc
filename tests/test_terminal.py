"""The terminal's commands on the app's own library, while the app runs and while it does not."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.api.client import Client
from engine.api.serving import opened
from engine.cores import SWITCH_INTERVAL
from engine.embedding import BgeEmbedding
from engine.models.choosing import Choice, save_choice
from engine.models.servers import Servers
from engine.settings import Settings
from engine.terminal import main
from tests.api_server import QUESTION, wait_until
from tests.browser import DEFAULTS, ROOT, free_port, running_app, share_models

MILL = ROOT / "samples" / "tide-mill.md"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data folder, which the commands use, with the models that are there."""
    config = replace(Settings.config, data_dir=tmp_path)
    monkeypatch.setattr("engine.terminal.default_config", lambda: config)
    interval = sys.getswitchinterval()
    yield tmp_path
    sys.setswitchinterval(interval)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_without_the_app_a_library_is_filled_searched_and_asked(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (added,) = told(capsys, "add", str(MILL))
    assert added["status"] == "processed"
    embedded: list[str] = []
    embed = BgeEmbedding.embed

    def watched(self: BgeEmbedding, texts: list[str], *rest: Any) -> Any:
        embedded.extend(texts)
        return embed(self, texts, *rest)

    monkeypatch.setattr(BgeEmbedding, "embed", watched)
    (again,) = told(capsys, "add", str(MILL))
    assert again["id"] == added["id"]
    (listed,) = told(capsys, "list")
    assert listed["filename"] == "tide-mill.md"
    assert told(capsys, "search", QUESTION)["data"][0]["file_id"] == added["id"]
    answer = told(capsys, "ask", QUESTION)
    assert "Voss" in answer["answer"] and answer["sources"][0]["document_id"] == added["id"]
    assert embedded == []  # nothing that is indexed is embedded again

    assert main(["ask", QUESTION]) == 0
    printed = capsys.readouterr().out
    assert "[1] tide-mill.md" in printed and "Voss" in printed and "first token after" in printed
    assert main(["search", QUESTION]) == 0
    assert "Hannah Voss" in capsys.readouterr().out
    assert main(["list"]) == 0
    assert "default/tide-mill.md" in capsys.readouterr().out


def test_a_command_answers_with_the_chosen_model_and_switches_threads_as_the_app_does(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, config = data / "app", replace(Settings.config, data_dir=data)
    folder.mkdir()
    choice = Choice(server=Servers(folder).add("http://127.0.0.1:9/v1", "mill", "").id)
    save_choice(folder, config, choice)
    monkeypatch.setattr(Settings, "_parts", dict(Settings._parts))
    sys.setswitchinterval(0.005)
    with opened(config) as workspace:
        assert workspace.llm.metadata.model_name == "mill"
        assert workspace.switch.current == choice
    assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL)


def test_what_cannot_be_done_is_a_sentence_and_a_status(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", QUESTION, "--collection", "nowhere"]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert main(["add", str(data / "nothing.txt")]) == 1
    assert "is not there" in capsys.readouterr().err
    assert main(["serve", "--host", "0.0.0.0"]) == 1
    assert "API_KEY" in capsys.readouterr().err


def test_files_that_are_not_in_the_library_can_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", QUESTION, str(MILL)]) == 0
    assert "Voss" in capsys.readouterr().out


def test_while_the_app_runs_the_commands_go_through_it(tmp_path: Path) -> None:
    with running_app(tmp_path):
        added = in_terminal(tmp_path, "add", str(MILL))
        (listed,) = in_terminal(tmp_path, "list")
        assert listed["id"] == added[0]["id"]
        assert "Voss" in in_terminal(tmp_path, "ask", QUESTION)["answer"]
    assert not (tmp_path / "app" / "server.json").exists()


def test_serve_is_the_api_without_the_pages(tmp_path: Path) -> None:
    share_models(tmp_path)
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "engine", "serve", "--port", port],
        cwd=ROOT,
        env={**os.environ, **DEFAULTS, "DATA_DIR": str(tmp_path)},
    ) as server:
        try:
            with Client(f"http://localhost:{port}") as client:
                wait_until(client.answers, every=0.2)
                assert client.files() == []
            assert in_terminal(tmp_path, "list") == []  # through it: it has the folder
            server.send_signal(signal.SIGINT)
            server.wait(20)
        finally:
            server.kill()
    assert not (tmp_path / "app" / "server.json").exists()


def in_terminal(data: Path, *arguments: str) -> Any:
    ended = subprocess.run(
        [sys.executable, "-m", "engine", *arguments, "--json"],
        cwd=ROOT,
        env={**os.environ, **DEFAULTS, "DATA_DIR": str(data)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
