"""Agent: a task for a model with tools. Every step shows as it happens; calls can be approved."""

import logging
from html import escape
from pathlib import Path

import streamlit as st

from engine.agent import FunctionTool
from engine.agent.assisted import AssistedPolicy
from engine.agent.workflow import MAX_CHARACTERS, policy_for
from engine.errors import FirstTokenError
from engine.llm import ContextFormat
from engine.workspace import Workspace
from engine.workspace.agent_runs import AgentRun
from engine.workspace.library import DEFAULT_COLLECTION
from pages.parts.agent_run import show_run, status_sentence
from pages.parts.answer import ICONS
from pages.parts.markdown import plain_markdown
from pages.parts.only import choose_filters, chosen_filters
from pages.parts.resources import workspace as the_workspace
from pages.parts.session import current_collection, pick_collection
from pages.parts.uploads import offer_samples, show_unsettled

log = logging.getLogger(__name__)

_SCRIPT = Path(__file__).parent / "parts" / "agent_view.js"
_view = st.components.v2.component("agent_view", js=_SCRIPT.read_text(encoding="utf-8"))

INTRODUCTION = (
    "Give the agent a task. It chooses its tools. You see every call with its arguments "
    "and its result, and tools marked “ask first” wait for your approval. No tool changes or saves "
    "a file."
)
SMALL_MODEL = (
    "The model in use is small, so rules read your task, and the model writes only small talk. The "
    "agent quotes your documents, and calculates, converts units and works with dates where it can "
    "read every number in your task or in a document. It declines other word problems, "
    "translations, summaries and tasks that need reasoning. A larger model chooses and combines "
    "the same tools itself; the Models page has some."
)
MEDIUM_MODEL = (
    "Rules read your task first and answer at once. Where they read nothing, the model chooses the "
    "tools. It sets up each calculation twice, and the agent computes it only if both agree."
)
# A task, and what it needs: a sample document, a tool, or nothing.
TASKS = (
    ("How old is the tide mill in 2026?", "tide-mill.md"),
    ("What do 3 bicycles and a small car cost on the ferry together?", "ferry-fares.csv"),
    ("Why did the sledge party turn back?", "ice-log.txt"),
    ("Add 17 and 25, then double it", ""),
    ("Convert 84 kilometres to miles", ""),
    ("How many days are left until 31 December?", ""),
    ("What is the weather in San Francisco?", "web_search"),
)
TITLE = 80  # characters of a task in the sidebar
# Only for screen readers: it is not visible on the page.
HIDDEN = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)"


def current_run(workspace: Workspace) -> AgentRun | None:
    """The run that the address names, or the one that this session opened last."""
    run_id = st.query_params.get("run") or st.session_state.get("agent_run", "")
    run = workspace.agents.find(run_id)
    if run:
        _open(run.handler.id)
    elif run_id:
        _leave()
        st.info("This run no longer exists. Runs are kept until First Token is closed.")
    return run


def _open(run_id: str) -> None:
    st.session_state.agent_run = run_id
    st.query_params["run"] = run_id


def _leave() -> None:
    st.session_state.pop("agent_run", None)
    st.query_params.clear()


def start(workspace: Workspace, collection: str, key: str) -> None:
    """Start the task in the field with that key.

    This is the field's callback, so the agent begins before the page is drawn again. Streamlit
    shows no details of an error in a callback: the page shows the sentence instead.
    """
    task = st.session_state[key]
    if not task:
        return
    try:
        filters = chosen_filters(workspace, None)
        after = workspace.agents.find(st.session_state.get("agent_run", ""))
        _open(workspace.agents.start(collection, task, filters, after).id)
    except (ValueError, FirstTokenError) as error:
        st.session_state.agent_problem = str(error)
    except Exception as error:
        log.exception("An agent's task could not be started")
        st.session_state.agent_problem = (
            f"The task could not be started ({type(error).__name__}). Try again; the log has the "
            "details."
        )


def show_head(workspace: Workspace, collection: str) -> None:
    with st.container(
        horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"
    ):
        st.title("Agent", anchor=False)
        choose_filters(workspace, collection, None)
        with st.popover("Tools", icon=":material/build:"):
            st.caption("Tools marked “ask first” wait for your approval before each call.")
            for tool in workspace.agents.tools(collection):
                with st.container(key=f"tool-{tool.name}", gap="xsmall"):
                    show_tool(workspace, tool)
    pick_collection(workspace, collection, "agent", leave=_leave)


