"""Kept measurements: choose one to show, compare two, take them elsewhere and back."""

from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import Any

import streamlit as st

from engine.errors import MeasuringError
from engine.measuring import Kind, Measurements, Mode, Session
from engine.measuring.findings import compare, two, verdict
from engine.measuring.jsonl import to_jsonl
from engine.measuring.measurements import MOST_BYTES
from engine.measuring.table import to_csv
from pages.parts.compare_measuring import shown_key
from pages.parts.markdown import plain_markdown

FIGURES = (
    ("first words, s", "ttft"),
    ("whole answer, s", "e2el"),
    ("prefill, tokens/s", "prefill_rate"),
    ("decode, tokens/s", "decode_rate"),
    ("prompt tokens", "prompt_tokens"),
    ("reused tokens", "reused_tokens"),
)


def show_history(measurements: Measurements) -> None:
    kept = measurements.sessions()
    if kept:
        chosen = _choose(kept, "Kept", "history_one")
        session = measurements.session(chosen.id)
        if session:
            _actions(measurements, session)
            _compare_with(measurements, session, kept)
    else:
        st.caption("Nothing is kept yet.")
    _import(measurements)


def _choose(kept: Sequence[Session], label: str, key: str) -> Session:
    by_id = {each.id: each for each in kept}
    if st.session_state.get(key) not in by_id:
        st.session_state.pop(key, None)
    chosen = st.selectbox(label, list(by_id), format_func=lambda one: _name(by_id[one]), key=key)
    return by_id[chosen or kept[0].id]


def _name(session: Session) -> str:
    when = datetime.fromtimestamp(session.started).strftime("%d %b %Y, %H:%M:%S")
    imported = ", imported" if session.imported else ""
    return f"{when} · {session.kind}{imported} · {session.setup.question[:60]}"


def _actions(measurements: Measurements, session: Session) -> None:
    def choose() -> None:
        st.session_state[shown_key(session.kind)] = session.id

    def delete() -> None:
        measurements.delete(session.id)

    name = f"first-token-{session.kind}-{session.id[:8]}"
    traced = any(each.trace for each in session.measurements)
    with st.container(horizontal=True):
        st.button("Show above", icon=":material/visibility:", on_click=choose)
        st.download_button(
            "Tokens, JSONL",
            lambda: to_jsonl(session),
            f"{name}.jsonl",
            "application/x-ndjson",
            icon=":material/download:",
            disabled=not traced,
            on_click="ignore",
            help="Everything: every token's time, the text, the machine. Can be imported again.",
        )
        st.download_button(
            "Runs, CSV",
            lambda: to_csv(session),
            f"{name}.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="A row a run, for a spreadsheet. Can be imported again, without tokens.",
        )
        st.button("Delete", icon=":material/delete:", on_click=delete)
    st.caption("An export holds the question and the answers. Nobody gets it unless you send it.")


def _compare_with(measurements: Measurements, session: Session, kept: Sequence[Session]) -> None:
    others = [each for each in kept if each.kind is session.kind and each.id != session.id]
    if not others or session.kind is not Kind.COMPARISON:
        return
    other = measurements.session(_choose(others, "Compare with", "history_two").id)
    if other is None:
        return
    st.dataframe(
        _side_by_side(session, other),
        hide_index=True,
        height="content",
        alt="Medians of both measurements, side by side",
    )
    for label, each in (("This one", session), ("The other", other)):
        comparison = compare(each)
        said = verdict(comparison) if comparison else "no pair of runs is whole"
        st.markdown(f"**{label}:** {plain_markdown(said)}")
    _differences(session, other)


def _side_by_side(one: Session, other: Session) -> list[dict[str, Any]]:
    rows = []
    for mode in Mode:
        for label, field in FIGURES:
            values = [_median(each, mode, field) for each in (one, other)]
            ratio = values[1] / values[0] if values[0] and values[1] else None
            rows.append(
                {
                    "mode": str(mode),
                    "median of": label,
                    "this one": _shown(values[0]),
                    "the other": _shown(values[1]),
                    "other / this": _shown(ratio),
                }
            )
    return rows


def _median(session: Session, mode: Mode, field: str) -> float | None:
    found = [getattr(each.figures, field) for each in session.of(mode)]
    known = [value for value in found if value is not None]
    return float(median(known)) if known else None


def _shown(value: float | None) -> str:
    return "–" if value is None else two(value)


def _differences(one: Session, other: Session) -> None:
    """What was not alike: figures of different machines or settings do not compare."""
    described = [
        {**each.fingerprint, **{n: str(v) for n, v in _settings(each).items()}}
        for each in (one, other)
    ]
    names = dict.fromkeys([*described[0], *described[1]])
    rows = [
        {
            "what": name,
            "this one": described[0].get(name, ""),
            "the other": described[1].get(name, ""),
        }
        for name in names
        if described[0].get(name, "") != described[1].get(name, "")
    ]
    if rows:
        st.caption("What was not alike, so that the figures above need not be:")
        st.dataframe(rows, hide_index=True, alt="Settings and machine where they differ")
    else:
        st.caption("Same machine, same model file, same versions, same settings.")


def _settings(session: Session) -> dict[str, Any]:
    setup = session.setup
    return {
        "question": setup.question,
        "passages": setup.passages,
        "in the prompt": setup.packing or "what Ask puts in",
        "longest answer": setup.length,
        "cache": "warm" if setup.warm else "cold",
    }


def _import(measurements: Measurements) -> None:
    turn = st.session_state.setdefault("imports_taken", 0)
    file = st.file_uploader(
        "Import measurements",
        ["jsonl", "csv"],
        key=f"import-{turn}",
        help="As exported here, or on another computer.",
        max_upload_size=MOST_BYTES // 1_000_000,
    )
    if problem := st.session_state.pop("import_problem", ""):
        st.error(problem, icon=":material/error:")
    if file is None:
        return
    st.session_state.imports_taken = turn + 1
    try:
        session = measurements.import_file(file.name, file.getvalue())
    except MeasuringError as error:
        st.session_state.import_problem = plain_markdown(str(error))
    else:
        st.session_state[shown_key(session.kind)] = session.id
        st.session_state.pop("history_one", None)
    st.rerun()
