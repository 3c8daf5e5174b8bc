"""The form on which a user approves, changes or denies a call before it runs."""

import json
import logging
from collections.abc import Mapping
from typing import Any, Literal

import streamlit as st
from pydantic_core import to_jsonable_python

from engine.agent import AgentHandler
from engine.errors import ToolError
from pages.parts.agent_story import Call
from pages.parts.markdown import plain_markdown
from pages.parts.resources import safely
from pages.parts.resources import workspace as the_workspace

log = logging.getLogger(__name__)

Decision = Literal["Allow once", "Always allow", "Deny"]
ICONS: dict[Decision, str] = {"Allow once": "check", "Always allow": "done_all", "Deny": "block"}


def show_approval(call: Call, handler: AgentHandler) -> None:
    """The arguments as fields, and the three decisions.

    Enter decides nothing: in the field for the reason it would press the first button.
    """
    st.markdown("The agent asks to run this tool. You can change the arguments first.")
    with st.form(f"approval-{call.id}", border=False, enter_to_submit=False):
        for name, value in call.arguments.items():
            key = _argument_key(call, name)
            if isinstance(value, bool):
                st.toggle(name, value, key=key)
            elif isinstance(value, int | float):
                st.number_input(name, value=value, key=key)
            elif isinstance(value, str):
                st.text_input(name, value, key=key)
            else:
                text = json.dumps(to_jsonable_python(value, fallback=str), ensure_ascii=False)
                st.text_area(f"{name} (JSON)", text, key=key)
        st.text_input(
            "Reason, if you deny it (optional)",
            key=f"approval-{call.id}-reason",
            placeholder="The agent gets this text.",
        )
        if problem := st.session_state.pop(f"approval-{call.id}-problem", ""):
            st.error(problem, icon=":material/error:")
        with st.container(horizontal=True):
            for decision, icon in ICONS.items():
                st.form_submit_button(
                    decision,
                    icon=f":material/{icon}:",
                    type="primary" if decision == "Allow once" else "secondary",
                    on_click=safely(_decide),
                    args=(call, handler, decision),
                    key=f"approval-{call.id}-{decision}",
                )


def _decide(call: Call, handler: AgentHandler, decision: Decision) -> None:
    """The buttons' callback. Streamlit shows no details of an error in it: the form does."""
    try:
        if decision == "Deny":
            handler.refuse(call.id, str(st.session_state.get(f"approval-{call.id}-reason", "")))
        else:
            handler.approve(call.id, _arguments(call), always=decision == "Always allow")
        if decision == "Always allow":
            the_workspace().agents.ask_first(call.tool, wanted=False)
    except ToolError as error:
        st.session_state[f"approval-{call.id}-problem"] = plain_markdown(str(error))
    except Exception as error:
        log.exception("A decision on a call could not be taken")
        st.session_state[f"approval-{call.id}-problem"] = (
            f"This did not work ({type(error).__name__}). Try again; the log has the details."
        )


def _arguments(call: Call) -> Mapping[str, Any]:
    """The arguments in the fields. Invalid JSON stays text, which the tool then refuses."""
    arguments = {}
    for name, original in call.arguments.items():
        value = st.session_state.get(_argument_key(call, name), original)
        if isinstance(value, str) and not isinstance(original, bool | int | float | str):
            try:
                value = json.loads(value)
            except ValueError:
                log.debug("An argument of %s is not JSON", call.tool)
        arguments[name] = value
    return arguments


def _argument_key(call: Call, name: str) -> str:
    return f"approval-{call.id}-argument-{name}"
