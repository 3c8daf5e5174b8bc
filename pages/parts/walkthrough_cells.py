"""The walkthrough's cells on the page, and following the one that runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.cells.notebook import Notebook, State
from pages.cells.source import Cell
from pages.parts.code_cell import OutputSlot, output_slot, show_code, show_error, state_line
from pages.parts.walkthrough_parameters import choose_for

INTERVAL = 0.08  # seconds between two looks: 50 to 80 ms are as good as at once
# Pixels, by the lines that a cell prints with the samples; longer output scrolls.
LINE, MARGIN = 21, 34
LINES = {"load_documents": 9, "build_index": 1, "set_the_model": 2, "watch_an_agent": 12}
USUAL = 7


@dataclass(slots=True)
class Shown:
    """What of a cell changes while it runs."""

    state: DeltaGenerator
    output: OutputSlot | None


def show_cell(notebook: Notebook, number: int, cell: Cell, with_code: bool) -> Shown:
    with st.container(key=f"cell-{cell.name}", gap="small"):
        st.subheader(f"{number}. {cell.title}", anchor=False)
        st.markdown(cell.prose)
        choose_for(cell, notebook)
        if with_code:
            show_code(notebook.code(cell), cell.name)
        state = _controls(notebook, cell)
        return Shown(state, _output(notebook, cell))


def _controls(notebook: Notebook, cell: Cell) -> DeltaGenerator:
    state = notebook.state(cell)
    with st.container(horizontal=True, vertical_alignment="center", key=f"run-{cell.name}"):
        if state is State.RUNNING:
            st.button("Stop", icon=":material/stop:", key="stop-cell", on_click=notebook.stop)
        else:
            st.button(
                "Run" if state is State.NEVER_RUN else "Run again",
                icon=":material/play_arrow:",
                key=f"run-button-{cell.name}",
                type="primary" if state is State.OUT_OF_DATE else "secondary",
                on_click=notebook.run,
                args=(cell.name,),
                disabled=state is State.QUEUED,
            )
        place = st.container().empty()
    place.caption(_line(notebook, cell, state))
    return place


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


def follow(notebook: Notebook, shown: Sequence[Shown], progress: DeltaGenerator) -> None:
    """Stay with the running cell to its end; then the page is drawn again for the next."""
    cell = notebook.running
    execution = notebook.execution(cell) if cell else None
    if cell is None or execution is None:
        return
    place = shown[notebook.cells.index(cell)]
    while execution.ended is None:
        notebook.hold()
        show_progress(notebook, progress)
        place.state.caption(_line(notebook, cell, State.RUNNING))
        if place.output:
            place.output.show(execution)
        execution.output.wait_for(INTERVAL)
    st.rerun()


def show_progress(notebook: Notebook, place: DeltaGenerator) -> None:
    cell = notebook.running
    done, asked = notebook.progress
    if cell is None:
        if notebook.halted:
            place.caption(f":material/error: {notebook.halted}")
        return
    line = f"{done + 1} of {asked} · {cell.title.partition(':')[0].replace('`', '')}"
    place.progress(done / asked if asked else 0.0, text=line)
