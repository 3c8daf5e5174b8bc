"""One run of an agent as a live notebook: its steps in order, from the first to the answer.

The run belongs to the workspace. While it works, a fragment draws it several times a second, so no
script of the page runs for long: Streamlit's Stop has nothing to stop, other buttons work at once,
and the page always shows the present state of the run.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import streamlit as st
from pydantic_core import to_jsonable_python
from streamlit.delta_generator import DeltaGenerator

from engine.agent import AgentHandler
from engine.agent.shipped import PASSAGES
from engine.run import Phase
from engine.workspace import Workspace
from engine.workspace.agent_runs import AgentRun
from pages.cells.behind import code_of_task
from pages.parts.agent_approval import show_approval
from pages.parts.agent_story import Call, Cell, Choice, Text, story
from pages.parts.agent_timeline import seconds, show_agent_timeline
from pages.parts.answer import ICONS
from pages.parts.code_cell import show_code_behind
from pages.parts.markdown import answer_markdown, plain_markdown
from pages.parts.only import behind_filters, show_only
from pages.parts.sources import show_evidence

TICK = 0.15  # seconds between two drawings of a run that works
LOOK = 1.0  # seconds between checks whether another tab has approved a call or stopped the run
PREVIEW = 60  # characters of the arguments in a step's label
LONG, TALL = 900, 260  # characters of a result that scrolls, and its height in pixels

StepState = Literal["running", "complete", "error"]
ShowSources = Callable[..., None]


def show_run(workspace: Workspace, run: AgentRun, live: bool) -> None:
    """The task and the run. `live`: whether it had not ended when the page began to be drawn.

    The page draws other parts for a live run too, so the value must be the same for all of them.
    """
    handler = run.handler
    with st.chat_message("user", avatar=":material/person:"):
        if run.earlier:
            before = [each.content for each in run.earlier if each.role == "user"][-1]
            st.caption(f":material/history: after “{plain_markdown(before[:PREVIEW])}”")
        st.markdown(plain_markdown(handler.user_msg))
        show_only(workspace.library.described(run.collection, run.filters))
    pending = handler.pending
    with st.chat_message("assistant", avatar=":material/route:"):
        if live and pending is None:
            st.fragment(_draw_live, run_every=TICK)(workspace, run)
            return
        _draw(workspace, run)
        if not live:
            _show_outcome(workspace, run)
    if live and pending:
        workspace.agents.hold(handler)
        st.fragment(_redraw_after_decision, run_every=LOOK)(handler, pending.tool_id)


def _draw_live(workspace: Workspace, run: AgentRun) -> None:
    """Draw the run as it is now. When it ends or needs the user, the whole page is drawn again."""
    handler = run.handler
    ended = handler.phase.ended  # read first: later changes are drawn with the whole page
    workspace.agents.hold(handler)
    _draw(workspace, run)
    if ended or handler.pending:
        st.rerun()


def _redraw_after_decision(handler: AgentHandler, tool_id: str) -> None:
    pending = handler.pending
    if pending is None or pending.tool_id != tool_id:
        st.rerun()


def status_sentence(handler: AgentHandler) -> str:
    """The state of a run as a sentence for screen readers."""
    if handler.phase is Phase.DONE:
        return f"The agent has finished. {handler.text}"
    if handler.phase is Phase.STOPPED:
        return "The agent was stopped."
    if handler.phase is Phase.FAILED:
        return f"The agent failed. {handler.error}"
    if pending := handler.pending:
        return f"The agent waits for your approval to use {_tool_name(pending.tool_name)}."
    return "The agent works on your task."


# The run


def _draw(workspace: Workspace, run: AgentRun) -> None:
    handler = run.handler
    cells = story(handler.so_far)
    show_sources = partial(show_evidence, partial(workspace.library.copy_of, run.collection))
    _show_state(handler, cells)
    with st.container(key=f"agent-cells-{handler.id}", gap="small"):
        calls: list[Call] = []  # since the last text
        for number, cell in enumerate(cells):
            if isinstance(cell, Choice):
                _show_choice(cell, handler)
            elif isinstance(cell, Call):
                calls.append(cell)
                _show_call(cell, handler)
            else:
                with st.container(key=f"agent-text-{handler.id}-{number}"):
                    for call in calls:
                        _show_sources(call, cell.text, show_sources)
                    st.markdown(answer_markdown(cell.text))
                calls = []


def _show_state(handler: AgentHandler, cells: Sequence[Cell]) -> None:
    """One line with the agent's present action and its duration."""
    trace, progress = handler.run.trace, handler.progress
    took = f"{trace.now():.1f} s"
    if handler.phase.ended:
        word = {Phase.DONE: "finished", Phase.STOPPED: "stopped"}.get(handler.phase, "failed")
        st.caption(f"{ICONS[handler.phase]} {word} after {seconds(trace.ended or 0.0)}")
    elif handler.pending:
        st.caption(":material/front_hand: waiting for your approval")
    elif running := handler.running:
        st.caption(f":material/build: running {_tool_name(running.tool_name)} · {took}")
    elif progress.phase is Phase.READING and progress.total:
        line = f"{ICONS[progress.phase]} {progress} · {took}"
        st.progress(min(1.0, progress.done / progress.total), text=line)
    elif cells and isinstance(cells[-1], Text):
        st.caption(f"{ICONS[Phase.WRITING]} {progress} · {took}")
    else:
        st.caption(f":material/route: choosing what to do · {took}")


