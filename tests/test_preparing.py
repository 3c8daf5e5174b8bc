import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest

from engine.config import Config
from engine.errors import Cancelled
from engine.llm import LlamaCpp
from engine.llm.base import ContextFormat, LLMMetadata
from engine.prompting import answer_prompt, passage_prompt
from engine.run import Run
from engine.schema import ChatMessage, Node
from engine.workspace import Stage, Workspace
from engine.workspace.preparing import Place, Preparer
from tests.scripted import ScriptedLLM

DOCUMENTS = {
    ("default", "new"): ["The mill was built in 1684.", "The boat comes on Thursdays."],
    ("default", "old"): ["Rye bread is baked on Fridays."],
}


def passages(collection: str, source_id: str) -> list[Node]:
    texts = DOCUMENTS.get((collection, source_id), [])
    return [Node(text, source_id=source_id, position=at) for at, text in enumerate(texts)]


def everything() -> list[Place]:
    return list(DOCUMENTS)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert condition()


class KeepingLLM(ScriptedLLM):
    """Keeps the last `room` beginnings that it was asked to read. `gate` opens the next one."""

    def __init__(
        self, room: int = 100, context_format: ContextFormat = ContextFormat.PASSAGES
    ) -> None:
        super().__init__()
        self.room, self.context_format = room, context_format
        self.kept: list[str] = []
        self.read: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata("keeping", 4096, context_format=self.context_format)

    def prepare(self, messages: Sequence[ChatMessage], run: Run | None = None) -> None:
        self.read.append(messages[-1].content)
        self.gate.wait(30)
        if run:
            run.check()
        self.kept = [*self.kept, messages[-1].content][-self.room :]

    def prepared(self, messages: Sequence[ChatMessage]) -> float:
        return float(messages[-1].content in self.kept)

    @property
    def state_room(self) -> float:
        return 1 - len(self.kept) / self.room

    def forget(self) -> None:
        self.kept.clear()


Made = Callable[[KeepingLLM], Preparer]


@pytest.fixture
def preparer() -> Iterator[Made]:
    made: list[Preparer] = []

    def make(llm: KeepingLLM) -> Preparer:
        made.append(Preparer(llm, passages, everything))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_at_a_start_every_document_is_read_the_latest_first(preparer: Made) -> None:
    llm = KeepingLLM()
    prepared = preparer(llm)
    until(lambda: len(llm.kept) == 3)
    assert llm.read == [*DOCUMENTS["default", "new"], *DOCUMENTS["default", "old"]]
    assert prepared.prepared("default", "new") == 2
    assert prepared.prepared("default", "gone") == 0


def test_reading_ends_where_there_is_room_for_no_more_but_for_what_a_question_found(
    preparer: Made,
) -> None:
    llm = KeepingLLM(room=2)
    prepared = preparer(llm)
    until(lambda: prepared.prepared("default", "new") == 2)
    prepared.added()
    prepared.found("default", passages("default", "old"))
    until(lambda: prepared.prepared("default", "old") == 1)
    assert llm.read == [*DOCUMENTS["default", "new"], *DOCUMENTS["default", "old"]]


def test_what_recent_questions_found_is_read_first_then_its_neighbours(
    preparer: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DOCUMENTS, ("default", "old"), ["One.", "Two.", "Three.", "Four."])
    llm = KeepingLLM()
    llm.gate.clear()
    prepared = preparer(llm)
    until(lambda: len(llm.read) == 1)
    prepared.found("default", passages("default", "old")[2:3])
    prepared.found("gone", [Node("Deleted.", source_id="gone")])
    llm.gate.set()
    until(lambda: len(llm.kept) == 6)
    mill, boat = DOCUMENTS["default", "new"]
    assert llm.read == [mill, "Three.", "Two.", "Four.", boat, "One."]


def test_a_fault_does_not_end_the_preparing(
    preparer: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm, broken = KeepingLLM(), [True]
    real = llm.prepare

    def prepare(messages: Sequence[ChatMessage], run: Run | None = None) -> None:
        if broken:
            broken.pop()
            raise RuntimeError("boom")
        real(messages, run)

    monkeypatch.setattr(llm, "prepare", prepare)
    prepared = preparer(llm)
    until(lambda: not broken)
    prepared.added()
    until(lambda: prepared.prepared("default", "old") == 1)


def test_a_model_that_reads_only_sentences_prepares_nothing(preparer: Made) -> None:
    llm = KeepingLLM(context_format=ContextFormat.SENTENCES)
    prepared = preparer(llm)
    prepared.added()
    assert not prepared.useful
    assert llm.read == []


def test_a_deletion_drops_what_is_being_read_too(
    preparer: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = KeepingLLM()
    llm.gate.clear()
    prepared = preparer(llm)
    until(lambda: len(llm.read) == 1)  # the new document's first passage, being read
    monkeypatch.delitem(DOCUMENTS, ("default", "new"))
    prepared.forget()
    llm.gate.set()
    until(lambda: prepared.prepared("default", "old") == 1)
    assert llm.kept == DOCUMENTS["default", "old"]


def test_closing_ends_the_reading(preparer: Made) -> None:
    llm = KeepingLLM()
    llm.gate.clear()
    prepared = preparer(llm)
    until(lambda: len(llm.read) == 1)
    threading.Timer(0.05, llm.gate.set).start()
    prepared.close()
    assert llm.kept == []


def test_a_question_on_a_prepared_passage_reads_only_its_own_words(llm: LlamaCpp) -> None:
    passage = "The harbour master keeps the tide book, and writes every ship into it. " * 6
    llm.prepare(passage_prompt(passage))
    run = Run()
    prompt = answer_prompt("Who keeps the tide book?", passage)
    with suppress(Cancelled):
        next(iter(llm.stream_chat(prompt, run=run)))
    assert run.trace.calls[0].reused_tokens >= llm.count_tokens(prompt) - 20


def test_an_upload_is_read_ahead_and_one_that_is_replaced_leaves_nothing(tmp_path: Path) -> None:
    llm = KeepingLLM()
    with closing(Workspace(tmp_path, Config(data_dir=tmp_path), llm)) as workspace:
        add = workspace.ingestor.add
        add("default", "mill.txt", b"The mill was built in 1684.")
        until(lambda: llm.kept == ["The mill was built in 1684."])
        (document,) = workspace.library.documents("default")
        assert workspace.prepared("default", document.source_id) == 1
        changed = add("default", "mill.txt", b"The mill was built in 1685.")
        until(lambda: changed.stage is Stage.CHANGED)
        workspace.ingestor.decide(changed, keep_both=False)
        until(lambda: llm.kept == ["The mill was built in 1685."])
        workspace.delete_documents("default", [changed.source_id])
        until(lambda: not llm.kept)


def test_a_model_with_nothing_to_prepare_says_so(tmp_path: Path) -> None:
    llm = KeepingLLM(context_format=ContextFormat.SENTENCES)
    with closing(Workspace(tmp_path, Config(data_dir=tmp_path), llm)) as workspace:
        assert workspace.prepared("default", "any") is None
