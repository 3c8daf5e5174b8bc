"""Signing in, through Streamlit's `st.login`: who uses this session, and the page before that."""

import functools
from pathlib import Path

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from engine.config import default_config
from engine.errors import SignInError
from engine.signing_in import Person, secrets_files, sign_in_configured
from pages.parts.markdown import plain_markdown

TEAM = "sees_team"  # in the session's state: an administrator sees the team's documents
PROVIDER = ("client_id", "server_metadata_url")


@functools.cache
def required() -> bool:
    """Whether people must sign in. Decided once: a file that is removed later opens nothing.

    Raises:
        ConfigError: the file that says so cannot be used.
    """
    others = (Path(each) for each in st.get_option("secrets.files"))
    files = {each.resolve() for each in (*secrets_files(), *others) if not each.is_dir()}
    found = sign_in_configured(sorted(files))
    return found or (st.secrets.load_if_toml_exists() and "auth" in st.secrets)


def person() -> Person:
    """Who has signed in.

    Raises:
        SignInError: nobody has, or the provider did not say who.
    """
    claims = st.user.to_dict()
    if claims.get("is_logged_in") is not True:
        raise SignInError("Sign in to use First Token.")
    return Person.from_claims(claims, default_config().administrators)


def has_signed_in() -> bool:
    """Whether somebody has whom the provider has named."""
    try:
        person()
    except SignInError:
        return False
    return True


def may_open(page: str) -> bool:
    """Whether this session has the page. The code on the Walkthrough runs on the server and reads
    any folder, so nobody has it where people sign in.
    """
    if not required():
        return True
    closed = {"walkthrough"}
    if not person().administrator:
        closed.add("models")
    if sees_team():
        closed.add("connect")  # its keys are for the person's documents
    return page not in closed


def sees_team() -> bool:
    """Whether this session shows the team's documents in place of the person's."""
    return bool(st.session_state.get(TEAM)) and person().administrator


def show_sign_in() -> None:
    """The only page of who has not signed in: a button for each provider."""
    st.title("First Token", anchor=False)
    st.markdown("Ask your documents. Sign in to see yours.")
    if st.user.to_dict().get("is_logged_in") is True:  # as somebody whom the provider did not name
        try:
            person()
        except SignInError as error:
            st.error(str(error), icon=":material/error:")
        st.button("Sign out", icon=":material/logout:", on_click=sign_out)
        return
    for provider in _providers():
        label = f"Sign in with {plain_markdown(provider.capitalize())}" if provider else "Sign in"
        if st.button(label, type="primary", icon=":material/login:", key=f"sign-in-{provider}"):
            st.login(provider or None)


def _providers() -> list[str]:
    """The names of the providers; an empty one for the only one, which has no name."""
    section = st.secrets["auth"].to_dict()
    if any(name in section for name in PROVIDER):
        return [""]
    return [
        name
        for name, values in section.items()
        if isinstance(values, dict) and any(each in values for each in PROVIDER)
    ]


def sign_out() -> None:
    """Sign out this session and the person's others in this process, such as other tabs."""
    context = get_script_run_ctx()
    if context and runtime.exists():
        running = runtime.get_instance()
        for session in (each.session for each in running._session_mgr.list_active_sessions()):
            if session.id != context.session_id and session.matches_user_info(context.user_info):
                running.clear_user_info_for_session(session.id)
                loop = running._get_async_objs().eventloop
                loop.call_soon_threadsafe(session.request_rerun, None)
    st.logout()
