"""What all pages and sessions share: the one workspace of this process.

The server imports this file before it answers, so what the workspace needs is imported by the
thread that opens it: that takes 1.3 s, and much longer from a slow, cold disk.
"""

import atexit
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import ConfigError, FirstTokenError

if TYPE_CHECKING:
    from engine.workspace import Workspace

_lock = threading.Lock()
_opened: list["Workspace"] = []


def open_workspace() -> "Workspace":
    """The workspace, opened by the first who asks; the others wait for it.

    Raises:
        FirstTokenError: it cannot be opened; the next one who asks tries again.
    """
    with _lock:
        if not _opened:
            workspace = _open()
            atexit.register(workspace.close)
            _opened.append(workspace)
            gc.freeze()  # 200,000 objects that stay: a look at each holds all threads for 170 ms
        return _opened[0]


def _open() -> "Workspace":
    from engine.settings import Settings
    from engine.workspace import Workspace

    config = Settings.config
    try:
        return Workspace(config.data_dir / "app", config, Settings.llm)
    except OSError as error:
        raise ConfigError(
            f"Nothing can be kept in {config.data_dir} ({error}). Make room or mend its "
            "permissions, or name another folder as DATA_DIR in .env, and reload this page."
        ) from error


def workspace() -> "Workspace":
    """The workspace, or a page that says in a sentence why there is none, and ends."""
    with shown_errors():
        if _opened:
            return _opened[0]
        with st.spinner("Loading the model…", show_time=True):
            return open_workspace()


@asynccontextmanager
async def opening(_app: st.App) -> AsyncIterator[None]:
    """While the server starts, load the model: the first page need not wait for it all."""
    threading.Thread(target=_open_quietly, name="opening", daemon=True).start()
    yield


def _open_quietly() -> None:
    with suppress(FirstTokenError):  # the first page asks again, and shows why
        open_workspace()


@contextmanager
def shown_errors() -> Iterator[None]:
    """Show an error that a person can see, and end the page there."""
    try:
        yield
    except FirstTokenError as error:
        st.error(str(error), icon=":material/error:")
        st.stop()
