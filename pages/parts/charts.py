"""Charts of Vega-Lite: the colours of the two modes, scales, legible labels.

The charts of measurements are HTML instead (engine/measuring/report), because they are exported.

Streaming is blue and non-streaming orange, in both themes. Text in a chart never has these
colours: its contrast would be below 4.5 in one of the themes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import altair as alt
import streamlit as st
from altair.utils.schemapi import disable_debug_mode

STREAMING = "#0072B2"
BLOCKING = "#D55E00"
# The tests validate every specification. To validate it again on each run of a page would take
# twice as long as to create it.
disable_debug_mode()

Align = Literal["left", "right", "center"]

AXIS = 62  # pixels; Streamlit counts the axis as part of a chart
PADDING: dict[str, float] = {"left": 0, "top": 4, "right": 4, "bottom": 0}

Chart = TypeVar("Chart", alt.Chart, alt.LayerChart)

_INK = {"light": "#0C151C", "dark": "#E3E9ED"}
_QUIET = {"light": "#52606B", "dark": "#A9B4BC"}  # 6.5 and 8.8; Streamlit's own grey has 3.7


def _theme() -> str:
    """The theme that the browser shows; unknown in the first run of a tab."""
    return st.context.theme.type or "light"


def ink() -> str:
    """The colour for text marks."""
    return _INK[_theme()]


def legible(chart: Chart) -> Chart:
    """The same chart with axes and legends in a grey that can be read. Call it last."""
    quiet = _QUIET[_theme()]
    chart.config = alt.Config(
        axis=alt.AxisConfig(labelColor=quiet, titleColor=quiet),
        legend=alt.LegendConfig(labelColor=quiet, titleColor=quiet),
        header=alt.HeaderConfig(labelColor=quiet, titleColor=quiet),
        padding=PADDING,
    )
    return chart


def plot(rows: Sequence[Mapping[str, Any]]) -> alt.Chart:
    """A chart of rows, without a data frame."""
    return alt.Chart(alt.InlineData(values=[dict(row) for row in rows]))


def show(height: int, describes: str, *layers: alt.Chart) -> None:
    """Draw layers on one another, as wide as the page; screen readers read `describes`."""
    chart = legible(alt.LayerChart(layer=list(layers), height=height))
    st.vega_lite_chart(chart.to_dict(validate=False), alt=describes)


def seconds(field: str, title: str, longest: float, room: float = 1.08) -> alt.X:
    """A time axis from zero to `room` times the longest time."""
    scale = alt.Scale(domain=[0, longest * room or 1.0], nice=False)
    axis = alt.Axis(title=title, grid=False, tickCount=5, format="~f", domain=True)
    return alt.X(field, type="quantitative", scale=scale, axis=axis)


def lane(field: str, count: int) -> alt.Y:
    """A vertical scale of lanes from the top: lane n covers n to n + 1."""
    scale = alt.Scale(domain=[0, count], reverse=True, nice=False)
    return alt.Y(field, type="quantitative", scale=scale, axis=None)


def words(
    rows: Sequence[Mapping[str, Any]], x: alt.X, y: alt.Y, align: Align = "left", dx: int = 0
) -> alt.Chart:
    """Text of each row's `text` at its `x` and `y`, in the colour of text."""
    mark = plot(rows).mark_text(align=align, baseline="middle", fontSize=13, dx=dx, color=ink())
    drawn: alt.Chart = mark.encode(x=x, y=y, text=alt.Text("text:N"))
    return drawn
