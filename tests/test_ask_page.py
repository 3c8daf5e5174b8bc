"""The Ask page as its script runs: Streamlit's own test harness, the real model and collection."""

import os
import re
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.budget import Rate
from engine.errors import StoreError
from engine.models.chat import ChatModel
from engine.run import Phase
from engine.settings import Settings
from engine.workspace import Stage, Turn, Workspace
from pages.parts.markdown import passage_markdown
from tests.on_a_server import embedded_only
from tests.scripted import ScriptedLLM

ROOT = Path(__file__).parents[1]
MILL = (
    b"The tide mill of Quernsay was built in 1684 by Hannah Voss. It ground barley for the island."
)
SECONDS = 60.0  # a loaded machine; a page that hangs for ever still fails


def held_back(until: threading.Event) -> None:
    until.wait(SECONDS)


def open_app() -> AppTest:
    return AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=SECONDS).run()


def add(workspace: Workspace, name: str, data: bytes) -> None:
    upload = workspace.ingestor.add("default", name, data)
    deadline = time.monotonic() + SECONDS
    while not upload.stage.ended and time.monotonic() < deadline:
        time.sleep(0.01)
    assert upload.stage is Stage.READY, upload.message
    workspace.ingestor.dismiss(upload)


def texts(app: AppTest) -> str:
    shown = [*app.markdown, *app.caption, *app.error, *app.info, *app.warning]
    return "\n".join(str(element.value) for element in shown)


def ask(app: AppTest, question: str) -> AppTest:
    return app.chat_input[0].set_value(question).run()


def test_an_empty_page_invites_to_add_files_or_samples(workspace: Workspace) -> None:
    app = open_app()
    assert not app.exception
    assert len(app.file_uploader) == 1
    assert any("sample documents" in button.label for button in app.button)


def test_a_question_is_answered_with_its_source_quoted_and_its_timing(workspace: Workspace) -> None:
    add(workspace, "mill.txt", MILL)
    app = ask(open_app(), "Who built the tide mill?")
    assert not app.exception
    shown = texts(app)
    assert "built in 1684 by Hannah Voss" in shown
    assert "first token" in shown
    assert "finished after" in shown
    (turn,) = workspace.turns("".join(app.query_params["conversation"]))
    assert turn.phase is Phase.DONE
    assert "Hannah Voss" in turn.text


def test_with_streaming_off_the_answer_is_the_same_and_says_so(workspace: Workspace) -> None:
    add(workspace, "mill.txt", MILL)
    app = open_app()
    app.toggle[0].set_value(False).run()
    app = ask(app, "Who built the tide mill?")
    shown = texts(app)
    assert "Hannah Voss" in shown
    assert "not streamed" in shown


def test_a_reload_finds_the_conversation_by_its_address(workspace: Workspace) -> None:
    add(workspace, "mill.txt", MILL)
    app = ask(open_app(), "Who built the tide mill?")
    again = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=SECONDS)
    again.query_params["conversation"] = app.query_params["conversation"]
    assert "Hannah Voss" in texts(again.run())


def test_an_uploaded_file_can_be_asked(workspace: Workspace) -> None:
    app = open_app()
    app.file_uploader[0].upload("mill.txt", MILL, "text/plain").run()
    (upload,) = workspace.ingestor.uploads("default")
    deadline = time.monotonic() + SECONDS
    while not upload.stage.ended and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "Hannah Voss" in texts(ask(app.run(), "Who built the tide mill?"))


