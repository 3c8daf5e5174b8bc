import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import StoreError
from engine.run import Phase
from engine.schema import Evidence, Node, NodeWithScore, Scores
from engine.timing import Trace
from engine.workspace import conversations
from engine.workspace.conversations import Conversation, ConversationStore, Turn
from engine.workspace.export import as_json, as_markdown
from tests import damage
from tests.damage import DAMAGES


@pytest.fixture
def store(tmp_path: Path) -> ConversationStore:
    return ConversationStore(tmp_path / "conversations.sqlite3")


def full_turn() -> Turn:
    trace = Trace()
    with trace.span("search"):
        trace.begin_call("answer").token_times.append(0.5)
    node = Node("It was 1887.", {"file_name": "mill.pdf", "page_label": "3"}, source_id="s")
    source = NodeWithScore(node, 0.9, Scores(dense=0.7, rerank=3.2), (Evidence(0, 12, 3.2),))
    return Turn("t1", "When?", "In 1887.", Phase.DONE, "", ("A note.",), (source,), trace)


def test_a_turn_comes_back_as_it_was_saved_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "conversations.sqlite3"
    first = ConversationStore(path)
    conversation = first.create("default")
    turn = full_turn()
    first.save(conversation.id, turn)
    first.close()
    (again,) = ConversationStore(path).turns(conversation.id)
    assert again.to_dict() == turn.to_dict()
    assert again.sources == turn.sources


def test_saving_a_turn_again_replaces_it_in_its_place(store: ConversationStore) -> None:
    conversation = store.create("default")
    for turn_id in ("a", "b"):
        store.save(conversation.id, Turn(turn_id, "?"))
    store.save(conversation.id, Turn("a", "?", text="answered", phase=Phase.DONE))
    assert [(turn.id, turn.text) for turn in store.turns(conversation.id)] == [
        ("a", "answered"),
        ("b", ""),
    ]


def test_an_answer_that_ends_after_its_conversation_was_deleted_brings_nothing_back(
    store: ConversationStore,
) -> None:
    conversation = store.create("default")
    store.save(conversation.id, Turn("a", "?"))
    store.delete(conversation.id)
    store.save(conversation.id, Turn("a", "?", text="late"))
    assert store.turns(conversation.id) == []
    assert store.find(conversation.id) is None


def test_conversations_are_listed_by_collection_the_latest_first(store: ConversationStore) -> None:
    old, new = store.create("default", "Old"), store.create("default", "New")
    store.create("other")
    assert [each.title for each in store.list("default")] == ["New", "Old"]
    store.save(old.id, Turn("a", "?"))
    store.rename(new.id, " Newer ")
    assert [each.title for each in store.list("default")] == ["Old", "Newer"]


def filled(path: Path, turns: int = 30) -> str:
    """Make a file with one conversation of so many turns, each larger than a page of SQLite's.

    Returns the conversation's id.
    """
    store = ConversationStore(path)
    conversation = store.create("default", "All of it")
    for number in range(turns):
        text = f"Answer {number}. " * 500
        store.save(conversation.id, Turn(f"t{number}", f"Question {number}?", text, Phase.DONE))
    store.close()
    return conversation.id


def questions(store: ConversationStore, conversation_id: str) -> list[str]:
    return [turn.question for turn in store.turns(conversation_id)]


@pytest.mark.parametrize("harm", DAMAGES, ids=lambda harm: str(harm.__name__))
@pytest.mark.parametrize("name", ["conversations.sqlite3", "conversations.mirror.sqlite3"])
def test_no_turn_is_lost_when_one_of_the_two_files_is_damaged(
    tmp_path: Path, harm: Callable[[Path], None], name: str
) -> None:
    path = tmp_path / "conversations.sqlite3"
    conversation = filled(path)
    harm(tmp_path / name)
    store = ConversationStore(path)
    assert questions(store, conversation) == [f"Question {number}?" for number in range(30)]
    assert all(turn.text.startswith("Answer") for turn in store.turns(conversation))
    store.save(conversation, Turn("new", "And now?"))
    store.close()
    again = ConversationStore(path)
    assert questions(again, conversation)[-1] == "And now?"
    assert again.notices == []


def test_a_damaged_file_is_set_aside_and_a_sentence_says_where(tmp_path: Path) -> None:
    path = tmp_path / "conversations.sqlite3"
    filled(path)
    damage.garbage(path)
    content = path.read_bytes()
    (notice,) = ConversationStore(path).notices
    (aside,) = (tmp_path / "set-aside").iterdir()
    assert aside.read_bytes() == content
    assert aside.name.endswith("-conversations.sqlite3")
    assert str(aside) in notice
    assert "30 questions" in notice


