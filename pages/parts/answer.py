"""The answer cell: one turn of a conversation, live or ended, drawn by the same code.

Slots are reserved in one order (state, search text, kind, evidence, text, sources, figures), so
nothing moves when the answer ends or the page runs again. Where code has put the text together from
quotations and rows, the sources are below it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.citing import cite
from engine.response import StreamingResponse
from engine.run import Phase
from engine.schema import NodeWithScore
from engine.timing import Trace
from engine.workspace import Turn
from engine.workspace.workspace import LEASE
from pages.parts.copy_button import copy_button
from pages.parts.markdown import answer_markdown, plain_markdown, with_marks
from pages.parts.only import show_only
from pages.parts.resources import safely
from pages.parts.sources import quotation_of, source_id

# Streamlit sends the whole text to the browser at each update, and people do not notice more than
# 16 updates a second (50 to 80 ms between two).
INTERVAL = 0.06
# Seconds of reading before its bar is drawn. A short prompt is read by then, and the browser would
# still draw the bar when the first text arrives.
BAR_AFTER = 0.4

ICONS = {
    Phase.QUEUED: ":material/hourglass_empty:",
    Phase.SEARCHING: ":material/search:",
    Phase.SUMMARISING: ":material/summarize:",
    Phase.READING: ":material/menu_book:",
    Phase.WRITING: ":material/edit:",
    Phase.DONE: ":material/check:",
    Phase.STOPPED: ":material/stop_circle:",
    Phase.FAILED: ":material/error:",
}

EDITING = "editing"  # in the session's state: the id of the turn whose question is being edited
ShowSources = Callable[[Sequence[NodeWithScore], str, bool], None]
"""(sources, id of the turn, whether the best sentence is quoted above them)"""

KIND_ICON = ":material/format_quote:"
KIND_ICONS = {
    "summary": ":material/summarize:",
    "table": ":material/table_rows:",
    "comparison": ":material/compare_arrows:",
    "time between": ":material/date_range:",
    "library": ":material/folder_open:",
    "several questions": ":material/checklist:",
}


@dataclass(frozen=True, slots=True)
class Actions:
    """What a person can do with a question and its answer, once it has ended.

    `ask_instead` asks an edited question, or the same one again, in place of its turn; it returns
    whether the question was accepted. `ask_unlimited` asks the same one, without a limit for the
    first word. `versions` gives the ids of all versions of a turn; `show_version` shows one of
    them. `report` reports a wrong answer. `busy`: an answer is being written, so that no other can
    be asked for.
    """

    ask_instead: Callable[[Turn, str], bool]
    ask_unlimited: Callable[[Turn], None]
    versions: Callable[[Turn], Sequence[str]]
    show_version: Callable[[str], None]
    report: Callable[[Turn], None]
    show_code: Callable[[Turn], None]
    busy: bool


@dataclass(frozen=True, slots=True)
class _Slots:
    state: DeltaGenerator
    searched: DeltaGenerator
    kind: DeltaGenerator
    evidence: DeltaGenerator
    text: DeltaGenerator
    below: DeltaGenerator
    figures: DeltaGenerator


def _cell(turn: Turn, actions: Actions) -> _Slots:
    with st.chat_message("user", avatar=":material/person:"):
        if st.session_state.get(EDITING) == turn.id and not actions.busy:
            _edit_question(turn, actions)
        else:
            _show_question(turn, actions)
        show_only(turn.settings.get("only", ()))
    with st.chat_message("assistant", avatar=":material/auto_stories:"):
        state = st.container(key=f"state-{turn.id}").empty()
        searched = st.empty()
        kind = st.empty()
        evidence = st.container()
        text = st.container(key=f"text-{turn.id}").empty()
        return _Slots(state, searched, kind, evidence, text, st.container(), st.container())


def _show_question(turn: Turn, actions: Actions) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
        st.markdown(plain_markdown(turn.question), width="stretch")
        st.button(
            "Edit",
            icon=":material/edit:",
            type="tertiary",
            key=f"edit-{turn.id}",
            on_click=_edit,
            args=(turn.id,),
            disabled=actions.busy,
        )


def _edit_question(turn: Turn, actions: Actions) -> None:
    """The question as a field, in its own place."""
    key = f"edited-{turn.id}"
    st.session_state.setdefault(key, turn.question)
    with st.form(f"edit-form-{turn.id}", border=False):
        st.text_area("Question", key=key, height="content")
        st.caption("The new question replaces this one and what follows. Both are kept.")
        with st.container(horizontal=True, gap="small"):
            st.form_submit_button(
                "Ask", type="primary", on_click=safely(_ask_edited), args=(turn, key, actions)
            )
            st.form_submit_button("Cancel", on_click=_edit, args=("",))


def _edit(turn_id: str, text: str = "") -> None:
    """Edit the question of this turn; empty: of none. `text`: to begin with, instead of it."""
    st.session_state[EDITING] = turn_id
    if text:
        st.session_state[f"edited-{turn_id}"] = text


def _ask_edited(turn: Turn, key: str, actions: Actions) -> None:
    if actions.ask_instead(turn, st.session_state[key]):
        _edit("")


def show_turn(turn: Turn, show_sources: ShowSources, actions: Actions) -> None:
    """A turn that has ended."""
    slots = _cell(turn, actions)
    slots.state.caption(_ended_line(turn))
    _show_searched(slots, turn, actions)
    _show_sources(slots, turn.id, turn.sources, turn.trace, show_sources)
    if turn.problem:
        _show_unsupported(slots, turn)
    elif turn.text:
        slots.text.markdown(_cited(turn.id, turn))
    _show_outcome(slots, turn, actions)
    with slots.figures:
        _show_actions(turn, actions)


@st.cache_data(max_entries=256, show_spinner=False)
def _cited(turn_id: str, _turn: Turn) -> str:
    """The answer as Markdown, each sentence with the number of the source that supports it.

    A sentence in which the answer was cut off has no number, because its end is not known. An
    answer that was stopped ends with an ellipsis.
    """
    done = _turn.phase is Phase.DONE
    length = len(_turn.text.rstrip())
    marks = [
        (each.end, each.passage)
        for each in cite(_turn.text, _turn.question, _turn.sources)
        if done or each.end < length or _turn.text[each.end - 1] in ".!?"
    ]
    text = f"{_turn.text.rstrip()} …" if _turn.phase is Phase.STOPPED else _turn.text
    return with_marks(text, marks, lambda number: f"#source-{source_id(turn_id, number)}")


def forget_answers() -> None:
    """Drop all drawn answers from the cache, including those of deleted conversations."""
    _cited.clear()


def follow_turn(
    turn: Turn, response: StreamingResponse, show_sources: ShowSources, actions: Actions
) -> None:
    """A turn whose answer is being written: follow it to its end, and keep it alive."""
    slots = _cell(turn, actions)
    evidence_shown = False
    reading_since: float | None = None

    def tick() -> None:
        nonlocal evidence_shown, reading_since
        response.hold(LEASE)
        if not evidence_shown and response.found is not None:
            evidence_shown = True
            _show_searched(slots, turn.answered(response), actions)
            _show_sources(slots, turn.id, response.found, response.trace, show_sources)
        progress = response.progress
        slots.state.caption(f"{ICONS[progress.phase]} {progress} · {response.trace.now():.1f} s")
        if progress.phase not in (Phase.READING, Phase.SUMMARISING) or not progress.total:
            return
        reading_since = reading_since or time.monotonic()
        if not response.text and time.monotonic() - reading_since > BAR_AFTER:
            # The bar is in the place of the text. In the line above, it would move the sources.
            slots.text.progress(min(1.0, progress.done / progress.total))

    while not response.text and not response.phase.ended:
        tick()
        response.wait_for(INTERVAL)
    if not evidence_shown:
        tick()  # the sources are there before the text
    slots.text.write_stream(paced(response, tick))
    ended = turn.answered(response)
    slots.state.caption(_ended_line(ended))
    if ended.problem:
        _show_unsupported(slots, ended)
    _show_outcome(slots, ended)


def paced(response: StreamingResponse, tick: Callable[[], None] = lambda: None) -> Iterator[str]:
    """The present text at once, and then the arriving text, one chunk in each interval."""
    shown = 0
    while True:
        ended = response.phase.ended  # read before the text, so that no text is missed
        text = response.text
        if len(text) > shown:
            yield answer_markdown(text[shown:])
            shown = len(text)
        if ended:
            return
        tick()
        time.sleep(INTERVAL)


def _show_sources(
    slots: _Slots,
    turn_id: str,
    sources: Sequence[NodeWithScore],
    trace: Trace | None,
    show_sources: ShowSources,
) -> None:
    """What was done with a question of a special kind, and the sources."""
    kind = trace.kind if trace else None
    if kind and kind.did:
        slots.kind.caption(f"{KIND_ICONS.get(kind.kind, KIND_ICON)} {plain_markdown(kind.did)}")
    by_code = bool(kind and kind.by_code)
    with slots.below if by_code else slots.evidence:
        show_sources(sources, turn_id, not by_code)


def _show_searched(slots: _Slots, turn: Turn, actions: Actions) -> None:
    """What was searched for instead of a follow-up, and a button to correct it."""
    if not turn.searched_for:
        return
    if turn.searched_for.endswith(turn.question):
        said = "This looks like a follow-up, so your earlier question was searched too."
    else:
        said = "This looks like a follow-up, so the model has rewritten it."
    with slots.searched.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(
            f":material/search: {said} Searched for: {plain_markdown(turn.searched_for)}",
            width="stretch",
        )
        st.button(
            "Correct",
            icon=":material/edit:",
            type="tertiary",
            key=f"correct-{turn.id}",
            help="Ask what you meant in other words.",
            on_click=_edit,
            args=(turn.id, turn.searched_for),
            disabled=actions.busy,
        )


def _show_unsupported(slots: _Slots, turn: Turn) -> None:
    """An answer that failed the check: marked, without citations. The quotation stands for it."""
    stands = "The quotation above stands as the answer. " if quotation_of(turn.sources) else ""
    with slots.text.container(key=f"unsupported-{turn.id}"):
        st.caption(
            f":orange-badge[:material/report: Not supported] {plain_markdown(turn.problem)} "
            f"{stands}The model wrote:"
        )
        st.caption(answer_markdown(turn.text))


def _ended_line(turn: Turn) -> str:
    """How the answer ended, and after how many seconds: those to the last token, if there is
    one."""
    seconds = turn.trace and (turn.trace.metrics.e2el or turn.trace.ended)
    after = f" after {seconds:.2f} s" if seconds else ""
    if turn.phase is Phase.DONE and not turn.text and (turn.notes or not turn.sources):
        return f":material/search_off: not found{after}"
    word = {Phase.DONE: "finished", Phase.STOPPED: "stopped"}.get(turn.phase, "failed")
    return f"{ICONS[turn.phase]} {word}{after}"


def _show_outcome(slots: _Slots, turn: Turn, actions: Actions | None = None) -> None:
    """`actions` where the answer is not followed any more."""
    plan = turn.trace.plan if turn.trace else None
    unread = plan.sentence if plan else ""
    with slots.figures:
        if turn.phase is Phase.FAILED:
            st.error(plain_markdown(turn.error), icon=":material/error:")
        elif not (turn.sources or turn.text) and turn.phase is Phase.DONE:
            st.info("No passage was found. Add documents, or ask in other words.")
        else:
            for note in turn.notes:
                if note not in (unread, turn.problem):
                    st.info(note, icon=":material/info:")
            if turn.phase is Phase.STOPPED:
                what = "It is not complete." if turn.text else "Nothing was written yet."
                st.warning(f"This answer was stopped. {what}", icon=":material/stop_circle:")
        if unread:
            _show_unread(unread, turn, actions)
        if turn.trace and turn.text:
            metrics = turn.trace.metrics
            streamed = bool(turn.settings.get("streaming", True))
            parts = []
            by_code = turn.trace.kind is not None and turn.trace.kind.by_code
            if metrics.ttft is not None:
                first = f"first {'text' if by_code else 'token'} {metrics.ttft:.2f} s"
                parts.append(first if streamed else "not streamed")
            parts.append("without the model" if by_code else f"{metrics.output_tokens} tokens")
            if metrics.decode_rate is not None:
                parts.append(f"{metrics.decode_rate:.0f} tokens/s")
            st.caption(" · ".join(parts))


def _show_unread(sentence: str, turn: Turn, actions: Actions | None) -> None:
    """A sentence about passages that the time limit left out, and a button to ask without it."""
    with st.container(horizontal=True, vertical_alignment="center", key=f"unread-{turn.id}"):
        st.caption(f":material/timer: {sentence}", width="stretch")
        st.button(
            "Ask without a limit",
            type="tertiary",
            key=f"unlimited-{turn.id}",
            on_click=safely(actions.ask_unlimited) if actions else None,
            args=(turn,) if actions else None,
            disabled=actions is None or actions.busy,
        )


def outcome(turn: Turn) -> str:
    """The sentence for a screen reader when an answer has ended."""
    if turn.phase is Phase.FAILED:
        return f"The answer failed. {turn.error} {turn.text}"
    if turn.phase is Phase.STOPPED:
        return f"The answer was stopped. {turn.text}"
    if not turn.text:
        return " ".join(["There is no answer.", *turn.notes])
    if turn.problem:
        stands = f"The quotation stands: {quotation_of(turn.sources)}"
        return f"The passages do not support the model's answer. {turn.problem} {stands}"
    return f"The answer is complete. {turn.text}"


def _show_actions(turn: Turn, actions: Actions) -> None:
    with st.container(
        horizontal=True, vertical_alignment="center", key=f"actions-{turn.id}", gap="small"
    ):
        versions = actions.versions(turn)
        if len(versions) > 1:
            _show_versions(turn, versions, actions)
        if text := quotation_of(turn.sources) if turn.problem else turn.text:
            copy_button(text, key=f"copy-{turn.id}")
        st.button(
            "Retry",
            icon=":material/replay:",
            type="tertiary",
            key=f"again-{turn.id}",
            on_click=safely(actions.ask_instead),
            args=(turn, turn.question),
            disabled=actions.busy,
        )
        actions.report(turn)
        actions.show_code(turn)


def _show_versions(turn: Turn, versions: Sequence[str], actions: Actions) -> None:
    """‹ 2 of 3 ›: the versions of an edited or repeated question."""
    here = versions.index(turn.id)
    with st.container(horizontal=True, vertical_alignment="center", gap="xxsmall", width="content"):
        for step, icon, name in ((-1, "chevron_left", "Earlier"), (1, "chevron_right", "Later")):
            if step == 1:
                st.caption(f"{here + 1} of {len(versions)}", width="content")
            there = here + step
            possible = 0 <= there < len(versions) and not actions.busy
            st.button(
                f"{name} version",
                icon=f":material/{icon}:",
                icon_position="left",
                type="tertiary",
                key=f"version-{step}-{turn.id}",
                on_click=safely(actions.show_version),
                args=(versions[there] if possible else "",),
                disabled=not possible,
            )
