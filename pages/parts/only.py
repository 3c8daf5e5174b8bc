"""Ask only these: the choice of the documents, folders, tags and collections of a question."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from engine.english import counted
from engine.schema import Filters
from engine.store import Source
from engine.workspace import Conversation, Workspace
from pages.parts.folders import directories_of, folder_of
from pages.parts.markdown import plain_markdown
from pages.parts.resources import safely
from pages.parts.tags import tags_of

_NAMED = 2  # more than that are counted
_FOLDER, _TAG = "folder:", "tag:"  # what stands before them in the list of choices


def chosen_filters(workspace: Workspace, conversation: Conversation | None) -> Filters:
    """What the next question is about: the choice made here, else that of the last question."""
    made: dict[str, Filters] = st.session_state.setdefault("only", {})
    key = conversation.id if conversation else ""
    if key not in made and conversation:
        turns = workspace.turns(conversation.id)
        # the first question of a conversation was asked with the choice made before it
        return turns[-1].filters if turns else made.get("", Filters())
    return made.get(key, Filters())


def choose(filters: Filters, conversation: Conversation | None = None) -> None:
    """Make the choice for a conversation; without one, for the next that begins."""
    _keep(filters, conversation)
    # the field shows what was chosen in it before, unless it is another one
    st.session_state.only_fields = st.session_state.get("only_fields", 0) + 1


def _keep(filters: Filters, conversation: Conversation | None) -> None:
    made: dict[str, Filters] = st.session_state.setdefault("only", {})
    made[conversation.id if conversation else ""] = filters


def began(conversation: Conversation) -> None:
    """The choice that was made before the first question goes with the conversation."""
    made: dict[str, Filters] = st.session_state.setdefault("only", {})
    if "" in made:
        made[conversation.id] = made.pop("")


def choose_filters(
    workspace: Workspace, collection: str, conversation: Conversation | None
) -> None:
    """A popover with the choice; its label says what is chosen."""
    there = workspace.library.collections()
    now = chosen_filters(workspace, conversation)
    searched = [each for each in now.collections if each in there] or [collection]
    documents = [each for name in searched for each in workspace.library.documents(name)]
    if len(documents) < 2 and len(there) < 2 and not now:
        return
    with st.popover(
        _described(now, documents), icon=":material/filter_list:", type="tertiary", key="only"
    ):
        if len(there) > 1:
            _choose_collections(now, searched, there, collection, conversation)
        _choose_documents(now, searched, documents, conversation)
        if now:
            st.button(
                "All documents",
                icon=":material/close:",
                type="tertiary",
                key="only-none",
                on_click=safely(choose),
                args=(Filters(), conversation),
            )


def show_only(names: Sequence[str]) -> None:
    """What a question was about, below it; nothing if it was about all documents."""
    if names:
        st.caption(f":material/filter_list: Only {plain_markdown(', '.join(names))}")


def behind_filters(
    workspace: Workspace, collection: str, filters: Filters
) -> tuple[list[str], list[str]]:
    """For the code behind an answer: the folders of the collections that were searched, and the ids
    of the documents; none: all of them.
    """
    there = workspace.library.collections()
    searched = [each for each in filters.collections or (collection,) if each in there]
    folders = [folder for each in searched if (folder := folder_of(workspace, each))]
    within = replace(filters, collections=tuple(searched))
    chosen = workspace.library.chosen(collection, within) if filters.narrow else []
    return folders, [each.source_id for each in chosen]


def _choose_collections(
    now: Filters,
    searched: list[str],
    there: list[str],
    collection: str,
    conversation: Conversation | None,
) -> None:
    key = f"only-in-{'/'.join(searched)}-{conversation.id if conversation else ''}"

    def keep() -> None:
        picked = tuple(st.session_state[key])
        own = picked in ((), (collection,))
        # what was chosen in other collections may not be in these
        choose(Filters(tags=now.tags, collections=() if own else picked), conversation)

    st.multiselect("Collections", there, default=searched, key=key, on_change=safely(keep))


def _choose_documents(
    now: Filters,
    searched: list[str],
    documents: list[Source],
    conversation: Conversation | None,
) -> None:
    names = {each.source_id: each.path for each in documents}
    options = [
        *(f"{_FOLDER}{each}" for each in directories_of(documents)),
        *(f"{_TAG}{each}" for each in tags_of(documents)),
        *names,
    ]
    current = [
        *(f"{_FOLDER}{each}" for each in now.directories),
        *(f"{_TAG}{each}" for each in now.tags),
        *now.source_ids,
    ]
    chosen = [each for each in current if each in options]
    field = st.session_state.get("only_fields", 0)
    key = f"only-{'/'.join(searched)}-{conversation.id if conversation else ''}-{field}"

    def keep() -> None:
        picked: list[str] = st.session_state[key]

        def of(kind: str) -> tuple[str, ...]:
            return tuple(each.removeprefix(kind) for each in picked if each.startswith(kind))

        ids = tuple(each for each in picked if each in names)
        _keep(Filters(ids, (), of(_FOLDER), of(_TAG), now.collections), conversation)

    def shown(option: str) -> str:
        if option.startswith(_FOLDER):
            return f"{option.removeprefix(_FOLDER)}/"
        if option.startswith(_TAG):
            return f"Tag: {option.removeprefix(_TAG)}"
        return names[option]

    st.multiselect(
        "Ask only these",
        options,
        default=chosen,
        key=key,
        placeholder="All documents",
        format_func=shown,
        on_change=safely(keep),
    )


def _described(filters: Filters, documents: list[Source]) -> str:
    """What is chosen, in a few words."""
    several = len(filters.collections) > 1
    where = f" in {counted(len(filters.collections), 'collection')}" if several else ""
    if len(filters.collections) == 1:
        where = f" in {plain_markdown(filters.collections[0])}"
    known = {each.source_id: each.path for each in documents}
    names = [
        *(f"{each}/" for each in filters.directories),
        *(f"tag {each}" for each in filters.tags),
        *(known.get(each, "a deleted document") for each in filters.source_ids),
        *filters.file_names,
    ]
    if not names:
        return f"All documents{where}"
    if len(names) > _NAMED:
        return f"Only {len(names)} documents, folders or tags{where}"
    return f"Only {', '.join(map(plain_markdown, names))}{where}"
