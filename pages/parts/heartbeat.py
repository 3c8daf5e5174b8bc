"""Keeps the answer of this session running while another page is open.

The Ask page renews the lease of an answer while it follows the answer. On other pages, this
fragment renews it until the answer has ended or the tab is closed.
"""

import streamlit as st

from pages.parts.resources import workspace

INTERVAL = 3.0  # seconds; two may be missed within the lease


def keep_answer_alive(page_title: str) -> None:
    conversation_id = st.session_state.get("following", "")
    if page_title != "Ask" and conversation_id and workspace().hold(conversation_id):
        with st.sidebar:
            st.fragment(_beat, run_every=INTERVAL)(conversation_id)


def _beat(conversation_id: str) -> None:
    if workspace().hold(conversation_id):
        st.caption(":material/edit: An answer is being written.")
    else:
        st.caption(":material/check: Your answer is ready.")
    st.page_link("pages/ask.py", label="Go to it", query_params={"conversation": conversation_id})
