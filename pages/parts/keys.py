"""API keys of who has signed in: make one, see which there are, revoke one."""

from datetime import datetime

import streamlit as st

from pages.parts import signing_in
from pages.parts.markdown import plain_markdown
from pages.parts.resources import people, safely

_MADE = "key-made"  # in the session's state: a new key, to be shown once


def show_keys() -> None:
    """Nothing where nobody signs in."""
    if not signing_in.required():
        return
    person = signing_in.person()
    st.subheader("Your API keys", anchor=False)
    st.markdown(
        "A program with your key sees what you see: your documents, and those that are shared."
    )
    if key := st.session_state.pop(_MADE, ""):
        st.success("Copy the new key now. It is not kept and cannot be shown again.")
        st.code(key, language=None)
    with (
        st.form("new-key", border=False, clear_on_submit=True),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        st.text_input("What is it for?", placeholder="Laptop", key="key-name")
        st.form_submit_button(
            "Make a key", icon=":material/key:", on_click=safely(_make), args=(person.id,)
        )
    for each in people().keys(person.id):
        with st.container(horizontal=True, vertical_alignment="center", key=f"key-{each.digest}"):
            made = datetime.fromtimestamp(each.made).strftime("%-d %B %Y")
            name = plain_markdown(each.name or "Key")
            st.markdown(f"**{name}** · ends with `{each.ending}` · {made}", width="stretch")
            st.button(
                "Revoke",
                icon=":material/delete:",
                type="tertiary",
                key=f"revoke-{each.digest}",
                on_click=safely(people().revoke),
                args=(person.id, each.digest),
            )


def _make(person_id: str) -> None:
    st.session_state[_MADE] = people().make_key(person_id, st.session_state["key-name"])
