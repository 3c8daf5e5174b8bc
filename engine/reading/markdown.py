"""Markdown → sections, by way of HTML."""

import re
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt

from engine.reading.hypertext import sections_of
from engine.reading.plain import decode
from engine.reading.section import Section

_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n(?:---|\.\.\.)\s*(?:\n|\Z)", re.DOTALL)


def read_markdown(path: Path) -> Iterator[Section]:
    text = decode(path.read_bytes())
    if front := _FRONT_MATTER.match(text):
        yield Section(front[1])
        text = text[front.end() :]
    yield from sections_of(html_of(text))


def html_of(markdown: str) -> str:
    """As CommonMark has it, with tables and struck-out text."""
    page: str = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)
    return page
