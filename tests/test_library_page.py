"""The Library page as its script runs: Streamlit's own harness, the real collection."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.config import Config
from engine.workspace import Stage, Upload, Workspace
from pages.parts import resources, walkthrough_state
from tests.making import pdf, pdf_lines
from tests.scripted import ScriptedLLM

ROOT = Path(__file__).parents[1]
SECONDS = 60.0  # a loaded machine; a page that hangs for ever still fails
SENTENCE = "Line {} of page {} tells how the keeper of that year mended the lamp and the bell."


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace of this test's own, which the pages find as theirs."""
    opened = Workspace(tmp_path, Config(data_dir=tmp_path), ScriptedLLM())
    monkeypatch.setattr(resources, "_opened", [opened])
    yield opened
    opened.close()


def open_library() -> AppTest:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=SECONDS).run()
    return app.switch_page("pages/library.py").run()


def add(workspace: Workspace, name: str, data: bytes) -> Upload:
    return settled(workspace.ingestor.add("default", name, data))


def settled(upload: Upload) -> Upload:
    deadline = time.monotonic() + SECONDS
    while not (upload.stage.ended or upload.stage.needs_answer) and time.monotonic() < deadline:
        time.sleep(0.01)
    return upload


def texts(app: AppTest) -> str:
    shown = [*app.markdown, *app.caption, *app.error, *app.info, *app.warning]
    return "\n".join(str(element.value) for element in shown)


def names(app: AppTest) -> list[str]:
    return [str(name) for table in app.dataframe for name in table.value["Name"]]


def button(app: AppTest, label: str) -> None:
    next(each for each in app.button if each.label == label).click().run()


def test_a_pdf_of_a_hundred_pages_reports_what_each_stage_took(workspace: Workspace) -> None:
    lines = [[SENTENCE.format(n, page) for n in range(30)] for page in range(100)]
    upload = add(workspace, "long.pdf", pdf(*(pdf_lines(*each) for each in lines)))
    assert upload.stage is Stage.READY, upload.message
    shown = texts(open_library())
    assert f"ready, {upload.passages} passages in" in shown
    stages = (Stage.READING, Stage.SPLITTING, Stage.EMBEDDING, Stage.STORING)
    report = " · ".join(f"{stage} {upload.seconds[stage]:.1f} s" for stage in stages)
    share = upload.seconds[Stage.STORING] / sum(upload.seconds[stage] for stage in stages)
    assert f"{report} · the database's share {share:.0%}" in shown


def test_names_are_searched(workspace: Workspace) -> None:
    add(workspace, "mill.txt", b"The tide mill was built in 1684.")
    add(workspace, "boats.txt", b"The boats were built in 1702.")
    app = open_library()
    assert sorted(names(app)) == ["boats.txt", "mill.txt"]
    search = next(each for each in app.text_input if each.label == "Search in names")
    assert names(search.set_value("MILL").run()) == ["mill.txt"]
    assert "No name has that in it." in texts(search.set_value("whale").run())


@pytest.mark.parametrize(("choice", "kept"), [("Replace", 1), ("Keep both", 2)])
def test_a_changed_file_of_the_same_name_replaces_or_stands_beside(
    workspace: Workspace, choice: str, kept: int
) -> None:
    add(workspace, "mill.txt", b"The tide mill was built in 1684.")
    upload = add(workspace, "mill.txt", b"The tide mill was built in 1685.")
    assert upload.message == "You have another mill.txt. Replace it, or keep both?"
    button(open_library(), choice)
    assert settled(upload).stage is Stage.READY, upload.message
    assert len(workspace.library.documents("default")) == kept


def test_the_same_file_again_is_recognised_by_its_content(workspace: Workspace) -> None:
    add(workspace, "mill.txt", b"The tide mill was built in 1684.")
    add(workspace, "copy.txt", b"The tide mill was built in 1684.")
    shown = texts(open_library()).replace("\\", "")
    assert "copy.txt is there already, as mill.txt" in shown


def test_a_collection_is_made_asked_and_deleted(workspace: Workspace) -> None:
    app = open_library()
    field = next(each for each in app.text_input if each.label == "New collection")
    field.set_value("letters")
    button(app, "Make it")
    assert workspace.library.collections() == ["default", "letters"]
    assert app.selectbox[0].value == "letters"
    button(app, "Delete letters")
    button(app, "Delete it")
    assert workspace.library.collections() == ["default"]


def test_what_a_model_has_read_ahead_is_shown_where_it_reads_passages(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(workspace, "mill.txt", b"The tide mill was built in 1684.")
    monkeypatch.setattr(workspace, "prepared", lambda *_: 1)
    assert list(open_library().dataframe[0].value["Prepared"]) == [100.0]
    monkeypatch.setattr(workspace, "prepared", lambda *_: None)
    assert "Prepared" not in open_library().dataframe[0].value


def test_a_deleted_collection_is_gone_from_walkthrough_notebooks_too(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[str] = []

    class Open:
        def forget(self) -> None:
            forgotten.append("all")

    monkeypatch.setattr(walkthrough_state, "_open", {"one": Open()})
    workspace.library.create("letters")
    app = open_library()
    app.selectbox[0].set_value("letters").run()
    button(app, "Delete letters")
    assert forgotten == []
    button(app, "Delete it")
    assert forgotten == ["all"]


def test_a_deleted_document_is_no_longer_told_as_a_ready_upload(workspace: Workspace) -> None:
    gone, kept = (add(workspace, name, name.encode()) for name in ("a.txt", "b.txt"))
    for upload in (gone, kept):
        assert settled(upload).stage is Stage.READY
    workspace.delete_documents("default", [gone.source_id])
    assert workspace.ingestor.uploads("default") == [kept]
    assert "1 file ready" in "\n".join(each.label for each in open_library().expander)
