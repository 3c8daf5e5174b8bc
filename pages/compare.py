"""Compare: two ways of answering, measured on your documents and machine."""

import streamlit as st

from engine.measuring import Experiment, Session, Setup
from engine.measuring.report.metrics import metrics
from engine.measuring.report.result import result
from engine.measuring.report.runs import every_run, questions
from engine.measuring.report.spread import spread
from engine.workspace import Workspace
from pages.cells.behind import code_of_comparison
from pages.parts.announce import announce
from pages.parts.code_cell import show_code_behind
from pages.parts.compare_browser import show_browser
from pages.parts.compare_budget import show_budget
from pages.parts.compare_cells import STYLE, cell, fold, show_result
from pages.parts.compare_details import show_felt, show_stages
from pages.parts.compare_exports import offer_exports
from pages.parts.compare_history import show_history
from pages.parts.compare_load import show_load
from pages.parts.compare_replay import show_race
from pages.parts.compare_running import show_measuring, shown_session, spoken
from pages.parts.compare_setup import choose_setup
from pages.parts.folders import folder_of
from pages.parts.markdown import plain_markdown
from pages.parts.resources import workspace as the_workspace
from pages.parts.session import current_collection, pick_collection
from pages.parts.uploads import offer_samples, show_unsettled

INTRODUCTION = (
    "A **streaming** answer appears while the model writes it. A **non-streaming** answer appears "
    "when it is complete. How much sooner do you see the first words, and does the whole answer "
    "take longer? Measure it here, with your documents, your questions and your computer."
)
TO_COME = (
    "You will see which way is better by how much, a race between the two, and, one click away, "
    "every single run and where the time goes."
)


def show_results(workspace: Workspace, session: Session, setup: Setup) -> None:
    then = session.setup
    if then != setup:
        st.caption(f":material/history: Out of date: these results are for {_described(then)}.")
    show_result(result(session))
    cell("The race")
    show_race(session)
    cell("In detail")
    if len(then.questions) > 1:
        fold(questions(session))
    show_felt(session)
    fold(every_run(session))
    fold(spread(session))
    show_stages(session)
    show_budget(workspace.measurements, session)
    fold(metrics(session))
    offer_exports(session)
    if then.collection in workspace.library.collections():
        folder = folder_of(workspace, then.collection)
        show_code_behind(code_of_comparison(then, folder), "comparison")


def _described(setup: Setup) -> str:
    first = plain_markdown(setup.questions[0])
    others = len(setup.questions) - 1
    asked = f"the question “{first}”" + (f" and {others} more" if others else "")
    lanes = plain_markdown(" against ".join(setup.names))
    cache = "warm" if setup.lanes[0].warm else "cold"
    return (
        f"{asked}, {lanes}, a {cache} cache, {setup.passages} passages found, {setup.length} "
        "tokens at most"
    )


def main() -> None:
    workspace = the_workspace()
    st.html(STYLE)
    collection = current_collection(workspace)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.title("Compare", anchor=False)
    pick_collection(workspace, collection, "compare")
    st.markdown(INTRODUCTION)
    has_documents = bool(workspace.library.documents(collection))
    if has_documents:
        show_unsettled(workspace, collection)
        setup = choose_setup(workspace, collection)
        show_measuring(workspace.measurements, Experiment.COMPARISON)
    else:
        st.markdown("There are no documents yet. Add some, or try it with the samples.")
        with st.container(horizontal=True, vertical_alignment="center"):
            offer_samples(workspace, collection)
            st.page_link("pages/library.py", label="Add documents", icon=":material/folder_open:")
        show_unsettled(workspace, collection)
        setup = Setup(("",), collection)
    session = shown_session(workspace, Experiment.COMPARISON, collection)
    if session:
        show_results(workspace, session, setup)
    else:
        st.caption(TO_COME)
    if has_documents or shown_session(workspace, Experiment.LOAD, collection):
        show_load(workspace, collection, setup)
    if has_documents:
        show_browser(workspace, setup)
    cell(
        "Kept measurements",
        "Every measurement is saved on this computer, with the machine, the model file and the "
        "versions it was made with.",
    )
    show_history(workspace.measurements)
    job = workspace.measurements.job
    announce(spoken(workspace), job.session.id if job else "")


main()