def _show_outcome(workspace: Workspace, run: AgentRun) -> None:
    """The notes, the timeline and the actions under a run that has ended."""
    handler = run.handler
    if handler.phase is Phase.FAILED:
        st.error(plain_markdown(str(handler.error)), icon=":material/error:")
    for note in dict.fromkeys(handler.run.notes):
        st.caption(f":material/info: {plain_markdown(note)}")
    with st.expander("Where the time went", type="compact", key=f"time-{handler.id}"):
        show_agent_timeline(handler)
    with st.container(horizontal=True, gap="small", key=f"agent-actions-{handler.id}"):
        st.download_button(
            "Export as JSON",
            data=lambda: json.dumps(handler.to_dict(), indent=2, ensure_ascii=False),
            file_name=f"agent-run-{handler.run.id}.json",
            mime="application/json",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            key=f"export-{handler.id}",
        )
        folders, only = behind_filters(workspace, run.collection, run.filters)
        if folders:
            show_code_behind(code_of_task(handler.user_msg, *folders, only=only), handler.id)
    st.caption(f"Run {handler.run.id}", help="The log has this id for the run.")


# Its cells


def _step(label: str, state: StepState, expanded: bool = False) -> DeltaGenerator:
    """A step of the run. (`with st.status(...)` would mark the step as complete at its end.)"""
    return st.status(label, state=state, expanded=expanded, type="step").container()


def _show_choice(cell: Choice, handler: AgentHandler) -> None:
    """A decision of the model, with its thought inside."""
    if cell.ended is None:
        ended = handler.phase.ended
        label = "Stopped while choosing" if ended else "Choosing what to do"
        state: StepState = "error" if ended else "running"
        with _step(label, state, expanded=True):
            st.caption(plain_markdown(cell.thought))
        return
    names = ", ".join(f"**{_tool_name(tool)}**" for tool in dict.fromkeys(cell.tools))
    label = f"Chose {names or 'to answer'} · {seconds(cell.ended - cell.began)}"
    with _step(label, "complete"):
        st.caption(plain_markdown(cell.thought))


def _show_call(cell: Call, handler: AgentHandler) -> None:
    """One call: its arguments, the approval, its time, its result."""
    state: StepState
    if cell.denied:
        state, word = "error", "denied by you"
    elif cell.result:
        state = "error" if cell.result.is_error else "complete"
        took = seconds(cell.result.seconds)
        word = f"failed after {took}" if cell.result.is_error else took
    elif handler.phase.ended:
        state, word = "complete", "stopped"
    elif cell.began is None:
        state, word = "running", "waits for your approval"
    else:
        state, word = "running", f"running {handler.run.trace.now() - cell.began:.1f} s"
    text = ", ".join(str(value) for value in cell.arguments.values() if value not in ("", None))
    short = text if len(text) <= PREVIEW else f"{text[: PREVIEW - 1]}…"
    preview = f" {plain_markdown(short)}" if short else ""
    label = f"**{_tool_name(cell.tool)}**{preview} · {word}"
    asks = cell.waiting and not handler.phase.ended
    with _step(label, state, expanded=asks):
        if asks:
            show_approval(cell, handler)
        else:
            _show_result(cell)


def _show_result(cell: Call) -> None:
    if given := cell.given:
        took = seconds(given.seconds)
        if cell.denied:
            reason = f": {plain_markdown(given.reason)}" if given.reason else "."
            said = f"You denied this call after {took}{reason}"
        else:
            edited = " with changed arguments" if cell.edited else ""
            said = f"You approved this call{edited} after {took}."
        st.caption(f":material/person: {said}")
    st.caption("Arguments")
    st.code(as_json(cell.arguments), language="json", wrap_lines=True)
    if cell.result:
        output = cell.result.tool_output
        st.caption("Why it failed" if cell.result.is_error else "Result")
        height = TALL if len(output.content) > LONG else None
        st.code(output.content, language=None, wrap_lines=True, height=height)
        if output.left_out:
            st.caption(
                f":material/content_cut: {output.left_out:,} more characters were left out "
                "because the result is too long."
            )


def _show_sources(call: Call, text: str, show_sources: ShowSources) -> None:
    """The passages or web pages that a call's result comes from, above the text they led to."""
    if not call.result:
        return
    output = call.result.tool_output
    if any(source.evidence for source in output.sources) and output.found:
        show_sources(output.sources[:PASSAGES], call.id, quoted="“" not in text)
        return
    for number, source in enumerate(output.sources, start=1):
        if url := source.metadata.get("url"):
            st.caption(f"**{number}** {plain_markdown(source.node.label)} · {plain_markdown(url)}")


def as_json(arguments: Mapping[str, Any]) -> str:
    plain = to_jsonable_python(dict(arguments), fallback=str)
    return json.dumps(plain, indent=2, ensure_ascii=False)


def _tool_name(name: str) -> str:
    return plain_markdown(name.replace("_", " "))
