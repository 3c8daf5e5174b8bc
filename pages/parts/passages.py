"""A document on a page of its own: its facts, its passages as they are stored, a PDF's pages."""

import re
from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from engine.store import Source
from engine.workspace import Workspace
from pages.parts.deleting import delete_documents
from pages.parts.facts import facts_of
from pages.parts.markdown import passage_markdown, plain_markdown
from pages.parts.resources import safely
from pages.parts.session import choose_collection
from pages.parts.sources import offer_page, show_recognised

# What cannot be in the name of a collection (engine/store/store.py), and how long one may be.
NOT_IN_A_NAME = r"[^\w .-]"
LONGEST_NAME = 60
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
                args=(workspace, collection, document),
                help="Copies it to a collection of its own, and asks that one from now on.",
            )
        st.button(
            "Summarise",
            icon=":material/summarize:",
            key="summarise-document",
            on_click=safely(on_summarise),
            args=(workspace, collection, [document]),
        )
        st.button(
            "Delete",
            icon=":material/delete:",
            key="delete-document",
            on_click=safely(_delete),
            args=(workspace, collection, document),
        )
    if original is None:
        st.caption("The original file was not kept. Its passages can be read and searched.")
    _show_passages(workspace, collection, document)


def ask_only(workspace: Workspace, collection: str, document: Source) -> None:
    """Choose a collection that has this document alone, made where it is not there yet.

    Raises:
        FirstTokenError, OSError: the collection or the copy could not be made.
    """
    name = f"Only {re.sub(NOT_IN_A_NAME, '-', document.file_name)}"[:LONGEST_NAME].rstrip(" .-")
    original = workspace.library.original(collection, document.source_id)
    workspace.library.create(name)
    there = {each.file_name for each in workspace.library.documents(name)}
    if original and document.file_name not in there:
        workspace.ingestor.add(name, document.file_name, original)
    choose_collection(name)
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
            where = f"page {node.metadata['page_label']}" if node.metadata.get("page_label") else ""
            st.caption(" · ".join(part for part in (f"passage {node.position + 1}", where) if part))
            st.markdown(passage_markdown(node.text))
            show_recognised(node)
            offer_page(find_original, node, f"inside-{node.id_}")
