"""What the cells of the Compare page share: their head, their caption, the table behind a chart."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine.measuring import Measurement, Session
from engine.measuring.record import Outcome
from pages.parts.markdown import plain_markdown
from pages.parts.uploads import counted

Row = Mapping[str, Any]


def cell(title: str, prose: str) -> None:
    """A cell begins: what it is, in a sentence or two."""
    st.subheader(title, anchor=False)
    st.markdown(prose)


def finding(sentence: str) -> None:
    """A chart's title: what it shows, not what it is."""
    st.markdown(f"**{sentence}**")


def about(session: Session, runs: Sequence[Measurement]) -> None:
    """Under a chart: model, machine, prompt tokens, cold or warm."""
    known = session.fingerprint
    sizes = sorted({each.figures.prompt_tokens for each in runs})
    prompt = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else "".join(map(str, sizes))
    reused = sorted({each.figures.reused_tokens for each in runs})
    cache = "warm cache" if session.setup.warm else "cold cache"
    parts = [
        known.get("model file", known.get("model", "unknown model")),
        f"{known.get('processor', 'unknown machine')}, {known.get('cores', '?')} cores",
        f"{prompt} prompt tokens",
        f"{cache}, {' to '.join(map(str, dict.fromkeys((reused[0], reused[-1]))))} reused"
        if reused
        else cache,
    ]
    ended = {
        Outcome.STOPPED: "stopped early",
        Outcome.INTERRUPTED: "interrupted",
        Outcome.FAILED: "failed early",
    }.get(session.outcome)
    parts += [ended] if ended else []
    parts += ["imported"] if session.imported else []
    st.caption(plain_markdown(" · ".join(parts)))


def behind(rows: Sequence[Row], label: str, key: str, columns: Mapping[str, Any] = {}) -> None:
    """The table behind a chart, folded."""
    with st.expander(f"The table behind it: {counted(len(rows), 'row')}", type="compact", key=key):
        st.dataframe(list(rows), hide_index=True, alt=label, column_config=dict(columns))
