"""The open notebooks: one per session. After a reload, the address names it."""

import threading
from collections.abc import Hashable
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st

from engine.settings import Settings
from engine.workspace import Workspace
from pages.cells.lessons import LESSONS, MEASURE_SPEED
from pages.cells.notebook import Cell, Notebook
from pages.parts import signing_in
from pages.parts.folders import folder_of, short
from pages.parts.samples import FOLDER as SAMPLES
from pages.parts.samples import suggested_questions
from pages.parts.session import current_collection

KEPT = 8  # notebooks: each may hold an index in memory
SAMPLE_QUESTION = "Who built the tide mill?"
OWN_QUESTION = "What are these documents about?"
VALUES = {
    "chunk_size": 256,
    "length": 96,
    "temperature": 0.0,
    "passages": 3,
    "response_mode": "refine",
    "pieces": 6,
    "budget": 0.4,
}

_open: dict[str, Notebook] = {}
_lock = threading.Lock()
_speed = Notebook([MEASURE_SPEED], {})

LOCAL = ("localhost", "127.0.0.1", "::1")


def speed_notebook() -> Notebook:
    """The notebook of the Models page. All sessions share it: one measurement at a time."""
    return _speed


def current_notebook(workspace: Workspace) -> Notebook:
    """The notebook that the address names, or this session's, or a new one."""
    wanted = st.query_params.get("notebook") or st.session_state.get("notebook", "")
    notebook = _open.get(wanted) or _new_notebook(workspace)
    st.session_state.notebook = st.query_params["notebook"] = notebook.id
    return notebook


def editing_allowed() -> bool:
    """Whether this session may change the code of cells, which runs with the user's rights. Where
    people sign in, it could read what is another person's.
    """
    return not signing_in.required() and may_edit(
        Settings.config.walkthrough_editing,
        str(st.get_option("server.address")),
        st.context.headers.get("Origin", ""),
        st.context.headers.get("Host", ""),
    )


def may_edit(setting: bool, address: str, origin: str, host: str) -> bool:
    """Whether only this computer can reach the server, and the request comes from its own page.

    setting: WALKTHROUGH_EDITING. address: where the server listens. origin, host: the headers of
    the browser's connection.
    """
    asked = urlsplit(origin)
    own = bool(host) and asked.netloc == host and asked.hostname in LOCAL
    return setting and address in LOCAL and own


def forget_documents() -> None:
    """Drop all results: they may contain passages of a deleted document."""
    with _lock:
        for notebook in _open.values():
            notebook.forget()


def folders(workspace: Workspace) -> dict[str, str]:
    """The folders to choose from, with their names: the samples, and each collection."""
    named = {short(SAMPLES): "The samples"}
    for collection in workspace.library.collections():
        if folder := folder_of(workspace, collection):
            named[folder] = f"Yours: {collection}"
    return named


def first_question(workspace: Workspace, folder: str) -> str:
    """The default question for the documents in this folder."""
    if folder == short(SAMPLES):
        return SAMPLE_QUESTION
    suggested = suggested_questions(workspace, Path(folder).name)
    return suggested[0] if suggested else OWN_QUESTION


def first_values(workspace: Workspace, folder: str) -> dict[str, str]:
    """The default values for the documents in this folder."""
    question = first_question(workspace, folder)
    task = f"{question.rstrip('?')}, and what is 2026 - 1684?"
    return {"folder": folder, "question": question, "task": task}


def _new_notebook(workspace: Workspace) -> Notebook:
    folder = folder_of(workspace, current_collection(workspace)) or short(SAMPLES)
    values = VALUES | first_values(workspace, folder)
    notebook = Notebook(LESSONS, values, _contents)
    with _lock:
        _open[notebook.id] = notebook
        idle = [each for each in _open.values() if not each.busy and each is not notebook]
        for each in idle[: max(0, len(_open) - KEPT)]:
            del _open[each.id]
    return notebook


def _contents(notebook: Notebook, cell: Cell) -> Hashable:
    """The files in the folder: a cell that reads them is out of date when they change."""
    if "folder" not in cell.values:
        return None
    return frozenset(str(path) for path in Path(notebook.values["folder"]).glob("*/*"))
