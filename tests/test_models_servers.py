"""Servers as models: against llama_cpp.server, llama-server where it is found, and faults."""

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from engine.config import Config
from engine.errors import ServerError
from engine.llm import GenerationOptions, OpenAICompatible
from engine.models.choosing import Choice
from engine.models.servers import KEYS, SERVERS, Servers, checked_address, models_of
from engine.models.switching import open_proven
from engine.run import Run
from engine.schema import ChatMessage
from tests.browser import free_port

KEY = "sk-mill-4711-secret"
SECONDS = 120.0


processes: dict[str, "subprocess.Popen[bytes]"] = {}  # by port


@contextmanager
def serving(command: list[str], port: str, log: Path) -> Iterator[str]:
    """The address of a server that was started with this command, once it answers."""
    address = f"http://127.0.0.1:{port}/v1"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    processes[port] = process
    try:
        deadline = time.monotonic() + SECONDS
        while True:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
            try:
                if httpx.get(f"{address}/models", timeout=2).status_code != 503:
                    break
            except httpx.HTTPError:
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module", params=["llama_cpp.server", "llama-server"])
def address(
    request: pytest.FixtureRequest, chat_model_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Two real servers with the default model and a key."""
    port, log = free_port(), tmp_path_factory.mktemp("server") / "log"
    model, key = str(chat_model_path), KEY
    if request.param == "llama_cpp.server":
        command = [sys.executable, "-m", "llama_cpp.server", "--model", model, "--port", port]
        command += ["--api_key", key, "--n_ctx", "2048", "--model_alias", "mill"]
    else:
        program = os.environ.get("LLAMA_SERVER") or shutil.which("llama-server")
        if program is None:
            pytest.skip("There is no llama-server here: install it, or name it in LLAMA_SERVER.")
        command = [program, "-m", model, "--port", port, "--api-key", key, "-c", "2048"]
        command += ["-a", "mill"]
    with serving(command, port, log) as found_at:
        yield found_at


def test_a_real_server_is_added_with_its_key_and_answers(address: str, tmp_path: Path) -> None:
    names = models_of(address, KEY)
    assert names == ["mill"]
    servers = Servers(tmp_path)
    server = servers.add(address + "/", names[0], KEY)
    llm = open_proven(Choice(server=server.id), tmp_path, Config(), Run())
    assert isinstance(llm, OpenAICompatible)
    assert llm.address == address
    question = [ChatMessage("user", "Name a colour.")]
    pieces = list(llm.stream_chat(question))
    assert len(pieces) > 1 and "".join(pieces).strip()
    llm.close()


def test_a_wrong_key_is_refused_with_a_sentence_without_it(
    address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    servers = Servers(tmp_path)
    server = servers.add(address, "mill", "sk-wrong-key-0815")
    llm = OpenAICompatible(server.address, server.model, servers.key(server))
    with pytest.raises(ServerError, match="Models page") as caught:
        llm.chat([ChatMessage("user", "Hello")])
    assert "0815" not in str(caught.value) + caplog.text
    llm.close()


def test_the_key_is_in_a_file_of_the_user_alone_and_goes_with_the_server(tmp_path: Path) -> None:
    servers = Servers(tmp_path)
    server = servers.add("http://localhost:1/v1/chat/completions", "m", KEY)
    assert server.address == "http://localhost:1/v1"
    assert stat.S_IMODE((tmp_path / KEYS).stat().st_mode) == 0o600
    holding = [each.name for each in tmp_path.iterdir() if KEY in each.read_text()]
    assert holding == [KEYS]
    assert KEY not in repr(servers.all())
    assert Servers(tmp_path).key(server) == KEY
    servers.remove(server)
    assert servers.all() == []
    assert KEY not in (tmp_path / KEYS).read_text()


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("localhost:8080/v1", "must begin with http"),
        ("http://user:pass@localhost/v1", "without password"),
        ("http://127.0.0.1:9/v1", "Is it running"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(address: str, sentence: str) -> None:
    with pytest.raises(ServerError, match=sentence) as caught:
        models_of(checked_address(address), KEY)
    assert KEY not in str(caught.value)
    assert "pass@" not in str(caught.value)


def test_a_copied_key_is_freed_of_spaces_and_refused_where_no_request_can_carry_it(
    tmp_path: Path,
) -> None:
    servers = Servers(tmp_path)
    server = servers.add("http://localhost:1/v1", "m", f" {KEY}\n")
    assert servers.key(server) == KEY
    for wrong in ("sk-mühle-4711", "sk-mill\n4711"):
        with pytest.raises(ServerError, match="Copy it once more") as caught:
            models_of("http://127.0.0.1:9/v1", wrong)
        assert wrong not in str(caught.value)


def test_damaged_files_are_set_aside_and_not_overwritten(tmp_path: Path) -> None:
    servers = Servers(tmp_path)
    server = servers.add("http://localhost:1/v1", "m", KEY)
    (tmp_path / KEYS).write_text(f'{{"{server.id}": "{KEY}"')  # cut off
    (tmp_path / SERVERS).write_text("{}")
    assert servers.all() == [] and servers.key(server) == ""
    aside = {each.name.split("-", 4)[4]: each for each in (tmp_path / "set-aside").iterdir()}
    assert KEY in aside[KEYS].read_text() and SERVERS in aside
    assert stat.S_IMODE(aside[KEYS].stat().st_mode) == 0o600


@pytest.mark.soak
def test_one_of_two_real_servers_is_killed_in_mid_answer(
    chat_model_path: Path, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        addresses = []
        for number in range(2):
            port = free_port()
            command = [sys.executable, "-m", "llama_cpp.server", "--model", str(chat_model_path)]
            command += ["--port", port, "--n_ctx", "2048", "--model_alias", "mill"]
            started = serving(command, port, tmp_path / f"log{number}")
            addresses.append(stack.enter_context(started))
        llm = OpenAICompatible(",".join(addresses), "mill")
        run, pieces = Run(), list[str]()
        question = [ChatMessage("user", "Tell a long story of a mill, a cat and the sea.")]
        with pytest.raises(ServerError, match="before the answer's end"):
            for piece in llm.stream_chat(question, GenerationOptions(max_tokens=500), run):
                pieces.append(piece)
                if len(pieces) == 20:
                    answering = str(run.trace.calls[0].settings["server"])
                    processes[str(httpx.URL(answering).port)].kill()
        assert len(pieces) >= 20, "every chunk that came is there"
        again = Run()
        assert "".join(llm.stream_chat(question, GenerationOptions(max_tokens=20), again)).strip()
        assert again.trace.calls[0].settings["server"] != answering
        llm.close()
