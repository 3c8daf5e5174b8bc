"""The pages where people sign in, as their scripts run: who sees what, and what no state opens."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send
from streamlit.testing.v1 import AppTest

from engine.errors import ConfigError, SignInError
from engine.signing_in import Person
from engine.workspace.conversations import Turn
from pages.parts import media, resources, signing_in
from pages.parts.walkthrough_state import editing_allowed
from tests.people_server import ISSUER, Team, team_server

ROOT = Path(__file__).parents[1]
ADMINISTRATOR = Person.from_claims({"iss": ISSUER, "sub": "3", "name": "Cleo"}, "")
AUTH = {"client_id": "first-token", "server_metadata_url": "https://login.example/metadata"}
Open = Callable[..., AppTest]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with team_server(tmp_path_factory.mktemp("team")) as made:
        yield made


@pytest.fixture
def open_page(team: Team, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens a page as somebody; None has not signed in."""
    monkeypatch.setattr(resources, "_opened", [team.workspace])
    monkeypatch.setattr(resources, "_people", [team.people])
    monkeypatch.setattr(signing_in, "required", lambda: True)

    def open_as(
        person: Person | None, page: str = "ask", address: str = "", state: object = None
    ) -> AppTest:
        def who() -> Person:
            if person is None:
                raise SignInError("Sign in to use First Token.")
            return person

        monkeypatch.setattr(signing_in, "person", who)
        app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
        app.secrets["auth"] = AUTH
        name, _, value = address.partition("=")
        if name:
            app.query_params[name] = value
        if state is not None:
            app.session_state[signing_in.TEAM] = state
        app.run()
        if page != "ask":
            app.switch_page(f"pages/{page}.py")
            if name:
                app.query_params[name] = value
            app.run()
        return app

    return open_as


def shown(app: AppTest) -> str:
    groups = (app.title, app.markdown, app.caption, app.error, app.info, app.warning, app.button)
    return "\n".join(
        f"{getattr(each, 'label', '')} {getattr(each, 'value', '')}"
        for group in groups
        for each in group
    )


def test_who_has_not_signed_in_sees_one_button_and_no_page_runs(open_page: Open) -> None:
    app = open_page(None)
    assert [each.label for each in app.button] == ["Sign in"]
    assert not app.exception and not app.chat_input and not app.selectbox
    for page in ("library", "models", "walkthrough", "connect"):
        app = open_page(None, page)  # the harness can run a page's file without the frame
        assert [each.value for each in app.error] in ([], ["Sign in to use First Token."])
        assert not app.exception and not app.selectbox and not app.text_input
        assert "handbook" not in shown(app)


def test_a_person_sees_their_own_documents_and_no_others(team: Team, open_page: Open) -> None:
    ann, ben = team.ann, team.ben
    (document,) = ann.workspace.library.documents("default")
    conversation = ann.workspace.conversations.create("default", "About the cellar")
    ann.workspace.conversations.save(conversation.id, Turn("t1", "Where?", f"It is {ann.secret}."))
    own = open_page(ann.person, "library")
    assert f"{ann.secret}.txt" in shown(own).replace("\\", "")
    assert ann.secret in shown(open_page(ann.person, address=f"conversation={conversation.id}"))
    for app in (
        open_page(ben.person, "library"),
        open_page(ben.person, "library", f"document={document.source_id}"),
        open_page(ben.person, address=f"conversation={conversation.id}"),
        open_page(ben.person, "agent", "run=1"),
        open_page(ben.person, "library", state=True),  # only an administrator sees the team's
    ):
        assert ann.secret not in shown(app) and "payroll" not in shown(app)
        assert "payroll" not in str([each.options for each in app.selectbox])


def test_models_and_diagnostics_are_for_administrators_and_the_walkthrough_for_nobody(
    team: Team, open_page: Open
) -> None:
    administrator = Person(ADMINISTRATOR.id, "Cleo", administrator=True)
    assert open_page(administrator, "models").title[0].value == "Models"
    for page, person in (
        ("models", team.ann.person),
        ("walkthrough", team.ann.person),
        ("walkthrough", administrator),
    ):
        with pytest.raises(ValueError, match="Could not find a navigation page"):
            open_page(person, page)
    assert not editing_allowed()


def test_an_administrator_chooses_what_is_shared(team: Team, open_page: Open) -> None:
    administrator = Person(ADMINISTRATOR.id, "Cleo", administrator=True)
    app = open_page(administrator, "library", state=True)
    assert "payroll" in str(app.selectbox[0].options)
    app.selectbox[0].select("payroll").run()
    (switch,) = (each for each in app.toggle if each.label.startswith("Everybody can read"))
    assert not switch.value
    switch.set_value(True).run()
    assert team.workspace.published.names() == ["handbook", "payroll"]
    shared = open_page(team.ben.person, "library")
    shared.selectbox[0].select("shared:payroll").run()
    assert "payroll.txt" in shown(shared).replace("\\", "")
    assert "Administrators change them" in shown(shared)
    assert not [each for each in shared.button if each.label.startswith("Delete")]
    app.toggle(key="published-payroll").set_value(False).run()
    assert team.workspace.published.names() == ["handbook"]


def test_a_key_is_shown_once(team: Team, open_page: Open) -> None:
    app = open_page(team.ben.person, "connect")
    app.text_input(key="key-name").input("laptop")
    next(each for each in app.button if each.label == "Make a key").click().run()
    (key,) = (each.value for each in app.code if each.value.startswith("ft-"))
    assert team.people.holder(key) == team.ben.person.id
    assert key not in str([each.value for each in app.run().code])
    next(each for each in app.button if each.label == "Revoke").click().run()
    assert team.people.holder(key) is None


def test_a_damaged_secrets_file_closes_the_app(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged() -> bool:
        raise ConfigError("secrets.toml cannot be read.")

    monkeypatch.setattr(signing_in, "required", damaged)
    app = open_page(None)
    assert [each.value for each in app.error] == ["secrets.toml cannot be read."]
    assert not app.button and not app.chat_input


# ---- Files that Streamlit serves


def status_of(path: str, method: str = "GET") -> int:
    """What the middleware answers; 200 stands for what is behind it."""
    said: list[int] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            said.append(message["status"])

    async def receive() -> Message:
        return {"type": "http.request"}

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"cookie", b"_streamlit_user=forged")],
    }
    asyncio.run(media.OwnMediaOnly(app)(scope, receive, send))
    (status,) = said
    return status


def test_without_a_persons_cookie_no_file_is_served_or_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(media._owners, "abc", {"0" * 32})
    private = ["/media/abc.png", "/media/abc", "//media/abc.png", "/app/media/abc.png"]
    private += ["/media/unknown.png", "/_stcore/upload_file/session/file"]
    free = ["/", "/static/media/font.woff2", "/app/static/icon.svg", "/_stcore/health"]
    monkeypatch.setattr(signing_in, "required", lambda: True)
    assert {status_of(path, method) for path in private for method in ("GET", "PUT")} == {404}
    assert {status_of(path) for path in free} == {200}

    def damaged() -> bool:
        raise ConfigError("secrets.toml cannot be read.")

    monkeypatch.setattr(signing_in, "required", damaged)
    assert status_of("/media/abc.png") == 404
    monkeypatch.setattr(signing_in, "required", lambda: False)
    assert {status_of(path) for path in (*private, *free)} == {200}
