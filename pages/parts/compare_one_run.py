"""One run in detail: the race, where the time goes, and each token.

All three show the run that is closest to the medians, so that their figures fit those of the other
cells, and say how close it is.

The browser plays the race: each chunk of text has its time as the delay of a CSS animation. The
replay is as exact as the recording, needs no work of the server, and continues during a rerun of
the page.
"""

import html
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import altair as alt
import streamlit as st

from engine.definitions import DEFINITIONS
from engine.measuring import Measurement, Mode, Session
from engine.measuring.findings import two
from engine.timing import UNACCOUNTED, Segment, time_waiting, waterfall
from pages.parts.charts import (
    AXIS,
    BLOCKING,
    HUES,
    STREAMING,
    ink,
    lane,
    plot,
    seconds,
    show,
    words,
)
from pages.parts.compare_cells import about, behind, finding
from pages.parts.markdown import plain_markdown

SPEEDS = {"Half speed": 0.5, "Real time": 1.0, "Double speed": 2.0}
IN_WORDS = {0.5: "at half speed", 1.0: "in real time", 2.0: "at double speed"}

# The class names begin with ft-, so that they style no element of Streamlit. The text column is
# reversed, so that a full panel shows its newest line. --ft-ms is the clock, an animated integer;
# its syntax uses an escape, because the sanitizer removes a style that contains "<". step-start is
# used because a rounding error can skip the end of an animation, but not its start.
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


@st.fragment
def show_race(session: Session, record: Measurement) -> None:
    """One recorded answer, as a streaming and as a waiting reader see it."""
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
        f":material/replay: A replay {IN_WORDS[speed]} of {which_run(session, record)}. Both "
        "panels show the same tokens; only the moment at which you see them differs."
    )


def which_run(session: Session, run: Measurement) -> str:
    """Which of the runs of its mode is shown, and how close it is to their medians."""
    runs = session.of(run.mode)
    name = f"{run.mode} run {runs.index(run) + 1} of {len(runs)}"
    if len(runs) == 1:
        return name
    metrics = ("first words", "ttft"), ("whole answer", "e2el")
    close = [
        f"{what} {two(getattr(run.metrics, metric))} s (median {two(middle)} s)"
        for what, metric in metrics
        if (middle := session.median(run.mode, metric))
    ]
    return f"{name}, the closest to the medians: {', '.join(close)}"


def race_html(record: Measurement, speed: float, turn: int) -> str:
    """Both panels. Another `turn` changes the text, which makes the browser start again."""
    pieces = [(chunk.received, chunk.text) for chunk in record.chunks]
    whole = [(pieces[-1][0], record.text)]
    both = _panel(Mode.STREAMING, pieces) + _panel(Mode.BLOCKING, whole)
    return (
        f'<div><div class="ft-race" data-turn="{record.run}-{turn}" '
        f'style="--ft-speed: {speed}">{both}</div>{STYLE}</div>'
    )


def _panel(mode: Mode, pieces: Sequence[tuple[float, str]]) -> str:
    """The panel of one reader, who sees each text after the seconds before it."""
    spans = "".join(
        f'<span style="--d: {when:.3f}s">{html.escape(text)}</span>' for when, text in pieces
    )
    first, last = pieces[0][0], pieces[-1][0]
    facts = f"first words after {two(first)} s, whole answer after {two(last)} s"
    style = (
        f"--ft-hue: {HUES[mode]}; --ft-first: {first:.3f}s; --ft-last: {last:.3f}s; "
        f"--ft-end: {first * 1000:.0f}"
    )
    name = str(mode).capitalize()
    return (
        f'<section class="ft-panel ft-{mode}" style="{style}" aria-label="{name}: {facts}">'
        f'<div class="ft-head"><span>{name}</span><span class="ft-wait"></span></div>'
        f'<div class="ft-text" tabindex="0"><p>{spans}</p></div>'
        f'<div class="ft-track"><i></i></div>'
        f'<div class="ft-foot">{facts}</div></section>'
    )


# ---- Where the time goes

# What each stage does. A stage that is not listed is shown by its name alone.
MEANINGS = {
    "follow-up": "The earlier questions that a follow-up refers to are found.",
    "embed": "The question becomes a vector.",
    "search": "Passages are searched by meaning and by words.",
    "rerank": "Each sentence of the best passages is scored.",
    "prompt": "The best sentences and the question become a prompt.",
    "tokenise": "The prompt becomes tokens.",
    "queue": "The question waits until the model is free.",
    "reuse": "The part of the prompt that is in the cache is looked up.",
    "prefill": "The model reads the prompt.",
    "server": "The server queues the question, reads the prompt and sends its first text.",
    "first token": "The first token is chosen.",
    "decode": "The model writes, token by token.",
    "hand-over": "The reader receives the last text.",
    UNACCOUNTED: "Time between the stages, in none of them.",
}
# The names that the title uses, for the stages that take longest.
TITLES = {
    "decode": "writing the answer (decode)",
    "prefill": "reading the prompt (prefill)",
    "rerank": "scoring sentences (rerank)",
    "queue": "waiting for the model (queue)",
    "server": "waiting for the server's first text",
}
ROW = 26  # pixels
LABELS = 1.55  # times the longest bar: room for the labels at a phone's width
STRIPES = 6

