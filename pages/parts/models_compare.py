"""Two models side by side: a cell of the Compare page."""

from pathlib import Path

import streamlit as st

from engine.models.choosing import Choice
from engine.models.comparing import ModelComparison, Side
from engine.settings import Settings
from engine.workspace import Workspace
from pages.parts.markdown import answer_markdown, plain_markdown
from pages.parts.resources import safely

TICK = 0.5  # seconds between updates while the models answer


def configured_name() -> str:
    """What .env says, or the default model."""
    config = Settings.config
    if config.openai_base_url:
        return config.openai_model
    return config.chat_model.stem if config.chat_model else "SmolLM2-135M-Instruct"


def models_here(workspace: Workspace) -> dict[str, Choice]:
    """The models that can be asked now, by a name for each."""
    found = {configured_name(): Choice()}
    for model in workspace.models.all():
        if model.path:
            found[Path(model.name).stem] = Choice(path=str(model.path))
    for server in workspace.servers.all():
        found[f"{server.model} at {server.address}"] = Choice(server=server.id)
    return found


def compare_models(workspace: Workspace, collection: str, question: str) -> None:
    """Choose two models, ask both, and see the answers beside each other."""
    here = models_here(workspace)
    if len(here) < 2:
        st.caption("There is one model. Add another on the Models page to compare them.")
        st.page_link("pages/models.py", label="Models", icon=":material/memory:")
        return
    names = list(here)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        first = st.selectbox("One model", names, key="compare-model-1", persist_state="session")
        second = st.selectbox(
            "Another model", names, index=1, key="compare-model-2", persist_state="session"
        )
        comparison = workspace.comparison
        running = comparison is not None and comparison.running
        st.button(
            "Stop" if running else "Ask both",
            icon=":material/stop:" if running else ":material/play_arrow:",
            key="compare-models",
            disabled=first == second and not running,
            on_click=safely(
                comparison.stop if running and comparison else workspace.compare_models
            ),
            args=()
            if running
            else (collection, question, ((first, here[first]), (second, here[second]))),
        )
    if comparison:
        st.fragment(_results, run_every=TICK if running else None)(comparison, running)


def _results(comparison: ModelComparison, was_running: bool) -> None:
    st.caption(f"The question: “{plain_markdown(comparison.question)}”")
    for column, side in zip(st.columns(2), comparison.sides, strict=True):
        with column.container(border=True, height="stretch"):
            _side(side)
    if comparison.problem:
        st.info(plain_markdown(comparison.problem))
    if was_running and not comparison.running:
        st.rerun()


def _side(side: Side) -> None:
    st.markdown(f"**{plain_markdown(side.name)}**")
    if side.problem:
        st.error(plain_markdown(side.problem), icon=":material/error:")
        return
    left, right = st.columns(2)
    left.metric("First token", "–" if side.first_token is None else f"{side.first_token:.2f} s")
    right.metric("Rate", "–" if side.rate is None else f"{side.rate:.0f} tokens/s")
    waiting = side.stage or ("" if side.done else "waiting for the other")
    st.markdown(answer_markdown(side.text) if side.text else f"*{waiting}*")
