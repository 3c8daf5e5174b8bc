"""The port check before the app is started."""

import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts.port import port, port_user


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    """Something else that serves files, on a free port."""
    serving = ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: _Quiet(*a, directory=str(tmp_path)))
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield serving
    serving.shutdown()
    serving.server_close()


def test_a_free_port_is_free(server: ThreadingHTTPServer) -> None:
    number = server.server_port
    server.shutdown()
    server.server_close()
    assert port_user(number) is None


def test_another_program_is_told_from_first_token(
    server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    assert str(port_user(server.server_port)).startswith("Another program uses port")
    (tmp_path / "app/static").mkdir(parents=True)
    (tmp_path / "app/static/logo.svg").write_bytes(Path("static/logo.svg").read_bytes())
    assert str(port_user(server.server_port)).startswith("First Token is already running")


def test_the_port_is_the_one_streamlit_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAMLIT_SERVER_PORT", raising=False)
    assert port() == 8501
    monkeypatch.setenv("STREAMLIT_SERVER_PORT", "9000")
    assert port() == 9000