Rows = Mapping[str, list[Segment]]  # by name, in order of time


def show_waterfall(session: Session) -> None:
    """The stages of one run, from the question to the last text, as a waterfall."""
    recorded = {mode: run for mode in Mode if (run := session.typical_run(mode))}
    if not recorded:
        st.info("The server did not report when each token was written.")
        return
    chosen = st.segmented_control(
        "Run",
        list(recorded),
        default=next(iter(recorded)),
        required=True,
        format_func=lambda mode: str(mode).capitalize(),
        label_visibility="collapsed",
        key="waterfall_mode",
    )
    run = recorded.get(chosen or Mode.STREAMING) or next(iter(recorded.values()))
    rows = named_rows(waterfall(run.trace, run.seen_last))
    total = max(segment.end for segments in rows.values() for segment in segments)
    longest = sorted(rows.keys() - {UNACCOUNTED}, key=lambda name: -_spent(rows[name]))[:2]
    shares = [f"{_spent(rows[name]) / total * 100:.0f} % is {_title(name)}" for name in longest]
    missing = _spent(rows[UNACCOUNTED]) / total * 100
    unknown = "less than 0.1 %" if missing < 0.1 else f"{two(missing)} %"
    finding(f"Of the time, {', '.join([*shares, f'{unknown} is unaccounted for'])}")
    _plot_waterfall(run, rows, total)
    st.caption(f"This is {which_run(session, run)}.")
    about(session, [run])
    table = [
        {
            "stage": name,
            "begins, ms": segments[0].start * 1000 if segments else None,
            "takes, ms": _spent(segments) * 1000,
            "share, %": _spent(segments) / total * 100,
            "what happens": MEANINGS.get(name.split(",")[0], ""),
        }
        for name, segments in rows.items()
    ]
    behind(table, "The stages with their times", "waterfall")


def named_rows(segments: Sequence[Segment]) -> dict[str, list[Segment]]:
    """The segments of each row, in order of time; the unaccounted time comes last.

    With several LLM calls, the rows of all but the last are numbered.
    """
    last = max((segment.call for segment in segments if segment.call is not None), default=0)
    rows: dict[str, list[Segment]] = {}
    for segment in segments:
        earlier = segment.call is not None and segment.call < last
        name = f"{segment.name}, call {(segment.call or 0) + 1}" if earlier else segment.name
        rows.setdefault(name, []).append(segment)
    gaps = rows.pop(UNACCOUNTED, [])
    return {**rows, UNACCOUNTED: gaps}


def _spent(segments: Sequence[Segment]) -> float:
    return sum(segment.duration for segment in segments)


def _title(name: str) -> str:
    """The title's words for a row, such as "prefill, call 1"."""
    stage, comma, call = name.partition(",")
    return f"{TITLES.get(stage, stage)}{comma}{call}"


def _ms(duration: float) -> str:
    """Milliseconds. Python's clock is not exact to less than a tenth of one."""
    return "< 0.1 ms" if duration < 1e-4 else f"{two(duration * 1000)} ms"


def _plot_waterfall(run: Measurement, rows: Rows, total: float) -> None:
    count = len(rows)
    x = seconds("x", "milliseconds since the question was sent", total * 1000, LABELS)
    y = lane("y", count)
    pieces = [
        {
            "stage": name,
            "y": place + 0.5,
            "x": segment.start * 1000,
            "to": segment.end * 1000,
            "took": _ms(segment.duration),
            "meaning": MEANINGS.get(segment.name, ""),
        }
        for place, name in enumerate(rows)
        for segment in rows[name]
    ]
    named = [piece for piece in pieces if piece["stage"] != UNACCOUNTED]
    gaps = [piece for piece in pieces if piece["stage"] == UNACCOUNTED]
    labels = [
        {
            "x": (rows[name][-1].end if rows[name] else 0.0) * 1000,  # at the end of its last bar
            "y": place + 0.5,
            "text": f"{name} {_ms(_spent(rows[name]))}",
        }
        for place, name in enumerate(rows)
    ]
    # The line of the first words begins below the labels that it would cross.
    below = list(rows).index("first token") if "first token" in rows else 0
    first = [{"x": (run.metrics.ttft or 0.0) * 1000, "y": below, "to": count}]
    rule = plot(first).mark_rule(color=ink(), strokeDash=[4, 3], opacity=0.7)
    show(
        count * ROW + AXIS,
        "A waterfall of segments: " + ", ".join(f"{n} {_ms(_spent(s))}" for n, s in rows.items()),
        rule.encode(x=x, y=y, y2=alt.Y2("to")),
        _bars(named, x, y, HUES[run.mode]),
        _bars(gaps, x, y, _hatching(ink())),
        words(labels, x, y, dx=6),
    )


