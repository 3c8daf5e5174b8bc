"""The parts that the cells of the Compare page share: head, finding, caption, table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from engine.measuring import Measurement, Session
from engine.measuring.record import Outcome
from pages.parts.facts import counted
from pages.parts.markdown import plain_markdown

ENDED_EARLY = {
    Outcome.STOPPED: "stopped early",
    Outcome.INTERRUPTED: "interrupted",
    Outcome.FAILED: "failed early",
}


def cell(title: str, prose: str) -> None:
    """The head of a cell: its title, and one or two sentences."""
    st.subheader(title, anchor=False)
    st.markdown(prose)


def finding(sentence: str) -> None:
    """The title of a chart: what the chart shows."""
    st.markdown(f"**{sentence}**")


def about(session: Session, runs: Sequence[Measurement]) -> None:
    """The caption of a chart: model, machine, prompt tokens, cache, and an early end."""
    known = session.fingerprint
    if "model file" not in known:
        cache = "the server's own cache"  # a server decides itself what it reuses
    else:
        cache = "warm cache" if session.setup.warm else "cold cache"
    parts = [
        known.get("model file", known.get("model", "unknown model")),
        f"{known.get('processor', 'unknown machine')}, {known.get('cores', '?')} cores",
        f"{_range(each.metrics.prompt_tokens for each in runs)} prompt tokens",
        f"{cache}, {_range(each.metrics.reused_tokens for each in runs)} reused",
        ENDED_EARLY.get(session.outcome, ""),
        "imported" if session.imported else "",
    ]
    st.caption(plain_markdown(" · ".join(part for part in parts if part)))


def _range(counts: Iterable[int]) -> str:
    """One count if all are equal, otherwise the lowest and the highest."""
    ends = sorted(counts) or [0]
    return " to ".join(dict.fromkeys((str(ends[0]), str(ends[-1]))))


def behind(rows: Sequence[Mapping[str, Any]], describes: str, key: str) -> None:
    """The table behind a chart, folded."""
    with st.expander(f"Show as a table: {counted(len(rows), 'row')}", type="compact", key=key):
        st.dataframe(list(rows), hide_index=True, alt=describes)
