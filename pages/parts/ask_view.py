"""What the Ask page does in the browser: it follows the answer, keeps the focus, opens sources.

The work is in ask_view.js. A conversation opens at its end, and after a reload where it was read.
The view follows a new answer until the person scrolls up. When an answer has ended, a focus that
was lost returns to the box. A click on a mark such as [1] names
its source.
"""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from pages.parts.answer import EDITING

_view = st.components.v2.component(
    "ask_view", js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
)


def attend(conversation: str, live: str, source: str, open_source: Callable[[str], None]) -> None:
    """`conversation`: the id of the one that is open. `live`: the id of the turn that is being
    answered. `source`: the open source. Each is empty where there is none.

    `open_source` is called with the source that a mark in an answer names.
    """
    _view(
        key="ask-view",
        data={
            "conversation": conversation,
            "live": live,
            "source": source,
            "editing": st.session_state.get(EDITING, ""),
        },
        on_source_change=lambda: open_source(str(st.session_state["ask-view"].source)),
        height=1,
        width=1,
    )
