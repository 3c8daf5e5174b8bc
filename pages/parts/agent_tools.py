"""The agent's tools: what each is for, whether it asks first, and how to get those not there."""

from collections.abc import Sequence

import streamlit as st

from engine.agent import FunctionTool
from engine.workspace import Workspace
from pages.parts.markdown import plain_markdown


def show_tools(workspace: Workspace, tools: Sequence[FunctionTool]) -> None:
    st.caption("The agent chooses among these. What asks first waits for your word.")
    for tool in tools:
        with st.container(key=f"tool-{tool.name}", gap="xsmall"):
            _show_tool(workspace, tool)


def _show_tool(workspace: Workspace, tool: FunctionTool) -> None:
    name = plain_markdown(tool.name.replace("_", " ")).capitalize()
    missing = " · :material/key_off: not available" if tool.unavailable else ""
    st.markdown(f"**{name}**{missing}")
    st.caption(plain_markdown(tool.summary))
    if tool.unavailable:
        st.caption(f":material/arrow_forward: {plain_markdown(tool.unavailable)}")
        return
    key = f"asks-first-{tool.name}"
    st.toggle(
        "Ask me before each call",
        tool.name in workspace.agents.asks_first,
        key=key,
        on_change=lambda: workspace.agents.ask_first(tool.name, st.session_state[key]),
    )
