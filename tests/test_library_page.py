"""The Library page as its script runs: Streamlit's own harness, the real collection."""

import io
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.config import Config
from engine.errors import StoreError
from engine.schema import Filters
from engine.workspace import Stage, Upload, Workspace
from pages.parts import resources, uploads, walkthrough_state
from tests.making import pdf, pdf_lines
from tests.on_a_server import embedded_only
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
    shown = [*app.title, *app.markdown, *app.caption, *app.error, *app.info, *app.warning]
    return "\n".join(str(element.value) for element in shown)


def names(app: AppTest) -> list[str]:
    """The documents listed, in order."""
    return [
        each.label.replace("\\", "")
        for each in app.button
        if (each.key or "").startswith("open-")
    ]


def button(app: AppTest, label: str) -> None:
    next(each for each in app.button if each.label == label).click().run()


def test_a_pdf_of_twelve_pages_reports_what_each_stage_took(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "WORTH_A_REPORT", 0.0)  # also on a fast machine
    lines = [[SENTENCE.format(n, page) for n in range(30)] for page in range(12)]
    upload = add(workspace, "long.pdf", pdf(*(pdf_lines(*each) for each in lines)))
    assert upload.stage is Stage.READY, upload.message
    shown = texts(open_library())
    assert f"ready, {upload.passages} passages in" in shown
    stages = (Stage.READING, Stage.SPLITTING, Stage.EMBEDDING, Stage.STORING)
    report = " · ".join(f"{stage} {upload.seconds[stage]:.1f} s" for stage in stages)
    share = upload.seconds[Stage.STORING] / sum(upload.seconds[stage] for stage in stages)
    assert f"{report} · the database's share {share:.0%}" in shown


def test_names_are_searched_and_sorted(workspace: Workspace) -> None:
    sizes = {"mill.txt": 30, "boats.txt": 20, "bread.txt": 60, "ferry.txt": 50, "ice.txt": 40}
    for name, size in sizes.items():
        add(workspace, name, name.encode() * size)
    app = open_library()
    assert names(app) == ["ice.txt", "ferry.txt", "bread.txt", "boats.txt", "mill.txt"]
    assert [each.key for each in app.text_input if "earch" in each.label] == []  # seen at a glance
    add(workspace, "lamp.txt", b"The lamp was lit at dusk.")
    app = app.run()
    app.selectbox(key="documents-order").set_value("name").run()
    assert names(app)[:2] == ["boats.txt", "bread.txt"]
    app.selectbox(key="documents-order").set_value("size").run()
    assert names(app)[0] == "bread.txt"
    app.text_input(key="documents-search").set_value("MILL").run()
    assert names(app) == ["mill.txt"]
    app.text_input(key="documents-search").set_value("whale").run()
    assert "No match." in texts(app)


def test_fifty_documents_are_shown_at_once(workspace: Workspace) -> None:
    for n in range(51):
        add(workspace, f"{n:02}.txt", f"Note {n} of the keeper.".encode())
    app = open_library()
    assert len(names(app)) == 50
    app.session_state["documents-page"] = 2
    assert names(app.run()) == ["00.txt"]


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
    assert "**copy.txt** · already in the Library as mill.txt" in shown
    assert ":red[" not in shown
    (line,) = [each.label for each in open_library().expander if "file" in each.label]
    assert line.endswith("1 file ready, 1 already in the Library")


def test_a_collection_is_made_asked_and_deleted(workspace: Workspace) -> None:
    app = open_library()
    field = next(each for each in app.text_input if each.label == "New collection")
    field.set_value("letters")
    button(app, "Create")
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
    assert "1 passage (100% prepared) · 0.1 KB · just now" in texts(open_library())
    monkeypatch.setattr(workspace, "prepared", lambda *_: None)
    assert "1 passage · 0.1 KB · just now" in texts(open_library())


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


def test_a_deleted_document_is_no_longer_listed_as_a_ready_upload(workspace: Workspace) -> None:
    gone, kept = (add(workspace, name, name.encode()) for name in ("a.txt", "b.txt"))
    for upload in (gone, kept):
        assert settled(upload).stage is Stage.READY
    workspace.delete_documents("default", [gone.source_id])
    assert workspace.ingestor.uploads("default") == [kept]
    assert "1 file ready" in "\n".join(each.label for each in open_library().expander)


# Deleting


def tick(app: AppTest, *wanted: str) -> AppTest:
    for checkbox in app.checkbox:
        if checkbox.label.removeprefix("Select ") in wanted:
            checkbox.check()
    return app.run()


def listed(workspace: Workspace, collection: str = "default") -> list[str]:
    return sorted(each.file_name for each in workspace.library.documents(collection))