def test_without_a_mirror_what_can_be_read_of_a_damaged_file_is_recovered(tmp_path: Path) -> None:
    path = tmp_path / "conversations.sqlite3"
    conversation = filled(path)
    (tmp_path / "conversations.mirror.sqlite3").unlink()
    damage.truncated(path)
    store = ConversationStore(path)
    found = questions(store, conversation)
    assert found == [f"Question {number}?" for number in range(len(found))]
    assert len(found) > 10


def test_a_file_whose_first_page_is_lost_is_read_by_its_other_pages(tmp_path: Path) -> None:
    path = tmp_path / "conversations.sqlite3"
    conversation = filled(path)
    (tmp_path / "conversations.mirror.sqlite3").unlink()
    with path.open("r+b") as file:
        file.write(bytes(4096))
    assert len(questions(ConversationStore(path), conversation)) == 30


def test_a_repair_that_is_interrupted_is_completed_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "conversations.sqlite3"
    conversation = filled(path)
    damage.garbage(path)

    class Killed(BaseException): ...

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(conversations, "sync_folder", killed)
        ConversationStore(path)
    path.rename(tmp_path / ".conversations.sqlite3.repaired")  # one rename earlier
    (tmp_path / "conversations.mirror.sqlite3").unlink()
    assert len(questions(ConversationStore(path), conversation)) == 30


def test_a_file_that_is_in_use_or_cannot_grow_is_not_taken_for_damaged(tmp_path: Path) -> None:
    path = tmp_path / "conversations.sqlite3"
    conversation = filled(path)
    other = sqlite3.connect(path)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    store = ConversationStore(path)
    assert not (tmp_path / "set-aside").exists()
    assert len(questions(store, conversation)) == 30
    assert "can be read but not saved" in store.notices[0]
    with pytest.raises(StoreError, match="Make room"):
        store.save(conversation, Turn("new", "?"))
    other.close()
    store.save(conversation, Turn("new", "Now?"))
    assert questions(store, conversation)[-1] == "Now?"


@pytest.mark.parametrize(
    "record",
    [
        '{"id": "t1", "question": "When was it \\"built\\"?", "text": "In 1684.", "pha',
        '{"id": "t1", "question": "When was it \\"built\\"?", "text": "In 1684.", "phase": "odd"}',
        json.dumps(
            Turn("t1", 'When was it "built"?', "In 1684.").to_dict()
            | {"phase": "done", "sources": [{"node": 3}]}
        ),
    ],
)
def test_one_broken_record_breaks_neither_its_neighbours_nor_its_question(
    store: ConversationStore, record: str
) -> None:
    conversation = store.create("default")
    for turn_id in ("t0", "t1", "t2"):
        store.save(conversation.id, Turn(turn_id, "?", "Here.", Phase.DONE))
    store._db.execute("UPDATE turns SET record = ? WHERE id = 't1'", (record,))
    store._db.commit()
    before, broken, after = store.turns(conversation.id)
    assert before.text == after.text == "Here."
    assert (broken.question, broken.text) == ('When was it "built"?', "In 1684.")
    assert broken.phase is Phase.FAILED
    assert "damaged" in broken.error


def test_what_is_deleted_is_in_neither_file(tmp_path: Path) -> None:
    path = tmp_path / "conversations.sqlite3"
    store = ConversationStore(path)
    kept, deleted = store.create("default"), store.create("default")
    store.save(kept.id, Turn("a", "Keep this?"))
    store.save(deleted.id, Turn("b", "Forget the vicar?"))
    store.delete(deleted.id)
    store.close()
    for file in tmp_path.iterdir():
        assert b"vicar" not in file.read_bytes(), file
    damage.garbage(path)
    assert ConversationStore(path).find(deleted.id) is None


def test_a_mirror_that_missed_something_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "conversations.sqlite3"
    conversation = filled(path, 3)
    store = ConversationStore(path)
    assert store._mirror
    store._mirror.close()  # every write to it fails from here on
    store.save(conversation, Turn("late", "Late?"))
    store.close()
    ConversationStore(path).close()
    path.unlink()
    assert questions(ConversationStore(path), conversation)[-1] == "Late?"


def test_a_conversation_of_an_older_version_gets_its_mirror(tmp_path: Path) -> None:
    path = tmp_path / "conversations.sqlite3"
    conversation = filled(path, 3)
    old = sqlite3.connect(path)
    old.execute("PRAGMA user_version=0")
    old.execute("PRAGMA application_id=0")
    old.close()
    (tmp_path / "conversations.mirror.sqlite3").unlink()
    ConversationStore(path).close()
    damage.garbage(path)
    assert len(questions(ConversationStore(path), conversation)) == 3


