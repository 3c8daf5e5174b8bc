"""What the cells of the Compare page share: their head, their caption, the table behind a chart."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from engine.measuring import Measurement, Session
from engine.measuring.record import Outcome
from pages.parts.markdown import plain_markdown
from pages.parts.uploads import counted

Row = Mapping[str, Any]

ENDED_EARLY = {
    Outcome.STOPPED: "stopped early",
    Outcome.INTERRUPTED: "interrupted",
    Outcome.FAILED: "failed early",
}


def cell(title: str, prose: str) -> None:
    """A cell begins: what it is, in a sentence or two."""
    st.subheader(title, anchor=False)
    st.markdown(prose)


def finding(sentence: str) -> None:
    """A chart's title: what it shows, not what it is."""
    st.markdown(f"**{sentence}**")


def about(session: Session, runs: Sequence[Measurement]) -> None:
    """Under a chart: model, machine, prompt tokens, cold or warm, and how it ended if not well."""
    known = session.fingerprint
    parts = [
        known.get("model file", known.get("model", "unknown model")),
        f"{known.get('processor', 'unknown machine')}, {known.get('cores', '?')} cores",
        f"{_span(each.figures.prompt_tokens for each in runs)} prompt tokens",
        f"{_cache(session)}, {_span(each.figures.reused_tokens for each in runs)} reused",
        ENDED_EARLY.get(session.outcome, ""),
        "imported" if session.imported else "",
    ]
    st.caption(plain_markdown(" · ".join(part for part in parts if part)))


def _cache(session: Session) -> str:
    if "model file" not in session.fingerprint:
        return "a server's own cache"  # it keeps what it likes, whatever is asked of it
    return "warm cache" if session.setup.warm else "cold cache"


def _span(counts: Iterable[int]) -> str:
    """The only count, or the least and the most."""
    ends = sorted(counts) or [0]
    return " to ".join(dict.fromkeys((str(ends[0]), str(ends[-1]))))


def behind(rows: Sequence[Row], describes: str, key: str) -> None:
    """The table behind a chart, folded."""
    with st.expander(f"The table behind it: {counted(len(rows), 'row')}", type="compact", key=key):
        st.dataframe(list(rows), hide_index=True, alt=describes)