def test_documents_are_deleted_without_a_dialog_and_undo_restores_them(
    workspace: Workspace,
) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        add(workspace, name, name.encode())
    app = tick(open_library(), "a.txt", "b.txt")
    button(app, "Delete 2 documents")
    assert listed(workspace) == names(app) == ["c.txt"]
    app.run()  # a rerun keeps the line
    assert "2 documents deleted\\." in texts(app)
    button(app, "Undo")
    assert listed(workspace) == ["a.txt", "b.txt", "c.txt"]
    assert sorted(names(app)) == ["a.txt", "b.txt", "c.txt"]
    assert "deleted" not in texts(app)


def test_what_was_deleted_before_an_error_can_be_restored(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.txt", "b.txt"):
        add(workspace, name, name.encode())
    delete = workspace.delete_documents

    def full(collection: str, source_ids: list[str]) -> None:
        delete(collection, source_ids[:1])
        raise StoreError("The disk is full.")

    monkeypatch.setattr(workspace, "delete_documents", full)
    app = tick(open_library(), "a.txt", "b.txt")
    button(app, "Delete 2 documents")
    assert app.session_state["problems"] == ["The disk is full."]
    assert "b\\.txt deleted" in texts(app)  # the latest is the first
    button(app, "Undo")
    assert listed(workspace) == ["a.txt", "b.txt"]


def test_the_line_with_undo_is_dismissed_or_gives_way_to_the_next_deletion(
    workspace: Workspace,
) -> None:
    for name in ("a.txt", "b.txt"):
        add(workspace, name, name.encode())
    app = tick(open_library(), "a.txt")
    button(app, "Delete 1 document")
    tick(app, "b.txt")
    button(app, "Delete 1 document")
    assert "a\\.txt deleted" not in texts(app)
    assert "b\\.txt deleted" in texts(app)
    button(app, "Dismiss")
    assert "b\\.txt deleted" not in texts(app)


def test_all_documents_that_are_shown_are_selected_at_once(workspace: Workspace) -> None:
    for name in ("a.txt", "b.txt"):
        add(workspace, name, name.encode())
    app = open_library()
    button(app, "Select all")
    assert all(each.value for each in app.checkbox)
    button(app, "Select none")
    assert not any(each.value for each in app.checkbox)


def test_a_document_deleted_earlier_is_restored_from_the_list(workspace: Workspace) -> None:
    upload = add(workspace, "mill.txt", b"The tide mill was built in 1684.")
    workspace.delete_documents("default", [upload.source_id])
    app = open_library()
    assert "**mill\\.txt** · deleted just now" in texts(app)
    button(app, "Restore")
    assert names(app) == ["mill.txt"]
    assert "Recently deleted" not in [each.label for each in app.expander]


def test_a_document_that_was_added_again_is_not_offered_to_be_restored(
    workspace: Workspace,
) -> None:
    for _ in range(2):
        upload = add(workspace, "mill.txt", b"The tide mill was built in 1684.")
        workspace.delete_documents("default", [upload.source_id])
    assert [each.label for each in open_library().button].count("Restore") == 1
    add(workspace, "mill.txt", b"The tide mill was built in 1684.")
    app = open_library()
    assert "Restore" not in [each.label for each in app.button]
    assert "2 files" in texts(app)  # to be emptied


def test_an_emptied_trash_is_final_and_ends_the_offer_to_undo(workspace: Workspace) -> None:
    add(workspace, "mill.txt", b"The tide mill was built in 1684.")
    app = tick(open_library(), "mill.txt")
    button(app, "Delete 1 document")
    button(app, "Empty the trash")
    assert len(workspace.library.trash()) == 1  # until it is confirmed
    button(app, "Delete permanently")
    assert workspace.library.trash() == []
    assert not {"Undo", "Restore"} & {each.label for each in app.button}


def test_what_can_no_longer_be_restored_is_said(workspace: Workspace) -> None:
    add(workspace, "mill.txt", b"The tide mill was built in 1684.")
    app = tick(open_library(), "mill.txt")
    button(app, "Delete 1 document")
    workspace.library.empty_trash()  # in another tab
    button(app, "Undo")
    (problem,) = app.session_state["problems"]  # which the frame around the page shows
    assert problem.startswith("1 document could not be restored, because the trash was emptied.")
    assert "Undo" not in [each.label for each in app.button]


def test_a_deleted_collection_is_restored_with_its_documents(workspace: Workspace) -> None:
    workspace.library.create("letters")
    settled(workspace.ingestor.add("letters", "mill.txt", b"The tide mill was built in 1684."))
    conversation = workspace.conversations.create("letters")
    workspace.conversations.rename(conversation.id, "About the mill")
    app = open_library()
    app.selectbox[0].set_value("letters").run()
    button(app, "Delete letters")
    assert "Its 1 document can be restored for 30 days." in texts(app)
    assert "Its 1 conversation **cannot** be restored." in texts(app)
    button(app, "Delete it")
    assert "Collection letters with 1 document deleted" in texts(app)
    button(app, "Undo")
    assert app.selectbox[0].value == "letters"
    repaired(workspace, "letters")
    assert names(app.run()) == ["mill.txt"]


def repaired(workspace: Workspace, collection: str = "default") -> None:
    """Wait until nothing is left in work of what is indexed again."""
    deadline = time.monotonic() + SECONDS
    idle = (Stage.READY, Stage.LOCKED, Stage.FAILED)
    while any(each.stage not in idle for each in workspace.library.repairs(collection)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Rebuilding


@pytest.fixture
def repair(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Upload:
    """A repair of a document, of which a test decides how it goes."""
    upload = Upload("mill.txt", "default", Path("mill"))
    upload.source_id = "0" * 64
    monkeypatch.setattr(workspace.library, "repairs", lambda _collection=None: [upload])
    return upload


def test_the_progress_of_a_rebuild_is_one_line_in_an_empty_list(
    workspace: Workspace, repair: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = [Upload(f"{n}.txt", "default", Path("done"), stage=Stage.READY) for n in range(3)]
    monkeypatch.setattr(workspace.library, "repairs", lambda _=None: [*done, repair])
    app = open_library()
    (progress,) = app.get("progress")
    assert "Rebuilding the search index from your files: 3 of 4" in str(progress.proto)
    assert "There are no documents here yet" not in texts(app)


def test_a_file_that_needs_its_password_to_be_rebuilt_asks_for_it(
    workspace: Workspace, repair: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    repair.enter(Stage.LOCKED)
    tried: list[tuple[Upload, str | None]] = []
    monkeypatch.setattr(
        workspace.library, "repair", lambda upload, password=None: tried.append((upload, password))
    )
    app = open_library()
    assert "**mill\\.txt** needs its password to be indexed again" in texts(app)
    next(each for each in app.text_input if "Password" in each.label).set_value("open")
    button(app, "Open")
    assert tried == [(repair, "open")]


def test_a_file_that_could_not_be_rebuilt_is_tried_again(
    workspace: Workspace, repair: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    repair.message = "mill.txt could not be indexed again. Its file is kept: /data/mill.txt"
    repair.enter(Stage.FAILED)
    tried: list[Upload] = []
    monkeypatch.setattr(workspace.library, "repair", tried.append)
    app = open_library()
    shown = texts(app).replace("\\", "")
    assert "**mill.txt** could not be indexed again. Its file is kept" in shown
    assert f"({repair.run.id} in the log)" in shown
    button(app, "Try again")
    assert tried == [repair]


# A document on a page of its own


def test_a_name_opens_the_document_on_a_page_of_its_own(workspace: Workspace) -> None:
    lines = [SENTENCE.format(n, page) for page in range(12) for n in range(30)]
    pages = [pdf_lines(*lines[at : at + 30]) for at in range(0, len(lines), 30)]
    add(workspace, "log.pdf", pdf(*pages))
    add(workspace, "mill.txt", b"The tide mill was built in 1684.")
    app = open_library()
    (document,) = [d for d in workspace.library.documents("default") if d.file_name == "log.pdf"]
    button(app, "log\\.pdf")
    shown = texts(app)
    assert app.title[0].value == "log\\.pdf"
    assert f"default · 12 pages · {document.passages} passages" in shown
    assert "passage 1 · page 1" in shown
    assert "passage 11" not in shown
    assert [each.label for each in app.toggle].count("Show the page") == 10
    assert not app.get("file_uploader")
    app.session_state[f"passages-{document.source_id}"] = 2
    assert "passage 11 · page" in texts(app.run())
    button(app, "All documents")
    assert names(app) == ["mill.txt", "log.pdf"]


def test_a_document_deleted_on_its_page_can_be_restored_in_the_list(workspace: Workspace) -> None:
    add(workspace, "mill.txt", b"The tide mill was built in 1684.")
    app = open_library()
    button(app, "mill\\.txt")
    assert len(app.get("download_button")) == 1
    button(app, "Delete")
    assert listed(workspace) == []
    button(app, "Undo")
    assert names(app) == ["mill.txt"]


def test_a_document_is_asked_alone_by_a_filter_of_a_new_conversation(workspace: Workspace) -> None:
    log = add(workspace, "ice log (1908).txt", b"The coldest night was the second of June.")
    add(workspace, "mill.txt", b"The mill was built in 1684.")
    app = open_library()
    button(app, "ice log \\(1908\\)\\.txt")
    button(app, "Ask only this document")
    app.chat_input[0].set_value("When was the mill built?").run()
    (conversation,) = workspace.conversations.list("default")
    deadline = time.monotonic() + SECONDS
    while workspace.running(conversation.id) and time.monotonic() < deadline:
        time.sleep(0.01)
    (turn,) = workspace.turns(conversation.id)
    assert turn.filters == Filters(source_ids=(log.source_id,))
    assert {each.node.file_name for each in turn.sources} == {"ice log (1908).txt"}
    assert workspace.library.collections() == ["default"]


def test_documents_are_tagged_alone_and_together_and_found_by_their_tags(
    workspace: Workspace,
) -> None:
    add(workspace, "ferry.txt", b"The ferry leaves at noon.")
    add(workspace, "mill.txt", b"The mill was built in 1684.")
    app = open_library()
    button(app, "mill\\.txt")
    (tags,) = [each for each in app.multiselect if each.label == "Tags"]
    tags.set_value(["buildings"]).run()
    assert {each.tags for each in workspace.library.documents("default")} == {(), ("buildings",)}
    button(app, "All documents")
    assert "tags: buildings" in texts(app)
    button(app, "Select all")
    app.multiselect(key="tags-chosen").set_value(["island"]).run()
    button(app, "Add")
    wanted = {("buildings", "island"), ("island",)}
    assert {each.tags for each in workspace.library.documents("default")} == wanted
    app.selectbox(key="documents-tag").set_value("buildings").run()
    assert names(app) == ["mill.txt"]
    app.multiselect(key="tags-chosen").set_value(["island", "buildings"]).run()
    button(app, "Remove")  # of the one that is shown, which is still selected
    assert {each.tags for each in workspace.library.documents("default")} == {("island",), ()}


def test_an_address_of_a_document_opens_it_in_its_collection(workspace: Workspace) -> None:
    workspace.library.create("letters")
    upload = settled(workspace.ingestor.add("letters", "mill.txt", b"It was built in 1684."))
    app = open_library()
    app.query_params["document"] = upload.source_id
    assert app.run().title[0].value == "mill\\.txt"
    workspace.delete_documents("letters", [upload.source_id])
    app.run()
    assert app.title[0].value == "Library"
    assert "document" not in app.query_params


# Uploads


def test_files_in_a_zip_are_counted_and_not_the_zip(workspace: Workspace) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for n in range(8):
            archive.writestr(f"{n}.txt", f"Note {n} of the keeper.")
    add(workspace, "mill.txt", b"The tide mill was built in 1684.")
    add(workspace, "notes.zip", packed.getvalue())
    for upload in workspace.ingestor.uploads("default"):
        settled(upload)
    labels = [each.label for each in open_library().expander]
    assert any(label.endswith("9 files ready") for label in labels)
    workspace.ingestor.uploads("default")[-1].enter(Stage.READING)
    labels = [each.label for each in open_library().expander]
    assert any(label.endswith("Adding 9 files") for label in labels)


def test_a_failed_upload_names_its_file_once_and_its_lines_in_the_log(
    workspace: Workspace,
) -> None:
    upload = add(workspace, "photo.png", b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert upload.stage is Stage.FAILED
    (line,) = [m.value for m in open_library().markdown if "photo" in m.value]
    assert line.count("photo") == 1
    assert f"({upload.run.id} in the log)" in line


def test_a_file_that_cannot_be_taken_in_is_named_with_the_reason(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> Upload:
        raise StoreError("The collection was deleted. Choose another collection.")

    monkeypatch.setattr(workspace.ingestor, "add", gone)
    app = open_library()
    app.file_uploader[0].upload("mill.txt", b"The tide mill.", "text/plain")
    assert app.run().error[0].value == (
        "mill\\.txt was not added. The collection was deleted. Choose another collection."
    )


@embedded_only
def test_the_index_moves_from_the_page_and_a_server_that_is_gone_is_named(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pages.parts.moving.may_edit", lambda *_: True)
    monkeypatch.setattr("engine.store.server.READ_PATIENCE", 0.1)
    app = open_library()
    assert [each.label for each in app.expander][-1] == "Search index: on this computer"
    address = next(each for each in app.text_input if each.label == "Qdrant server")
    address.set_value("127.0.0.1:9")
    button(app, "Move")
    assert "must begin with http" in texts(app)
    address = next(each for each in app.text_input if each.label == "Qdrant server")
    address.set_value("http://127.0.0.1:9")
    button(app, "Move")
    move = workspace.library.move
    assert move and move.ended.wait(30)
    app.run()
    assert "The Qdrant server at http://127.0.0.1:9 failed" in texts(app).replace("\\", "")
    assert "Continue" in [each.label for each in app.button]
