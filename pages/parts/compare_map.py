"""When does it matter: what streaming spares you, over passages in the prompt and answer length."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import altair as alt
import streamlit as st

from engine.llm.base import Packing
from engine.measuring import Kind, Measurement, Setup
from engine.measuring.findings import Map, latency_map, two
from engine.measuring.latency_model import typical_error, worst_error
from engine.measuring.schedule import MAP_LENGTHS, map_steps
from engine.workspace import Workspace
from pages.parts.charts import AXIS, STREAMING, ink, plot, show
from pages.parts.compare_cells import about, behind, finding
from pages.parts.compare_measuring import run_button, show_measuring, shown_session

ROW = 44  # pixels


def show_map(workspace: Workspace, collection: str, setup: Setup) -> None:
    passages = sum(each.passages for each in workspace.library.documents(collection))
    if passages:
        whole = replace(setup, packing=Packing.PASSAGES, warm=False)
        run_button(workspace, "Measure the map", Kind.MAP, whole, lambda: map_steps(passages))
    show_measuring(workspace.measurements, Kind.MAP)
    session = shown_session(workspace, Kind.MAP, collection)
    if session is None:
        return
    fitted = latency_map(session)
    if fitted is None or not fitted.prompt_tokens:
        st.info("Too few points were measured for a map.")
        return
    rows = _cells(fitted)
    finding(_said(rows))
    _plot(fitted, rows)
    about(session, session.counted)
    st.caption(_how(fitted))
    behind(_points(fitted), "Every measured point, and what the model says", "map")


def _cells(fitted: Map) -> list[dict[str, Any]]:
    model = fitted.model
    rows = []
    for passages, prompt in fitted.prompt_tokens.items():
        for length in MAP_LENGTHS:
            spared = model.spared(length)
            rows.append(
                {
                    "passages": passages,
                    "prompt tokens": round(prompt),
                    "answer tokens": length,
                    "first words, s": model.ttft(prompt),
                    "whole answer, s": model.e2el(prompt, length),
                    "share": spared / model.e2el(prompt, length),
                    "text": f"{two(spared)} s",
                    "wait": f"of {two(model.e2el(prompt, length))}",
                }
            )
    return rows


def _said(rows: Sequence[dict[str, Any]]) -> str:
    least, most = (pick(rows, key=lambda row: row["share"]) for pick in (min, max))
    return (
        f"Streaming spares you {least['share'] * 100:.0f} % of the wait for "
        f"{least['answer tokens']} tokens from {_passages(least)}, {most['share'] * 100:.0f} % for "
        f"{most['answer tokens']} tokens from {_passages(most)}"
    )


def _passages(row: dict[str, Any]) -> str:
    return f"{row['passages']} passage{'s' * (row['passages'] != 1)}"


def _plot(fitted: Map, rows: Sequence[dict[str, Any]]) -> None:
    """Each cell's depth is the share of the wait that streaming spares."""
    x = alt.X(
        "answer tokens:O",
        sort=list(MAP_LENGTHS),
        title="answer length, tokens",
        axis=alt.Axis(labelAngle=0, domain=False, ticks=False),
        scale=alt.Scale(paddingInner=0.04),
    )
    y = alt.Y(
        "passages:O",
        title="passages",
        axis=alt.Axis(domain=False, ticks=False),
        scale=alt.Scale(paddingInner=0.06),
    )
    depth = alt.Scale(domain=[0, 1], range=[0.04, 0.5])
    tip = [
        alt.Tooltip("prompt tokens:Q"),
        alt.Tooltip("answer tokens:Q"),
        alt.Tooltip("first words, s:Q", format=".2f"),
        alt.Tooltip("whole answer, s:Q", format=".2f"),
    ]
    cells = plot(rows).mark_rect(color=STREAMING, cornerRadius=3)
    spared = plot(rows).mark_text(fontSize=14, fontWeight=600, dy=-6, color=ink())
    whole = plot(rows).mark_text(fontSize=11, dy=10, color=ink())
    show(
        ROW * len(fitted.prompt_tokens) + AXIS,
        f"Seconds that streaming spares, by passages and answer length. {_said(rows)}.",
        cells.encode(
            x=x, y=y, opacity=alt.Opacity("share:Q", scale=depth, legend=None), tooltip=tip
        ),
        _outlined(fitted.measured, []).encode(x=x, y=y),
        _outlined(fitted.held_out, [4, 3]).encode(x=x, y=y),
        spared.encode(x=x, y=y, text=alt.Text("text:N")),
        whole.encode(x=x, y=y, text=alt.Text("wait:N")),
    )


def _outlined(points: Sequence[Measurement], dash: list[float]) -> alt.Chart:
    """An outline around the cells that were measured."""
    cells = {(each.step.passages, each.step.length) for each in points}
    rows = [{"passages": passages, "answer tokens": length} for passages, length in sorted(cells)]
    outline: alt.Chart = plot(rows).mark_rect(
        filled=False, stroke=ink(), strokeWidth=1.5, strokeDash=dash, cornerRadius=3
    )
    return outline


def _how(fitted: Map) -> str:
    model = fitted.model
    prefill = (
        f"reading {two(model.prefill_rate)} tokens/s"
        if model.prefill_rate < float("inf")
        else "reading too fast to measure here"
    )
    parts = (
        f"In each cell: the seconds that streaming spares, of all you would wait. Fitted to "
        f"{len(fitted.measured)} runs at the outlined corners: {prefill}, writing "
        f"{two(model.decode_rate)} tokens/s, {two(max(0.0, model.overhead))} s for everything else."
    )
    if not fitted.checks:
        return f"{parts} Not checked: no other point was measured."
    return (
        f"{parts} Checked at {len(fitted.checks)} runs it was not fitted to (dashed): off "
        f"by {typical_error(fitted.checks) * 100:.0f} % typically, "
        f"{worst_error(fitted.checks) * 100:.0f} % at worst."
    )


def _points(fitted: Map) -> list[dict[str, Any]]:
    rows = []
    for each in (*fitted.measured, *fitted.held_out):
        figures = each.figures
        rows.append(
            {
                "passages": each.step.passages,
                "prompt tokens": figures.prompt_tokens,
                "answer tokens": figures.output_tokens,
                "role": str(each.step.role),
                "first words, s": figures.ttft,
                "as fitted, s": fitted.model.ttft(figures.prompt_tokens - figures.reused_tokens),
                "whole answer, s": figures.e2el,
                "as fitted, s ": fitted.model.e2el(
                    figures.prompt_tokens - figures.reused_tokens, figures.output_tokens
                ),
            }
        )
    return rows
