"""What charts on all pages share: the two colours that mean something, and legible labels.

Blue streams, orange answers all at once, in both themes. Text in a chart is never in these
colours: on one background or the other it would fall below 4.5.
"""

from typing import TypeVar

import altair as alt
import streamlit as st

STREAMING = "#0072B2"
BLOCKING = "#D55E00"

Chart = TypeVar("Chart", alt.Chart, alt.LayerChart, alt.HConcatChart, alt.VConcatChart)

_INK = {"light": "#0C151C", "dark": "#E3E9ED"}
_QUIET = {"light": "#52606B", "dark": "#A9B4BC"}  # 6.5 and 8.8; Streamlit's own grey has 3.7


def _theme() -> str:
    """The theme that the browser shows; unknown in a tab's very first run."""
    return st.context.theme.type or "light"


def ink() -> str:
    """The colour for text marks."""
    return _INK[_theme()]


def legible(chart: Chart) -> Chart:
    """The same chart with axes and legends in a grey that can be read. Call it last."""
    quiet = _QUIET[_theme()]
    readable: Chart = (
        chart.configure_axis(labelColor=quiet, titleColor=quiet)
        .configure_legend(labelColor=quiet, titleColor=quiet)
        .configure_header(labelColor=quiet, titleColor=quiet)
    )
    return readable
