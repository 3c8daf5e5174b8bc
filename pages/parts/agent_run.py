"""One run of an agent as a live notebook: attach to it wherever it is, and stay to its end.

The run lives in the workspace. This draws its cells in their order, from the first, and follows
while it works; where it waits for the person, the page is theirs.
"""

import json
from collections.abc import Sequence
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.agent import AgentHandler
from engine.run import Phase
from engine.workspace import Workspace
from engine.workspace.agent_runs import AgentRun
from pages.cells.behind import code_of_task
from pages.parts.agent_cells import ShowSources, View, seconds, view_of
from pages.parts.agent_story import Cell, Text, story
from pages.parts.agent_timeline import show_agent_timeline
from pages.parts.answer import ICONS, INTERVAL
from pages.parts.code_cell import show_code_behind
from pages.parts.folders import folder_of
from pages.parts.markdown import plain_markdown
from pages.parts.sources import show_evidence

LOOK = 1.0  # seconds between looks whether another tab has decided


def show_run(workspace: Workspace, run: AgentRun) -> None:
    """The run as it is; returns when it has ended or waits for the person."""
    handler = run.handler
    show_sources = partial(show_evidence, partial(workspace.library.original, run.collection))
    with st.chat_message("user", avatar=":material/person:"):
        st.markdown(plain_markdown(handler.user_msg))
    with st.chat_message("assistant", avatar=":material/route:"):
        state = _head(handler)
        cells = st.container(key=f"agent-cells-{handler.id}", gap="small")
        foot = st.container(key=f"agent-foot-{handler.id}")
        _follow(workspace, handler, state, cells, show_sources)
        if handler.phase.ended:
            with foot:
                _show_outcome(handler)
                with st.container(horizontal=True, gap="xsmall"):
                    _offer_export(handler)
                    if folder := folder_of(workspace, run.collection):
                        show_code_behind(code_of_task(handler.user_msg, folder), handler.id)
    if handler.pending and not handler.phase.ended:
        st.fragment(_look, run_every=LOOK)(handler, handler.pending.tool_id)


def _head(handler: AgentHandler) -> DeltaGenerator:
    with st.container(horizontal=True, vertical_alignment="center", key=f"state-{handler.id}"):
        state = st.container().empty()
        if not handler.phase.ended:
            st.button(
                "Stop", icon=":material/stop:", on_click=handler.cancel, key=f"stop-{handler.id}"
            )
    return state


def _follow(
    workspace: Workspace,
    handler: AgentHandler,
    state: DeltaGenerator,
    place: DeltaGenerator,
    show_sources: ShowSources,
) -> None:
    """Draw what there is; go on while the run works by itself."""
    views: list[View] = []
    began_live = not handler.phase.ended
    while True:
        ended = handler.phase.ended  # before the events: what came before the end is never missed
        pending = handler.pending
        with place:
            told = story(handler.so_far)
            for number, cell in enumerate(told):
                if number == len(views):
                    views.append(view_of(told, number, handler, show_sources))
                views[number].update(cell)
        _show_state(handler, told, state)
        if ended:
            break
        workspace.agents.hold(handler)
        if pending and handler.pending is pending:
            return
        handler.wait_for(INTERVAL)
    if began_live:
        st.rerun()  # without the Stop button, and with the field for the next task open


def _look(handler: AgentHandler, tool_id: str) -> None:
    if handler.pending is None or handler.pending.tool_id != tool_id:
        st.rerun()


def _show_state(handler: AgentHandler, told: Sequence[Cell], slot: DeltaGenerator) -> None:
    trace, progress = handler.run.trace, handler.progress
    if handler.phase.ended:
        word = {Phase.DONE: "finished", Phase.STOPPED: "stopped"}.get(handler.phase, "failed")
        slot.caption(f"{ICONS[handler.phase]} {word} after {seconds(trace.ended or 0.0)}")
    elif handler.pending:
        slot.caption(":material/front_hand: waiting for you")
    elif running := handler.running:
        slot.caption(f":material/build: running {plain_markdown(running.tool_name)}")
    elif progress.phase is Phase.READING and progress.total:
        line = f"{ICONS[progress.phase]} {progress} · {trace.now():.1f} s"
        slot.progress(min(1.0, progress.done / progress.total), text=line)
    elif told and isinstance(told[-1], Text):
        slot.caption(f"{ICONS[Phase.WRITING]} {progress} · {trace.now():.1f} s")
    else:
        slot.caption(f":material/route: choosing what to do · {trace.now():.1f} s")


def _show_outcome(handler: AgentHandler) -> None:
    if handler.phase is Phase.FAILED:
        st.error(plain_markdown(str(handler.error)), icon=":material/error:")
    for note in handler.run.notes:
        st.caption(f":material/info: {plain_markdown(note)}")
    with st.expander("Where the time went", type="compact", key=f"time-{handler.id}"):
        show_agent_timeline(handler)


def _offer_export(handler: AgentHandler) -> None:
    st.download_button(
        "Export as JSON",
        data=lambda: json.dumps(handler.to_dict(), indent=2, ensure_ascii=False),
        file_name=f"agent-run-{handler.id[:8]}.json",
        mime="application/json",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
        key=f"export-{handler.id}",
    )
