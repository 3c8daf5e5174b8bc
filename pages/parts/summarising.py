"""Summarise: buttons that ask for the summary of documents."""

from collections.abc import Sequence

import streamlit as st

from engine.schema import Filters
from engine.store import Source
from engine.workspace import Conversation, Workspace
from pages.parts.conversations import open_conversation
from pages.parts.passages import LEAVE


def summarise_source(workspace: Workspace, conversation: Conversation, source_id: str) -> None:
    """Ask for the summary of a document as the next question of a conversation.

    Raises:
        FirstTokenError, ValueError: the question was not accepted.
    """
    documents = workspace.library.documents(conversation.collection)
    document = next((each for each in documents if each.source_id == source_id), None)
    if document is None:
        raise ValueError("This document has been deleted.")
    # The next questions would keep a filter, so there is one only where the name is not enough
    unique = sum(each.path == document.path for each in documents) == 1
    filters = Filters() if unique else Filters(source_ids=(source_id,))
    workspace.ask(conversation, f"Summarise {document.path}", filters=filters)


def summarise_documents(workspace: Workspace, collection: str, documents: Sequence[Source]) -> None:
    """Ask for the summary of documents in a new conversation, and go to it; empty: of all.

    Raises:
        FirstTokenError, ValueError: the question was not accepted.
    """
    conversation = workspace.conversations.create(collection)
    question = f"Summarise {documents[0].path}" if len(documents) == 1 else "Summarise everything"
    filters = Filters(source_ids=tuple(each.source_id for each in documents))
    workspace.ask(conversation, question, filters=filters)
    open_conversation(conversation.id)
    st.session_state[LEAVE] = True