def test_a_question_with_half_a_character_can_be_saved(store: ConversationStore) -> None:
    conversation = store.create("default", "half \ud83d")
    store.save(conversation.id, Turn("a", "half \ud83d"), title="half \ud83d")
    assert store.turns(conversation.id)[0].question == "half \ud83d"


def test_exports_carry_no_secrets_and_no_folders() -> None:
    trace = Trace()
    trace.begin_call("answer").settings = {
        "server": "http://user:hunter2pass@host/v1?key=k-9f8e7d",
        "file": "/home/somebody/models/m.gguf",
    }
    metadata = {"file_name": "mill.pdf", "file_path": "/home/somebody/mill.pdf"}
    sources = (NodeWithScore(Node("See /etc/motd.", metadata), 0.9),)
    error = "The server refused: Incorrect API key provided: sk-abcdefgh12345."
    turn = Turn("t1", "Where is /etc?", "In /etc.", Phase.FAILED, error, (), sources, trace)
    conversation = Conversation("c1", "Title", "default", 0.0)
    for text in (as_json(conversation, [turn]), as_markdown(conversation, [turn])):
        assert "In /etc." in text
        for secret in ("hunter2pass", "k-9f8e7d", "sk-abcdefgh12345", "/home/somebody"):
            assert secret not in text
    (record,) = json.loads(as_json(conversation, [turn]))["turns"]
    assert record["sources"][0]["node"]["text"] == "See /etc/motd."
    assert record["sources"][0]["node"]["metadata"]["file_path"] == "mill.pdf"
    assert Turn.from_dict(record).question == turn.question


def test_a_file_that_lost_its_write_ahead_log_is_completed_from_the_mirror(tmp_path: Path) -> None:
    path, early = tmp_path / "conversations.sqlite3", tmp_path / "early"
    conversation = filled(path, 3)
    shutil.copyfile(path, early)
    store = ConversationStore(path)
    store.save(conversation, Turn("late", "Late?"))
    store.close()
    early.replace(path)
    assert questions(ConversationStore(path), conversation)[-1] == "Late?"


def test_a_conversation_whose_deletion_is_only_in_the_mirror_stays_deleted(tmp_path: Path) -> None:
    path, early = tmp_path / "conversations.sqlite3", tmp_path / "early"
    conversation = filled(path, 3)
    shutil.copyfile(path, early)
    store = ConversationStore(path)
    store.delete(conversation)
    store.close()
    early.replace(path)
    store = ConversationStore(path)
    assert store.find(conversation) is None
    assert store.turns(conversation) == []
    assert store.notices
B2 = Turn("b2", "2, edited", parent="a", chosen=1.0)


def test_a_replaced_question_takes_what_follows_along_and_both_come_back(
    store: ConversationStore,
) -> None:
    conversation = store.create("default")
    for turn in (Turn("a", "1"), Turn("b", "2"), Turn("c", "3"), B2):
        store.save(conversation.id, turn)
    shown = [turn.id for turn in store.turns(conversation.id)]
    assert shown == ["a", "b2"]
    assert store.versions(conversation.id)["b2"] == ["b", "b2"]
    assert store.versions(conversation.id)["c"] == ["c"]
    store.show_version(conversation.id, "b")
    assert [turn.id for turn in store.turns(conversation.id)] == ["a", "b", "c"]
    store.show_version(conversation.id, "b2")
    store.save(conversation.id, Turn("d", "4", parent="b2", chosen=time.time()))
    store.save(conversation.id, Turn("b", "2", text="late", parent="a"))  # not shown, and stays so
    assert [turn.id for turn in store.turns(conversation.id)] == ["a", "b2", "d"]


def test_conversations_are_found_by_what_was_asked_and_answered(store: ConversationStore) -> None:
    boat, lamp = store.create("default", "Boats"), store.create("default", "Lamps, 100 %")
    store.save(boat.id, Turn("a", "When?", text="Am nächsten Tag."))
    store.save(lamp.id, Turn("b", "How often does it flash?"))
    assert [each.id for each in store.list("default", "nächsten")] == [boat.id]
    assert [each.id for each in store.list("default", "FLASH")] == [lamp.id]
    assert [each.id for each in store.list("default", "100 %")] == [lamp.id]
    assert store.list("default", "0_%") == []


def test_markdown_has_the_quotations_and_says_why_there_is_no_answer(
    store: ConversationStore,
) -> None:
    conversation = store.create("default", "Mills")
    refused = Turn("r", "Who sang?", phase=Phase.DONE, notes=("Your documents do not say.",))
    text = as_markdown(conversation, [full_turn(), refused])
    assert "1. mill.pdf, page 3\n   > “It was 1887.”" in text
    assert "## Who sang?\n\n(Your documents do not say.)" in text
    assert "(done)" not in text
