"""Library: the documents of a collection. Add them, read them, delete and restore them."""

from pathlib import Path

import streamlit as st

from engine.english import counted
from engine.schema import Filters
from engine.store import EMBEDDED_LIMIT, Source
from engine.workspace import Workspace
from engine.workspace.library import DEFAULT_COLLECTION
from engine.workspace.team import is_shared
from pages.parts import signing_in
from pages.parts.announce import announce
from pages.parts.deleting import (
    delete_collection,
    delete_documents,
    deletion_id,
    deletion_said,
    show_trash,
    show_undo,
)
from pages.parts.facts import facts_of
from pages.parts.folders import directories_of
from pages.parts.markdown import plain_markdown
from pages.parts.moving import show_place
from pages.parts.others import follow_others
from pages.parts.passages import LEAVE, open_document, show_document
from pages.parts.resources import safely, shown_errors
from pages.parts.resources import workspace as the_workspace
from pages.parts.session import choose_collection, current_collection, pick_collection
from pages.parts.summarising import summarise_documents
from pages.parts.tags import tag_chosen, tags_of
from pages.parts.uploads import add_documents, offer_samples, show_repairs, show_uploads
from pages.parts.watching import show_watched

A_PAGE = 50  # documents shown at once
SEARCH_FROM = 6  # documents: fewer are seen at a glance
ORDERS = ("latest", "name", "size")

_SCRIPT = Path(__file__).parent / "parts" / "library_view.js"
_view = st.components.v2.component("library_view", js=_SCRIPT.read_text(encoding="utf-8"))


# ---- The head: collections


def show_head(workspace: Workspace, collection: str) -> None:
    """The title with the actions on collections, and below it the picker of the collection."""
    with st.container(
        horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"
    ):
        st.title("Library", anchor=False)
        with st.popover("Collections", icon=":material/folder_copy:"):
            _manage_collections(workspace, collection)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        pick_collection(workspace, collection, "library")
        documents = workspace.library.documents(collection)
        if documents:
            passages = sum(document.passages for document in documents)
            st.caption(
                f"{counted(len(documents), 'document')} · {counted(passages, 'passage')}",
                width="content",
            )


def _manage_collections(workspace: Workspace, collection: str) -> None:
    with st.form("new-collection", border=False, clear_on_submit=True):
        name = st.text_input("New collection", placeholder="Name")
        if st.form_submit_button("Create", icon=":material/add:") and name.strip():
            with shown_errors():
                workspace.library.create(name.strip())
            choose_collection(name.strip())
            st.rerun()
    if signing_in.required() and not workspace.personal:
        published = workspace.published
        key = f"published-{collection}"
        st.session_state[key] = collection in published.names()

        def publish() -> None:
            published.publish(collection, st.session_state[key])

        st.toggle(
            f"Everybody can read {plain_markdown(collection)}",
            key=key,
            on_change=safely(publish),
            help="All who sign in can search and ask it. Administrators alone change it.",
        )
    changeable = collection != DEFAULT_COLLECTION and not is_shared(collection)
    if changeable and st.button(
        f"Delete {plain_markdown(collection)}", icon=":material/delete:"
    ):
        _confirm_collection(workspace, collection)


@st.dialog("Delete this collection?")
def _confirm_collection(workspace: Workspace, collection: str) -> None:
    documents = workspace.library.documents(collection)
    conversations = workspace.conversations.list(collection)
    st.markdown(f"The collection **{plain_markdown(collection)}** will be deleted.")
    if documents:
        st.markdown(f"Its {counted(len(documents), 'document')} can be restored for 30 days.")
    if conversations:
        count = counted(len(conversations), "conversation")
        st.markdown(f"Its {count} **cannot** be restored.")
    with st.container(horizontal=True):
        if st.button(
            "Delete it",
            type="primary",
            on_click=safely(delete_collection),
            args=(workspace, collection),
        ):
            st.rerun()
        if st.button("Keep it"):
            st.rerun()


# ---- The documents


