"""Kinds of question on the pages: what was done is said, and *Summarise* asks for a summary."""

import time
from pathlib import Path

from streamlit.testing.v1 import AppTest

from engine.workspace import Stage, Workspace

ROOT = Path(__file__).parents[1]
SECONDS = 60.0


def opened(page: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=SECONDS)
    return app.run() if page == "ask" else app.switch_page(f"pages/{page}.py").run()


def add(workspace: Workspace, name: str) -> None:
    upload = workspace.ingestor.add("default", name, (ROOT / "samples" / name).read_bytes())
    deadline = time.monotonic() + SECONDS
    while not upload.stage.ended and time.monotonic() < deadline:
        time.sleep(0.01)
    assert upload.stage is Stage.READY, upload.message
    workspace.ingestor.dismiss(upload)


def texts(app: AppTest) -> str:
    return "\n".join(str(each.value) for each in [*app.markdown, *app.caption, *app.info])


def test_the_page_says_what_was_done_and_shows_no_figures_of_a_model(workspace: Workspace) -> None:
    add(workspace, "ferry-fares.csv")
    app = opened("ask").chat_input[0].set_value("List all ferry fares").run()
    shown = texts(app)
    assert "11 of 11 rows of ferry\\-fares\\.csv, computed" in shown
    assert "without the model" in shown and "tokens" not in shown
    again = opened("ask")  # a turn that has ended is drawn the same
    again.query_params["conversation"] = app.query_params["conversation"]
    assert "11 of 11 rows" in texts(again.run())


def test_summarise_in_the_library_asks_about_that_document_alone(workspace: Workspace) -> None:
    add(workspace, "ice-log.txt")
    add(workspace, "tide-mill.md")
    (document,) = (
        each for each in workspace.library.documents("default") if each.file_name == "ice-log.txt"
    )
    app = opened("library")
    app.query_params["document"] = document.source_id
    app.run()
    next(each for each in app.button if each.key == "summarise-document").click().run()
    (conversation,) = workspace.conversations.list("default")
    deadline = time.monotonic() + SECONDS
    while workspace.running(conversation.id) and time.monotonic() < deadline:
        workspace.hold(conversation.id)
        time.sleep(0.01)
    (turn,) = workspace.turns(conversation.id)
    assert turn.question == "Summarise ice-log.txt"
    assert {each.node.file_name for each in turn.sources} == {"ice-log.txt"}
    assert turn.trace and turn.trace.kind and turn.trace.kind.kind == "summary"
