"""A document on a page of its own: its facts, its passages as they are stored, a PDF's pages."""

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from engine.schema import Filters
from engine.store import Source
from engine.workspace import Workspace
from engine.workspace.team import is_shared
from pages.parts.conversations import open_conversation
from pages.parts.deleting import delete_documents
from pages.parts.facts import facts_of
from pages.parts.markdown import passage_markdown, plain_markdown
from pages.parts.only import choose
from pages.parts.resources import safely
from pages.parts.session import choose_collection
from pages.parts.sources import offer_page, show_recognised
from pages.parts.tags import edit_tags

LEAVE = "leave_for_ask"  # in the session's state: the next run of the page goes on to Ask
A_PAGE = 10  # passages shown at once
Summarise = Callable[[Workspace, str, Sequence[Source]], None]


def open_document(source_id: str) -> None:
    """Show this document on the Library page; empty: all documents. The address names it."""
    if source_id:
        st.query_params["document"] = source_id
    else:
        st.query_params.pop("document", None)


def show_document(
    workspace: Workspace, collection: str, document: Source, on_summarise: Summarise
) -> None:
    """`on_summarise` is called by the button *Summarise*."""
    st.button(
        "All documents",
        icon=":material/arrow_back:",
        type="tertiary",
        key="all-documents",
        on_click=safely(open_document),
        args=("",),
    )
    st.title(plain_markdown(document.file_name), anchor=False)
    facts = facts_of(workspace, collection, document)
    st.caption(f"Collection: {plain_markdown(collection)} · {facts}")
    original = workspace.library.original(collection, document.source_id)
    with st.container(horizontal=True):
        if original:
            st.download_button(
                "Download",
                data=original.read_bytes,
                file_name=document.file_name,
                icon=":material/download:",
                on_click="ignore",
            )
        st.button(
            "Ask only this document",
            icon=":material/forum:",
            key="ask-only",
            on_click=safely(ask_only),
            args=(collection, document),
            help="Begins a conversation about this document alone.",
        )
        st.button(
            "Summarise",
            icon=":material/summarize:",
            key="summarise-document",
            on_click=safely(on_summarise),
            args=(workspace, collection, [document]),
        )
        if not is_shared(collection):
            st.button(
                "Delete",
                icon=":material/delete:",
                key="delete-document",
                on_click=safely(_delete),
                args=(workspace, collection, document),
            )
    if original is None:
        st.caption("The original file was not kept. Its passages can be read and searched.")
    if not is_shared(collection):
        edit_tags(workspace, collection, document)
    _show_passages(workspace, collection, document)


def ask_only(collection: str, document: Source) -> None:
    """Begin a conversation whose questions are about this document."""
    choose_collection(collection)
    open_conversation("")
    choose(Filters(source_ids=(document.source_id,)))
    st.session_state[LEAVE] = True


def _delete(workspace: Workspace, collection: str, document: Source) -> None:
    delete_documents(workspace, collection, {document.source_id: document.file_name})
    open_document("")


def _show_passages(workspace: Workspace, collection: str, document: Source) -> None:
    find_original = partial(workspace.library.original, collection)
    nodes = workspace.library.passages(collection, document.source_id)
    pages = -(-len(nodes) // A_PAGE)
    page = 1
    if pages > 1:
        page = min(pages, st.pagination(pages, key=f"passages-{document.source_id}"))
    for node in nodes[(page - 1) * A_PAGE : page * A_PAGE]:
        with st.container(border=True, key=f"passage-{node.id_}"):
            st.caption(" · ".join(filter(None, (f"passage {node.position + 1}", node.place))))
            st.markdown(passage_markdown(node.text))
            show_recognised(node)
            offer_page(find_original, node, f"inside-{node.id_}")
