"""Tags: words that a person gives to documents, to find them again and to ask only them."""

from collections.abc import Sequence

import streamlit as st

from engine.english import counted
from engine.store import Source
from engine.workspace import Workspace
from pages.parts.resources import safely


def tags_of(documents: Sequence[Source]) -> list[str]:
    """All tags of these documents, in order."""
    return sorted({tag for each in documents for tag in each.tags}, key=str.casefold)


def edit_tags(workspace: Workspace, collection: str, document: Source) -> None:
    """A field with the tags of one document."""
    key = f"tags-{document.source_id}"

    def keep() -> None:
        workspace.library.tag(collection, document.source_id, st.session_state[key])

    st.multiselect(
        "Tags",
        tags_of(workspace.library.documents(collection)),
        default=document.tags,
        key=key,
        accept_new_options=True,
        placeholder="Choose a tag, or write a new one",
        on_change=safely(keep),
    )


def tag_chosen(workspace: Workspace, collection: str, chosen: Sequence[Source]) -> None:
    """A popover that gives tags to several documents, or takes them away."""
    with st.popover("Tag", icon=":material/label:", type="tertiary", disabled=not chosen):
        tags = st.multiselect(
            f"Tags for {counted(len(chosen), 'document')}",
            tags_of(workspace.library.documents(collection)),
            key="tags-chosen",
            accept_new_options=True,
            placeholder="Choose a tag, or write a new one",
        )
        with st.container(horizontal=True):
            for label, icon, given in (
                ("Add", ":material/add:", True),
                ("Remove", ":material/remove:", False),
            ):
                st.button(
                    label,
                    icon=icon,
                    key=f"tags-{label.lower()}",
                    disabled=not tags,
                    on_click=safely(_tag),
                    args=(workspace, collection, chosen, tags, given),
                )


def _tag(
    workspace: Workspace,
    collection: str,
    documents: Sequence[Source],
    tags: Sequence[str],
    given: bool,
) -> None:
    for each in documents:
        kept = [tag for tag in each.tags if tag not in tags]
        workspace.library.tag(collection, each.source_id, [*kept, *tags] if given else kept)
