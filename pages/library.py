"""Library: what is indexed, collection by collection; look inside, add, delete."""

from datetime import datetime

import streamlit as st

from engine.store import Source
from engine.workspace import Workspace
from engine.workspace.library import DEFAULT_COLLECTION
from pages.parts.answer import forget_answers
from pages.parts.markdown import plain_markdown
from pages.parts.passages import look_inside
from pages.parts.resources import shown_errors
from pages.parts.resources import workspace as the_workspace
from pages.parts.session import choose_collection, current_collection
from pages.parts.sources import forget_pages
from pages.parts.uploads import add_documents, counted, offer_samples, show_uploads
from pages.parts.walkthrough_state import forget_documents


def show_head(workspace: Workspace, collection: str) -> None:
    with st.container(
        horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"
    ):
        st.title("Library", anchor=False)
        with st.popover("Collections", icon=":material/folder_copy:"):
            _show_collections(workspace, collection)


def _show_collections(workspace: Workspace, collection: str) -> None:
    names = workspace.library.collections()
    key = f"collection-{collection}"  # a new field where another one was made or deleted
    st.selectbox(
        "Questions are asked of",
        names,
        index=names.index(collection),
        key=key,
        on_change=lambda: choose_collection(st.session_state[key]),
    )
    with st.form("new-collection", border=False, clear_on_submit=True):
        name = st.text_input("New collection", placeholder="Its name")
        if st.form_submit_button("Make it", icon=":material/add:") and name.strip():
            with shown_errors():
                workspace.library.create(name.strip())
            choose_collection(name.strip())
            st.rerun()
    if collection != DEFAULT_COLLECTION and st.button(
        f"Delete {plain_markdown(collection)}", icon=":material/delete:"
    ):
        _confirm_collection(workspace, collection)


@st.dialog("Delete this collection?")
def _confirm_collection(workspace: Workspace, collection: str) -> None:
    documents = workspace.library.documents(collection)
    count = counted(len(documents), "document")
    st.markdown(f"**{plain_markdown(collection)}**: its {count} and its conversations go for good.")
    with st.container(horizontal=True):
        if st.button(
            "Delete it",
            type="primary",
            on_click=_delete_collection,
            args=(workspace, collection),
        ):
            st.rerun()
        if st.button("Keep it"):
            st.rerun()


def _delete_collection(workspace: Workspace, collection: str) -> None:
    workspace.delete_collection(collection)
    _forget_shown()
    choose_collection(DEFAULT_COLLECTION)


def show_documents(workspace: Workspace, collection: str) -> None:
    documents = workspace.library.documents(collection)
    if not documents:
        st.markdown("Nothing here yet. Drop in files, or begin with the samples.")
        offer_samples(workspace, collection)
        return
    passages = sum(document.passages for document in documents)
    st.caption(f"{counted(len(documents), 'document')} · {counted(passages, 'passage')}")
    if workspace.library.index(collection).collection.crowded:
        st.warning(
            "This is more than the embedded collection searches quickly. Start a Qdrant server "
            "and set QDRANT_URL in .env."
        )
    matching = _matching(documents)
    if not matching:
        st.caption("No name has that in it.")
        return
    chosen = _table(workspace, collection, matching)
    if chosen:
        label = f"Delete {counted(len(chosen), 'document')}"
        if st.button(label, icon=":material/delete:"):
            _confirm_delete(workspace, collection, chosen)
    if len(chosen) == 1:
        look_inside(workspace, collection, chosen[0])


def _matching(documents: list[Source]) -> list[Source]:
    wanted = st.text_input(
        "Search in names",
        placeholder="Search in names",
        label_visibility="collapsed",
        icon=":material/search:",
    )
    return [each for each in documents if wanted.strip().lower() in each.file_name.lower()]


def _row(workspace: Workspace, collection: str, document: Source) -> dict[str, object]:
    row: dict[str, object] = {
        "Name": document.file_name,
        "Pages": document.pages,
        "Passages": document.passages,
        "Size": document.size / 1024,
        "Added": datetime.fromisoformat(document.added_at),
    }
    prepared = workspace.prepared(collection, document.source_id)
    if prepared is not None:
        row["Prepared"] = 100 * prepared / max(1, document.passages)
    return row


def _table(workspace: Workspace, collection: str, documents: list[Source]) -> list[Source]:
    """The documents as a table; those that are ticked."""
    rows = [_row(workspace, collection, document) for document in documents]
    picked = st.dataframe(
        rows,
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        column_config={
            "Name": st.column_config.TextColumn(width="medium"),
            "Size": st.column_config.NumberColumn(format="%.0f KB"),
            "Added": st.column_config.DatetimeColumn(format="distance", width=140),
            "Prepared": st.column_config.NumberColumn(
                format="%.0f %%", help="Passages that the model has read ahead, while nobody asked."
            ),
        },
        key="documents",
    )
    st.caption("Tick one to look inside, or several to delete them.")
    return [documents[row] for row in picked.selection.rows if row < len(documents)]


@st.dialog("Delete?")
def _confirm_delete(workspace: Workspace, collection: str, documents: list[Source]) -> None:
    names = ", ".join(document.file_name for document in documents[:5])
    more = f" and {len(documents) - 5} more" if len(documents) > 5 else ""
    st.text(
        f"{names}{more}: passages, file and what the model kept of it go for good. Answers already "
        "given keep what they quote."
    )
    with st.container(horizontal=True):
        if st.button(
            "Delete for good",
            type="primary",
            on_click=_delete_documents,
            args=(workspace, collection, [each.source_id for each in documents]),
        ):
            st.rerun()
        if st.button("Keep"):
            st.rerun()


def _delete_documents(workspace: Workspace, collection: str, source_ids: list[str]) -> None:
    workspace.delete_documents(collection, source_ids)
    _forget_shown()


def _forget_shown() -> None:
    """What pages keep of documents goes with them."""
    forget_pages()
    forget_answers()
    forget_documents()


def main() -> None:
    workspace = the_workspace()
    collection = current_collection(workspace)
    show_head(workspace, collection)
    add_documents(workspace, collection)
    show_uploads(workspace, collection)
    show_documents(workspace, collection)


main()
