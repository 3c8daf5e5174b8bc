"""Folders and mails in the library: relative paths are kept, and attachments become documents."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.workspace.ingestion import Stage, Upload, is_hidden
from tests.making import zipped
from tests.opened import BREAD, FERRY, MILL, Opened

FILES = Path(__file__).parent / "files"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(tmp_path / "app")
    yield opened
    opened.close()


def add(app: Opened, name: str, content: bytes, directory: str = "") -> Upload:
    upload = app.ingestor.add("default", name, content, directory=directory)
    app.settle()
    return upload


def paths(app: Opened) -> set[str]:
    return {each.path for each in app.library.documents("default")}


def test_files_of_one_name_in_two_folders_are_two_documents(app: Opened) -> None:
    for directory, content in (("trip/north", FERRY), ("trip/south", MILL)):
        add(app, "notes.txt", content, directory)
    wanted = {"trip/north/notes.txt", "trip/south/notes.txt"}
    assert paths(app) == wanted
    again = add(app, "notes.txt", BREAD, "trip/north")
    assert again.stage is Stage.CHANGED, "the same path with other content is a question"
    app.ingestor.cancel(again)
    nodes = [
        app.library.passages("default", each.source_id)[0]
        for each in app.library.documents("default")
    ]
    assert {node.metadata["directory"] for node in nodes} == {"trip/north", "trip/south"}


def test_the_files_of_a_zip_keep_their_folders(app: Opened) -> None:
    packed = zipped({"a/notes.txt": FERRY, "b/notes.txt": MILL, "top.txt": BREAD})
    add(app, "trip.zip", packed, "inbox")
    assert paths(app) == {"inbox/a/notes.txt", "inbox/b/notes.txt", "inbox/top.txt"}


def test_what_is_attached_to_a_mail_becomes_a_document(app: Opened) -> None:
    add(app, "mail.msg", (FILES / "mail.msg").read_bytes())
    assert paths(app) == {"mail.msg", "budget.xlsx"}


def test_what_a_system_adds_to_folders_is_passed_over() -> None:
    hidden = ["a/.git/config", "a/~$draft.docx", "__MACOSX/x.txt", "a/Thumbs.db", ".DS_Store"]
    assert all(map(is_hidden, hidden))
    assert not any(map(is_hidden, ["a/b/report.pdf", "notes.txt", "a.b/c~.txt"]))
