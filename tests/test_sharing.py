"""Several processes on one shared folder, in front of one Qdrant server.

With TEST_QDRANT_URL, it is that server. Else it is Qdrant's client in memory, which this process
serves to the other one.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.config import Config, load_config
from engine.errors import ConfigError, StoreInUseError
from engine.models.choosing import SearchChoice
from engine.run import Phase
from engine.schema import new_id
from engine.settings import Settings
from engine.store import QdrantServer
from engine.workspace import AskSettings, Stage, Turn, Workspace
from engine.workspace import indexes as indexes_module
from engine.workspace.conversations import ConversationStore
from engine.workspace.sharing import Sharing
from tests import on_a_server
from tests.damage import garbage
from tests.scripted import ScriptedLLM
from tests.sharing_child import opened, serve_in_memory, settled
from tests.test_reembedding import Reversed

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes")

MILL = "The tide mill was built in 1684 by Alys Fenn."


class Child:
    """The other process. `tell` waits for its answer."""

    def __init__(self, data: Path, shared: Path, server: str) -> None:
        command = [sys.executable, "-m", "tests.sharing_child", str(data), str(shared), server]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._answer() == "ready"

    def tell(self, what: str, *given: Any) -> Any:
        self.begin(what, *given)
        return self._answer()

    def begin(self, what: str, *given: Any) -> Callable[[], Any]:
        assert self.process.stdin
        self.process.stdin.write(json.dumps([what, *given]) + "\n")
        self.process.stdin.flush()
        return self._answer

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def _answer(self) -> Any:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    prefix = f"test-{new_id()[:16]}"
    if on_a_server.URL:
        yield f"{on_a_server.URL} {prefix}"
        on_a_server.remove({prefix, f"{prefix}-other", f"{prefix}-again"})
        return
    connect = QdrantServer.connect
    yield f"{serve_in_memory()} {prefix}"
    QdrantServer.connect = connect  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def here(folder: Path, server: str) -> Iterator[Workspace]:
    with closing(opened(folder / "here", folder / "shared", server)) as workspace:
        yield workspace


@pytest.fixture(scope="module")
def there(here: Workspace, folder: Path, server: str) -> Iterator[Child]:
    child = Child(folder / "there", folder / "shared", server)
    yield child
    child.kill()


def names(workspace: Workspace) -> list[str]:
    return sorted(each.path for each in workspace.library.documents("default"))


def found(workspace: Workspace, question: str) -> list[str]:
    retriever = workspace.library.retriever("default", 3)
    return [hit.node.metadata["file_name"] for hit in retriever.retrieve(question)]


def soon(is_true: Callable[[], bool]) -> bool:
    given_up = time.monotonic() + 30
    while not is_true() and time.monotonic() < given_up:
        time.sleep(0.02)
    return is_true()


def test_what_one_process_adds_and_deletes_the_other_sees(here: Workspace, there: Child) -> None:
    assert there.tell("add", "mill.txt", MILL) == [Stage.READY, ""]
    assert names(here) == ["mill.txt"]
    assert found(here, "Who built the tide mill?") == ["mill.txt"]
    (mill,) = here.library.documents("default")
    original = here.library.original("default", mill.source_id)
    assert original and original.read_text() == MILL
    before = here.changes
    there.tell("delete", mill.source_id)
    assert soon(lambda: here.changes > before), "pages and kept states follow"
    assert found(here, "Who built the tide mill?") == []
    assert names(here) == []
    assert [each.file_name for each in here.library.trash()] == ["mill.txt"]
    here.library.restore("default", [mill.source_id])
    assert soon(lambda: there.tell("names") == ["mill.txt"]), "the file is in the same trash"
    here.library.tag("default", mill.source_id, ["old"])
    here.delete_documents("default", [mill.source_id])
    assert there.tell("names") == []
    here.library.empty_trash()


def test_a_file_that_both_add_at_once_is_there_once(here: Workspace, there: Child) -> None:
    text = "\n\n".join(f"Paragraph {number} is about the ferry to Sula." for number in range(400))
    theirs = there.begin("add", "ferry.txt", text)
    ours = settled(here, "ferry.txt", text)
    stages = sorted([ours, theirs()])
    assert [stage for stage, _ in stages] == [Stage.FAILED, Stage.READY]
    assert "is there already" in stages[0][1]
    (ferry,) = here.library.documents("default")
    assert len(here.library.passages("default", ferry.source_id)) == ferry.passages > 1
    assert there.tell("names") == ["ferry.txt"]
    here.delete_documents("default", [ferry.source_id])


def test_of_two_files_with_one_name_the_second_is_a_question(here: Workspace, there: Child) -> None:
    theirs = there.begin("add", "fares.txt", "A fare costs four pounds.")
    ours = settled(here, "fares.txt", "A fare costs five pounds.")
    assert sorted([ours[0], theirs()[0]]) == [Stage.CHANGED, Stage.READY]
    assert len(names(here)) == 1
    here.delete_documents("default", [each for _, each in here.library.places()])
    # The question is at either of them, and would be added at the next start
    there.tell("cancel")
    for upload in here.ingestor.uploads("default"):
        here.ingestor.cancel(upload)


def test_turns_that_both_write_at_once_are_all_kept(here: Workspace, there: Child) -> None:
    conversation = here.conversations.create("default")
    theirs = there.begin("save", conversation.id, 30)
    for number in range(30):
        here.conversations.save(conversation.id, Turn(f"{number}", "?", phase=Phase.DONE))
    theirs()
    kept = here.conversations.versions(conversation.id)
    assert kept.keys() == {f"{each}{number}" for each in ("", "child-") for number in range(30)}
    # the mirror has the same: a copy that has lost the first file is whole
    path = here.sharing.folder
    assert path
    copy = path.parent / "copy"
    copy.mkdir()
    mirror = path / "conversations.mirror.sqlite3"
    (copy / mirror.name).write_bytes(mirror.read_bytes())
    with closing(ConversationStore(copy / "conversations.sqlite3")) as restored:
        assert restored.versions(conversation.id) == kept


def test_a_conversation_goes_on_in_the_other_process(here: Workspace, there: Child) -> None:
    settled(here, "mill.txt", MILL)
    conversation = here.conversations.create("default")
    response = here.ask(conversation, "Who built the tide mill?")
    assert soon(lambda: response.phase.ended and len(here.turns(conversation.id)) == 1)
    there.tell("ask", conversation.id, "When was the mill built?")
    assert len(here.turns(conversation.id)) == 1
    elsewhere = here.elsewhere(conversation.id)
    assert elsewhere and elsewhere.question == "When was the mill built?"
    with pytest.raises(ValueError, match="in another window"):
        here.ask(conversation, "And by whom?")


def test_what_a_killed_process_was_adding_is_there_once_and_its_question_can_be_asked_again(
    here: Workspace, there: Child, folder: Path, server: str
) -> None:
    conversation = here.conversations.list("default")[0]
    there.tell("stall", "bread.txt", "Rye bread is baked on Tuesdays.")
    waiting = here.ingestor.add("default", "bread.txt", b"Rye bread is baked on Tuesdays.")
    assert "bread.txt" not in names(here)
    assert soon(lambda: Stage.READING in waiting.seconds and waiting.stage is Stage.WAITING)
    there.kill()
    assert soon(lambda: waiting.stage is Stage.READY)
    assert here.elsewhere(conversation.id) is None
    _, interrupted = here.turns(conversation.id)
    assert interrupted.phase is Phase.FAILED and "Ask again" in interrupted.error
    response = here.ask(conversation, "And by whom?")
    assert soon(lambda: response.phase.ended and len(here.turns(conversation.id)) == 3)
    data = folder / "there"
    with closing(opened(data, folder / "shared", server)) as again:
        (upload,) = [u for u in again.ingestor.uploads("default") if u.name == "bread.txt"]
        assert soon(lambda: upload.stage.ended)
        assert "is there already" in upload.message
        assert names(again) == names(here) == ["bread.txt", "mill.txt"]
        assert again.settings == here.settings
        here.settings = AskSettings(passages=7)
        assert again.settings.passages == 7
        with pytest.raises(ConfigError, match="EMBED_MODEL"):
            again.search_switch.begin(SearchChoice("another"))


def test_another_process_repairs_when_the_first_has_ended(tmp_path: Path, server: str) -> None:
    first = opened(tmp_path / "a", tmp_path / "shared", f"{server}-other")
    second = opened(tmp_path / "b", tmp_path / "shared", f"{server}-other")
    settled(first, "mill.txt", MILL)
    (mill,) = second.library.documents("default")
    second.library.index("default").collection.delete(mill.source_id)
    second.library.repair_if_first()
    assert second.library.repairs() == []
    first.close()
    with closing(second):
        assert soon(lambda: names(second) == ["mill.txt"]), "it is indexed again"


def test_every_process_searches_the_new_index_once_it_is_whole(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes_module, "STILL_SEARCHED", 3.0)
    there = tmp_path / "shared", f"{server}-again"
    with closing(opened(tmp_path / "a", *there)) as before:
        settled(before, "mill.txt", MILL)
    default, other = Settings.embed_model, Reversed()
    other.go_on.clear()
    Settings.embed_model = other
    try:
        with (
            closing(opened(tmp_path / "a", *there)) as first,
            closing(opened(tmp_path / "b", *there)) as second,
        ):
            assert first.library.reembedder.pending == ["default"]
            assert second.library.reembedder.pending == []
            assert second.library.index("default").embed_model.name == default.name
            assert found(second, "Who built the tide mill?") == ["mill.txt"]
            other.go_on.set()
            assert soon(lambda: first.library.index("default").embed_model is other)
            assert soon(lambda: second.library.index("default").embed_model is other)
            assert found(second, "Who built the tide mill?") == ["mill.txt"]
    finally:
        Settings.embed_model = default


# ---- The folder


def test_a_lock_has_one_holder_until_it_is_released(tmp_path: Path) -> None:
    one, two = Sharing(tmp_path), Sharing(tmp_path)
    with one.opening():
        pass
    with two.opening():
        pass
    assert (one.alone, two.alone) == (True, False)
    release = one.hold("a")
    assert release and two.is_held("a") and two.hold("a") is None and not two.is_held("b")
    entered = threading.Event()

    def enter() -> None:
        with two.only("b", "a"):
            entered.set()

    waiting = threading.Thread(target=enter)
    waiting.start()
    assert not entered.wait(0.1)
    release()
    waiting.join(30)
    assert entered.is_set()
    assert list((tmp_path / ".locks").iterdir()) == []
    assert one.is_first() and not two.is_first()
    one.close()
    assert two.is_first()
    assert not two.heard()
    with one.opening():
        one.say()
    assert two.heard() and not two.heard() and not one.heard()


def test_a_process_that_shares_nothing_and_one_that_does_keep_each_other_out(
    tmp_path: Path, server: str
) -> None:
    alone = Workspace(tmp_path / "app", Config(data_dir=tmp_path), ScriptedLLM())
    with pytest.raises(StoreInUseError, match="SHARED_DIR"):
        opened(tmp_path / "data", tmp_path / "app", f"{server}-other")
    alone.close()
    with (
        closing(opened(tmp_path / "data", tmp_path / "app", f"{server}-other")),
        pytest.raises(StoreInUseError, match="Another process"),
    ):
        Workspace(tmp_path / "app", Config(data_dir=tmp_path), ScriptedLLM())


def test_damaged_conversations_are_not_repaired_under_another_process(tmp_path: Path) -> None:
    sharing, late = Sharing(tmp_path), Sharing(tmp_path)
    path = tmp_path / "conversations.sqlite3"
    with sharing.opening():
        store = ConversationStore(path, sharing)
    conversation = store.create("default")
    store.save(conversation.id, Turn("a", "?", phase=Phase.DONE))
    with late.opening():
        garbage(path)
        with pytest.raises(Exception, match="End all First Tokens"):
            ConversationStore(path, late)
    late.close()
    sharing.close()
    with late.opening(), closing(ConversationStore(path, late)) as repaired:
        assert len(repaired.turns(conversation.id)) == 1


def test_a_shared_folder_needs_a_server_and_its_own_place(tmp_path: Path) -> None:
    nothing = tmp_path / "none"
    shared = {"SHARED_DIR": str(tmp_path / "s"), "DATA_DIR": str(tmp_path / "d")}
    with pytest.raises(ConfigError, match="QDRANT_URL"):
        load_config(nothing, shared)
    shared["QDRANT_URL"] = "http://localhost:6333"
    assert load_config(nothing, shared).shared_dir == tmp_path / "s"
    with pytest.raises(ConfigError, match="contain each other"):
        load_config(nothing, shared | {"SHARED_DIR": str(tmp_path / "d" / "app")})
