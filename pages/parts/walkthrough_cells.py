"""The cells of a notebook on the page: parameters, code, state, output."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.synthesis import ResponseMode
from engine.workspace import Workspace
from pages.cells.notebook import Cell, Notebook, State
from pages.parts.code_cell import ICONS, output_slot, show_error, state_line
from pages.parts.walkthrough_state import (
    editing_allowed,
    first_question,
    first_values,
    folders,
)

INTERVAL = 0.1  # seconds between two updates of a running cell
# The height of a cell's output in pixels, by the lines that it prints with the samples. Longer
# output scrolls.
LINE, MARGIN = 21, 34
LINES = {
    "load_documents": 9,
    "build_index": 1,
    "set_the_model": 3,
    "watch_an_agent": 14,
    "measure_speed": 4,
}
USUAL = 5
WIDTH = 300  # pixels: fits on a phone
LONGEST = 300  # characters of a question
LONGEST_CODE = 20_000  # characters of an edited cell
EDITOR_STYLE = """<style>
[class*="st-key-editor-"] textarea {
  font-family: "IBM Plex Mono", monospace;
  font-size: 0.8125rem;
  line-height: 1.6;
}
</style>"""


_follow = st.components.v2.component(
    "walkthrough_follow",
    html="<span></span>",
    js=Path(__file__).with_name("walkthrough_follow.js").read_text(encoding="utf-8"),
    isolate_styles=False,
)


# ---- Parameters


@dataclass(frozen=True, slots=True)
class Slider:
    """A parameter with a range. `draw` takes the current value and the key of the widget."""

    label: str
    low: float
    high: float
    step: float
    help: str

    def draw(self, now: Any, key: str) -> Any:
        return st.slider(
            self.label, self.low, self.high, now, self.step, key=key, help=self.help, width=WIDTH
        )


def _mode(now: Any, key: str) -> Any:
    modes = [str(mode) for mode in ResponseMode]
    return st.selectbox("Response mode", modes, modes.index(now), key=key, width=WIDTH)


def _task(now: Any, key: str) -> Any:
    return st.text_input("Task", now, key=key, max_chars=LONGEST).strip() or now


_PASSAGES = "How many passages are found for a question and used for the answer."
# The parameters of single cells: name → a function that draws it.
PARAMETERS: dict[str, dict[str, Callable[[Any, str], Any]]] = {
    "build_index": {
        "chunk_size": Slider(
            "Longest passage, in tokens", 32, 512, 32, "The embedding model reads at most 512."
        ).draw
    },
    "set_the_model": {
        "length": Slider(
            "Longest answer, in tokens", 16, 512, 16, "The model may end earlier."
        ).draw,
        "temperature": Slider(
            "Temperature", 0.0, 1.5, 0.1, "0: always the most likely word, so each run is the same."
        ).draw,
    },
    "set_a_budget": {
        "budget": Slider("Seconds until the first word", 0.1, 5.0, 0.1, "The budget.").draw
    },
    "stream_the_last_call": {"response_mode": _mode},
    "survive_an_error": {
        "pieces": Slider("Chunks before the error", 0, 30, 1, "0: the error comes first.").draw
    },
    "watch_an_agent": {"task": _task},
}


def choose_common(workspace: Workspace, notebook: Notebook) -> None:
    """The parameters that most cells share: documents, question, passages."""
    named = folders(workspace)
    now = notebook.values["folder"]
    left, middle, right = st.columns([2, 3, 2])
    folder = left.selectbox(
        "Documents",
        list(named),
        index=list(named).index(now) if now in named else 0,
        format_func=lambda each: named[each],
        key=f"folder-{notebook.id}",
        help="The index is built in memory. With many documents this takes a while; you can stop "
        "it.",
    )
    if folder != now:
        notebook.values |= first_values(workspace, folder)
    question = middle.text_input(
        "Question",
        notebook.values["question"],
        key=f"question-{notebook.id}-{folder}",
        max_chars=LONGEST,
    )
    passages = right.slider(
        "Passages",
        1,
        10,
        notebook.values["passages"],
        key=f"passages-{notebook.id}",
        help=_PASSAGES,
    )
    question = question.strip() or first_question(workspace, folder)
    notebook.values |= {"question": question, "passages": passages}


# ---- A cell


def show_cell(
    notebook: Notebook, cell: Cell, version: int, number: str = "", with_code: bool = True
) -> None:
    """Draw a cell; while it runs, its state and its output update themselves.

    `version`: the notebook's version before anything on the page was drawn.
    """
    with st.container(key=f"cell-{cell.name}", gap="small"):
        st.subheader(f"{number}{cell.title}", anchor=anchor(cell))
        st.markdown(cell.prose)
        if own := PARAMETERS.get(cell.name):
            with st.container(horizontal=True, vertical_alignment="bottom", key=f"set-{cell.name}"):
                of = f"{notebook.id}-{notebook.values['folder']}"  # a new folder has a new task
                for name, draw in own.items():
                    notebook.values[name] = draw(notebook.values[name], f"{name}-{of}")
        if with_code:
            _show_code(notebook, cell)
        interval = INTERVAL if notebook.state(cell) is State.RUNNING else None
        st.fragment(_show_run, run_every=interval)(notebook, cell, version)


def anchor(cell: Cell) -> str:
    return cell.name.replace("_", "-")


def _show_code(notebook: Notebook, cell: Cell) -> None:
    """The code; where editing is allowed, with buttons to edit it and to reset it."""
    editing = f"editing-{notebook.id}-{cell.name}"
    text = f"editor-{notebook.id}-{cell.name}"

    def edit() -> None:
        st.session_state[text] = notebook.code(cell)
        st.session_state[editing] = True

    def take() -> None:
        code = st.session_state[text]
        if editing_allowed() and code != notebook.code(cell):
            notebook.edit(cell.name, code)

    def done() -> None:
        take()
        st.session_state[editing] = False

    def reset() -> None:
        notebook.reset(cell.name)
        st.session_state[editing] = False

    with st.expander("Code", expanded=True, type="compact", key=f"code-{cell.name}"):
        is_editing = st.session_state.get(editing, False) and editing_allowed()
        if is_editing:
            st.html(EDITOR_STYLE)
            st.text_area(
                f"Code of “{cell.title}”".replace("`", ""),
                key=text,
                height="content",
                max_chars=LONGEST_CODE,
                on_change=take,
                label_visibility="collapsed",
            )
        else:
            st.code(notebook.code(cell), wrap_lines=True)
        if not editing_allowed():
            return
        with st.container(
            horizontal=True, vertical_alignment="center", key=f"edit-{cell.name}", gap="small"
        ):
            if is_editing:
                st.button(
                    "Done", icon=":material/check:", type="tertiary", on_click=done, key=f"d-{text}"
                )
            else:
                st.button(
                    "Edit", icon=":material/edit:", type="tertiary", on_click=edit, key=f"e-{text}"
                )
            if notebook.is_edited(cell):
                st.button(
                    "Reset",
                    icon=":material/undo:",
                    type="tertiary",
                    on_click=reset,
                    key=f"r-{text}",
                )
                st.caption("Edited. The parameters do not change this cell until you reset it.")


def _show_run(notebook: Notebook, cell: Cell, version: int) -> None:
    """The button that suits the state, the state, and the output. Each is in a slot of its own."""
    if notebook.version != version:  # a cell has begun or ended: the whole page changes
        st.rerun()
    state, execution = notebook.state(cell), notebook.execution(cell)
    with st.container(horizontal=True, vertical_alignment="center", key=f"run-{cell.name}"):
        running = state is State.RUNNING
        if running:
            notebook.hold()
        st.button(  # one button, so that the keyboard's focus stays on it
            "Stop" if running else "Run" if state is State.NEVER_RUN else "Run again",
            icon=":material/stop:" if running else ":material/play_arrow:",
            key=f"run-button-{cell.name}",
            type="primary" if state is State.OUT_OF_DATE else "secondary",
            on_click=notebook.stop if running else notebook.run,
            args=() if running else (cell.name,),
            disabled=state is State.QUEUED,
        )
        line = state_line(state, execution)
        first = [] if state in (State.QUEUED, State.RUNNING) else notebook.needs(cell)
        if first:
            *others, last = (str(notebook.cells.index(each) + 1) for each in first)
            numbers = f"{', '.join(others)} and {last}" if others else last
            line = f"{line} · runs {numbers} first"
        st.caption(line)
    if execution:
        if execution.output.text or not execution.error:
            slot = output_slot(cell.name, MARGIN + LINE * LINES.get(cell.name, USUAL))
            slot.show(execution)
        show_error(execution)


# ---- All cells


def show_contents(notebook: Notebook) -> None:
    """Every cell with its state, in the sidebar, as links. Draw it after the parameters."""
    with st.sidebar.container(key="contents", gap="xsmall"):
        for number, cell in enumerate(notebook.cells, start=1):
            icon = ICONS[notebook.state(cell)]
            st.caption(f"{icon} [{number}. {_short(cell)}](#{anchor(cell)})")


def follow(notebook: Notebook) -> None:
    """When all cells run, scroll to the running one."""
    running = notebook.running if notebook.runs_all else None
    _follow(key="follow", data={"running": running.name if running else ""}, height=1, width=1)


def spoken(notebook: Notebook) -> str:
    """What a screen reader says when the requested cells begin or have ended."""
    if notebook.running:
        return "Running all cells." if notebook.runs_all else "Running."
    if notebook.halted:
        return notebook.halted
    ended = [(each, cell) for cell in notebook.cells if (each := notebook.execution(cell))]
    if not ended:
        return ""
    last, cell = max(ended, key=lambda each: each[0].began)
    return f"{_short(cell)}: {last.state}."


def show_progress(notebook: Notebook, place: DeltaGenerator) -> None:
    """Which of the requested cells runs, or why they ended early."""
    cell = notebook.running
    if cell is None:
        if notebook.halted:
            place.caption(f":material/error: {notebook.halted}")
        return
    done, asked = notebook.progress
    line = f"{done + 1} of {asked} · [{_short(cell)}](#{anchor(cell)})"
    place.progress(done / asked if asked else 0.0, text=line)


def _short(cell: Cell) -> str:
    return cell.title.partition(":")[0].replace("`", "")
