"""The folders of collections' original files, as paths for code."""

from pathlib import Path

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
