"""The sections of a session on the Compare page: open, or folded with their finding as a label."""

import streamlit as st

from engine.measuring.report import drawing, race
from engine.measuring.report.section import Chart, Finding, Note, Section, Table
from pages.parts.markdown import plain_markdown

VERDICT = ".st-key-verdict p { font-size: 1.25rem; line-height: 1.4; }"
STYLE = f"<style>{drawing.STYLE}{race.STYLE}{VERDICT}</style>"
TABLE_HEIGHT = 320  # pixels, at most


def cell(title: str, prose: str = "") -> None:
    """The head of a cell: its title, and one or two sentences."""
    st.subheader(title, anchor=False)
    if prose:
        st.markdown(prose)


def show_result(section: Section) -> None:
    """The section that the page begins with: its finding is larger than all others."""
    cell(section.title, plain_markdown(section.prose))
    with st.container(key="verdict"):
        st.markdown(f"**{plain_markdown(section.finding)}.**")
    show_blocks(section, section.finding)


def folded(title: str, finding: str = "") -> "st.delta_generator.DeltaGenerator":
    """A section that one click opens; what it shows is said in its label."""
    said = f" {plain_markdown(finding)}." if finding else ""
    return st.expander(f"**{title}.**{said}", key=f"section-{title}")


def fold(section: Section) -> None:
    with folded(section.title, section.finding):
        st.markdown(plain_markdown(section.prose))
        show_blocks(section, section.finding)


def show_blocks(section: Section, said: str = "") -> None:
    """The blocks of a section; the finding `said` is shown already."""
    for block in section.blocks:
        match block:
            case Finding(text):
                if text != said:
                    st.markdown(f"**{plain_markdown(text)}**")
            case Chart(html):
                st.html(html)
            case Note(text):
                st.caption(note_markdown(text))
            case Table(rows, describes):
                st.dataframe(
                    [dict(row) for row in rows],
                    hide_index=True,
                    height="content" if len(rows) < 8 else TABLE_HEIGHT,
                    alt=describes,
                )


def note_markdown(text: str) -> str:
    """A note in Markdown. Only its strong words, between two pairs of asterisks, are markup."""
    parts = [plain_markdown(part) for part in text.split("**")]  # without spaces at the ends
    return " ".join(f"**{part}**" if place % 2 else part for place, part in enumerate(parts))
