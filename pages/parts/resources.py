"""What all pages and sessions share: the one workspace of this process."""

import atexit
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from engine.errors import FirstTokenError
from engine.settings import Settings
from engine.workspace import Workspace

APP_FOLDER = "app"


@st.cache_resource(show_spinner="Loading the model…")
def open_workspace() -> Workspace:
    config = Settings.config
    workspace = Workspace(config.data_dir / APP_FOLDER, config, Settings.llm)
    atexit.register(workspace.close)
    return workspace


def workspace() -> Workspace:
    """The workspace, or a page that says in a sentence why there is none, and ends."""
    with shown_errors():
        return open_workspace()


@contextmanager
def shown_errors() -> Iterator[None]:
    """Show an error that a person can see, and end the page there."""
    try:
        yield
    except FirstTokenError as error:
        st.error(str(error), icon=":material/error:")
        st.stop()
