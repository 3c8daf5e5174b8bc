"""A server of the API without the pages: for `python -m engine serve`, or for one command."""

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from engine.api.client import Client
from engine.api.guard import Access, mounted
from engine.api.origin import LOOPBACK, Names, OwnOriginOnly
from engine.api.routes import Api
from engine.api.running import announce, running, withdraw
from engine.config import Config
from engine.cores import switch_threads_often
from engine.errors import ConfigError, StoreInUseError
from engine.signing_in import secrets_files, sign_in_configured
from engine.workspace import Workspace

LAST_WORDS = 5  # seconds for open connections when the server ends
STARTING = 20.0  # seconds that an app which is being started has for saying where it answers
POLL = 0.2  # seconds between two looks


def serve(config: Config, host: str, port: int) -> None:
    """Serve the app's library until Ctrl-C.

    Raises:
        ConfigError: another machine could connect, and no key is set; or people sign in.
        StoreInUseError: the app runs already.
    """
    if sign_in_configured(secrets_files()):
        raise ConfigError(
            "People sign in to First Token here, and this server would know none of them. Start "
            "the app instead: its API takes the keys of people."
        )
    exposed = host not in LOOPBACK
    if exposed and not config.api_key:
        raise ConfigError(
            f"At {host} other machines can connect, so a key is needed. Set API_KEY in .env."
        )
    with opened(config) as workspace:
        server, api = _server(workspace, Access(config.api_key, exposed), host, port)
        folder = config.data_dir / "app"
        shown = "localhost" if host in ("0.0.0.0", "::", *LOOPBACK) else host
        announce(folder, f"http://{shown}:{port}")
        print(f"The API answers at http://{shown}:{port}/v1 and /mcp. Ctrl-C ends it.", flush=True)
        try:
            server.run()
        finally:
            withdraw(folder)
            api.close()


@contextmanager
def connected(config: Config) -> Iterator[Client]:
    """A client of the app's library: of the running app, or of a server in this process.

    Raises:
        StoreInUseError: another process uses the documents, and does not say where it answers.
    """
    given_up = time.monotonic() + STARTING
    with ExitStack() as stack:
        while True:
            if url := running(config.data_dir / "app"):
                client = stack.enter_context(Client(url, config.api_key))
                if client.answers():
                    break
            try:
                workspace = stack.enter_context(opened(config))
            except StoreInUseError:  # the app is being started, and will say where it answers
                if time.monotonic() > given_up:
                    raise
                time.sleep(POLL)
            else:
                client = stack.enter_context(stack.enter_context(served(workspace)))
                break
        yield client


@contextmanager
def opened(config: Config) -> Iterator[Workspace]:
    switch_threads_often()
    workspace = Workspace(config.data_dir / "app", config)
    try:
        yield workspace
    finally:
        workspace.close()


@contextmanager
def served(workspace: Workspace) -> Iterator[Client]:
    """A server on a thread, which answers this process only. Gives a client of it."""
    key = secrets.token_urlsafe()
    server, api = _server(workspace, Access(key), "127.0.0.1", 0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listening]}, name="serving", daemon=True
        )
        thread.start()
        try:
            yield Client(f"http://127.0.0.1:{port}", key)
        finally:
            api.close()
            server.should_exit = True
            thread.join(LAST_WORDS)


def _server(
    workspace: Workspace, access: Access, host: str, port: int
) -> tuple[uvicorn.Server, Api]:
    api = Api(lambda: workspace)
    hosts = () if host in LOOPBACK else ("*",)  # a key is needed there

    def names(bound: int | None) -> Names:
        return Names(frozenset((bound,) if bound else ()), hosts)

    app = Starlette(
        routes=mounted(lambda _caller: api, lambda: access),
        middleware=[Middleware(OwnOriginOnly, names=names)],
    )
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=LAST_WORDS,
    )
    return uvicorn.Server(config), api
