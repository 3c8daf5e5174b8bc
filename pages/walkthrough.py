"""Walkthrough: the streaming API as a notebook, with your own documents or the samples."""

import streamlit as st

from engine.settings import Settings
from pages.cells.export import NAME, Place, as_notebook, as_script
from pages.cells.notebook import Notebook
from pages.parts.announce import announce
from pages.parts.code_cell import code_switch
from pages.parts.resources import workspace as the_workspace
from pages.parts.walkthrough_cells import (
    choose_common,
    follow,
    show_cell,
    show_contents,
    show_progress,
    spoken,
)
from pages.parts.walkthrough_state import current_notebook

INTRODUCTION = (
    "Learn streaming by running it. Each cell below is a few lines of Python. They run on your "
    "computer, with the parameters you choose, and the code you see is the code that runs."
)


def show_head(notebook: Notebook) -> bool:
    """The title, the switch for code, the downloads. Returns whether code is shown."""
    with st.container(
        horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"
    ):
        st.title("Walkthrough", anchor=False)
        with st.container(horizontal=True, width="content", vertical_alignment="center"):
            with_code = code_switch()
            with st.popover("Download", icon=":material/download:"):
                show_downloads(notebook)
    return with_code


def show_downloads(notebook: Notebook) -> None:
    st.markdown("All cells, with your parameters.")
    place = Place.here(Settings.config.data_dir)
    with st.container(horizontal=True):
        st.download_button(
            "Notebook (.ipynb)",
            data=lambda: as_notebook(notebook, place),
            file_name=f"{NAME}.ipynb",
            mime="application/x-ipynb+json",
            on_click="ignore",
        )
        st.download_button(
            "Script (.py)",
            data=lambda: as_script(notebook, place),
            file_name=f"{NAME}.py",
            mime="text/x-python",
            on_click="ignore",
        )
    st.caption("The first lines of each file explain how to run it.")


def main() -> None:
    workspace = the_workspace()
    notebook = current_notebook(workspace)
    version = notebook.version
    with_code = show_head(notebook)
    st.markdown(INTRODUCTION)
    with st.container(border=True, key="parameters"):
        choose_common(workspace, notebook)
        with st.container(horizontal=True, vertical_alignment="center", key="run-all"):
            busy = notebook.busy
            st.button(  # one button, so that the keyboard's focus stays on it
                "Stop" if busy else "Run all",
                icon=":material/stop:" if busy else ":material/fast_forward:",
                type="primary",
                key="run-all-button",
                on_click=notebook.stop if busy else notebook.run_all,
            )
            progress = st.container().empty()
    show_progress(notebook, progress)
    for number, cell in enumerate(notebook.cells, start=1):
        show_cell(notebook, cell, version, f"{number}. ", with_code)
    follow(notebook)
    announce(spoken(notebook), str(version))
    show_contents(notebook)  # last: the parameters above decide which cells are out of date


main()
