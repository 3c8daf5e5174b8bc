"""Facts about a document in a few words: its parts, its size, its age."""

from datetime import UTC, datetime

from engine.english import counted
from engine.reading.formats import part_name
from engine.store import Source
from engine.workspace import Workspace
from pages.parts.markdown import plain_markdown

_UNITS = [("day", 86_400), ("hour", 3_600), ("minute", 60)]
_A_MONTH = 30  # days; what is older is given by its date


def readable_size(size: int) -> str:
    """Bytes → "0.4 KB", "87 KB", "1.8 MB"."""
    kilobytes = max(size / 1000, 0.1 if size else 0.0)
    if kilobytes < 999.5:
        return f"{kilobytes:.1f} KB" if kilobytes < 9.95 else f"{kilobytes:.0f} KB"
    return f"{kilobytes / 1000:.1f} MB"


def ago(time: str) -> str:
    """How long ago a time (ISO 8601) was; after a month, its date."""
    then = datetime.fromisoformat(time)
    seconds = (datetime.now(UTC) - then).total_seconds()
    if seconds >= _A_MONTH * 86_400:
        return then.astimezone().strftime("%-d %B %Y")
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{counted(int(seconds // length), unit)} ago"
    return "just now"


def facts_of(workspace: Workspace, collection: str, document: Source) -> str:
    """The parts, passages, size and age of a document in one line."""
    part = part_name(document.file_name)
    passages = counted(document.passages, "passage")
    prepared = workspace.prepared(collection, document.source_id)
    if prepared is not None:
        passages += f" ({prepared / max(1, document.passages):.0%} prepared)"
    facts = [passages, readable_size(document.size), ago(document.added_at)]
    if document.pages > 1 or part != "section":  # one section is the whole file
        facts.insert(0, counted(document.pages, part))
    if document.tags:
        facts.append(f"tags: {plain_markdown(', '.join(document.tags))}")
    return " · ".join(facts)
