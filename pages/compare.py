"""Compare: streaming against non-streaming on your documents and your machine, told truthfully."""

import streamlit as st

from engine.measuring import Kind, Mode, Session, Setup
from engine.workspace import Workspace
from pages.cells.behind import code_of_comparison
from pages.parts.code_cell import show_code_behind
from pages.parts.compare_cells import cell
from pages.parts.compare_history import show_history
from pages.parts.compare_map import show_map
from pages.parts.compare_measuring import show_measuring, shown_session
from pages.parts.compare_metrics import show_metrics
from pages.parts.compare_race import show_race
from pages.parts.compare_readers import show_readers
from pages.parts.compare_runs import show_runs
from pages.parts.compare_setup import choose_setup
from pages.parts.compare_timeline import show_timeline
from pages.parts.compare_waterfall import show_waterfall
from pages.parts.folders import folder_of
from pages.parts.markdown import plain_markdown
from pages.parts.resources import workspace as the_workspace
from pages.parts.session import current_collection
from pages.parts.uploads import offer_samples, show_unsettled

INTRODUCTION = (
    "A **streaming** answer shows while it is being written. A **non-streaming** one shows when it "
    "is finished. The model does the same work for both. How much sooner do you see the first "
    "words, and does the whole take any longer? Measure it here: your documents, your question, "
    "your computer."
)
TO_COME = (
    "You will see a race between the two, every single run, where each millisecond went, and how "
    "the pace of the model compares with yours. It takes well under a minute with the model that "
    "First Token comes with."
)


def show_setup(workspace: Workspace, collection: str) -> Setup:
    setup = choose_setup(workspace, collection)
    show_measuring(workspace.measurements, Kind.COMPARISON)
    return setup


def show_results(workspace: Workspace, session: Session, setup: Setup) -> None:
    if session.setup != setup:
        st.caption(f":material/history: Out of date: what follows is of {_other(session, setup)}.")
    records = [each for each in session.recorded if each.mode is Mode.STREAMING and each.chunks]
    cell("The race", "One answer, seen by two readers. Both want the same words.")
    if records:
        show_race(records[0])
    else:
        st.info("These runs came from a table, without their text: there is nothing to replay.")
    cell(
        "Every run",
        "Now really run, again and again, in turns. A dot is a run, a bar reaches to the median.",
    )
    show_runs(session)
    if session.setup.collection in workspace.library.collections():
        folder = folder_of(workspace, session.setup.collection)
        show_code_behind(code_of_comparison(session.setup, folder), "comparison")
    cell(
        "Where the time goes",
        "One run from your question to its last word: the one with the median total. The dashed "
        "line is where the first words show.",
    )
    show_waterfall(session)
    cell(
        "Token by token",
        "The first streaming run. Once the model writes faster than you read, more speed changes "
        "nothing for you: only the wait before the first word does.",
    )
    show_timeline(session)
    cell("The metrics", "Medians of the runs above, by the names the field gives them.")
    show_metrics(session)


def _other(session: Session, setup: Setup) -> str:
    """What the results were measured with, where that is not what is chosen now."""
    then = session.setup
    if then.question != setup.question:
        return f"the question “{plain_markdown(then.question)}”"
    cache = "a warm cache" if then.warm else "a cold cache"
    return f"{cache}, {then.passages} passages found, {then.length} tokens at most"


def show_deeper(workspace: Workspace, collection: str, setup: Setup) -> None:
    """The two further measurements, where there is something to measure or to show."""
    there = bool(workspace.library.documents(collection))
    if there or shown_session(workspace, Kind.MAP, collection):
        cell(
            "When does it matter?",
            "The more the model writes, the more streaming spares you; the more it has to read "
            "first, the less. A few points are measured with whole passages in the prompt, and "
            "the rest is worked out from how fast the model reads and writes.",
        )
        show_map(workspace, collection, setup)
    if there or shown_session(workspace, Kind.READERS, collection):
        cell(
            "Several readers at once",
            "The same question from 1, 2 and 4 readers at the same moment. They share the cores, "
            "so everybody waits longer; in which mode is it worse?",
        )
        show_readers(workspace, collection, setup)


def main() -> None:
    workspace = the_workspace()
    collection = current_collection(workspace)
    st.title("Compare", anchor=False)
    st.markdown(INTRODUCTION)
    if not workspace.library.documents(collection):
        st.markdown("There is nothing to ask yet. Add documents, or begin with the samples.")
        with st.container(horizontal=True, vertical_alignment="center"):
            offer_samples(workspace, collection)
            st.page_link("pages/library.py", label="Add documents", icon=":material/folder_open:")
        show_unsettled(workspace, collection)
        setup = Setup("", collection)
    else:
        show_unsettled(workspace, collection)
        setup = show_setup(workspace, collection)
    session = shown_session(workspace, Kind.COMPARISON, collection)
    if session:
        show_results(workspace, session, setup)
    else:
        st.caption(TO_COME)
    show_deeper(workspace, collection, setup)
    cell(
        "Kept measurements",
        "Every measurement stays on this computer, with the machine, model file and versions it "
        "was made with.",
    )
    show_history(workspace.measurements)


main()
