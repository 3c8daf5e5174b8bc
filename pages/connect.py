"""Connect: the same documents from other programs, through OpenAI's API, MCP and a terminal."""

import streamlit as st

from engine.workspace import Workspace
from pages.parts import signing_in
from pages.parts.api import access
from pages.parts.connect_code import (
    QUESTION,
    Target,
    curl,
    javascript,
    mcp_by_address,
    mcp_by_command,
    mcp_claude_code,
    python,
    target_of,
    terminal,
)
from pages.parts.keys import show_keys
from pages.parts.markdown import plain_markdown
from pages.parts.privacy import privacy
from pages.parts.resources import workspace as the_workspace
from pages.parts.samples import suggested_questions
from pages.parts.session import current_collection, pick_collection
from pages.parts.try_stream import try_stream

WHAT = (
    "Other programs{where} can search your documents, ask them and add to them: through "
    "OpenAI's API, through MCP, and from a terminal. They get the passages and quotations that "
    "this app shows."
)
ADDRESSES = [
    ("GET /v1/models", "the collections, each as a model"),
    ("POST /v1/chat/completions", "an answer, streamed or whole, with its sources"),
    ("POST /v1/vector_stores/{collection}/search", "passages, without a model"),
    ("POST /v1/embeddings", "vectors of the model that the index uses"),
    ("GET, POST, DELETE /v1/files", "documents: list, add with progress, delete"),
    ("POST /mcp", "MCP: search, fetch, ask; documents as resources"),
]


def show_try_it(workspace: Workspace, target: Target) -> str:
    """A question, the button and the stream. Returns the question."""
    suggested = suggested_questions(workspace, target.collection)
    default = suggested[0] if suggested else QUESTION
    question = st.text_input("Question", default, key=f"connect-question-{target.collection}")
    try_stream(target.model, question or default, target.has_key)
    return question or default


def show_code(target: Target, question: str) -> None:
    tabs = st.tabs(["curl", "Python", "JavaScript", "MCP", "Terminal"])
    with tabs[0]:
        st.code(curl(target, question), language="bash", wrap_lines=True)
    with tabs[1]:
        st.caption("With OpenAI's package: `pip install openai`.")
        st.code(python(target, question), language="python", wrap_lines=True)
    with tabs[2]:
        st.caption(
            "Save it as `ask.mjs`, and run `node ask.mjs`. In a browser, only pages of this app "
            "can ask it."
        )
        st.code(javascript(target, question), language="javascript", wrap_lines=True)
    with tabs[3]:
        st.caption("Claude Code")
        st.code(mcp_claude_code(target), language="bash", wrap_lines=True)
        st.caption("Clients that connect to an address, such as Cursor (`~/.cursor/mcp.json`)")
        st.code(mcp_by_address(target), language="json", wrap_lines=True)
        st.caption("Clients that start a program, such as Claude Desktop")
        st.code(mcp_by_command(target), language="json", wrap_lines=True)
    with tabs[4]:
        st.caption("These work whether or not the app is running.")
        st.code(terminal(target, question), language="bash", wrap_lines=True)


def show_rules(target: Target) -> None:
    st.markdown("\n".join(f"- `{address}`: {what}" for address, what in ADDRESSES))
    if signing_in.required():
        st.markdown("Every request needs a key, as a bearer token. The key says who asks.")
    elif target.has_key:
        st.markdown("Every request needs the key: the `API_KEY` of `.env`, as a bearer token.")
        if access().exposed:
            st.markdown("With the key, programs on other machines can connect as well.")
    else:
        st.markdown(
            "Only programs on this computer can connect, and they need no key. Set `API_KEY` in "
            "`.env` to ask for one. If other machines can connect, the API answers only with a key."
        )
    st.markdown(
        "Fields that OpenAI does not have: `passages`, `filters`, `response_mode` and "
        "`first_token_budget` in a request; `sources`, `timings` and `notes` in an answer. The "
        "sources are in the first frame of a stream. When a program closes the connection, the "
        "model stops."
    )


def main() -> None:
    workspace = the_workspace()
    collection = current_collection(workspace)
    st.title("Use from other tools", anchor=False)
    what = WHAT.format(where="" if signing_in.required() else " on this computer")
    st.markdown(f"{what} {plain_markdown(privacy(workspace))}")
    pick_collection(workspace, collection, "connect")
    target = target_of(collection)
    if access().exposed and not target.has_key:
        st.warning(
            "Other machines can connect to this app, so its API needs a key and answers nobody "
            "without one. Set `API_KEY` in `.env`, and start First Token again.",
            icon=":material/key:",
        )
    question = show_try_it(workspace, target)
    show_keys()
    st.subheader("Ready to copy", anchor=False)
    show_code(target, question)
    st.subheader("What there is", anchor=False)
    show_rules(target)


main()
