"""The answer cell: one turn of a conversation, live or ended, drawn by the same code.

Slots are reserved in one order (state, what was searched for, evidence, text, figures), so
nothing jumps when the answer ends or the page runs again.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.citing import cite
from engine.response import StreamingResponse
from engine.run import Phase, Progress
from engine.schema import NodeWithScore
from engine.timing import Metrics, Trace
from engine.workspace import Turn
from engine.workspace.workspace import LEASE
from pages.parts.markdown import answer_markdown, plain_markdown, with_marks
from pages.parts.sources import anchor_of

# The browser is sent the whole text at each chunk, and the eye does not tell 16 a second from
# more: measured by Streamlit's users and in this project's facts at 50 to 80 ms.
INTERVAL = 0.06

ICONS = {
    Phase.QUEUED: ":material/hourglass_empty:",
    Phase.SEARCHING: ":material/search:",
    Phase.READING: ":material/menu_book:",
    Phase.WRITING: ":material/edit:",
    Phase.DONE: ":material/check:",
    Phase.STOPPED: ":material/stop_circle:",
    Phase.FAILED: ":material/error:",
}


Ask = Callable[[str], None]
ShowSources = Callable[[Sequence[NodeWithScore], str], None]


@dataclass(frozen=True, slots=True)
class _Slots:
    state: DeltaGenerator
    searched: DeltaGenerator
    evidence: DeltaGenerator
    text: DeltaGenerator
    figures: DeltaGenerator


def show_turn(
    turn: Turn, show_sources: ShowSources, ask: Ask, busy: bool, show_more: Callable[[Turn], None]
) -> None:
    """A turn that has ended. `ask` puts a question to the same conversation, unless it is busy.

    `show_more` draws what else the page offers beside the buttons under the answer.
    """
    slots = _cell(turn)
    slots.state.caption(_ended_line(turn))
    _show_searched(slots, turn)
    with slots.evidence:
        show_sources(turn.sources, turn.id)
    if turn.text:
        slots.text.markdown(_cited(turn.id, turn))
    _show_outcome(slots, turn)
    with slots.figures:
        _show_actions(turn, ask, busy, show_more)


@st.cache_data(max_entries=256, show_spinner=False)
def _cited(turn_id: str, _turn: Turn) -> str:
    """The answer as Markdown, each sentence with the number of the source that has it."""
    cited = cite(_turn.text, _turn.question, _turn.sources)
    marks = [(each.end, each.passage) for each in cited if _is_whole(_turn, each.end)]
    return with_marks(_turn.text, marks, lambda number: f"#{anchor_of(turn_id, number)}")


def _is_whole(turn: Turn, end: int) -> bool:
    """Not the sentence in which an answer was cut off: of it nobody knows what it would say."""
    return turn.phase is Phase.DONE or end < len(turn.text.rstrip()) or turn.text[end - 1] in ".!?"


def forget_answers() -> None:
    """Drop what was drawn of answers, those of deleted conversations with it."""
    _cited.clear()


def follow_turn(turn: Turn, response: StreamingResponse, show_sources: ShowSources) -> None:
    """A turn whose answer is being written: stay with it to its end."""
    slots = _cell(turn, stop=response.cancel)
    watch = _Watch(slots, turn, response, show_sources)
    while not response.text and not response.phase.ended:
        watch.tick()
        response.wait_for(INTERVAL)
    watch.tick()
    slots.text.write_stream(_paced(response, watch.tick))
    show_end = turn.answered(response)
    slots.state.caption(_ended_line(show_end))
    _show_outcome(slots, show_end)


def _cell(turn: Turn, stop: Callable[[], None] | None = None) -> _Slots:
    with st.chat_message("user", avatar=":material/person:"):
        st.markdown(plain_markdown(turn.question))
    with st.chat_message("assistant", avatar=":material/auto_stories:"):
        with st.container(horizontal=True, vertical_alignment="center", key=f"state-{turn.id}"):
            state = st.container().empty()
            if stop:
                st.button("Stop", icon=":material/stop:", on_click=stop, key=f"stop-{turn.id}")
        searched = st.empty()
        evidence = st.container()
        text = st.container(key=f"text-{turn.id}").empty()
        return _Slots(state, searched, evidence, text, figures=st.container())


class _Watch:
    """Keeps what surrounds the text up to date while the text grows, and the answer alive."""

    def __init__(
        self, slots: _Slots, turn: Turn, response: StreamingResponse, show_sources: ShowSources
    ) -> None:
        self._slots, self._turn, self._response = slots, turn, response
        self._show_sources = show_sources
        self._evidence_shown = False

    def tick(self) -> None:
        response = self._response
        response.hold(LEASE)
        if not self._evidence_shown and response.found is not None:
            self._evidence_shown = True
            _show_searched(self._slots, self._turn.answered(response))
            with self._slots.evidence:
                self._show_sources(response.found, self._turn.id)
        _show_progress(self._slots.state, response.progress, response.trace)


def _paced(response: StreamingResponse, tick: Callable[[], None]) -> Iterator[str]:
    """What has arrived, at once, and then what arrives, a piece an interval."""
    shown = 0
    while True:
        ended = response.phase.ended  # before the text: what came before the end is never missed
        text = response.text
        if len(text) > shown:
            yield answer_markdown(text[shown:])
            shown = len(text)
        if ended:
            return
        tick()
        time.sleep(INTERVAL)


def _show_progress(slot: DeltaGenerator, progress: Progress, trace: Trace) -> None:
    line = f"{ICONS[progress.phase]} {progress} · {trace.now():.1f} s"
    if progress.phase is Phase.READING and progress.total:
        slot.progress(min(1.0, progress.done / progress.total), text=line)
    else:
        slot.caption(line)


def _show_searched(slots: _Slots, turn: Turn) -> None:
    if turn.searched_for:
        slots.searched.caption(
            f":material/search: Searched for: {plain_markdown(turn.searched_for)}",
            help="A follow-up, as it seems: what was asked before it was searched for as well.",
        )


def _ended_line(turn: Turn) -> str:
    seconds = f" after {turn.trace.ended:.2f} s" if turn.trace and turn.trace.ended else ""
    word = {Phase.DONE: "finished", Phase.STOPPED: "stopped"}.get(turn.phase, "failed")
    return f"{ICONS[turn.phase]} {word}{seconds}"


def _show_outcome(slots: _Slots, turn: Turn) -> None:
    with slots.figures:
        if turn.phase is Phase.FAILED:
            st.error(plain_markdown(turn.error), icon=":material/error:")
        elif not turn.sources and turn.phase is Phase.DONE:
            st.info("No passage was found. Add documents, or ask in other words.")
        for note in turn.notes:
            st.info(note, icon=":material/info:")
        if turn.trace and turn.text:
            _show_figures(turn.trace.metrics, streamed=bool(turn.settings.get("streaming", True)))


FIGURES_HELP = (
    "**First token**: from your question to the first text, search included. "
    "**Total**: to the last. **Tokens a second**: after the first token."
)


def _show_figures(metrics: Metrics, streamed: bool) -> None:
    parts = []
    if metrics.ttft is not None:
        parts.append(f"first token {metrics.ttft:.2f} s" if streamed else "not streamed")
    if metrics.e2el is not None:
        parts.append(f"total {metrics.e2el:.2f} s")
    parts.append(f"{metrics.output_tokens} tokens")
    if metrics.decode_rate is not None:
        parts.append(f"{metrics.decode_rate:.0f} tokens/s")
    st.caption(" · ".join(parts), help=FIGURES_HELP)


def _show_actions(turn: Turn, ask: Ask, busy: bool, show_more: Callable[[Turn], None]) -> None:
    with st.container(horizontal=True, gap="xsmall", key=f"actions-{turn.id}"):
        if turn.text:
            with st.popover("Copy", icon=":material/content_copy:", type="tertiary"):
                st.code(turn.text, language=None, wrap_lines=True)
        st.button(
            "Ask again",
            icon=":material/replay:",
            type="tertiary",
            key=f"again-{turn.id}",
            on_click=ask,
            args=(turn.question,),
            disabled=busy,
        )
        with (
            st.popover("Edit", icon=":material/edit:", type="tertiary", key=f"edit-{turn.id}"),
            st.form(f"edit-form-{turn.id}", border=False),
        ):
            edited = st.text_area("Question", turn.question)
            if st.form_submit_button("Ask", disabled=busy):
                ask(edited)
                st.rerun()
        show_more(turn)
