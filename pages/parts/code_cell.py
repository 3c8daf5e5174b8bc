"""The parts of a cell that several pages draw: its code, its state, its output, the switch.

`show_code_behind` offers the code of what a page has just done. Nothing here runs code.
"""

from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.cells.notebook import Execution, State
from pages.parts.markdown import plain_markdown

ICONS = {
    State.NEVER_RUN: ":material/radio_button_unchecked:",
    State.QUEUED: ":material/hourglass_empty:",
    State.RUNNING: ":material/play_circle:",
    State.FINISHED: ":material/check:",
    State.STOPPED: ":material/stop_circle:",
    State.FAILED: ":material/error:",
    State.OUT_OF_DATE: ":material/update:",
}
ENDED = (State.FINISHED, State.STOPPED, State.FAILED)
SWITCH = "code_shown"


def code_switch() -> bool:
    """One switch for all code of the page. The session remembers it."""
    return st.toggle("Show code", True, key=SWITCH, persist_state="session")


def show_code_behind(code: str, key: str, request: str = "") -> None:
    """A button that shows the engine calls of what the page has just done. `request`: the same as
    a command for any program."""
    if st.button("Code", icon=":material/code:", type="tertiary", key=f"behind-{key}"):
        _show_code(code, request)


@st.dialog("The same in Python", width="large")
def _show_code(code: str, request: str) -> None:
    st.caption("Run it in the folder of First Token.")
    st.code(code, wrap_lines=True)
    if request:
        st.caption("The same from any program, while the app runs")
        st.code(request, language="bash", wrap_lines=True)


def state_line(state: State, execution: Execution | None) -> str:
    """The state in an icon, a word and a time."""
    word = f"{ICONS[state]} {state}"
    if execution is None or state in (State.NEVER_RUN, State.QUEUED):
        return word
    if state is State.RUNNING:
        return f"{word} · {execution.seconds:.1f} s"
    if state is State.OUT_OF_DATE:
        return f"{word} · last run took {execution.seconds:.2f} s"
    return f"{word} after {execution.seconds:.2f} s"


@dataclass(slots=True)
class OutputSlot:
    """The place of a cell's output. Its height is fixed, so that nothing below it moves."""

    place: DeltaGenerator
    shown: str | None = None

    def show(self, execution: Execution) -> None:
        text = execution.output.text
        if text != self.shown:
            self.shown = text
            self.place.code(text or " ", language=None, wrap_lines=True, height="stretch")


def output_slot(key: str, height: int) -> OutputSlot:
    with st.container(key=f"output-{key}", height=height, border=False, autoscroll=True):
        return OutputSlot(st.empty())


def show_error(execution: Execution) -> None:
    if execution.error:
        st.error(plain_markdown(execution.error), icon=":material/error:")
