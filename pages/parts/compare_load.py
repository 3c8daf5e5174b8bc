"""Several readers at once, on the Compare page."""

from dataclasses import replace

import streamlit as st

from engine.measuring import Experiment, Setup
from engine.measuring.report.loads import load
from engine.measuring.schedule import LOADS, READERS, load_trials
from engine.workspace import Workspace
from pages.parts.compare_cells import cell, show_blocks
from pages.parts.compare_exports import offer_exports
from pages.parts.compare_running import run_button, show_measuring, shown_session

ANSWERS = (8, 16, 32, 64)  # at each load; a 90th percentile needs 29


def show_load(workspace: Workspace, collection: str, setup: Setup) -> None:
    """The button that measures the load, and its chart."""
    cell(
        "Several readers",
        "Readers share this computer. How many tokens a second do they get together, and how long "
        "does each of them wait?",
    )
    if workspace.library.documents(collection):
        under_load = replace(setup, lanes=setup.lanes[:1])
        with st.container(horizontal=True, vertical_alignment="bottom"):
            answers = st.segmented_control(
                "Answers at each load",
                ANSWERS,
                default=16,
                required=True,
                key="load_answers",
                persist_state="session",
                help=f"{', '.join(map(str, READERS))} readers who ask again and again, then "
                f"questions at random moments, at {', '.join(f'{each:.0%}' for each in LOADS)} of "
                "the highest rate that these readers reached.",
            )
            run_button(
                workspace,
                "Measure the load",
                Experiment.LOAD,
                under_load,
                lambda: load_trials(under_load, answers or 16),
            )
    show_measuring(workspace.measurements, Experiment.LOAD)
    session = shown_session(workspace, Experiment.LOAD, collection)
    if session:
        show_blocks(load(session))
        offer_exports(session)
