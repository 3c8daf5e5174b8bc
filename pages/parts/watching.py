"""Keeping a folder in sync: the folders that a collection follows, and what was done."""

import streamlit as st

from engine.english import counted
from engine.store import Source
from engine.workspace import Workspace
from engine.workspace.watching import Watched
from pages.parts.markdown import plain_markdown
from pages.parts.resources import safely, shown_errors
from pages.parts.walkthrough_state import may_edit

_SHOWN = 8  # lines of a folder's log
_TICK = 2.0  # seconds between updates


def show_watched(workspace: Workspace, collection: str) -> None:
    """The folders that are followed, and a form to add one. Only on the computer itself, since
    the form can name any folder on it; and where people sign in, only for the team's documents.
    """
    if workspace.personal:
        return
    watched = workspace.watcher.folders(collection)
    local = may_edit(
        True,
        str(st.get_option("server.address")),
        st.context.headers.get("Origin", ""),
        st.context.headers.get("Host", ""),
    )
    if not (watched or local):
        return
    label = "Keep a folder in sync"
    if watched:
        label += f" · {counted(len(watched), 'folder')}"
    with st.expander(label, icon=":material/sync:", key="watched"):
        if watched:
            drawn = workspace.library.documents(collection)
            st.fragment(_show_folders, run_every=_TICK)(workspace, collection, drawn)
        if local:
            _add(workspace, collection)


def _add(workspace: Workspace, collection: str) -> None:
    with st.form("watch-folder", border=False, clear_on_submit=True):
        folder = st.text_input("Folder on this computer", placeholder="/home/me/papers")
        ignore = st.text_input(
            "Leave out", placeholder="*.log, drafts/*", help="Patterns, with commas between them."
        )
        if st.form_submit_button("Keep in sync", icon=":material/sync:") and folder.strip():
            with shown_errors():
                workspace.watcher.add(collection, folder.strip(), ignore.split(","))
                st.rerun()
    st.caption(
        "Files that you add, change, rename or delete there follow within seconds. First Token "
        "changes nothing in the folder. ZIP files in it and symbolic links are left out."
    )


def _show_folders(workspace: Workspace, collection: str, drawn: list[Source]) -> None:
    """`drawn`: the documents that the page shows, which is drawn again when there are others."""
    for watched in workspace.watcher.folders(collection):
        _show_folder(workspace, watched)
    if workspace.library.documents(collection) != drawn and not workspace.ingestor.busy:
        st.rerun()


def _show_folder(workspace: Workspace, watched: Watched) -> None:
    with st.container(key=f"watched-{watched.id}", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            state = "paused" if watched.paused else counted(len(watched.files), "file")
            st.markdown(f"**{plain_markdown(watched.folder)}** · {state}", width="stretch")
            st.button(
                "Continue" if watched.paused else "Pause",
                icon=":material/play_arrow:" if watched.paused else ":material/pause:",
                type="tertiary",
                key=f"pause-{watched.id}",
                on_click=safely(workspace.watcher.pause),
                args=(watched, not watched.paused),
            )
            st.button(
                "Stop following",
                icon=":material/close:",
                type="tertiary",
                key=f"unwatch-{watched.id}",
                on_click=safely(workspace.watcher.remove),
                args=(watched,),
                help="Its documents stay in the Library.",
            )
        if watched.problem:
            st.warning(plain_markdown(watched.problem))
        for line in list(watched.lines)[:_SHOWN]:
            st.caption(plain_markdown(line))
