"""The walkthrough's cells on the page, and following the one that runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.cells.notebook import Notebook, State
from pages.cells.source import Cell
from pages.parts.code_cell import ICONS, OutputSlot, output_slot, show_code, show_error, state_line
from pages.parts.walkthrough_parameters import choose_for

INTERVAL = 0.08  # seconds between two looks: 50 to 80 ms are as good as at once
# Pixels, by the lines that a cell prints with the samples; longer output scrolls.
LINE, MARGIN = 21, 34
LINES = {
    "load_documents": 9,
    "build_index": 1,
    "set_the_model": 3,
    "watch_an_agent": 14,
    "measure_speed": 4,
}
USUAL = 5


@dataclass(slots=True)
class Shown:
    """What of a cell changes while it runs."""

    state: DeltaGenerator
    output: OutputSlot | None


def show_contents(notebook: Notebook) -> None:
    """Every cell with its state, beside the page; a click goes there."""
    with st.sidebar.container(key="contents", gap="xsmall"):
        for number, cell in enumerate(notebook.cells, start=1):
            icon = ICONS[notebook.state(cell)]
            st.caption(f"{icon} [{number}. {_short(cell)}](#{_anchor(cell)})")


def _short(cell: Cell) -> str:
    return cell.title.partition(":")[0].replace("`", "")


def _anchor(cell: Cell) -> str:
    return cell.name.replace("_", "-")


def show_cell(notebook: Notebook, cell: Cell, number: str = "", with_code: bool = True) -> Shown:
    with st.container(key=f"cell-{cell.name}", gap="small"):
        st.subheader(f"{number}{cell.title}", anchor=_anchor(cell))
        st.markdown(cell.prose)
        choose_for(cell, notebook)
        if with_code:
            show_code(notebook.code(cell), cell.name)
        state = _controls(notebook, cell)
        return Shown(state, _output(notebook, cell))


def _controls(notebook: Notebook, cell: Cell) -> DeltaGenerator:
    """The button that suits its state, and the state. Each in a slot, which leaves no ghost."""
    state = notebook.state(cell)
    with st.container(horizontal=True, vertical_alignment="center", key=f"run-{cell.name}"):
        with st.container(width="content").empty():
            _button(notebook, cell, state)
        place = st.container().empty()
    place.caption(_line(notebook, cell, state))
    return place


def _button(notebook: Notebook, cell: Cell, state: State) -> None:
    if state is State.RUNNING:
        st.button("Stop", icon=":material/stop:", key=f"stop-{cell.name}", on_click=notebook.stop)
        return
    st.button(
        "Run" if state is State.NEVER_RUN else "Run again",
        icon=":material/play_arrow:",
        key=f"run-button-{cell.name}",
        type="primary" if state is State.OUT_OF_DATE else "secondary",
        on_click=notebook.run,
        args=(cell.name,),
        disabled=state is State.QUEUED,
    )


def _line(notebook: Notebook, cell: Cell, state: State) -> str:
    line = state_line(state, notebook.execution(cell))
    first = [] if state in (State.QUEUED, State.RUNNING) else notebook.needs(cell)
    return f"{line} · runs {_numbers(notebook, first)} first" if first else line


def _numbers(notebook: Notebook, cells: Sequence[Cell]) -> str:
    *others, last = (str(notebook.cells.index(each) + 1) for each in cells)
    return f"{', '.join(others)} and {last}" if others else last


def _output(notebook: Notebook, cell: Cell) -> OutputSlot | None:
    execution = notebook.execution(cell)
    if execution is None:
        return None
    slot = output_slot(cell.name, MARGIN + LINE * LINES.get(cell.name, USUAL))
    slot.show(execution)
    show_error(execution)
    return slot


def follow(
    notebook: Notebook,
    shown: Sequence[Shown],
    version: int,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Stay with the running cell to its end; then the page is drawn again.

    `version`: the notebook's before anything was drawn. What has begun or ended meanwhile was
    drawn wrongly.
    """
    cell = notebook.running
    execution = notebook.execution(cell) if cell else None
    while cell and execution and notebook.version == version:
        notebook.hold()
        tick()
        place = shown[notebook.cells.index(cell)]
        place.state.caption(_line(notebook, cell, State.RUNNING))
        if place.output:
            place.output.show(execution)
        execution.output.wait_for(INTERVAL)
    if notebook.version != version:
        st.rerun()


def show_progress(notebook: Notebook, place: DeltaGenerator) -> None:
    cell = notebook.running
    done, asked = notebook.progress
    if cell is None:
        if notebook.halted:
            place.caption(f":material/error: {notebook.halted}")
        return
    line = f"{done + 1} of {asked} · {_short(cell)}"
    place.progress(done / asked if asked else 0.0, text=line)