def show_documents(workspace: Workspace, collection: str) -> None:
    documents = workspace.library.documents(collection)
    if not documents:
        if not workspace.library.repairs(collection):  # otherwise they are being rebuilt
            st.markdown("There are no documents here yet. Add files, or start with the samples.")
            offer_samples(workspace, collection)
        return
    if workspace.library.index(collection).collection.crowded:
        st.warning(
            f"This collection has more than {EMBEDDED_LIMIT:,} passages. From this size on, a "
            "Qdrant server searches it faster and opens it sooner: start one, and move the search "
            "index there, below."
        )
    if len(documents) >= SEARCH_FROM or any(each.directory or each.tags for each in documents):
        documents = _found(documents)
    if not documents:
        st.caption("No match.")
        return
    pages = -(-len(documents) // A_PAGE)
    # The page numbers are below the list. Their state is known before they are drawn.
    page = min(pages, st.session_state.get("documents-page") or 1)
    shown = documents[(page - 1) * A_PAGE : page * A_PAGE]
    _show_choice(workspace, collection, shown)
    with st.container(key="documents", gap="xsmall"):
        for document in shown:
            _show_row(workspace, collection, document)
    if pages > 1:
        st.pagination(pages, key="documents-page")


def _found(documents: list[Source]) -> list[Source]:
    """The documents whose names contain the search text, in the chosen order."""
    with st.container(horizontal=True, vertical_alignment="center"):
        wanted = st.text_input(
            "Search in names",
            placeholder="Search in names",
            label_visibility="collapsed",
            icon=":material/search:",
            key="documents-search",
        )
        order = st.selectbox(
            "Sort by",
            ORDERS,
            label_visibility="collapsed",
            format_func=lambda name: f"Sort by {name}",
            width=160,
            key="documents-order",
        )
        directory = _chosen("folder", directories_of(documents))
        tag = _chosen("tag", tags_of(documents))
    within = Filters(directories=(directory,) if directory else ())
    found = [
        each
        for each in documents
        if wanted.strip().lower() in each.path.lower()
        and within.match(each.source_id, each.file_name, each.directory)
        and (not tag or tag in each.tags)
    ]
    if order == "name":
        found.sort(key=lambda each: each.path.lower())
    elif order == "size":
        found.sort(key=lambda each: each.size, reverse=True)
    return found


def _chosen(what: str, names: list[str]) -> str:
    """One of the names, or an empty one for all of them."""
    if not names:
        return ""
    return st.selectbox(
        what.capitalize(),
        ["", *names],
        label_visibility="collapsed",
        format_func=lambda name: name or f"All {what}s",
        width=160,
        key=f"documents-{what}",
    )


def _pick_key(document: Source) -> str:
    return f"pick-{document.source_id}"


def _show_choice(workspace: Workspace, collection: str, shown: list[Source]) -> None:
    """The actions on several of the shown documents."""
    changeable = not is_shared(collection)
    chosen = [each for each in shown if st.session_state.get(_pick_key(each))]
    with st.container(horizontal=True, vertical_alignment="center", key="choice"):
        every = len(chosen) == len(shown)
        st.button(
            "Select none" if every else "Select all",
            type="tertiary",
            icon=":material/check_box_outline_blank:" if every else ":material/select_all:",
            key="select-all",
            on_click=safely(_select),
            args=(shown, not every),
        )
        if changeable:
            tag_chosen(workspace, collection, chosen)
        st.button(
            f"Summarise {counted(len(chosen), 'document')}" if chosen else "Summarise all",
            type="tertiary",
            icon=":material/summarize:",
            key="summarise-chosen",
            on_click=safely(summarise_documents),
            args=(workspace, collection, chosen),
        )
        if not changeable:
            return
        st.button(
            f"Delete {counted(len(chosen), 'document')}" if chosen else "Delete",
            type="tertiary",
            icon=":material/delete:",
            key="delete-chosen",
            disabled=not chosen,
            on_click=safely(delete_documents),
            args=(workspace, collection, {each.source_id: each.file_name for each in chosen}),
        )


def _select(documents: list[Source], selected: bool) -> None:
    for document in documents:
        st.session_state[_pick_key(document)] = selected


def _show_row(workspace: Workspace, collection: str, document: Source) -> None:
    with st.container(
        horizontal=True,
        vertical_alignment="center",
        gap="small",
        wrap=False,
        key=f"document-row-{document.source_id}",
    ):
        st.checkbox(
            f"Select {document.file_name}",  # as it is: screen readers read the Markdown itself
            label_visibility="collapsed",
            width="content",
            key=_pick_key(document),
        )
        with st.container(
            horizontal=True,
            vertical_alignment="center",
            horizontal_alignment="distribute",
            gap=None,
        ):
            st.button(
                plain_markdown(document.path),
                type="tertiary",
                wrap=False,
                key=f"open-{document.source_id}",
                on_click=safely(open_document),
                args=(document.source_id,),
            )
            st.caption(facts_of(workspace, collection, document), width="content")


def find_open(workspace: Workspace) -> tuple[str, Source | None]:
    """The document that the address names, with its collection; or the chosen collection.

    After a reload the session has no chosen collection, so all collections are searched.
    """
    chosen = current_collection(workspace)
    if source_id := st.query_params.get("document", ""):
        others = [each for each in workspace.library.collections() if each != chosen]
        for collection in [chosen, *others]:
            for document in workspace.library.documents(collection):
                if document.source_id == source_id:
                    st.session_state.collection = collection
                    return collection, document
        open_document("")
    return chosen, None


def main() -> None:
    workspace = the_workspace()
    if st.session_state.pop(LEAVE, False):
        st.switch_page("pages/ask.py")
    collection, document = find_open(workspace)
    with st.sidebar:
        announce(deletion_said(), deletion_id())
        opened = document.source_id if document else ""
        _view(
            key="library-view",
            data={"document": opened, "deletion": deletion_id()},
            height=1,
            width=1,
        )
    if document:
        show_document(workspace, collection, document, summarise_documents)
        return
    follow_others(workspace)
    show_head(workspace, collection)
    show_repairs(workspace, collection)
    add_documents(workspace, collection)
    show_watched(workspace, collection)
    show_uploads(workspace, collection)
    show_undo(workspace)
    show_documents(workspace, collection)
    show_trash(workspace, collection)
    show_place(workspace)


main()
