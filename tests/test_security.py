"""Nothing a page shows makes the browser talk to anyone but this app."""

import http.client
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page
from streamlit import config

from pages.parts import security
from tests.browser import RunningApp, frame_around, open_page, running_app

TRAP = """
import altair as alt
import pandas as pd
import streamlit as st

st.title("An answer that should not be believed")
st.markdown("![x]({elsewhere}/image?q=secret)")
st.markdown('<img src="{elsewhere}/html?q=secret"> <script src="{elsewhere}/js"></script>')
st.html('<img src="{elsewhere}/st-html?q=secret"><link rel="stylesheet" href="{elsewhere}/css">')
st.html('<style>h1 {{ background: url("{elsewhere}/style?q=secret") }}</style>')
st.image("{elsewhere}/st-image?q=secret")
frame = pd.DataFrame({{"mode": ["streaming", "whole"], "seconds": [0.2, 1.1]}})
labelled = alt.Chart(frame).transform_calculate(label="format(datum.seconds, '.1f') + ' s'")
st.altair_chart(labelled.mark_text().encode(x="seconds", y="mode", text="label:N"))
st.dataframe(frame)
st.button("Press", on_click=lambda: st.session_state.update(pressed=True))
if st.session_state.get("pressed"):
    st.markdown("Pressed.")
"""


class Elsewhere:
    """A server that is not the app's, and the paths that were asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    stranger = Elsewhere()
    yield stranger
    stranger.server.shutdown()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, elsewhere: Elsewhere) -> Iterator[RunningApp]:
    """The app with one page, which tries to leak."""
    trap = TRAP.format(elsewhere=elsewhere.url)
    folder = frame_around(trap, tmp_path_factory.mktemp("trap") / "app")
    with running_app(tmp_path_factory.mktemp("data"), folder) as started:
        yield started


@dataclass(frozen=True, slots=True)
class Visit:
    """The page, opened once, and what the browser said of it."""

    tab: Page
    complaints: list[str]


@pytest.fixture(scope="module")
def visit(browser: Browser, app_url: str) -> Iterator[Visit]:
    context = browser.new_context()
    visited = Visit(context.new_page(), [])
    visited.tab.on("pageerror", lambda error: visited.complaints.append(str(error)))
    visited.tab.on(
        "console",
        lambda said: visited.complaints.append(said.text) if said.type == "error" else None,
    )
    open_page(visited.tab, app_url)
    visited.tab.locator("[data-testid=stVegaLiteChart] svg.marks").wait_for()
    visited.tab.locator("[data-testid=stDataFrame] canvas").first.wait_for()
    yield visited
    context.close()


@pytest.mark.browser
def test_nothing_in_an_answer_makes_the_browser_ask_another_server(
    visit: Visit, elsewhere: Elsewhere
) -> None:
    assert elsewhere.asked == []
    assert any(f"{elsewhere.url}/image" in complaint for complaint in visit.complaints)


@pytest.mark.browser
def test_the_app_itself_works_under_its_own_policy(visit: Visit, elsewhere: Elsewhere) -> None:
    visit.tab.get_by_role("button", name="Press").click()
    visit.tab.get_by_text("Pressed.").wait_for()
    assert [text for text in visit.complaints if elsewhere.url not in text] == []


def test_every_response_carries_the_policy(app: RunningApp) -> None:
    for path in ("/", "/library", "/app/static/icon.svg", "/_stcore/health", "/nothing/here"):
        answer = _get(app, path)
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"], path
        assert answer.headers["X-DNS-Prefetch-Control"] == "off"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:{port}", 101),
        (None, 101),  # no browser: a program on this machine
        ("http://localhost:9999", 403),
        ("http://127.0.0.1:{port}", 403),  # not the host that was asked
        ("http://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_only_the_apps_own_pages_may_open_the_websocket(
    app: RunningApp, origin: str | None, status: int
) -> None:
    port = app.url.rsplit(":", 1)[1]
    headers = handshake(f"localhost:{port}")
    if origin is not None:
        headers["Origin"] = origin.format(port=port)
    assert _status(app, "/_stcore/stream", headers) == status


PATHS = ("/", "/app/static/icon.svg", "/_stcore/health", "/v1/models", "/mcp", "/_stcore/stream")


@pytest.mark.parametrize("path", PATHS)
def test_nothing_answers_under_a_name_that_is_not_this_machines(app: RunningApp, path: str) -> None:
    """DNS rebinding: a stranger's page whose name resolves to 127.0.0.1 must not get in."""
    port = app.url.rsplit(":", 1)[1]
    for host in (
        f"rebound.example:{port}",
        "localhost:9",
        f"localhost:{port}@evil.example",
        f"localhost.evil.example:{port}",
        f"localhost:{port}/x",
        "localhost:port",
        "",
    ):
        assert _status(app, path, opening(path, host)) in (400, 403), host
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", f"LOCALHOST:{port}"):
        assert _status(app, path, opening(path, host)) not in (400, 403), host


def test_another_sites_page_can_neither_read_nor_post(app: RunningApp) -> None:
    port = app.url.rsplit(":", 1)[1]
    own = {"Host": f"localhost:{port}"}
    for origin in ("http://localhost:9999", "http://evil.example", "null"):
        for method in ("GET", "POST", "PUT", "OPTIONS"):
            headers = own | {"Origin": origin, "Content-Length": "0"}
            path = "/_stcore/upload_file/session/file"
            assert _status(app, path, headers, method) == 403
    headers = own | {"Origin": f"http://localhost:{port}"}
    assert _status(app, "/", headers) == 200


def test_an_upload_without_the_xsrf_token_is_refused(app: RunningApp) -> None:
    port = app.url.rsplit(":", 1)[1]
    headers = {"Host": f"localhost:{port}", "Content-Length": "0"}
    assert _status(app, "/_stcore/upload_file/session/file", headers, "PUT") == 403


def test_configured_names_are_the_apps_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def option(name: str) -> object:
        values = {"server.address": "192.168.1.5", "server.allowedHosts": ["*.home", "docs.local"]}
        return values.get(name, "")

    monkeypatch.setattr(config, "get_option", option)
    own = ("192.168.1.5:8501", "docs.local", "docs.local:443", "a.home:80", "localhost:8501")
    assert [security.names(8501).is_host(host) for host in own] == [True] * 5
    strange = ("192.168.1.6:8501", "docs.local.evil", "home", "localhost:80", "localhost")
    assert [security.names(8501).is_host(host) for host in strange] == [False] * 5


def _status(app: RunningApp, path: str, headers: dict[str, str], method: str = "GET") -> int:
    """The status of the answer to a request that is sent exactly so."""
    port = int(app.url.rsplit(":", 1)[1])
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    with socket.create_connection(("localhost", port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(connection.makefile("rb").readline().split()[1])


def opening(path: str, host: str) -> dict[str, str]:
    """What asks for that path: a WebSocket for the stream."""
    return handshake(host) if path.endswith("/stream") else {"Host": host}


def handshake(host: str) -> dict[str, str]:
    """What opens a WebSocket."""
    return {
        "Host": host,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }


def _get(
    app: RunningApp, path: str, headers: dict[str, str] | None = None
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(app.url.removeprefix("http://"), timeout=30)
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    connection.close()
    return answer
