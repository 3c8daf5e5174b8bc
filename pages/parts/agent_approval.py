"""The form on which a user approves, changes or denies a call before it runs."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st
from pydantic_core import to_jsonable_python

from engine.agent import AgentHandler
from engine.errors import ToolError
from pages.parts.agent_story import Call
from pages.parts.markdown import plain_markdown
from pages.parts.resources import workspace as the_workspace


def show_approval(call: Call, handler: AgentHandler) -> None:
    """The arguments as fields, and the three decisions."""
    st.markdown("The agent asks to run this tool. You can change the arguments first.")
    with st.form(f"approval-{call.id}", border=False):
        for name, value in call.arguments.items():
            _field(f"{name}", value, _key(call, name))
        st.text_input(
            "Reason, if you deny it (optional)",
            key=_key(call, "reason", own=True),
            placeholder="The agent gets this text.",
        )
        if problem := st.session_state.pop(_key(call, "problem", own=True), ""):
            st.error(problem, icon=":material/error:")
        with st.container(horizontal=True):
            _button("Allow once", "check", _allow, call, handler, primary=True)
            _button("Always allow", "done_all", _always_allow, call, handler)
            _button("Deny", "block", _deny, call, handler)


def _button(
    label: str,
    icon: str,
    act: Callable[[Call, AgentHandler], None],
    call: Call,
    handler: AgentHandler,
    primary: bool = False,
) -> None:
    st.form_submit_button(
        label,
        icon=f":material/{icon}:",
        type="primary" if primary else "secondary",
        on_click=act,
        args=(call, handler),
        key=_key(call, label, own=True),
    )


def _field(label: str, value: Any, key: str) -> None:
    if isinstance(value, bool):
        st.toggle(label, value, key=key)
    elif isinstance(value, int | float):
        st.number_input(label, value=value, key=key)
    elif isinstance(value, str):
        st.text_input(label, value, key=key)
    else:
        st.text_area(f"{label} (JSON)", _as_json(value), key=key)


def _as_json(value: Any) -> str:
    return json.dumps(to_jsonable_python(value, fallback=str), ensure_ascii=False)


def _allow(call: Call, handler: AgentHandler) -> None:
    _approve(call, handler, always=False)


def _always_allow(call: Call, handler: AgentHandler) -> None:
    if _approve(call, handler, always=True):
        the_workspace().agents.ask_first(call.tool, wanted=False)


def _approve(call: Call, handler: AgentHandler, always: bool) -> bool:
    """Approve the call with the arguments in the fields. Returns whether they fit the tool."""
    try:
        handler.approve(call.id, _fields(call), always=always)
    except ToolError as error:
        st.session_state[_key(call, "problem", own=True)] = plain_markdown(str(error))
        return False
    return True


def _deny(call: Call, handler: AgentHandler) -> None:
    try:
        handler.refuse(call.id, str(st.session_state.get(_key(call, "reason", own=True), "")))
    except ToolError as error:
        st.session_state[_key(call, "problem", own=True)] = plain_markdown(str(error))


def _fields(call: Call) -> Mapping[str, Any]:
    """The arguments in the fields. Invalid JSON stays text, which the tool then refuses."""
    return {
        name: _read(st.session_state.get(_key(call, name), value), value)
        for name, value in call.arguments.items()
    }


def _read(written: Any, original: Any) -> Any:
    if isinstance(original, bool | int | float | str) or not isinstance(written, str):
        return written
    try:
        return json.loads(written)
    except ValueError:
        return written


def _key(call: Call, name: str, own: bool = False) -> str:
    """A field's key. `own`: the field belongs to the form and is not an argument."""
    return f"approval-{call.id}-{'own' if own else 'argument'}-{name}"
