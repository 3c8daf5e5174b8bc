"""A document from inside: its passages as they are stored, and a PDF's pages."""

from functools import partial

import streamlit as st

from engine.store import Source
from engine.workspace import Workspace
from pages.parts.markdown import passage_markdown, plain_markdown
from pages.parts.sources import offer_page

A_PAGE = 10  # passages shown at once


def look_inside(workspace: Workspace, collection: str, document: Source) -> None:
    st.subheader(plain_markdown(document.file_name), anchor=False)
    find_original = partial(workspace.library.original, collection)
    nodes = workspace.library.passages(collection, document.source_id)
    pages = -(-len(nodes) // A_PAGE)
    page = st.pagination(pages, key=f"passages-{document.source_id}") if pages > 1 else 1
    for node in nodes[(page - 1) * A_PAGE : page * A_PAGE]:
        with st.container(border=True, key=f"passage-{node.id_}"):
            where = f"page {node.metadata['page_label']}" if node.metadata.get("page_label") else ""
            st.caption(" · ".join(part for part in (f"passage {node.position + 1}", where) if part))
            st.markdown(passage_markdown(node.text))
            offer_page(find_original, node, f"inside-{node.id_}")
