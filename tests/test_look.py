"""What the app looks like: the theme as it is written, computed; and as a browser shows it."""

import tomllib
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import (
    ROOT,
    RunningApp,
    frame_around,
    low_contrast,
    open_page,
    running_app,
    wait_until_true,
)

STREAMLIT = ROOT / ".streamlit" / "config.toml"
THEME: dict[str, Any] = tomllib.loads(STREAMLIT.read_text())["theme"]
READABLE, VISIBLE = 4.5, 3.0  # WCAG 2.2: text (1.4.3), graphics (1.4.11)
HUES = ("red", "orange", "yellow", "blue", "green", "violet", "gray")


# ---- The theme, computed


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of "#RRGGBB"."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def blend(colour: str, behind: str, opacity: float) -> str:
    pairs = [(int(colour[p : p + 2], 16), int(behind[p : p + 2], 16)) for p in (1, 3, 5)]
    return "#" + "".join(f"{round(a * opacity + b * (1 - opacity)):02X}" for a, b in pairs)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_text_can_be_read_on_every_background_of_the_theme(name: str) -> None:
    theme = THEME[name]
    for background in ("backgroundColor", "secondaryBackgroundColor", "codeBackgroundColor"):
        behind = theme[background]
        captions = blend(theme["textColor"], behind, 0.6)  # Streamlit's own opacity
        texts = [theme["textColor"], theme["linkColor"], theme["codeTextColor"], captions]
        texts += [theme[f"{hue}TextColor"] for hue in HUES]
        assert min(contrast(text, behind) for text in texts) >= READABLE, background
    for hue in HUES:
        assert contrast(theme[f"{hue}TextColor"], theme[f"{hue}BackgroundColor"]) >= READABLE, hue


@pytest.mark.parametrize("name", ["light", "dark"])
def test_buttons_and_chart_colours_stand_out_in_the_theme(name: str) -> None:
    theme = THEME[name]
    assert contrast("#FFFFFF", theme["primaryColor"]) >= READABLE  # Streamlit writes white on it
    marks = [theme["primaryColor"], *THEME["chartCategoricalColors"]]
    assert min(contrast(mark, theme["backgroundColor"]) for mark in marks) >= VISIBLE


def test_fonts_are_served_from_here_with_their_licences_and_stay_small() -> None:
    faces = THEME["fontFaces"]
    for face in faces:
        assert (ROOT / face["url"].removeprefix("app/")).is_file(), face["url"]
    families = {face["url"].split("/")[-1].split("-latin")[0] for face in faces}
    fonts = ROOT / "static" / "fonts"
    assert {f"OFL-{family}.txt" for family in families} == {f.name for f in fonts.glob("OFL*")}
    assert sum(file.stat().st_size for file in fonts.glob("*.woff2")) < 600_000


# ---- The theme, shown

LOADED_FONTS = """names => names.every(name => [...document.fonts].some(
  font => font.status === "loaded" && font.family.replaceAll('"', "") === name))"""
SPECIMEN = '''
import altair as alt
import pandas as pd
import streamlit as st

from pages.parts.charts import BLOCKING, STREAMING, ink, legible

CODE = """
# What comes
@cache
def first(token: str) -> bool:
    return token.startswith(f"{token}!") and len(token) > 3 is not None or True
class One(Two):
    three = [1.5, "four", None]
"""

st.title("A title")
st.caption("A caption")
st.markdown("Prose with `code`, :blue[streams], :orange-badge[waits], :gray[quiet], [a link](/).")
st.markdown("> The sentence that answers.")
st.info("Info"), st.success("Success"), st.warning("Warning"), st.error("Error")
st.status("Reading 312 of 480 tokens")
st.metric("First token", "0.21 s", "-3 %")
st.chat_message("user").write("When does the supply boat come?")
st.expander("Passage 1", expanded=True).write("The supply boat comes on the first Tuesday.")
st.file_uploader("Documents")
st.button("Ask", type="primary")
st.sidebar.selectbox("Collection", ["Samples"])
st.code(CODE)
st.code("CORES=0  # all of them", language="ini")
frame = pd.DataFrame({"mode": ["streaming", "whole"], "seconds": [0.2, 1.1]})
bars = alt.Chart(frame).encode(x="seconds", y="mode")
colours = alt.Color("mode").scale(range=[STREAMING, BLOCKING])
labels = bars.mark_text(color=ink()).encode(text="seconds")
st.altair_chart(legible(bars.mark_bar().encode(color=colours) + labels))
'''


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app with one page of everything that pages are made of."""
    folder = frame_around(SPECIMEN, tmp_path_factory.mktemp("specimen") / "app")
    with running_app(tmp_path_factory.mktemp("data"), folder) as started:
        yield started


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_theme_follows_the_system_and_can_be_read(
    browser: Browser, app_url: str, scheme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(color_scheme=scheme)
    tab = context.new_page()
    open_page(tab, app_url)
    tab.locator("[data-testid=stVegaLiteChart] svg.marks").wait_for()
    red, green, blue = (int(THEME[scheme]["backgroundColor"][p : p + 2], 16) for p in (1, 3, 5))
    shown = tab.locator("[data-testid=stApp]").evaluate("e => getComputedStyle(e).backgroundColor")
    assert shown == f"rgb({red}, {green}, {blue})"
    assert low_contrast(tab) == []
    context.close()


@pytest.mark.browser
def test_the_fonts_of_the_theme_and_the_name_of_the_page_are_the_ones_shown(
    page: Page, app_url: str
) -> None:
    open_page(page, app_url)
    page.locator("[data-testid=stCode]").first.wait_for()
    named = sorted({face["family"] for face in THEME["fontFaces"]})
    wait_until_true(page, LOADED_FONTS, named)
    assert page.title() == "Ask · First Token"