def _bars(
    pieces: Sequence[dict[str, Any]], x: alt.X, y: alt.Y, colour: str | alt.Gradient
) -> alt.Chart:
    mark = plot(pieces).mark_bar(size=ROW - 9, color=colour)
    drawn: alt.Chart = mark.encode(
        x=x,
        x2=alt.X2("to"),
        y=y,
        tooltip=[alt.Tooltip(f"{name}:N") for name in ("stage", "took", "meaning")],
    )
    return drawn


def _hatching(colour: str) -> alt.Gradient:
    """Stripes: a gradient with abrupt changes of colour."""
    stops = []
    for stripe in range(STRIPES):
        for part, shade in ((0, colour), (0.5, colour), (0.5, "transparent"), (1, "transparent")):
            stops.append(alt.GradientStop(offset=(stripe + part) / STRIPES, color=shade))
    return alt.LinearGradient(gradient="linear", stops=stops, x1=0, y1=0, x2=1, y2=1)


# ---- Token by token

ROOM = 1.2  # times the duration: the reader's line continues after the last token
HEIGHT, GAPS_HEIGHT = 300, 170  # pixels


def show_timeline(session: Session) -> None:
    """When each token of a streaming run came, the gaps, and how long a reader waits for text."""
    record = session.typical_run(Mode.STREAMING)
    if record is None or len(record.chunks) < 2:
        st.info("The answer has a single token, so there are no gaps between tokens.")
        return
    arrivals = record.trace.calls[-1].token_times
    # A reader needs this long for one token, because of the words in this answer.
    each = len(record.text.split()) / len(arrivals) * 60 / reading_speed()
    said = _said(arrivals, each)
    finding(said)
    _show_arrivals(arrivals, each, f"Tokens over time. {said}.")
    metrics = record.metrics
    stall = (
        f"The median time between two tokens is {two((metrics.itl_median or 0) * 1000)} ms, the "
        f"longest {two((metrics.longest_stall or 0) * 1000)} ms"
    )
    finding(stall)
    gaps = list(zip(arrivals[1:], metrics.itl, strict=True))
    _show_gaps(gaps, arrivals[-1], stall)
    st.caption(f"This is {which_run(session, record)}.")
    about(session, [record])
    rows = [{"token": 1, "computed after, s": arrivals[0], "gap, ms": None}]
    rows += [
        {"token": number, "computed after, s": when, "gap, ms": gap * 1000}
        for number, (when, gap) in enumerate(gaps, start=2)
    ]
    behind(rows, "When each token was computed", "timeline")


def _said(arrivals: list[float], each: float) -> str:
    end = arrivals[-1]
    streaming, blocking = time_waiting(arrivals, each), time_waiting([end] * len(arrivals), each)
    waits = f"You wait {two(streaming)} s in all when streaming and {two(blocking)} s when not"
    if end <= arrivals[0] or not each:
        return waits
    faster = (len(arrivals) - 1) / (end - arrivals[0]) * each
    if faster >= 1:
        return f"{waits}: the model writes {two(faster)} times faster than you read"
    return f"{waits}: you read {two(1 / faster)} times faster than the model writes"


def _show_arrivals(arrivals: list[float], each: float, describes: str) -> None:
    """Tokens over time in both modes, and a reader who begins with the first token."""
    first, end, count = arrivals[0], arrivals[-1], len(arrivals)
    edge = end * ROOM
    read = min(count, (edge - first) / each) if each else count
    x = seconds("x", "seconds since the question was sent", end, ROOM)
    y = alt.Y(
        "y",
        type="quantitative",
        title="tokens",
        scale=alt.Scale(domain=[0, count * 1.3]),
        axis=alt.Axis(tickCount=4, grid=False),
    )
    streamed = [{"x": when, "y": number + 1} for number, when in enumerate(arrivals)]
    blocked: list[dict[str, float]] = [{"x": 0, "y": 0}, {"x": end, "y": 0}, {"x": end, "y": count}]
    reading: list[dict[str, float]] = [{"x": first, "y": 0}, {"x": edge, "y": read}]
    begins = [{"x": first, "y": 0, "to": count * 1.2}]
    left = first > 0.5 * end
    # The label of the reader's line is before its beginning if there is room; otherwise it is above
    # a flat line, and below a steep one.
    middle = (first + end) / 2
    height = read / (edge - first) * (middle - first)
    beside = 0.07 if height < count / 4 else -0.07
    reader = {"x": middle, "y": height + beside * count, "text": "as you read"}
    if left:
        reader |= {"x": first, "y": 0.07 * count}
    show(
        HEIGHT,
        describes,
        plot(begins).mark_rule(color=ink(), opacity=0.4).encode(x=x, y=y, y2=alt.Y2("to")),
        _line(blocked, BLOCKING, "linear").encode(x=x, y=y, order=alt.Order("y:Q")),
        _line(streamed, STREAMING, "step-after").encode(x=x, y=y),
        _line(reading, ink(), "linear", [5, 4]).encode(x=x, y=y),
        words(
            [{"x": first, "y": count * 1.2, "text": f"first token {two(first)} s"}],
            x,
            y,
            "right" if left else "left",
            dx=-6 if left else 6,
        ),
        words([{"x": end, "y": count * 1.07, "text": f"last token {two(end)} s"}], x, y, "right"),
        words([reader], x, y, "right" if left else "left", dx=-6 if left else 0),
    )


