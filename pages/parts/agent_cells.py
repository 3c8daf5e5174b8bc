"""The cells of an agent's run, each drawn once and brought up to date while the run goes on."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import streamlit as st
from pydantic_core import to_jsonable_python

from engine.agent import AgentHandler, ToolOutput
from engine.schema import NodeWithScore
from pages.parts.agent_approval import show_approval
from pages.parts.agent_story import Call, Cell, Choice, Text
from pages.parts.markdown import answer_markdown, plain_markdown

PREVIEW = 60  # characters of the arguments that stand in a step's label
LONG, TALL = 900, 260  # characters of a result that scrolls, and the pixels it gets

State = Literal["running", "complete", "error"]
ShowSources = Callable[[Sequence[NodeWithScore], str], None]


class View(Protocol):
    """A drawn cell."""

    def update(self, cell: Cell) -> None:
        """Bring it up to date."""


class ChoiceView:
    """A decision of the model, with its thought folded into it when it is made."""

    def __init__(self, cell: Choice) -> None:
        self._step = _Step(_choice_label(cell), _choice_state(cell), cell.ended is None)
        self._thought = self._step.status.empty()
        self._shown = ""

    def update(self, cell: Cell) -> None:
        assert isinstance(cell, Choice)
        if cell.thought != self._shown:
            self._shown = cell.thought
            self._thought.caption(plain_markdown(cell.thought))
        self._step.update(_choice_label(cell), _choice_state(cell), cell.ended is None)


class _Step:
    """A status of which only changes are sent: one that follows another at once may be lost,
    and what it said of being open with it."""

    def __init__(self, label: str, state: State, expanded: bool) -> None:
        self._now = (label, state, expanded)
        self.status = st.status(label, state=state, expanded=expanded, type="step")

    def update(self, label: str, state: State, expanded: bool) -> None:
        if self._now == (label, state, expanded):
            return
        folds = expanded != self._now[2]  # else it stays as the person has it
        self._now = (label, state, expanded)
        self.status.update(label=label, state=state, expanded=expanded if folds else None)


def _choice_state(cell: Choice) -> State:
    return "running" if cell.ended is None else "complete"


def _choice_label(cell: Choice) -> str:
    if cell.ended is None:
        return "Choosing what to do"
    took = seconds(cell.ended - cell.began)
    names = ", ".join(f"**{_tool_name(tool)}**" for tool in dict.fromkeys(cell.tools))
    return f"Chose {names or 'to answer'} · {took}"


class CallView:
    """One call: its arguments, the person's word, its running time, its result."""

    def __init__(self, cell: Call, handler: AgentHandler) -> None:
        self._handler = handler
        self._step = _Step(_call_label(cell, handler), _call_state(cell, handler), cell.waiting)
        self._card = self._step.status.empty()
        self._body = self._step.status.container(gap="small")
        self._asking = self._result_shown = False

    def update(self, cell: Cell) -> None:
        assert isinstance(cell, Call)
        handler = self._handler
        self._step.update(_call_label(cell, handler), _call_state(cell, handler), cell.waiting)
        if cell.waiting and not self._asking and not self._handler.phase.ended:
            self._asking = True
            with self._card.container():
                show_approval(cell, self._handler)
        if self._asking and not cell.waiting:  # decided in another tab
            self._asking = False
            self._card.empty()
        if not self._result_shown and (cell.result or cell.refused):
            self._result_shown = True
            with self._body:
                _show_result(cell)


def _call_state(cell: Call, handler: AgentHandler) -> State:
    if cell.refused or (cell.result and cell.result.is_error):
        return "error"
    return "complete" if cell.result or handler.phase.ended else "running"


def _call_label(cell: Call, handler: AgentHandler) -> str:
    name = f"**{_tool_name(cell.tool)}**"
    preview = _preview(cell.arguments)
    return f"{name}{preview} · {_call_word(cell, handler)}"


