"""Models: those in use, how they run on this machine, how fast, and how to change them."""

import streamlit as st

from engine.settings import Settings
from engine.workspace import Workspace
from pages.parts.code_cell import code_switch
from pages.parts.markdown import plain_markdown
from pages.parts.models_facts import is_default, layout, models_in_use
from pages.parts.resources import workspace as the_workspace
from pages.parts.walkthrough_cells import follow, show_cell
from pages.parts.walkthrough_state import speed_notebook

EXPECT = (
    "The default model is small and knows English only. It answers in well under a second, finds "
    "words for a fact that stands in one or two sentences, and is often wrong where an answer "
    "takes reasoning. That is why the best sentence of your documents is quoted above each "
    "answer: the model may err, the quotation does not."
)
LARGER = (
    "A larger model answers better and slower. Get an instruct model in GGUF format, put its path "
    "into the file `.env` in the folder of First Token, and start again. The first start measures "
    "it and lays the runtime out for it."
)
# The sizes are those of the files on Hugging Face; beside it, a context takes up to 1/8 of memory.
SUGGESTED = [
    {"Model": "Qwen2.5-1.5B-Instruct", "File": "Q4_K_M", "Size": "1.0 GB", "Memory": "4 GB"},
    {"Model": "Llama-3.2-3B-Instruct", "File": "Q4_K_M", "Size": "2.0 GB", "Memory": "6 GB"},
    {"Model": "Qwen2.5-7B-Instruct", "File": "Q4_K_M", "Size": "4.7 GB", "Memory": "8 GB"},
]
WHERE = (
    "On Hugging Face, the folder bartowski/*model*-GGUF has each as *model*-Q4_K_M.gguf. Memory "
    "is what should be free."
)
ENV = """\
CHAT_MODEL=models/qwen2.5-1.5b-instruct-q4_k_m.gguf
CONTEXT_WINDOW=0    # tokens; 0: 4,096, or less where memory is short
GPU_LAYERS=0        # 999: all of them, where llama.cpp was compiled for a GPU
CORES=0             # 0: all of them"""
SERVER = """\
OPENAI_BASE_URL=http://localhost:8080/v1
OPENAI_MODEL=its-name
OPENAI_API_KEY="""


def show_models(workspace: Workspace) -> None:
    for model in models_in_use(workspace.llm, Settings.config):
        with st.container(border=True, gap="xsmall"):
            st.caption(model.task)
            st.markdown(f"**{plain_markdown(model.name)}**")
            st.caption(plain_markdown(" · ".join(model.facts)))


def show_layout(workspace: Workspace) -> None:
    rows = layout(workspace.llm)
    if not rows:
        st.markdown("The answers come from a server, which has its own settings.")
        return
    st.markdown(
        "At its first start a model is measured on this machine, and the runtime laid out by "
        "what was found. Threads and slices are chosen anew at every step."
    )
    st.dataframe(rows, hide_index=True, alt="How the runtime is laid out on this machine")


def show_how_to_change() -> None:
    st.markdown(LARGER)
    st.dataframe(SUGGESTED, hide_index=True, alt="Models to try, with their sizes")
    st.caption(WHERE)
    st.code(ENV, language="ini", wrap_lines=True)
    st.markdown(
        "Or let a server answer that speaks OpenAI's API. Your questions, and the passages found "
        "for them, then go to that server."
    )
    st.code(SERVER, language="ini", wrap_lines=True)


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
    notebook = speed_notebook()
    version = notebook.version
    shown = show_cell(notebook, notebook.cells[0], with_code=with_code)
    st.subheader("How it is set up here", anchor=False)
    show_layout(workspace)
    st.subheader("Try another model", anchor=False)
    show_how_to_change()
    follow(notebook, [shown], version)


main()
