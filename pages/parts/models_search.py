"""The models of the search: which embedder and reranker, and documents being embedded again."""

import streamlit as st

from engine.embedding import BgeEmbedding, CrossEncoder
from engine.languages import name_of
from engine.models.choosing import SearchChoice
from engine.models.searching import Offered, embedders, rerankers
from engine.workspace import Workspace
from pages.parts.facts import readable_size
from pages.parts.markdown import plain_markdown
from pages.parts.resources import safely

TICK = 1.0  # seconds between updates while files are fetched or documents embedded
WHY = (
    "The default models know English. In other languages the search goes by words, with their "
    "stems, and an answer is never refused. A model for many languages also finds what is said in "
    "other words. Your documents are then embedded again in the background; until that is done the "
    "old index answers."
)


def choose_search_models(workspace: Workspace) -> None:
    switch = workspace.search_switch
    st.markdown(WHY)
    embedder = _choice(
        "Finds passages by meaning",
        BgeEmbedding.name,
        embedders(),
        switch.current.embedder,
        "embedder",
    )
    reranker = _choice(
        "Ranks sentences against the question",
        CrossEncoder.name,
        rerankers(),
        switch.current.reranker,
        "reranker",
    )
    choice = SearchChoice(embedder, reranker)
    here = workspace.search_models.is_here
    fetched = not (here(embedder) and here(reranker))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Download and use" if fetched else "Use",
            icon=":material/download:" if fetched else None,
            key="use-search-models",
            disabled=switch.step.at_work or choice == switch.current,
            on_click=safely(switch.begin),
            args=(choice,),
        )
    busy = _busy(workspace)
    st.fragment(_progress, run_every=TICK if busy else None)(workspace, busy)


def _busy(workspace: Workspace) -> bool:
    return workspace.search_switch.step.at_work or bool(workspace.library.reembedder.pending)


def _choice(
    label: str, default: str, offered: tuple[Offered, ...], in_use: str, key: str
) -> str:
    """The name of a model; empty for the default one. At first it is the one in use."""
    known = {each.name: each for each in offered}

    def described(name: str) -> str:
        if name == default:
            return f"{name} (English; the default)"
        each = known[name]
        languages = ", ".join(map(name_of, sorted(each.languages))) or "many languages"
        return f"{name} ({languages}; {each.gigabytes:g} GB; {each.licence})"

    names = [default, *known]
    name = st.selectbox(
        label,
        names,
        index=names.index(in_use or default),
        format_func=described,
        key=f"search-{key}",
    )
    return "" if name == default else str(name)


def _progress(workspace: Workspace, was_busy: bool) -> None:
    switch, reembedder = workspace.search_switch, workspace.library.reembedder
    with st.container(key="search-progress"):
        if switch.step.at_work:
            done = f"{readable_size(switch.done)} of {readable_size(switch.total)}"
            with st.container(horizontal=True, vertical_alignment="center"):
                st.progress(
                    min(1.0, switch.done / switch.total) if switch.total else 0.0,
                    text=f"Downloading: {done}" if switch.total else "Asking the hub",
                )
                st.button("Stop", key="stop-search", on_click=safely(switch.stop))
        elif switch.message:
            st.error(plain_markdown(switch.message), icon=":material/error:")
        if reembedder.pending:
            now = reembedder.progress
            share = now.done / now.total if now and now.total else 0.0
            text = (
                f"Embedding again: {now.done} of {now.total} documents of "
                f"{plain_markdown(now.collection)}. The old index answers."
                if now
                else "Embedding again. The old index answers."
            )
            st.progress(share, text=text)
        if reembedder.problem:
            st.warning(plain_markdown(reembedder.problem))
    if was_busy != _busy(workspace):
        st.rerun()
