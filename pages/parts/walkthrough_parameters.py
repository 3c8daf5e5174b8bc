"""The walkthrough's parameters as widgets. What is chosen goes into the code at once."""

from collections.abc import Callable
from typing import Any, Literal

import streamlit as st

from engine.synthesis import ResponseMode
from engine.workspace import Workspace
from pages.cells.notebook import Notebook
from pages.cells.source import Cell
from pages.parts.walkthrough_state import first_question, first_values, folders

Draw = Callable[[Any, str], Any]
"""The value of now and a widget's key → the value chosen."""
Width = int | Literal["stretch"]
WIDTH = 300  # pixels: fits a phone
LONGEST = 300  # characters of a question


def choose_common(workspace: Workspace, notebook: Notebook) -> None:
    """What most cells share: the documents and the question."""
    named = folders(workspace)
    now = notebook.values["folder"]
    left, middle, right = st.columns([2, 3, 2])
    folder = left.selectbox(
        "Documents",
        list(named),
        index=list(named).index(now) if now in named else 0,
        format_func=lambda each: named[each],
        key=f"folder-{notebook.id}",
        help="The index is built anew, in memory: many documents take their time. Stop works.",
    )
    if folder != now:
        notebook.values |= first_values(workspace, folder)
    question = middle.text_input(
        "Question",
        notebook.values["question"],
        key=f"question-{notebook.id}-{folder}",
        max_chars=LONGEST,
    )
    with right:
        passages = _PASSAGES(notebook.values["passages"], f"passages-{notebook.id}")
    question = question.strip() or first_question(workspace, folder)
    notebook.values |= {"question": question, "passages": passages}


def choose_for(cell: Cell, notebook: Notebook) -> None:
    """The parameters that belong to one cell; most have none."""
    if own := _OWN.get(cell.name):
        with st.container(horizontal=True, vertical_alignment="bottom", key=f"set-{cell.name}"):
            of = f"{notebook.id}-{notebook.values['folder']}"  # a new folder brings a new task
            for name, draw in own.items():
                notebook.values[name] = draw(notebook.values[name], f"{name}-{of}")


def _slider(label: str, low: Any, high: Any, step: Any, help_: str, width: Width = WIDTH) -> Draw:
    def draw(now: Any, key: str) -> Any:
        return st.slider(label, low, high, now, step, key=key, help=help_, width=width)

    return draw


def _mode(now: Any, key: str) -> Any:
    modes = [str(mode) for mode in ResponseMode]
    return st.selectbox("Response mode", modes, modes.index(now), key=key, width=WIDTH)


def _task(now: Any, key: str) -> Any:
    return st.text_input("Task", now, key=key, max_chars=LONGEST).strip() or now


_PASSAGES = _slider(
    "Passages", 1, 10, 1, "How many are found for a question, and answered from.", "stretch"
)
_OWN: dict[str, dict[str, Draw]] = {
    "build_index": {
        "chunk_size": _slider(
            "Longest passage, in tokens", 32, 512, 32, "The embedding reads no more than 512."
        )
    },
    "set_the_model": {
        "length": _slider("Longest answer, in tokens", 16, 512, 16, "The model may end sooner."),
        "temperature": _slider(
            "Temperature", 0.0, 1.5, 0.1, "0: always the likeliest word, so every run is alike."
        ),
    },
    "stream_the_last_call": {"response_mode": _mode},
    "survive_an_error": {
        "pieces": _slider("Pieces before it breaks", 0, 30, 1, "0: nothing comes at all.")
    },
    "watch_an_agent": {"task": _task},
}
