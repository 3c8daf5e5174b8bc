"""Where the documents of a collection lie as files, written as code would name it."""

from pathlib import Path

from engine.workspace import Workspace


def short(path: Path) -> str:
    """From the folder First Token runs in, where that is on the way."""
    path = path.resolve()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def folder_of(workspace: Workspace, collection: str) -> str:
    """The folder of its original files; empty where there are none."""
    for document in workspace.library.documents(collection):
        if file := workspace.library.original(collection, document.source_id):
            return short(file.parents[1])
    return ""
