"""Agent: a task for a model with tools; each step as it happens, your word where you want it."""

import time

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.workspace import Workspace
from engine.workspace.agent_runs import AgentRun
from pages.parts.agent_run import show_run
from pages.parts.agent_tools import show_tools
from pages.parts.resources import workspace as the_workspace
from pages.parts.session import current_collection
from pages.parts.uploads import offer_samples, show_unsettled

INTRODUCTION = (
    "Give it a task. It picks its tools by itself, you see every call with what went in and what "
    "came out, and what you want to see first waits for your word."
)
# Seconds until the browser has been told: of two messages for one place that follow each other
# at once Streamlit sends the later alone. It waits as long itself where it must (st.status).
FLUSH = 0.05
# A task, and the sample document that it needs, if any.
TASKS = (
    ("Who built the tide mill, and what is 2026 - 1684?", "tide-mill.md"),
    ("What does it cost to take a bicycle on the ferry?", "ferry-fares.csv"),
    ("Why did the sledge party turn back?", "ice-log.txt"),
    ("What is 7.5% of 1,240?", ""),
    ("What time is it in Tokyo?", ""),
    ("What is the weather in San Francisco?", ""),
)


def current_run(workspace: Workspace) -> AgentRun | None:
    """The one that the address names, or the one this session looked at last."""
    run_id = st.query_params.get("run") or st.session_state.get("agent_run", "")
    run = workspace.agents.find(run_id)
    if run:
        _open(run.handler.id)
    elif run_id:
        _leave()
        st.info("That run is gone: runs are kept only while First Token is running.")
    return run


def _open(run_id: str) -> None:
    st.session_state.agent_run = run_id
    st.query_params["run"] = run_id


def _leave() -> None:
    st.session_state.pop("agent_run", None)
    st.query_params.clear()


def start(workspace: Workspace, collection: str, task: str) -> None:
    try:
        _open(workspace.agents.start(collection, task).id)
    except ValueError as error:
        st.session_state.agent_problem = str(error)


def start_what(workspace: Workspace, collection: str, key: str) -> None:
    """Start what a field holds. As its callback: the agent begins before the page is drawn again,
    which then happens once."""
    if task := st.session_state[key]:
        start(workspace, collection, task)


def show_head(workspace: Workspace, collection: str) -> None:
    with st.container(
        horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"
    ):
        st.title("Agent", anchor=False)
        with st.popover("Tools", icon=":material/build:"):
            show_tools(workspace, workspace.agents.tools(collection))


def show_runs(workspace: Workspace, current: AgentRun | None) -> None:
    """The runs of this session of the program, in the sidebar."""
    with st.sidebar.container(key="agent-runs", gap="xsmall"):
        st.button(
            "New task",
            icon=":material/add:",
            type="tertiary",
            disabled=current is None,
            on_click=_leave,
        )
        for run in workspace.agents.latest():
            st.button(
                run.handler.user_msg,
                key=f"run-{run.handler.id}",
                icon=":material/adjust:" if run is current else ":material/circle:",
                type="tertiary",
                on_click=_open,
                args=(run.handler.id,),
                wrap=False,
            )


def suggest(workspace: Workspace, collection: str) -> None:
    """What it is, the documents it would search, and tasks to begin with."""
    st.markdown(INTRODUCTION)
    there = {document.file_name for document in workspace.library.documents(collection)}
    if not there:
        st.caption("There are no documents yet for it to search.")
        offer_samples(workspace, collection)
    show_unsettled(workspace, collection)
    tasks = [task for task, needs in TASKS if not needs or needs in there]
    st.pills(
        "Try one of these",
        tasks,
        key="agent_suggested",
        on_change=start_what,
        args=(workspace, collection, "agent_suggested"),
    )


def body(shows: str) -> DeltaGenerator:
    """Where the run or the invitation stands. When it shows another one than before, the old one
    goes at once: else its cells would stand among the new ones until the new run has ended."""
    if st.session_state.get("agent_shows") == shows:
        return st.container()
    st.session_state.agent_shows = shows
    place = st.empty()
    time.sleep(FLUSH)
    return place.container()


def main() -> None:
    workspace = the_workspace()
    collection = current_collection(workspace)
    show_head_in = st.container()
    run = current_run(workspace)
    show_runs(workspace, run)
    with show_head_in:
        show_head(workspace, collection)
    if problem := st.session_state.pop("agent_problem", ""):
        st.warning(problem)
    busy = bool(run and not run.handler.phase.ended)
    st.chat_input(
        "Give the agent a task",
        disabled=busy,
        key="agent_task",
        on_submit=start_what,
        args=(workspace, collection, "agent_task"),
    )
    with body(run.handler.id if run else ""):
        if run:
            show_run(workspace, run)
        else:
            suggest(workspace, collection)


main()
