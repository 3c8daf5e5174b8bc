"""Who has signed in, in the sidebar; and for an administrator, whose documents the pages show."""

import streamlit as st

from pages.parts import signing_in
from pages.parts.markdown import plain_markdown

MINE, TEAM = "My documents", "Team"


def show_account() -> None:
    """Nothing where nobody signs in."""
    if not signing_in.required():
        return
    person = signing_in.person()
    with st.sidebar:
        with st.popover(
            plain_markdown(person.name), icon=":material/account_circle:", type="tertiary"
        ):
            if person.email:
                st.markdown(plain_markdown(person.email))
            if person.administrator:
                st.caption("Administrator")
            st.caption(f"Your id: `{person.id}`")
            st.button(
                "Sign out",
                icon=":material/logout:",
                key="sign-out",
                on_click=signing_in.sign_out,
            )
        if person.administrator:
            st.session_state["whose-documents"] = TEAM if signing_in.sees_team() else MINE
            st.segmented_control(
                "Documents",
                [MINE, TEAM],
                required=True,
                label_visibility="collapsed",
                key="whose-documents",
                on_change=_choose,
            )


def _choose() -> None:
    """Show the other documents, and nothing that this session remembers of those before."""
    team = st.session_state["whose-documents"] == TEAM
    st.session_state.clear()
    st.query_params.clear()
    st.session_state[signing_in.TEAM] = team
