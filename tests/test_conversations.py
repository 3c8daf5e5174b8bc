import time
from pathlib import Path

import pytest

from engine.run import Phase
from engine.schema import Evidence, Node, NodeWithScore, Scores
from engine.timing import Trace
from engine.workspace.conversations import ConversationStore, Turn
from engine.workspace.export import as_markdown


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
