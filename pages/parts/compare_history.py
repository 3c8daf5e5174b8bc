"""Kept measurements: choose one to show, compare two, import, delete."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import streamlit as st

from engine.errors import MeasuringError
from engine.measuring import Experiment, Measurements, Session
from engine.measuring.findings import compare, settings_of, two, verdict
from engine.measuring.measurements import MOST_BYTES
from pages.parts.compare_running import shown_key
from pages.parts.markdown import plain_markdown
from pages.parts.resources import safely

MEDIANS = (
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
        st.caption("No measurement is kept yet.")
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
    return f"{when} · {session.experiment}{imported} · {session.setup.questions[0][:60]}"


def _actions(measurements: Measurements, session: Session) -> None:
    def choose() -> None:
        st.session_state[shown_key(session.experiment)] = session.id

    def delete() -> None:
        measurements.delete(session.id)

    with st.container(horizontal=True):
        st.button("Show above", icon=":material/visibility:", on_click=safely(choose))
        st.button("Delete", icon=":material/delete:", on_click=safely(delete))


def _compare_with(measurements: Measurements, session: Session, kept: Sequence[Session]) -> None:
    comparisons = (each for each in kept if each.experiment is Experiment.COMPARISON)
    others = [each for each in comparisons if each.id != session.id]
    if not others or session.experiment is not Experiment.COMPARISON:
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
        said = (
            verdict(each.setup, comparison) if comparison else "there is no complete pair of runs"
        )
        st.markdown(f"**{label}:** {plain_markdown(said)}.")
    _differences(session, other)


def _side_by_side(one: Session, other: Session) -> list[dict[str, Any]]:
    rows = []
    for lane in (0, 1):
        for label, metric in MEDIANS:
            values = [each.median(lane, metric) for each in (one, other)]
            ratio = values[1] / values[0] if values[0] and values[1] else None
            shown = ["–" if value is None else two(value) for value in (*values, ratio)]
            columns = ("this one", "the other", "other / this")
            rows.append(
                {
                    "lane": _lane_of_both(one, other, lane),
                    "median of": label,
                    **dict(zip(columns, shown, strict=True)),
                }
            )
    return rows


def _lane_of_both(one: Session, other: Session, lane: int) -> str:
    names = [each.setup.names[lane] for each in (one, other) if lane < len(each.setup.names)]
    return " / ".join(dict.fromkeys(names))


def _differences(one: Session, other: Session) -> None:
    """The settings and the parts of the fingerprint in which two sessions differ."""
    described = [
        {**each.fingerprint, "questions": " · ".join(each.setup.questions), **settings_of(each)}
        for each in (one, other)
    ]
    names = dict.fromkeys([*described[0], *described[1]])
    columns = ("this one", "the other")
    rows = [
        {"what": name, **dict(zip(columns, (d.get(name, "") for d in described), strict=True))}
        for name in names
    ]
    different = [row for row in rows if row["this one"] != row["the other"]]
    if different:
        st.caption("These settings differ, so the figures may differ too:")
        st.dataframe(different, hide_index=True, alt="The settings and the machine that differ")
    else:
        st.caption("The machine, the model file, the versions and the settings are the same.")


def _import(measurements: Measurements) -> None:
    turn = st.session_state.setdefault("imports_taken", 0)
    file = st.file_uploader(
        "Import measurements",
        ["jsonl"],
        key=f"import-{turn}",
        help="A JSONL file that was exported here or on another computer.",
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
        st.session_state[shown_key(session.experiment)] = session.id
        st.session_state.pop("history_one", None)
    st.rerun()