def test_what_was_not_read_in_time_is_said_and_can_be_read_after_all(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(workspace, "mill.txt", MILL)
    llm = ScriptedLLM(["Hannah Voss."], rate=Rate(0.0, 1.0))  # a second for each word
    monkeypatch.setattr(workspace, "llm", llm)
    app = ask(open_app(), "Who built the tide mill?")
    assert "read 1 sentence of 1 passage. Reading all of it would have taken" in texts(app)
    assert "barley" not in llm.prompts[-1][-1].content
    next(button for button in app.button if button.label == "Ask without a limit").click().run()
    assert not app.exception
    assert "barley" in llm.prompts[-1][-1].content
    assert "Read 1 sentence" not in texts(app)


def test_a_fault_in_mid_answer_keeps_the_text_and_says_what_happened(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(workspace, "mill.txt", MILL)
    monkeypatch.setattr(workspace, "llm", ScriptedLLM(["It was ", "built ", OSError("disk gone")]))
    shown = texts(ask(open_app(), "Who built the tide mill?"))
    assert "It was built" in shown
    assert "disk gone" in shown


def test_markup_in_an_answer_is_shown_and_not_obeyed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(workspace, "mill.txt", MILL)
    evil = ["See !", "[x](http://evil.example/?q=mill) <script>alert(1)</script>"]
    monkeypatch.setattr(workspace, "llm", ScriptedLLM(evil))
    app = ask(open_app(), "Who built the tide mill?")
    assert "!\\[x\\](http" in texts(app)
    assert "<script" not in texts(app).replace("\\<", "")


def test_a_follow_up_is_understood_and_the_page_says_what_was_searched_for(
    workspace: Workspace,
) -> None:
    add(workspace, "mill.txt", MILL)
    add(workspace, "boats.txt", b"The boats of Quernsay were built in 1702 by Oliver Grange.")
    app = ask(ask(open_app(), "Who built the tide mill?"), "And when was that?")
    shown = texts(app)
    assert "Searched for: Who built the tide mill? And when was that?" in shown
    _, follow_up = workspace.turns("".join(app.query_params["conversation"]))
    assert follow_up.sources[0].node.file_name == "mill.txt"
    assert follow_up.searched_for == "Who built the tide mill? And when was that?"
    assert follow_up.trace
    assert "follow-up" in [span.name for span in follow_up.trace.spans]
    again = ask(app, "Who built the boats of Quernsay?")
    assert texts(again).count("Searched for:") == 1  # it stands alone


def test_the_text_that_was_searched_for_a_follow_up_can_be_corrected(workspace: Workspace) -> None:
    add(workspace, "mill.txt", MILL)
    app = ask(ask(open_app(), "Who built the tide mill?"), "And when was that?")
    next(button for button in app.button if button.label == "Correct").click().run()
    assert not app.exception
    (field,) = app.text_area
    assert field.value == "Who built the tide mill? And when was that?"
    field.set_value("When was the tide mill built?")
    next(button for button in app.button if button.label == "Ask").click().run()
    assert not app.exception
    _, corrected = workspace.turns("".join(app.query_params["conversation"]))
    assert (corrected.question, corrected.searched_for) == ("When was the tide mill built?", "")


def test_an_answer_that_nothing_supports_is_marked_and_has_no_citation(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(workspace, "mill.txt", MILL)
    monkeypatch.setattr(workspace, "llm", ScriptedLLM(["It was built in 2013 by Hannah Voss."]))
    app = ask(open_app(), "When was the tide mill built?")
    for page in (app, app.run()):
        shown = texts(page)
        assert "Not supported" in shown
        assert "“2013”" in shown
        assert "The quotation above stands as the answer" in shown
        assert "2013 by Hannah Voss. [" not in shown
    (turn,) = workspace.turns("".join(app.query_params["conversation"]))
    assert "2013" in turn.problem


def test_a_sentence_that_a_source_has_is_marked_with_a_link_to_it_and_an_invented_one_is_not(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(workspace, "mill.txt", MILL)
    said = [
        "Hannah Voss built it in 1684. ",
        "She was a famous whale hunter [1](http://x.example). ",
        "It ground barley for the island.",
    ]
    monkeypatch.setattr(workspace, "llm", ScriptedLLM(said))
    app = ask(open_app(), "Who built the tide mill?")
    (turn,) = workspace.turns("".join(app.query_params["conversation"]))
    (text,) = [str(each.value) for each in app.markdown if "famous" in str(each.value)]
    assert f"in 1684. [\\[1\\]](#source-{turn.id}-1) She" in text
    assert text.count("](") == 3
    assert "\\[1\\](http" in text
    assert not app.subheader  # a source's number is no heading


def test_markup_in_a_question_or_a_file_name_is_shown_and_not_obeyed(workspace: Workspace) -> None:
    add(workspace, "![x](http:evil.example).txt", MILL)
    app = ask(open_app(), "![x](http://evil.example) Who built the tide mill?")
    title = next(each.label for each in app.button if "evil" in each.label)
    assert "!\\[x\\]" in title.replace("\\!", "!")
    shown = [str(each.value) for each in app.markdown] + [each.label for each in app.expander]
    assert not any("![x](" in text or "!\\[x](" in text for text in shown)


def test_a_full_disk_is_told_and_what_was_saved_is_still_there(workspace: Workspace) -> None:
    add(workspace, "mill.txt", MILL)
    app = ask(open_app(), "Who built the tide mill?")
    database = workspace.conversations._db
    database.execute("PRAGMA max_page_count = 1")  # SQLite's own "disk is full" from here on
    app = ask(app, "Who built it? " + "really " * 560)
    assert not app.exception
    assert "Make room on the disk" in texts(app)
    assert "finished after" in texts(app)
    database.execute("PRAGMA max_page_count = 1000000")
    app = ask(app, "Who built the tide mill?")
    assert "Make room" not in texts(app)
    assert len(workspace.turns("".join(app.query_params["conversation"]))) == 2


def test_an_answer_that_cannot_be_saved_can_still_be_read(workspace: Workspace) -> None:
    conversation = workspace.conversations.create("default")
    asked = threading.Event()
    slow = ScriptedLLM(["The mill. " * 2000], before_piece=lambda _: held_back(asked))
    workspace.chat_model = ChatModel(slow)
    add(workspace, "mill.txt", MILL)
    response = workspace.ask(conversation, "Who built the tide mill?")
    workspace.conversations._db.execute("PRAGMA max_page_count = 1")
    asked.set()
    assert str(response)
    (turn,) = workspace.turns(conversation.id)
    assert turn.text == response.text


def test_settings_that_cannot_be_saved_leave_those_that_were(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    workspace.settings = replace(workspace.settings, passages=5)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        workspace.settings = replace(workspace.settings, passages=7)
    assert workspace.settings.passages == 5


def test_another_collection_leaves_the_conversation_with_a_sentence_and_a_way_back(
    workspace: Workspace,
) -> None:
    workspace.library.create("boats")
    add(workspace, "mill.txt", MILL)
    app = ask(open_app(), "Who built the tide mill?")
    app.selectbox(key="ask-collection-default").select("boats").run()
    assert "Questions now go to the collection boats." in texts(app)
    assert "Hannah Voss" not in texts(app)
    assert app.chat_input[0].placeholder == "Ask boats"
    next(each for each in app.button if each.label == "Go back to it").click().run()
    assert "Hannah Voss" in texts(app)
    assert app.selectbox(key="ask-collection-default").value == "default"


@embedded_only
def test_every_page_says_what_leaves_this_computer(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app()
    assert "Everything stays on this computer" in texts(app).replace("\\", "")
    server = "https://me:secret@example.org/v1"
    config = replace(Settings.config, tavily_api_key="secret", openai_base_url=server)
    monkeypatch.setattr(Settings, "config", config)
    monkeypatch.setattr(workspace, "llm", ScriptedLLM())
    said = texts(app.run()).replace("\\", "")
    assert "are sent to https://example.org" in said
    assert "web searches are sent to Tavily" in said
    assert "Everything stays" not in said and "secret" not in said


def test_the_chosen_collection_is_shown_on_the_other_pages_and_chosen_in_a_new_tab(
    workspace: Workspace,
) -> None:
    workspace.library.create("boats")
    app, other = open_app(), open_app()
    app.selectbox(key="ask-collection-default").select("boats").run()
    for page in ("agent", "compare", "library"):
        app.switch_page(f"pages/{page}.py").run()
        assert app.selectbox(key=f"{page}-collection-boats").value == "boats"
    assert open_app().selectbox(key="ask-collection-boats").value == "boats"
    other.run()
    assert other.selectbox(key="ask-collection-default").value == "default", "open tabs keep theirs"


def test_conversations_have_dates_and_a_search_and_two_of_one_name_have_their_times(
    workspace: Workspace,
) -> None:
    for number in range(8):
        conversation = workspace.conversations.create("default", f"Question {number // 2}")
        turn = Turn(str(number), "?", text=f"Answer {number}", phase=Phase.DONE)
        workspace.conversations.save(conversation.id, turn)
    app = open_app()
    assert "Today" in texts(app)
    labels = [each.label for each in app.button if "Question" in each.label]
    assert len(labels) == 8
    assert all(re.match(r":gray\[\d\d:\d\d\] Question", label) for label in labels)
    search = next(each for each in app.text_input if each.label == "Search conversations")
    search.input("answer 7").run()
    assert len([each for each in app.button if "Question" in each.label]) == 1
    search.input("no such words").run()
    assert "No match." in texts(app)


def test_a_failed_upload_stays_in_view_until_it_is_dismissed(workspace: Workspace) -> None:
    add(workspace, "mill.txt", MILL)
    upload = workspace.ingestor.add("default", "empty.pdf", b"%PDF-1.4 nothing")
    deadline = time.monotonic() + SECONDS
    while not upload.stage.ended and time.monotonic() < deadline:
        time.sleep(0.01)
    app = open_app()
    assert "empty" in texts(app)
    app = ask(app, "Who built the tide mill?")
    assert "empty" in texts(app)
    app.button(key="dismiss-failed").click().run()
    assert "empty" not in texts(app)


def test_a_question_after_an_edited_one_does_not_lean_on_the_replaced_turn(
    workspace: Workspace,
) -> None:
    add(workspace, "mill.txt", MILL)
    add(workspace, "boats.txt", b"The boats of Quernsay were built in 1702 by Oliver Grange.")
    app = ask(open_app(), "Who built the tide mill?")
    (first,) = workspace.turns("".join(app.query_params["conversation"]))
    conversation = workspace.conversations.find("".join(app.query_params["conversation"]))
    assert conversation
    str(workspace.ask(conversation, "Who built the boats of Quernsay?", instead_of=first))
    follow_up = workspace.ask(conversation, "And when was that?")
    str(follow_up)
    assert follow_up.searched_for == "Who built the boats of Quernsay? And when was that?"
    shown = texts(app.run())
    assert "Oliver Grange" in shown
    assert "Hannah Voss" not in shown


def test_a_passage_keeps_the_line_between_its_heading_and_its_text() -> None:
    text = "The light\n\nIt flashes twice. [Really](http://x.example)\n| a | b |"
    marked = passage_markdown(text, [(11, 28)])
    assert marked.startswith("The light\n\n:blue-background[It flashes twice\\.]")
    assert "[Really](" not in marked


def test_a_tab_does_not_take_back_the_name_that_another_one_gave(workspace: Workspace) -> None:
    conversation = workspace.conversations.create("default", "New conversation")
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=SECONDS)
    app.query_params["conversation"] = conversation.id
    app.run()
    workspace.conversations.rename(conversation.id, "The mill")
    app.run()
    kept = workspace.conversations.find(conversation.id)
    assert kept and kept.title == "The mill"
