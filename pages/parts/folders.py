"""Folders: those that documents were added with, and the one of a collection's original files."""

from collections.abc import Sequence
from pathlib import Path

from engine.store import Source
from engine.workspace import Workspace


def short(path: Path) -> str:
    """The path relative to the folder in which First Token runs, if it is inside it."""
    path = path.resolve()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def folder_of(workspace: Workspace, collection: str) -> str:
    """The folder of the collection's original files; empty if there are none."""
    for document in workspace.library.documents(collection):
        if file := workspace.library.original(collection, document.source_id):
            return short(file.parents[1])
    return ""


def directories_of(documents: Sequence[Source]) -> list[str]:
    """The folders that documents were added with, and those above them, in order."""
    found: set[str] = set()
    for document in documents:
        parts = document.directory.split("/") if document.directory else []
        found.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return sorted(found)
