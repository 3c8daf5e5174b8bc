"""The app with a real OpenID Connect provider, for tests in which people sign in."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import oidc_provider_mock
from playwright.sync_api import Page

from tests.browser import ROOT, RunningApp, free_port, open_page, running_app, wait_until_idle

GLOBAL_KEY = "the-key-of-the-env-file"
SECRETS = """\
[auth]
redirect_uri = "http://localhost:{port}/oauth2callback"
cookie_secret = "0123456789abcdef0123456789abcdef-for-tests"
client_id = "first-token"
client_secret = "a-secret-of-the-provider"
server_metadata_url = "http://localhost:{provider}/.well-known/openid-configuration"
"""
USERS = [
    oidc_provider_mock.User(
        sub=name.lower(),
        claims={"name": name, "email": f"{name.lower()}@example.org", "email_verified": verified},
    )
    for name, verified in (("Ann", True), ("Ben", True), ("Eve", False))
]


@dataclass(frozen=True, slots=True)
class PeopleApp:
    app: RunningApp
    data: Path

    def sign_in(self, page: Page, name: str) -> None:
        """Through the provider's own form, to the Ask page."""
        open_page(page, self.app.url)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("textbox").first.fill(name.lower())
        page.get_by_role("button", name="Authorize").click()
        page.wait_for_url(f"{self.app.url}/**")
        wait_until_idle(page)


@contextmanager
def people_app(folder: Path, administrators: str = "ann@example.org") -> Iterator[PeopleApp]:
    """`folder` gets the app's folder and its data."""
    here, data = folder / "here", folder / "data"
    (here / ".streamlit").mkdir(parents=True)
    for name in ("engine", "pages", "samples", "static", ".streamlit/config.toml"):
        (here / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "streamlit_app.py", here)
    port = free_port()
    with oidc_provider_mock.run_server_in_thread(user_claims=USERS) as provider:
        secrets = SECRETS.format(port=port, provider=provider.server_port)
        (here / ".streamlit" / "secrets.toml").write_text(secrets)
        environ = {"ADMINISTRATORS": administrators, "API_KEY": GLOBAL_KEY}
        with running_app(data, here, environ, port) as app:
            yield PeopleApp(app, data)