def _line(
    rows: Sequence[Mapping[str, float]],
    colour: str,
    steps: Literal["linear", "step-after"],
    dash: Sequence[float] = (),
) -> alt.Chart:
    line: alt.Chart = plot(rows).mark_line(
        color=colour, interpolate=steps, strokeWidth=2.5, strokeDash=list(dash)
    )
    return line


def _show_gaps(gaps: Sequence[tuple[float, float]], end: float, said: str) -> None:
    """A bar for each gap, given as (seconds until the later token, seconds of the gap)."""
    rows = [{"x": when, "y": gap * 1000} for when, gap in gaps]
    highest = max((row["y"] for row in rows), default=1.0)
    x = seconds("x", "seconds since the question was sent", end, ROOM)
    y = alt.Y(
        "y",
        type="quantitative",
        title="gap, ms",
        scale=alt.Scale(domain=[0, highest * 1.35]),
        axis=alt.Axis(tickCount=3, grid=False),
    )
    tip = [alt.Tooltip("y:Q", title="gap, ms", format=".1f")]
    longest = [row for row in rows if row["y"] == highest][:1]
    named = [{**row, "y": highest * 1.18, "text": f"{two(highest)} ms"} for row in longest]
    show(
        GAPS_HEIGHT,
        f"The time before each token. {said}.",
        plot(rows).mark_bar(color=STREAMING, width=2).encode(x=x, y=y, tooltip=tip),
        words(named, x, y, "center"),
    )


# ---- How fast a person reads

ADULT = 238  # words a minute, reading silently in English: Brysbaert 2019
SLOWEST, FASTEST = 60, 1000  # a result outside this range is not reading; skimming reaches 700
CALIBRATION = (
    "The lighthouse stood at the end of a long, low spit of sand, and for most of the year only "
    "the keeper and the gulls knew how loud the sea could be. Each evening she climbed the spiral "
    "stairs, counted them without noticing, and lit the lamp a few minutes before the sun had "
    "quite gone. Ships too far away to have names turned a little when they saw it, and went on. "
    "She wrote the weather into a book with a green cover, the wind first, then the height of the "
    "water, then whatever had happened that day that nobody would ever ask about. Most days the "
    "last column was the longest."
)


def reading_speed() -> float:
    """Words per minute: the average adult's, or what the user set or timed here."""
    st.session_state.setdefault("words_a_minute", ADULT)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.slider(
            "Your reading speed, in words per minute",
            SLOWEST,
            FASTEST,
            key="words_a_minute",
            persist_state="session",
            help=f"{DEFINITIONS['waiting'].meaning} {DEFINITIONS['waiting'].source}.",
        )
        with st.popover("Time yourself", icon=":material/timer:"):
            _calibrate()
    return float(chosen)


def _calibrate() -> None:
    """Time how long the user takes to read a text of known length."""
    if "reading_since" not in st.session_state:
        st.markdown("Press Begin, read the text at your usual pace, then press Finished.")
        if timed := st.session_state.get("reading_timed"):
            st.caption(timed)
        st.button("Begin", type="primary", on_click=_begin_reading)
        return
    st.markdown(plain_markdown(CALIBRATION))
    st.button("Finished", type="primary", on_click=_finish_reading)


def _begin_reading() -> None:
    st.session_state.reading_since = time.monotonic()


def _finish_reading() -> None:
    minutes = (time.monotonic() - st.session_state.pop("reading_since")) / 60
    speed = round(len(CALIBRATION.split()) / max(minutes, 1e-6))
    if SLOWEST <= speed <= FASTEST:
        st.session_state.words_a_minute = speed
        st.session_state.reading_timed = f"You read {speed} words per minute."
    else:
        st.session_state.reading_timed = (
            f"That would be {speed} words per minute, which is not a reading speed. Try again."
        )
