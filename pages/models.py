"""Models: the models in use, their speed on this machine, how to change them, diagnostics."""

import streamlit as st

from engine.diagnostics import diagnostics
from engine.logs import log_file
from engine.settings import Settings
from engine.workspace import Workspace
from pages.parts.code_cell import code_switch
from pages.parts.copy_button import copy_button
from pages.parts.markdown import plain_markdown
from pages.parts.models_choose import choose_model
from pages.parts.models_facts import is_default, layout, models_in_use
from pages.parts.models_search import choose_search_models
from pages.parts.resources import workspace as the_workspace
from pages.parts.walkthrough_cells import show_cell
from pages.parts.walkthrough_state import speed_notebook

EXPECT = (
    "The default model is small and knows English only. It answers quickly and can state a fact "
    "that is written in one or two sentences. It is often wrong when a question needs reasoning. "
    "Therefore the most relevant sentence of your documents is quoted above each answer: the "
    "model can be wrong, the quotation is exact."
)
LARGER = (
    "A larger model answers better and more slowly. It is checked and measured while the model in "
    "use goes on answering. A running answer ends with the model with which it began."
)
LAYOUT = (
    "At its first start, a model is measured on this machine, and the runtime is configured from "
    "the results."
)
IN_ENV = "The same in the file `.env` in the folder of First Token, read at its start:"
ENV = """\
CHAT_MODEL=models/qwen2.5-1.5b-instruct-q4_k_m.gguf
CONTEXT_WINDOW=0    # tokens; 0: at most 4,096, fewer if memory is short
GPU_LAYERS=0        # 999: all layers, if llama.cpp was compiled for a GPU
CORES=0             # 0: all cores"""
SERVER = """\
OPENAI_BASE_URL=http://localhost:8080/v1
OPENAI_MODEL=its-name
OPENAI_API_KEY="""


def show_models(workspace: Workspace) -> None:
    for model in models_in_use(workspace.llm, Settings.config, workspace.models.licence_of):
        with st.container(border=True, gap="xsmall"):
            st.caption(model.task)
            st.markdown(f"**{plain_markdown(model.name)}**")
            st.caption(plain_markdown(" · ".join(model.facts)))


def show_layout(workspace: Workspace) -> None:
    """How the local runtime is configured on this machine. A server has its own settings."""
    if rows := layout(workspace.llm):
        with st.expander("How it is set up here", icon=":material/tune:", key="layout"):
            st.markdown(LAYOUT)
            st.table(rows, border="horizontal", hide_index=True, alt="The runtime's settings")


def show_how_to_configure() -> None:
    st.markdown(IN_ENV)
    st.code(ENV, language="ini", wrap_lines=True)
    st.markdown(
        "Or use a server with OpenAI's API. Your questions, and the passages found for them, are "
        "then sent to that server."
    )
    st.code(SERVER, language="ini", wrap_lines=True)


def show_diagnostics(workspace: Workspace) -> None:
    """Versions, settings and the last errors, with a button that copies them."""
    text = diagnostics(workspace.llm, Settings.config)
    st.markdown(
        "Add these diagnostics when you report a problem. They have no keys and nothing from your "
        f"documents or questions. The whole log is in `{log_file(Settings.config)}`."
    )
    copy_button(text, key="copy-diagnostics", label="Copy diagnostics")
    with st.expander("Show diagnostics", icon=":material/bug_report:", key="diagnostics"):
        st.code(text, language=None, height=320)


def main() -> None:
    workspace = the_workspace()
    with st.container(
        horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"
    ):
        st.title("Models", anchor=False)
        with_code = code_switch()
    if is_default(workspace.llm):
        st.markdown(EXPECT)
    show_models(workspace)
    show_layout(workspace)
    st.subheader("Choose another model", anchor=False)
    st.markdown(LARGER)
    choose_model(workspace)
    st.subheader("Models of the search", anchor=False)
    choose_search_models(workspace)
    notebook = speed_notebook()
    version = notebook.version
    show_cell(notebook, notebook.cells[0], version, with_code=with_code)
    st.subheader("In .env", anchor=False)
    show_how_to_configure()
    st.subheader("If something goes wrong", anchor=False)
    show_diagnostics(workspace)


main()
