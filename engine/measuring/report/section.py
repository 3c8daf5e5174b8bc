"""Section: one thing that a session shows, as the page and an exported file tell it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence that says what the chart below it shows."""

    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """HTML of drawing.py."""

    html: str


@dataclass(frozen=True, slots=True)
class Note:
    """A caption: how it was measured, and what it does not show."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """The values behind a chart. describes: for screen readers. open: shown at once."""

    rows: Rows
    describes: str
    open: bool = False


Block = Finding | Chart | Note | Table


@dataclass(slots=True)
class Section:
    """A title, a sentence or two on what it is, and its blocks in order."""

    title: str
    prose: str
    blocks: list[Block] = field(default_factory=list)

    @property
    def finding(self) -> str:
        """The first finding; empty without one."""
        return next((block.text for block in self.blocks if isinstance(block, Finding)), "")
