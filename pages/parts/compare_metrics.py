"""The metrics by name: both modes' medians, each with its definition and where that is from."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import streamlit as st

from engine.definitions import DEFINITIONS
from engine.measuring import Measurement, Mode, Session
from engine.measuring.findings import Comparison, compare, percent_range, two
from pages.parts.compare_cells import about

COLUMNS = (4, 7)  # shares of the width: a name, its figures
WIDTHS = (96, 112)  # pixels: streaming, non-streaming; a third column would not fit a phone


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure of a run: its key in DEFINITIONS, its field, its unit, and how many of a unit."""

    key: str
    field: str
    unit: str
    times: float = 1.0


SHOWN = (
    Shown("ttft", "ttft", "s"),
    Shown("e2el", "e2el", "s"),
    Shown("tpot", "tpot", "ms", 1000),
    Shown("itl", "itl_median", "ms", 1000),
    Shown("longest_stall", "longest_stall", "ms", 1000),
    Shown("prefill_rate", "prefill_rate", "tokens/s"),
    Shown("decode_rate", "decode_rate", "tokens/s"),
    Shown("reused_tokens", "reused_tokens", "tokens"),
)


def show_metrics(session: Session) -> None:
    with st.container(gap="xsmall", key="metrics"):
        _row("", "**Streaming**", "**Non-streaming**")
        for shown in SHOWN:
            both = (_median(session.of(mode), shown) for mode in Mode)
            _row(_name(shown.key), *both, tooltip=_tooltip(shown.key))
        if comparison := compare(session):
            tooltip = _tooltip("streaming_tax")
            _row(_name("streaming_tax"), _tax(comparison), tooltip=tooltip)
    about(session, session.counted)
    if late := _seen_late(session.counted):
        st.caption(late)
    with st.expander("Definitions and sources", type="compact", key="definitions"):
        for definition in DEFINITIONS.values():
            st.markdown(f"**{definition.name}**: {definition.meaning} *{definition.source}.*")


def _name(key: str) -> str:
    name = DEFINITIONS[key].name
    return name[:1].upper() + name[1:]


def _tooltip(key: str) -> str:
    return f"{DEFINITIONS[key].meaning}\n\nSource: {DEFINITIONS[key].source}."


def _row(name: str, *figures: str, tooltip: str | None = None) -> None:
    """A metric with its figures side by side, or with one for both modes."""
    left, right = st.columns(COLUMNS, wrap=False, gap="xsmall")
    left.markdown(name, help=tooltip)
    if len(figures) == 1:
        right.markdown(figures[0])
        return
    with right.container(horizontal=True, gap="xsmall"):
        for figure, width in zip(figures, WIDTHS, strict=True):
            st.markdown(figure, width=width)


def _median(runs: Sequence[Measurement], shown: Shown) -> str:
    found = [getattr(each.figures, shown.field) for each in runs]
    known = [value * shown.times for value in found if value is not None]
    if shown.key == "tpot" and not any(known):
        return "–"  # all at once: there is no pace
    return f"{two(median(known))} {shown.unit}" if known else "–"


def _tax(comparison: Comparison) -> str:
    tax = comparison.tax.value * 100
    return f"{'+' if tax >= 0 else '−'}{two(abs(tax))} % ({percent_range(comparison.tax)})"


def _seen_late(runs: Sequence[Measurement]) -> str:
    """How far the engine's word and a clock outside it lie apart."""
    late = [
        each.figures.seen_first - each.figures.ttft
        for each in runs
        if each.figures.seen_first is not None and each.figures.ttft is not None
    ]
    if not late:
        return ""
    return (
        ":material/visibility: A clock outside the engine, where the text is read, saw the first "
        f"words {two(median(late) * 1000)} ms after the engine reported them (median of "
        f"{len(late)})."
    )