def _call_word(cell: Call, handler: AgentHandler) -> str:
    if cell.refused:
        return "you refused it"
    if cell.result:
        took = seconds(cell.result.seconds)
        return f"failed after {took}" if cell.result.is_error else took
    if handler.phase.ended:
        return "stopped"
    if cell.began is None:
        return "waits for you"
    return f"running {handler.run.trace.now() - cell.began:.1f} s"


def _preview(arguments: Mapping[str, Any]) -> str:
    """The arguments in a word or two, where there are any."""
    text = ", ".join(str(value) for value in arguments.values() if value not in ("", None))
    if not text:
        return ""
    short = text if len(text) <= PREVIEW else f"{text[: PREVIEW - 1]}…"
    return f" {plain_markdown(short)}"


def _show_result(cell: Call) -> None:
    if cell.given:
        st.caption(f":material/person: {_said(cell)}")
    st.caption("Arguments")
    st.code(as_json(cell.arguments), language="json", wrap_lines=True)
    if cell.result:
        st.caption("Why it failed" if cell.result.is_error else "Result")
        _show_output(cell.result.tool_output)


def _said(cell: Call) -> str:
    assert cell.given
    took = seconds(cell.given.seconds)
    if cell.refused:
        reason = f": {plain_markdown(cell.given.reason)}" if cell.given.reason else "."
        return f"You refused it after {took}{reason}"
    return f"You approved it after {took}{', with other arguments' if cell.edited else ''}."


def _show_output(output: ToolOutput) -> None:
    height = TALL if len(output.content) > LONG else None
    st.code(output.content, language=None, wrap_lines=True, height=height)
    if output.left_out:
        st.caption(
            f":material/content_cut: {output.left_out:,} more characters were left out: "
            "the tool gave more than it may."
        )


class TextView:
    """What the model writes, under the sources of what it has just been told."""

    def __init__(
        self, key: str, handler: AgentHandler, told: Sequence[Call], show_sources: ShowSources
    ) -> None:
        with st.container(key=f"agent-text-{handler.id}-{key}"):
            for call in told:
                _show_sources(call, show_sources)
            self._slot = st.empty()
        self._shown = ""

    def update(self, cell: Cell) -> None:
        assert isinstance(cell, Text)
        if cell.text != self._shown:
            self._shown = cell.text
            self._slot.markdown(answer_markdown(cell.text))


def _show_sources(call: Call, show_sources: ShowSources) -> None:
    output = call.result.tool_output if call.result else ToolOutput("")
    if any(source.evidence for source in output.sources) and output.found:
        show_sources(output.sources, call.id)
        return
    for number, source in enumerate(output.sources, start=1):
        if url := source.metadata.get("url"):
            st.caption(f"**{number}** {plain_markdown(source.node.label)} · {plain_markdown(url)}")


def view_of(
    cells: Sequence[Cell], number: int, handler: AgentHandler, show_sources: ShowSources
) -> View:
    """Draw the cell of that number, here."""
    cell = cells[number]
    if isinstance(cell, Choice):
        return ChoiceView(cell)
    if isinstance(cell, Call):
        return CallView(cell, handler)
    earlier = [at for at in range(number) if isinstance(cells[at], Text)]
    since = cells[earlier[-1] if earlier else 0 : number]
    told = [each for each in since if isinstance(each, Call)]
    return TextView(str(number), handler, told, show_sources)


def as_json(arguments: Mapping[str, Any]) -> str:
    plain = to_jsonable_python(dict(arguments), fallback=str)
    return json.dumps(plain, indent=2, ensure_ascii=False)


def _tool_name(name: str) -> str:
    return plain_markdown(name.replace("_", " "))


def seconds(duration: float) -> str:
    """To two figures, as a person reads a stopwatch."""
    if duration < 0.095:
        return f"{max(1, round(duration * 1000))} ms"
    return f"{duration:.2f} s" if duration < 1 else f"{duration:.1f} s"
