"""The notebooks that are open, one a session, found again by the address after a reload."""

import threading
from collections.abc import Hashable
from pathlib import Path

import streamlit as st

from engine.workspace import Workspace
from pages.cells.lessons import LESSONS
from pages.cells.notebook import Notebook
from pages.cells.source import Cell
from pages.cells.speed import measure_speed
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
}

_open: dict[str, Notebook] = {}
_lock = threading.Lock()
_speed = Notebook([measure_speed], {})


def speed_notebook() -> Notebook:
    """The machine is everybody's: one measurement at a time, and all see it."""
    return _speed


def current_notebook(workspace: Workspace) -> Notebook:
    """The one that the address names, or this session's, or a new one."""
    wanted = st.query_params.get("notebook") or st.session_state.get("notebook", "")
    notebook = _open.get(wanted) or _new_notebook(workspace)
    st.session_state.notebook = st.query_params["notebook"] = notebook.id
    return notebook


def forget_documents() -> None:
    """Drop what every notebook has made: it may hold passages of a deleted document."""
    with _lock:
        for notebook in _open.values():
            notebook.forget()


def folders(workspace: Workspace) -> dict[str, str]:
    """What can be learned on: folder → what it is called. The samples, and each collection."""
    named = {short(SAMPLES): "The samples"}
    for collection in workspace.library.collections():
        if folder := folder_of(workspace, collection):
            named[folder] = f"Yours: {collection}"
    return named


def first_question(workspace: Workspace, folder: str) -> str:
    """A question that is worth asking of these documents."""
    if folder == short(SAMPLES):
        return SAMPLE_QUESTION
    suggested = suggested_questions(workspace, Path(folder).name)
    return suggested[0] if suggested else OWN_QUESTION


def first_values(workspace: Workspace, folder: str) -> dict[str, str]:
    """What is asked of these documents at first, and what an agent is given to do."""
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
    """A cell that reads the folder is out of date when other files are in it."""
    if "folder" not in cell.inputs:
        return None
    return frozenset(str(path) for path in Path(notebook.values["folder"]).glob("*/*"))
