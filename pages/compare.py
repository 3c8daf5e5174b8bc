"""Compare: streaming against non-streaming answers, measured on your documents and machine."""

import streamlit as st

from engine.measuring import Experiment, Mode, Session, Setup
from engine.workspace import Workspace
from pages.cells.behind import code_of_comparison
from pages.parts.announce import announce
from pages.parts.code_cell import show_code_behind
from pages.parts.compare_budget import show_budget
from pages.parts.compare_cells import cell
from pages.parts.compare_history import show_history
from pages.parts.compare_one_run import show_race, show_timeline, show_waterfall
from pages.parts.compare_runs import show_metrics, show_readers, show_result, show_runs
from pages.parts.compare_setup import choose_setup, show_measuring, shown_session, spoken
from pages.parts.folders import folder_of
from pages.parts.markdown import plain_markdown
from pages.parts.models_compare import compare_models
from pages.parts.resources import workspace as the_workspace
from pages.parts.session import current_collection, pick_collection
from pages.parts.uploads import offer_samples, show_unsettled

INTRODUCTION = (
    "A **streaming** answer appears while the model writes it. A **non-streaming** answer appears "
    "when it is complete. The model does the same work for both. How much sooner do you see the "
    "first words, and does the whole answer take longer? Measure it here, with your documents, "
    "your question and your computer."
)
TO_COME = (
    "You will see a race between the two modes, every single run, where the time goes, and how "
    "the speed of the model compares with your reading speed."
)


def show_results(workspace: Workspace, session: Session, setup: Setup) -> None:
    then = session.setup
    if then != setup:
        cache = "a warm cache" if then.warm else "a cold cache"
        other = (
            f"the question “{plain_markdown(then.question)}”"
            if then.question != setup.question
            else f"{cache}, {then.passages} passages found, {then.length} tokens at most"
        )
        st.caption(f":material/history: Out of date: these results are for {other}.")
    cell("The result", "Both modes answered the same question, several times, alternating.")
    show_result(session)
    cell("The race", "One answer, as two readers see it.")
    record = session.typical_run(Mode.STREAMING)
    if record and record.chunks:
        show_race(session, record)
    else:
        st.info("There is no streaming run to replay.")
    cell(
        "Every run",
        "A dot is a run, a bar ends at the median.",
    )
    show_runs(session)
    if then.collection in workspace.library.collections():
        folder = folder_of(workspace, then.collection)
        show_code_behind(code_of_comparison(then, folder), "comparison")
    cell(
        "Where the time goes",
        "The stages of one run, from your question to the last word. The first words appear at "
        "the dashed line.",
    )
    show_waterfall(session)
    cell(
        "Token by token",
        "Once the model writes faster than you read, only the wait before the first word matters "
        "to you.",
    )
    show_timeline(session)
    cell(
        "A waiting budget",
        "How long may an answer take? The share of the answers that come in time is what somebody "
        "notices who waits for them.",
    )
    show_budget(workspace.measurements, session)
    cell("The metrics", "The median of all runs, for each metric.")
    show_metrics(session)


def main() -> None:
    workspace = the_workspace()
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
        setup = Setup("", collection)
    session = shown_session(workspace, Experiment.COMPARISON, collection)
    if session:
        show_results(workspace, session, setup)
    else:
        st.caption(TO_COME)
    if has_documents or shown_session(workspace, Experiment.READERS, collection):
        cell(
            "Several readers at once",
            "1, 2 and 4 readers ask the same question at the same moment. They share the cores of "
            "this computer, so each of them waits longer.",
        )
        show_readers(workspace, collection, setup)
    if has_documents:
        cell(
            "Two models",
            "The same question and the same passages, asked of two models one after the other. "
            "Neither uses what it has read before. A model that is not loaded is loaded for it.",
        )
        compare_models(workspace, collection, setup.question)
    cell(
        "Kept measurements",
        "Every measurement is saved on this computer, with the machine, the model file and the "
        "versions it was made with.",
    )
    show_history(workspace.measurements)
    job = workspace.measurements.job
    announce(spoken(workspace), job.session.id if job else "")


main()
