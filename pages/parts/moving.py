"""Where the search index is, and moving it to a Qdrant server or back."""

import streamlit as st

from engine.config import checked_addresses
from engine.workspace import Workspace
from engine.workspace.moving import Move, MoveStage
from pages.parts.markdown import plain_markdown
from pages.parts.resources import safely, shown_errors
from pages.parts.walkthrough_state import may_edit

_TICK = 0.5  # seconds between updates

_WORDS = {
    MoveStage.CONNECTING: "Connecting",
    MoveStage.COPYING: "Copying",
    MoveStage.CHECKING: "Comparing checksums",
    MoveStage.SWITCHING: "Waiting for documents that are being added",
}


def show_place(workspace: Workspace) -> None:
    """Only on the computer itself, since the form can name any server, and only where no other
    process uses the index; and where people sign in, only for the team's documents."""
    if workspace.personal:
        return
    local = may_edit(
        True,
        str(st.get_option("server.address")),
        st.context.headers.get("Origin", ""),
        st.context.headers.get("Host", ""),
    )
    if not local or workspace.sharing.folder:
        return
    server = workspace.library.server
    # as code, since Markdown would make a link of it, and a heading that opens cannot hold one
    place = f"`{server.shown}`" if server else "on this computer"
    with st.expander(f"Search index: {place}", icon=":material/database:", key="index-place"):
        move = workspace.library.move
        if move and workspace.library.moving:
            st.fragment(_show_move, run_every=_TICK)(move)
            return
        _show_end(move)
        if server:
            st.button(
                "Move it to this computer",
                icon=":material/computer:",
                key="move-back",
                on_click=safely(workspace.library.begin_move),
                args=("",),
            )
        else:
            _ask_for_server(workspace, move)
        st.caption(
            "Passages are copied, counted and compared by checksums. Then the other place answers. "
            "You can ask and add documents during the move. The index in its former place stays as "
            "it is."
        )


def _ask_for_server(workspace: Workspace, move: Move | None) -> None:
    before = move.server.url if move and move.server else ""
    with st.form("move-index", border=False):
        address = st.text_input(
            "Qdrant server",
            value=before,
            placeholder="http://localhost:6333",
            help="Several addresses, with commas between them, are the nodes of one cluster.",
        )
        key = st.text_input("Key", type="password", placeholder="if it needs one")
        begun = move is not None and move.stage in (MoveStage.STOPPED, MoveStage.FAILED)
        if st.form_submit_button("Continue" if begun else "Move", icon=":material/cloud_upload:"):
            with shown_errors():
                if address.strip():
                    workspace.library.begin_move(checked_addresses(address), key)
                    st.rerun()


def _show_move(move: Move) -> None:
    if move.ended.is_set():
        st.rerun()
    text = f"{_WORDS.get(move.stage, 'Moving')} … to {plain_markdown(move.to)}"
    if move.total:
        text += f" · {move.done:,} of {move.total:,} passages"
    st.progress(move.done / move.total if move.total else 0.0, text=text)
    st.button("Stop", icon=":material/stop:", key="move-stop", on_click=safely(move.stop))


def _show_end(move: Move | None) -> None:
    if move is None:
        return
    if move.stage is MoveStage.DONE:
        st.success(
            f"{move.total:,} passages were moved to {plain_markdown(move.to)}. Their number and "
            "their checksums are the same."
        )
    elif move.stage is MoveStage.STOPPED:
        st.info("The move was stopped. The index stays where it was. You can go on with it.")
    elif move.stage is MoveStage.FAILED:
        st.error(plain_markdown(move.problem))
