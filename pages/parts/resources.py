"""Shared by all pages and sessions: the workspace of this process, and the display of errors.

The server imports this file before it answers. The thread that opens the workspace imports its
modules, which takes 1.3 s, and much longer from a slow disk.
"""

import asyncio
import atexit
import functools
import gc
import logging
import resource
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, ParamSpec

import streamlit as st
from streamlit import runtime

from engine import logs
from engine.cores import switch_threads_often
from engine.errors import ConfigError, FirstTokenError
from pages.parts import signing_in
from pages.parts.media import keep_owners
from pages.parts.shutdown import Shutdown

if TYPE_CHECKING:
    from engine.workspace import Workspace
    from engine.workspace.people import People

log = logging.getLogger(__name__)

Parameters = ParamSpec("Parameters")

_lock = threading.Lock()
_opened: list["Workspace"] = []  # where people sign in, the team's
_people: list["People"] = []
on_open: list[Callable[[], None]] = []  # what begins when the workspace has been opened
on_close: list[Callable[[], None]] = []  # and ends before it is closed
FILES = 65_536  # that may be open at once, if the system allows it
_PROBLEMS = "problems"  # in the session's state: sentences that the next run of the page shows


def open_workspace() -> "Workspace":
    """The workspace, or where people sign in, the team's. The first caller opens it; the others
    wait for it.

    Raises:
        FirstTokenError: it cannot be opened; the next call tries again.
    """
    with _lock:
        if not _opened:
            workspace = _open()
            atexit.register(workspace.close)
            _opened.append(workspace)
            gc.freeze()  # 200,000 permanent objects: to check them stops all threads for 170 ms
        return _opened[0]


def _open() -> "Workspace":
    from engine.settings import Settings
    from engine.workspace import Workspace

    config = Settings.config
    try:
        return Workspace(config.data_dir / "app", config)
    except OSError as error:
        log.exception("The workspace could not be opened")
        raise ConfigError(
            f"Nothing can be saved in {config.data_dir} ({error}). Make room or correct its "
            "permissions, or name another folder as DATA_DIR in .env, and reload this page."
        ) from error


def people() -> "People":
    """The people of the workspace, with a workspace for each."""
    from engine.settings import Settings
    from engine.workspace.people import People

    with _lock:
        if not _people:
            config = Settings.config
            _people.append(People(open_workspace, config.data_dir / "app", config))
        return _people[0]


def workspace() -> "Workspace":
    """The workspace of this session: where people sign in, that of the person, or the team's for an
    administrator who has chosen it. All pages get it here. If it cannot be opened, or nobody has
    signed in, show the reason and end the page.
    """
    with shown_errors():
        if signing_in.required():
            person = signing_in.person()
            if not signing_in.sees_team():
                _loaded()
                return people().enter(person)
        return _loaded()


def _loaded() -> "Workspace":
    if _opened:
        return _opened[0]
    with st.spinner("Loading the model…", show_time=True):
        return open_workspace()


@asynccontextmanager
async def opening(_app: st.App) -> AsyncIterator[None]:
    """The server's lifespan: configure the process, load the model, and shut down in order."""
    switch_threads_often()
    _allow_many_files()
    keep_owners(runtime.get_instance().media_file_mgr)
    shutdown = Shutdown(_close)
    if threading.current_thread() is threading.main_thread():
        shutdown.install()
    threading.Thread(target=_open_early, name="opening", daemon=True).start()
    yield
    if shutdown.begun:  # its thread ends the process; the server would end it with the signal
        await asyncio.Event().wait()
    await asyncio.to_thread(_close)


def _allow_many_files() -> None:
    """A person's workspace has 10 files open, and Linux usually allows 1,024 if nobody asks."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        with suppress(OSError, ValueError):  # macOS allows fewer than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _open_early() -> None:
    from engine.settings import Settings

    try:
        logs.configure(Settings.config)
        open_workspace()
        for begin in on_open:
            begin()
    except FirstTokenError as error:  # the first page tries again and shows the error
        log.warning("The workspace could not be opened: %s", error)


def _close() -> None:
    """Close the workspace if it is open. One that is being opened has nothing to save."""
    for end in on_close:
        end()
    for opened in _opened:
        opened.close()


# Errors


@contextmanager
def shown_errors() -> Iterator[None]:
    """Show an error as a sentence, and end the page there."""
    try:
        yield
    except Exception as error:
        st.error(sentence_of(error), icon=":material/error:")
        st.stop()


def safely(callback: Callable[Parameters, object]) -> Callable[Parameters, None]:
    """A callback of a button or a form whose errors are shown as sentences.

    Streamlit runs callbacks before the page, and an error in one would replace the page. Therefore
    the sentence is kept, and `show_problems` shows it in the following run.
    """

    @functools.wraps(callback)
    def safe(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            callback(*args, **kwargs)
        except Exception as error:
            st.session_state.setdefault(_PROBLEMS, []).append(sentence_of(error))

    return safe


def show_problems(workspace: "Workspace | None") -> None:
    """Show the errors of callbacks once, answers that are not saved, and repairs at the start until
    they are dismissed. The frame calls this above every page."""
    for problem in st.session_state.pop(_PROBLEMS, []):
        st.error(problem, icon=":material/error:")
    if workspace is None:
        return
    if workspace.unsaved:
        st.warning(
            "The last answers are not saved yet, because the disk is full. Make room, and they are "
            "saved automatically. If First Token ends before that, they are lost.",
            icon=":material/save:",
        )
    for notice in list(workspace.notices):
        with st.container(
            horizontal=True, vertical_alignment="center", wrap=False, key=f"notice-{hash(notice)}"
        ):
            st.warning(notice, icon=":material/build:")
            st.button(
                "Dismiss",
                type="tertiary",
                key=f"dismiss-{hash(notice)}",
                on_click=safely(_dismiss),
                args=(workspace, notice),
            )


def _dismiss(workspace: "Workspace", notice: str) -> None:
    if notice in workspace.notices:
        workspace.notices.remove(notice)


def show_unexpected(error: Exception) -> bool:
    """Show an error that nothing else has caught, also in callbacks. True if it was shown."""
    st.error(sentence_of(error), icon=":material/error:")
    return True


def sentence_of(error: Exception) -> str:
    """The sentence for an error. An unexpected error is logged with an id."""
    if isinstance(error, FirstTokenError):
        log.warning("Shown on a page: %s", type(error).__name__, exc_info=error.__cause__)
        return str(error)
    error_id = secrets.token_hex(4)
    log.error("Error %s on a page", error_id, exc_info=error)
    if isinstance(error, OSError) and error.errno:
        return (
            f"This could not be done: {error.strerror}. Make room on the disk or correct the "
            f"permissions of the data folder, then try again ({with_id(error_id)})."
        )
    return (
        f"Something went wrong ({with_id(error_id)}). Try again. If it happens again, copy the "
        "diagnostics on the Models page."
    )


def with_id(run_id: str) -> str:
    """The text with which a page refers to the lines in the log with this id."""
    return f"{run_id} in the log"
