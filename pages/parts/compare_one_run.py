"""The race: one recorded answer, shown as a streaming reader and as a waiting one would see it.

The record goes to the browser once, and the browser plays it: each piece of text carries its
time as the delay of a CSS animation. So the replay is as exact as the record, costs the server
nothing while it plays, and a rerun of the page does not disturb it.
"""

import html
from dataclasses import dataclass

import streamlit as st

from engine.measuring import Measurement, Mode
from engine.measuring.findings import two
from pages.parts.charts import BLOCKING, STREAMING

SPEEDS = {"Half speed": 0.5, "Real time": 1.0, "Double speed": 2.0}
IN_WORDS = {0.5: "at half speed", 1.0: "in real time", 2.0: "at double speed"}

# The names begin with ft-, and touch nothing of Streamlit's. The text column is reversed so that
# a panel that is full stays at its newest line. --ft-ms is the clock: an integer that is animated;
# its syntax is written with an escape, since a "<" would have the whole style removed as unsafe.
# step-start: the end of an animation may be missed by a rounding error, its start is not.
STYLE = """
<style>
@property --ft-ms { syntax: "\\3C integer>"; initial-value: 0; inherits: false; }
@keyframes ft-appear { from { font-size: 0; } to { font-size: 1em; } }
@keyframes ft-vanish { from { visibility: visible; } to { visibility: hidden; } }
@keyframes ft-count { from { --ft-ms: 0; } to { --ft-ms: var(--ft-end); } }
@keyframes ft-grow { from { transform: scaleX(0); } to { transform: scaleX(1); } }
.ft-race { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1rem; }
.ft-panel { border: 1px solid color-mix(in srgb, currentColor 20%, transparent);
  border-top: 4px solid var(--ft-hue); border-radius: 0.375rem; padding: 0.625rem 0.875rem;
  min-width: 0; }
.ft-head { display: flex; justify-content: space-between; gap: 0.5rem; font-weight: 600; }
.ft-wait { font-weight: 400; font-variant-numeric: tabular-nums; counter-reset: ms var(--ft-ms);
  animation: ft-count linear both, ft-vanish 1ms both;
  animation-duration: calc(var(--ft-first) / var(--ft-speed)), 1ms;
  animation-delay: 0s, calc(var(--ft-first) / var(--ft-speed)); }
.ft-wait::after { content: "waiting " counter(ms) " ms"; }
.ft-text { height: 12rem; overflow-y: auto; display: flex; flex-direction: column-reverse;
  margin: 0.5rem 0; line-height: 1.5; }
.ft-text > p { margin: 0 0 auto; white-space: pre-wrap; overflow-wrap: break-word; }
.ft-text span { animation: ft-appear 1ms step-start both;
  animation-delay: calc(var(--d) / var(--ft-speed)); }
.ft-track { height: 0.375rem; border-radius: 1rem; overflow: hidden;
  background: color-mix(in srgb, currentColor 12%, transparent); }
.ft-track > i { display: block; height: 100%; background: var(--ft-hue); transform-origin: left;
  animation: ft-grow linear both; animation-duration: calc(var(--ft-last) / var(--ft-speed)); }
.ft-foot { font-size: 0.875rem; margin-top: 0.375rem; opacity: 0.85;
  font-variant-numeric: tabular-nums; }
</style>
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """What one reader sees: pieces of text with the seconds at which they show."""

    mode: Mode
    hue: str
    pieces: tuple[tuple[float, str], ...]

    @property
    def first(self) -> float:
        return self.pieces[0][0]

    @property
    def last(self) -> float:
        return self.pieces[-1][0]


def panels(record: Measurement) -> tuple[Panel, Panel]:
    """The two readers of one streamed answer: the waiting one gets the whole at its end."""
    pieces = tuple((chunk.received, chunk.text) for chunk in record.chunks)
    whole = ((pieces[-1][0], record.text),)
    return Panel(Mode.STREAMING, STREAMING, pieces), Panel(Mode.BLOCKING, BLOCKING, whole)


@st.fragment
def show_race(record: Measurement) -> None:
    """Both panels, the speed, and a button to see it again."""
    with st.container(horizontal=True, vertical_alignment="center"):
        chosen = st.segmented_control(
            "Speed",
            list(SPEEDS),
            default="Real time",
            required=True,
            label_visibility="collapsed",
            key="race_speed",
            persist_state="session",
        )
        turn = st.session_state.setdefault("race_turn", 0)
        if st.button("Replay", icon=":material/replay:"):
            turn = st.session_state.race_turn = turn + 1
    speed = SPEEDS[chosen or "Real time"]
    st.html(race_html(record, speed, turn))
    st.caption(
        f":material/replay: A replay {IN_WORDS[speed]}: one answer, generated once and recorded "
        "token by token. Both panels show the same tokens, so the only difference is when you "
        "see them."
    )


def race_html(record: Measurement, speed: float, turn: int) -> str:
    """Both panels. Another `turn` is another text, which makes the browser begin again."""
    both = "".join(_panel(panel) for panel in panels(record))
    return (
        f'<div><div class="ft-race" data-turn="{record.run}-{turn}" '
        f'style="--ft-speed: {speed}">{both}</div>{STYLE}</div>'
    )


def _panel(panel: Panel) -> str:
    spans = "".join(
        f'<span style="--d: {seconds:.3f}s">{html.escape(text)}</span>'
        for seconds, text in panel.pieces
    )
    facts = f"first words after {two(panel.first)} s, whole answer after {two(panel.last)} s"
    style = (
        f"--ft-hue: {panel.hue}; --ft-first: {panel.first:.3f}s; --ft-last: {panel.last:.3f}s; "
        f"--ft-end: {panel.first * 1000:.0f}"
    )
    name = str(panel.mode).capitalize()
    return (
        f'<section class="ft-panel ft-{panel.mode}" style="{style}" aria-label="{name}: {facts}">'
        f'<div class="ft-head"><span>{name}</span><span class="ft-wait"></span></div>'
        f'<div class="ft-text" tabindex="0"><p>{spans}</p></div>'
        f'<div class="ft-track"><i></i></div>'
        f'<div class="ft-foot">{facts}</div></section>'
    )