def show_tool(workspace: Workspace, tool: FunctionTool) -> None:
    """The purpose of a tool, and whether it asks first."""
    name = plain_markdown(tool.name.replace("_", " ")).capitalize()
    missing = " · :material/key_off: not available" if tool.unavailable else ""
    st.markdown(f"**{name}**{missing}")
    st.caption(plain_markdown(tool.summary))
    if tool.unavailable:
        st.caption(f":material/arrow_forward: {plain_markdown(tool.unavailable)}")
        return
    key = f"asks-first-{tool.name}"
    st.toggle(
        "Ask first",
        tool.name in workspace.agents.asks_first,
        key=key,
        on_change=lambda: workspace.agents.ask_first(tool.name, st.session_state[key]),
    )


def show_runs(workspace: Workspace, current: AgentRun | None) -> None:
    """All runs, in the sidebar, each with an icon for its state."""
    with st.sidebar.container(key="agent-runs", gap="xsmall"):
        st.button(
            "New task",
            icon=":material/add:",
            type="tertiary",
            disabled=current is None,
            on_click=_leave,
        )
        for run in workspace.agents.latest():
            handler = run.handler
            title = plain_markdown(handler.user_msg[:TITLE])
            icon = ICONS[handler.phase] if handler.phase.ended else ":material/pending:"
            st.button(
                f"**{title}**" if run is current else title,
                key=f"run-{handler.id}",
                icon=":material/front_hand:" if handler.pending else icon,
                type="tertiary",
                on_click=_open,
                args=(handler.id,),
                wrap=False,
            )


def suggest(workspace: Workspace, collection: str) -> None:
    """What an agent is, the documents that it would search, and tasks to begin with."""
    st.markdown(INTRODUCTION)
    if workspace.llm.metadata.context_format is ContextFormat.SENTENCES:
        st.caption(SMALL_MODEL)
    elif isinstance(policy_for(workspace.llm), AssistedPolicy):
        st.caption(MEDIUM_MODEL)
        workspace.agents.prepare(collection)
    documents = workspace.library.documents(collection)
    if not documents:
        st.caption("There are no documents to search yet.")
        offer_samples(workspace, collection)
    show_unsettled(workspace, collection)
    usable = {tool.name for tool in workspace.agents.tools(collection) if not tool.unavailable}
    usable |= {document.file_name for document in documents} | {""}
    st.pills(
        "Try one of these",
        [task for task, needs in TASKS if needs in usable],
        key="agent_suggested",
        on_change=start,
        args=(workspace, collection, "agent_suggested"),
    )


def main() -> None:
    workspace = the_workspace()
    run = current_run(workspace)
    collection = current_collection(workspace)
    if run and run.collection in workspace.library.collections():
        collection = run.collection
    live = bool(run and not run.handler.phase.ended)  # read once, for all parts of the page
    show_runs(workspace, run)
    show_head(workspace, collection)
    waiting = run.handler.pending if run else None
    with st.sidebar:
        _view(
            key="agent-view",
            data={"waiting": waiting.tool_id if waiting else ""},
            height=1,
            width=1,
        )
    said = status_sentence(run.handler) if run else ""
    st.html(f'<div role="status" style="{HIDDEN}">{escape(said)}</div>')
    if problem := st.session_state.pop("agent_problem", ""):
        st.warning(problem)
    with st.bottom, st.container(horizontal=True, vertical_alignment="center"):
        # Never disabled, because the focus stays in it, and a second task may run at the same time.
        st.chat_input(
            f"Give the agent a task about {collection}"
            if collection != DEFAULT_COLLECTION
            else "Give the agent a task",
            max_chars=MAX_CHARACTERS,
            key="agent_task",
            on_submit=start,
            args=(workspace, collection, "agent_task"),
        )
        if run and live:
            st.button(
                "Stop",
                icon=":material/stop:",
                on_click=run.handler.cancel,
                key=f"stop-{run.handler.id}",
                shortcut="Esc",
            )
    with st.container(key=f"agent-page-{run.handler.id if run else 'empty'}"):
        if run:
            show_run(workspace, run, live)
        else:
            suggest(workspace, collection)


main()
