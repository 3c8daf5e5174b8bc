"""Ask only these: the choice of the documents and folders that a question is about."""

import streamlit as st

from engine.schema import Filters
from engine.store import Source
from engine.workspace import Conversation, Workspace
from pages.parts.folders import directories_of
from pages.parts.markdown import plain_markdown

_NAMED = 2  # more documents than that are counted

FOLDER = "folder:"  # what stands before a folder in the list of choices


def chosen_filters(workspace: Workspace, conversation: Conversation | None) -> Filters:
    """What the next question is about: the choice made here, else that of the last question."""
    made: dict[str, Filters] = st.session_state.setdefault("only", {})
    key = conversation.id if conversation else ""
    if key not in made and conversation:
        turns = workspace.turns(conversation.id)
        # the first question of a conversation was asked with the choice made before it
        return turns[-1].filters if turns else made.get("", Filters())
    return made.get(key, Filters())


def began(conversation: Conversation) -> None:
    """The choice that was made before the first question goes with the conversation."""
    made: dict[str, Filters] = st.session_state.setdefault("only", {})
    if "" in made:
        made[conversation.id] = made.pop("")


def choose_filters(
    workspace: Workspace, collection: str, conversation: Conversation | None
) -> None:
    """A popover with the choice; its label says what is chosen."""
    documents = workspace.library.documents(collection)
    if len(documents) < 2:
        return
    now = chosen_filters(workspace, conversation)
    names = {each.source_id: each.path for each in documents}
    options = [f"{FOLDER}{each}" for each in directories_of(documents)] + list(names)
    key = f"only-{collection}-{conversation.id if conversation else ''}"

    def keep() -> None:
        picked = st.session_state[key]
        made: dict[str, Filters] = st.session_state.setdefault("only", {})
        made[conversation.id if conversation else ""] = Filters(
            source_ids=tuple(each for each in picked if not each.startswith(FOLDER)),
            directories=tuple(
                each.removeprefix(FOLDER) for each in picked if each.startswith(FOLDER)
            ),
        )

    label = described(now, documents) if now else "All documents"
    with st.popover(label, icon=":material/filter_list:", type="tertiary"):
        current = [*(f"{FOLDER}{each}" for each in now.directories), *now.source_ids]
        st.multiselect(
            "Ask only these",
            options,
            default=[each for each in current if each in options],
            key=key,
            placeholder="Documents or folders; none: all",
            format_func=lambda each: names.get(each) or f"{each.removeprefix(FOLDER)}/",
            on_change=keep,
        )


def described(filters: Filters, documents: list[Source]) -> str:
    """What is chosen, in a few words."""
    names = [f"{each}/" for each in filters.directories]
    known = {each.source_id: each.path for each in documents}
    names += [known.get(each, "a deleted document") for each in filters.source_ids]
    if len(names) > _NAMED:
        return f"Only {len(names)} documents and folders"
    return f"Only {', '.join(map(plain_markdown, names))}"
