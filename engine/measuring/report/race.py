"""The race: one recorded answer, replayed as two readers see it, at its real times.

The browser plays it: each chunk of text has its time as the delay of a CSS animation. The replay is
as exact as the recording, needs no script and no server, and continues during a rerun of a page.
"""

import html
from collections.abc import Sequence

from engine.measuring.findings import capital, two
from engine.measuring.record import Measurement, Session
from engine.measuring.report.drawing import HUES
from engine.measuring.schedule import Mode

# The class names begin with ft-, so that they style no element of a page around them. The text
# column is reversed, so that a full panel shows its newest line. --ft-ms is the clock, an animated
# integer; its syntax uses an escape, because Streamlit's sanitizer removes a style that contains
# "<". step-start is used because a rounding error can skip the end of an animation, but not its
# start.
STYLE = """
@property --ft-ms { syntax: "\\3C integer>"; initial-value: 0; inherits: false; }
@keyframes ft-appear { from { font-size: 0; } to { font-size: 1em; } }
@keyframes ft-vanish { from { visibility: visible; } to { visibility: hidden; } }
@keyframes ft-count { from { --ft-ms: 0; } to { --ft-ms: var(--ft-end); } }
@keyframes ft-grow { from { transform: scaleX(0); } to { transform: scaleX(1); } }
.ft-race { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr));
  gap: 1rem; }
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
"""


def racers(session: Session) -> list[Measurement]:
    """The runs that race: the typical run of each lane; of both lanes the same question.

    Where only streaming and non-streaming differ, one answer serves both panels, because the model
    writes the same text at the same pace; then there is one racer, of the streaming lane.
    """
    first = session.typical_run(0)
    if first is None or not first.chunks:
        return []
    lanes = session.setup.lanes
    if len(lanes) == 1 or [lane.mode for lane in lanes] == [Mode.STREAMING, Mode.BLOCKING]:
        same = len({(lane.transport, lane.model, lane.warm) for lane in lanes}) == 1
        if same:
            return [first]
    others = [each for each in session.of(1) if each.question == first.question and each.chunks]
    middle = session.median(1, "e2el") or 0.0
    other = min(others, key=lambda run: abs((run.metrics.e2el or 0.0) - middle), default=None)
    return [first, other] if other else [first]


def race(session: Session, runs: Sequence[Measurement], speed: float = 1.0, turn: int = 0) -> str:
    """Both panels. Another `turn` changes the text, which makes the browser start again."""
    first = [(chunk.received, chunk.text) for chunk in runs[0].chunks]
    if len(runs) == 1:
        panels = [("streaming", first), ("non-streaming", [(first[-1][0], runs[0].text)])]
    else:
        second = [(chunk.received, chunk.text) for chunk in runs[1].chunks]
        panels = list(zip(session.setup.names, (first, second), strict=False))
    drawn = "".join(
        _panel(name, hue, pieces) for (name, pieces), hue in zip(panels, HUES, strict=False)
    )
    return (
        f'<div class="ft-race" data-turn="{runs[0].run}-{turn}" style="--ft-speed: {speed}">'
        f"{drawn}</div>"
    )


def _panel(name: str, hue: str, pieces: Sequence[tuple[float, str]]) -> str:
    """The panel of one reader, who sees each text after the seconds before it."""
    spans = "".join(
        f'<span style="--d: {when:.3f}s">{html.escape(text)}</span>' for when, text in pieces
    )
    first, last = pieces[0][0], pieces[-1][0]
    facts = f"first words after {two(first)} s, whole answer after {two(last)} s"
    style = (
        f"--ft-hue: {hue}; --ft-first: {first:.3f}s; --ft-last: {last:.3f}s; "
        f"--ft-end: {first * 1000:.0f}"
    )
    shown = html.escape(capital(name))
    return (
        f'<section class="ft-panel" style="{style}" aria-label="{shown}: {facts}">'
        f'<div class="ft-head"><span>{shown}</span><span class="ft-wait"></span></div>'
        f'<div class="ft-text" tabindex="0"><p>{spans}</p></div>'
        f'<div class="ft-track"><i></i></div>'
        f'<div class="ft-foot">{facts}</div></section>'
    )
