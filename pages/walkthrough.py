"""Walkthrough: the streaming API as a live notebook, on your own documents or the samples."""

from functools import partial

import streamlit as st

from pages.cells.export import HOW_TO, NAME, as_notebook, as_script
from pages.cells.notebook import Notebook
from pages.parts.code_cell import code_switch
from pages.parts.resources import workspace as the_workspace
from pages.parts.walkthrough_cells import follow, show_cell, show_contents, show_progress
from pages.parts.walkthrough_parameters import choose_common
from pages.parts.walkthrough_state import current_notebook

INTRODUCTION = (
    "Learn streaming by doing it. Each cell below is a few lines of Python that run here, on your "
    "machine, with what you choose; the code you see is the code that runs. Take it with you at "
    "the end."
)


def show_head(notebook: Notebook) -> bool:
    """The title, and what is done with the whole page. Returns whether code is shown."""
    with st.container(
        horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"
    ):
        st.title("Walkthrough", anchor=False)
        with st.container(horizontal=True, width="content", vertical_alignment="center"):
            with_code = code_switch()
            with st.popover("Take it with you", icon=":material/download:"):
                show_downloads(notebook)
    return with_code


def show_downloads(notebook: Notebook) -> None:
    st.markdown("All cells, with what you have chosen.")
    with st.container(horizontal=True):
        st.download_button(
            "Notebook (.ipynb)",
            data=lambda: as_notebook(notebook),
            file_name=f"{NAME}.ipynb",
            mime="application/x-ipynb+json",
            on_click="ignore",
        )
        st.download_button(
            "Script (.py)",
            data=lambda: as_script(notebook),
            file_name=f"{NAME}.py",
            mime="text/x-python",
            on_click="ignore",
        )
    st.caption(HOW_TO)


def main() -> None:
    workspace = the_workspace()
    notebook = current_notebook(workspace)
    version = notebook.version
    show_contents(notebook)
    with_code = show_head(notebook)
    st.markdown(INTRODUCTION)
    with st.container(border=True, key="parameters"):
        choose_common(workspace, notebook)
        with st.container(horizontal=True, vertical_alignment="center", key="run-all"):
            st.button(
                "Run all",
                icon=":material/fast_forward:",
                type="primary",
                key="run-all-button",
                on_click=notebook.run_all,
                disabled=notebook.busy,
            )
            st.button(
                "Stop",
                icon=":material/stop:",
                key="stop-all",
                on_click=notebook.stop,
                disabled=not notebook.busy,
            )
            progress = st.container().empty()
    show_progress(notebook, progress)
    cells = enumerate(notebook.cells, start=1)
    shown = [show_cell(notebook, cell, f"{number}. ", with_code) for number, cell in cells]
    follow(notebook, shown, version, partial(show_progress, notebook, progress))


main()
