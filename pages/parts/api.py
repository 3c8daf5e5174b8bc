"""The API beside the pages: on their port, for their workspace."""

from starlette.routing import BaseRoute
from streamlit import config

from engine.api import Access, mounted
from engine.api.guard import EVERYBODY, Served
from engine.api.origin import LOOPBACK
from engine.api.running import announce, withdraw
from engine.config import default_config
from pages.parts import signing_in
from pages.parts.resources import on_close, on_open, open_workspace, people


def api_routes() -> list[BaseRoute]:
    """What `st.App` takes as routes. Commands in a terminal find them once the app is open."""
    on_open.append(_announce)
    on_close.append(lambda: withdraw(default_config().data_dir / "app"))
    return mounted(_load, access)


def access() -> Access:
    """Who may use the API, from .env and Streamlit's configuration.

    Raises:
        ConfigError: .env cannot be used, or nobody knows whether people must sign in.
    """
    return Access(
        key=default_config().api_key,
        exposed=_address().lower() not in LOOPBACK,
        file_bytes=int(config.get_option("server.maxUploadSize")) * 1_000_000,
        holder=people().holder if signing_in.required() else None,
    )


def own_address() -> str:
    """Where other programs on this machine reach the app."""
    scheme = "https" if config.get_option("server.sslCertFile") else "http"
    everywhere = _address() in ("", "0.0.0.0", "::")
    host = "localhost" if everywhere or _address() in LOOPBACK else _address()
    return f"{scheme}://{host}:{config.get_option('server.port')}"


def _address() -> str:
    return str(config.get_option("server.address") or "").strip("[]")


def _load(caller: str) -> Served:
    from engine.api.routes import Api  # imports what the workspace needs

    api = Api(open_workspace if caller == EVERYBODY else lambda: people().workspace(caller))
    on_close.append(api.close)
    return api


def _announce() -> None:
    announce(default_config().data_dir / "app", own_address())
    import engine.api.routes  # noqa: F401 - the first request need not wait for this
