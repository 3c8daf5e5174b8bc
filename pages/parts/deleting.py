"""Deleting and restoring: the line with Undo, and the list of recently deleted files."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import streamlit as st

from engine.english import counted
from engine.errors import StoreError
from engine.schema import new_id
from engine.workspace import Workspace
from engine.workspace.library import DEFAULT_COLLECTION
from engine.workspace.originals import KEPT_IN_TRASH, Original
from pages.parts.answer import forget_answers
from pages.parts.facts import ago, readable_size
from pages.parts.markdown import plain_markdown
from pages.parts.resources import safely
from pages.parts.session import choose_collection
from pages.parts.sources import forget_pages
from pages.parts.walkthrough_state import forget_documents

A_PAGE = 20  # deleted files shown at once


@dataclass(frozen=True, slots=True)
class Deleted:
    """The last deletion of this session, and the sentence about it."""

    collection: str
    source_ids: tuple[str, ...]
    sentence: str
    whole_collection: bool = False
    id: str = field(default_factory=new_id)


def delete_documents(workspace: Workspace, collection: str, names: Mapping[str, str]) -> None:
    """Delete the documents with these source ids and names. `show_undo` offers to restore them.

    Raises:
        StoreError: a document could not be deleted. Those before it have been, and can be restored.
    """
    try:
        workspace.delete_documents(collection, list(names))
    finally:
        left = _source_ids(workspace, collection)
        gone = [each for each in names if each not in left]
        if gone:
            what = names[gone[0]] if len(gone) == 1 else counted(len(gone), "document")
            st.session_state.deleted = Deleted(collection, tuple(gone), f"{what} deleted.")
        _forget_shown()


def delete_collection(workspace: Workspace, collection: str) -> None:
    """Delete a collection. Its documents can be restored, its conversations cannot."""
    source_ids = _source_ids(workspace, collection)
    workspace.delete_collection(collection)
    st.session_state.deleted = Deleted(
        collection,
        tuple(source_ids),
        f"Collection {collection} with {counted(len(source_ids), 'document')} deleted.",
        whole_collection=True,
    )
    _forget_shown()
    choose_collection(DEFAULT_COLLECTION)


def _source_ids(workspace: Workspace, collection: str) -> list[str]:
    """The ids of all documents of a collection, including those that are being rebuilt."""
    library = workspace.library
    indexed = [each.source_id for each in library.documents(collection)]
    return list(dict.fromkeys([*indexed, *(u.source_id for u in library.repairs(collection))]))


def _forget_shown() -> None:
    """Drop the data of documents that pages have cached."""
    forget_pages()
    forget_answers()
    forget_documents()


# ---- Undo


def show_undo(workspace: Workspace) -> None:
    """The last deletion with Undo, until it is dismissed or something else is deleted."""
    deleted: Deleted | None = st.session_state.get("deleted")
    if deleted is None:
        return
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", wrap=False, key="undo"
    ):
        st.markdown(plain_markdown(deleted.sentence), width="stretch")
        st.button(
            "Undo",
            icon=":material/undo:",
            key="undo-deletion",
            on_click=safely(_undo),
            args=(workspace, deleted),
        )
        st.button(
            "Dismiss",
            type="tertiary",
            icon=":material/close:",
            key="dismiss-deletion",
            on_click=safely(_dismiss),
        )


def deletion_said() -> str:
    """The sentence about the last deletion, for a screen reader; empty without one."""
    deleted: Deleted | None = st.session_state.get("deleted")
    return f"{deleted.sentence} Undo is on the page." if deleted else ""


def deletion_id() -> str:
    """The id of the last deletion; empty without one."""
    deleted: Deleted | None = st.session_state.get("deleted")
    return deleted.id if deleted else ""


def _undo(workspace: Workspace, deleted: Deleted) -> None:
    _restore(workspace, deleted.collection, deleted.source_ids)
    if deleted.whole_collection:
        choose_collection(deleted.collection)


def _restore(workspace: Workspace, collection: str, source_ids: tuple[str, ...]) -> None:
    """Restore documents, and remove the offer to undo if it is about them.

    Raises:
        StoreError: a file could not be moved, or is not in the trash any more.
    """
    restored = workspace.library.restore(collection, source_ids)
    deleted: Deleted | None = st.session_state.get("deleted")
    if deleted and deleted.collection == collection and {*deleted.source_ids} <= {*source_ids}:
        _dismiss()
    there = {*restored, *_source_ids(workspace, collection)}
    if missing := len({*source_ids} - there):
        raise StoreError(
            f"{counted(missing, 'document')} could not be restored, because the trash was "
            "emptied. Add the files again."
        )


def _dismiss() -> None:
    st.session_state.pop("deleted", None)


# ---- Recently deleted


def show_trash(workspace: Workspace, collection: str) -> None:
    """The deleted files that can be restored, folded; nothing if there are none."""
    trash = workspace.library.trash()
    if not trash:
        return
    latest: dict[tuple[str, str], Original] = {}
    for each in trash:
        if workspace.library.original(each.collection, each.source_id) is None:  # not added again
            latest.setdefault((each.collection, each.source_id), each)
    restorable = list(latest.values())
    with st.expander("Recently deleted", icon=":material/auto_delete:", key="trash"):
        st.caption(
            f"Deleted files are kept for {KEPT_IN_TRASH.days} days. Here are "
            f"{counted(len(trash), 'file')}, {readable_size(sum(each.size for each in trash))}."
        )
        pages = -(-len(restorable) // A_PAGE)
        page = min(pages, st.pagination(pages, key="trash-page")) if pages > 1 else 1
        for each in restorable[(page - 1) * A_PAGE : page * A_PAGE]:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                where = "" if each.collection == collection else f" · {each.collection}"
                st.markdown(
                    f"**{plain_markdown(each.file_name)}**"
                    f"{plain_markdown(where)} · deleted {ago(each.deleted_at)}",
                    width="stretch",
                )
                st.button(
                    "Restore",
                    icon=":material/restore_from_trash:",
                    type="tertiary",
                    key=f"restore-{each.folder.name}",
                    on_click=safely(_restore),
                    args=(workspace, each.collection, (each.source_id,)),
                )
        if st.button("Empty the trash", icon=":material/delete_forever:"):
            _confirm_emptying(workspace, len(trash))


@st.dialog("Empty the trash?")
def _confirm_emptying(workspace: Workspace, files: int) -> None:
    them = "It" if files == 1 else "They"
    st.markdown(
        f"{counted(files, 'file')} will be deleted from this computer. {them} cannot be restored "
        "afterwards."
    )
    with st.container(horizontal=True):
        empty = safely(_empty)
        if st.button("Delete permanently", type="primary", on_click=empty, args=(workspace,)):
            st.rerun()
        if st.button("Cancel"):
            st.rerun()


def _empty(workspace: Workspace) -> None:
    workspace.library.empty_trash()
    _dismiss()
