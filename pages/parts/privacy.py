"""What leaves this computer: one sentence for every page, true for the settings in use."""

import streamlit as st

from engine.redacting import public_address
from engine.settings import Settings
from engine.workspace import Workspace
from pages.parts import signing_in
from pages.parts.markdown import plain_markdown

LOCAL = "Everything stays on this computer."
AT_THE_SERVER = "Everything stays on the computer that runs First Token."


def show_privacy(workspace: Workspace) -> None:
    """In the sidebar of every page: people look for it before they add anything."""
    icon = ":material/cloud_upload:" if what_leaves(workspace) else ":material/lock:"
    with st.sidebar:
        st.caption(f"{icon} {plain_markdown(privacy(workspace))}")


def privacy(workspace: Workspace) -> str:
    return " ".join(what_leaves(workspace)) or (AT_THE_SERVER if signing_in.required() else LOCAL)


def what_leaves(workspace: Workspace) -> list[str]:
    """A sentence for each server that is sent something; none where everything stays here."""
    config, sentences = Settings.config, []
    server = getattr(workspace.llm, "address", "") or public_address(config.openai_base_url)
    if server and workspace.llm.metadata.model_file is None:
        sentences.append(f"Questions and the passages found for them are sent to {server}.")
    if qdrant := workspace.library.server:
        sentences.append(f"Passages of your documents are stored at {qdrant.shown}.")
    if workspace.sharing.folder:
        sentences.append("Documents and conversations are kept in a folder that others share.")
    if config.tavily_api_key:
        sentences.append("The agent's web searches are sent to Tavily.")
    return sentences
