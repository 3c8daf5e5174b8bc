"""Workspace: what the app keeps in one folder, and the answers it is writing now.

One workspace a folder and a process. Pages hold no state of their own that matters: they ask
the workspace, so a rerun, a reload or a second tab sees the same.
"""

import json
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path

from engine.config import Config
from engine.errors import StoreError
from engine.llm.base import LLM, GenerationOptions
from engine.measuring import Measurements
from engine.measuring.fingerprint import fingerprint
from engine.measuring.runner import measured_engine
from engine.query_engine import RetrieverQueryEngine
from engine.response import Response, StreamingResponse
from engine.retrieving import is_relevant
from engine.schema import ChatMessage, new_id
from engine.synthesis import ResponseMode, ResponseSynthesizer
from engine.workspace.agent_runs import AgentRuns
from engine.workspace.conversations import TITLE_LENGTH, Conversation, ConversationStore, Turn
from engine.workspace.ingestion import Ingestor, Packed, Upload
from engine.workspace.library import Library
from engine.workspace.preparing import Preparer

# A page that reads along renews its hold several times a second, any other page of the session
# every 3 s; a closed tab renews no more, and its answer stops within this many seconds.
LEASE = 8.0


@dataclass(frozen=True, slots=True)
class AskSettings:
    """How to answer; remembered. `length` is in tokens at most, temperature 0 is greedy."""

    streaming: bool = True
    passages: int = 3
    response_mode: ResponseMode = ResponseMode.COMPACT
    length: int = 256
    temperature: float = 0.0


class Workspace:
    """Everything in `folder`: library, uploads, conversations, measurements, settings."""

    def __init__(self, folder: Path, config: Config, llm: LLM) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.llm = llm
        self.library = Library(folder, config)
        self._preparer = Preparer(llm, self.library.passages, self.library.places)
        self.ingestor = Ingestor(folder / "incoming", self._take)
        self.conversations = ConversationStore(folder / "conversations.sqlite3")
        self.measurements = Measurements(
            folder / "measurements",
            partial(measured_engine, self.library.index, llm),
            partial(fingerprint, llm),
        )
        self.agents = AgentRuns(self.library.index, llm)
        self._settings_file = folder / "settings.json"
        self._running: dict[str, tuple[Turn, StreamingResponse]] = {}
        self._lock = threading.Lock()

    @property
    def settings(self) -> AskSettings:
        """As last saved; the defaults where there is nothing, or nothing readable."""
        try:
            return AskSettings(**json.loads(self._settings_file.read_text()))
        except (OSError, ValueError, TypeError):
            return AskSettings()

    @settings.setter
    def settings(self, settings: AskSettings) -> None:
        """Remember these.

        Raises:
            StoreError: they could not be written; those saved before hold.
        """
        written = self._settings_file.with_suffix(".new")
        try:
            written.write_text(json.dumps(asdict(settings)))
            written.replace(self._settings_file)
        except OSError as fault:
            raise StoreError(
                f"The settings could not be saved ({fault.strerror}). Make room on the disk, then "
                "change them again."
            ) from fault

    def ask(
        self, conversation: Conversation, question: str, instead_of: Turn | None = None
    ) -> StreamingResponse:
        """Ask in a conversation, with the settings of now. One answer at a time in each.

        The question comes after the last turn shown, or replaces the turn `instead_of` and what
        follows it; those are kept as another version.

        Raises:
            ValueError: the question is empty, or an answer is still being written.
            StoreError: the question could not be saved; nothing is asked.
        """
        with self._lock:
            if self.running(conversation.id):
                raise ValueError("An answer is still being written here. Stop it, or wait.")
            settings = self.settings
            before = list(self.conversations.turns(conversation.id))
            if instead_of is not None:
                before = list(takewhile(lambda turn: turn.id != instead_of.id, before))
            turn = Turn(
                new_id(),
                question.strip(),
                settings=asdict(settings),
                parent=before[-1].id if before else "",
                chosen=time.time(),
            )
            response = self._engine(conversation.collection, settings).start(
                turn.question,
                stream=settings.streaming,
                history=[message for turn in before for message in _messages(turn)],
                on_done=lambda done: self._ended(conversation, turn, done),
            )
            try:
                self._save_asked(conversation, turn)
            except StoreError:
                response.cancel()
                raise
            response.hold(LEASE)
            self._running[conversation.id] = (turn, response)
        return response

    def running(self, conversation_id: str) -> tuple[Turn, StreamingResponse] | None:
        """The turn whose answer is being written there now, and that answer."""
        live = self._running.get(conversation_id)
        return None if live is None or live[1].phase.ended else live

    def turns(self, conversation_id: str) -> list[Turn]:
        """Those that have ended, in order. One that a crash cut off counts as failed."""
        live = self._running.get(conversation_id)
        turns = self.conversations.turns(conversation_id)
        shown = (_as_it_stands(turn, live) for turn in turns)
        return [turn for turn in shown if turn.phase.ended]

    def delete_conversation(self, conversation_id: str) -> None:
        """With all its turns; an answer being written there is stopped."""
        if live := self.running(conversation_id):
            live[1].cancel()
        self.conversations.delete(conversation_id)

    def delete_documents(self, collection: str, source_ids: Sequence[str]) -> None:
        """For good: passages, files, and what the model kept of having read them."""
        self.library.delete(collection, source_ids)
        for upload in self.ingestor.uploads(collection):
            if upload.source_id in source_ids:
                self.ingestor.dismiss(upload)
        self._preparer.forget()

    def delete_collection(self, collection: str) -> None:
        """With its documents and its conversations."""
        for conversation in self.conversations.list(collection):
            self.delete_conversation(conversation.id)
        self.library.delete_collection(collection)
        self._preparer.forget()

    def prepared(self, collection: str, source_id: str) -> int | None:
        """How many passages of a document the model has read ahead; None where it has no need."""
        if not self._preparer.of_use:
            return None
        return self._preparer.prepared(collection, source_id)

    def hold(self, conversation_id: str) -> bool:
        """Keep the answer being written there alive a while longer. False where there is none."""
        live = self.running(conversation_id)
        if live:
            live[1].hold(LEASE)
        return live is not None

    def close(self) -> None:
        for _, response in list(self._running.values()):
            response.cancel()
        self.agents.close()
        self.measurements.close()
        self.ingestor.close()
        self._preparer.close()
        self.conversations.close()
        self.library.close()

    def _take(self, upload: Upload) -> list[Packed]:
        packed = self.library.take(upload)
        if upload.replaces:
            self._preparer.forget()  # and what is there now is prepared
        elif upload.source_id:
            self._preparer.add(upload.collection, upload.source_id)
        return packed

    def _engine(self, collection: str, settings: AskSettings) -> RetrieverQueryEngine:
        retriever = self.library.index(collection).as_retriever(similarity_top_k=settings.passages)
        options = GenerationOptions(max_tokens=settings.length, temperature=settings.temperature)
        synthesizer = ResponseSynthesizer(
            self.llm,
            streaming=settings.streaming,
            response_mode=settings.response_mode,
            options=options,
        )
        return RetrieverQueryEngine(retriever, synthesizer, is_relevant)

    def _save_asked(self, conversation: Conversation, turn: Turn) -> None:
        if not turn.parent:
            self.conversations.rename(conversation.id, turn.question[:TITLE_LENGTH])
        self.conversations.save(conversation.id, turn)

    def _ended(self, conversation: Conversation, turn: Turn, response: Response) -> None:
        """Save the answer. Where that fails, it stays to be read as long as the app runs."""
        with self._lock, suppress(StoreError):
            self.conversations.save(conversation.id, turn.answered(response))
            live = self._running.get(conversation.id)
            if live and live[0].id == turn.id:
                del self._running[conversation.id]


def _messages(turn: Turn) -> list[ChatMessage]:
    return [ChatMessage("user", turn.question), ChatMessage("assistant", turn.text)]


def _as_it_stands(turn: Turn, live: tuple[Turn, StreamingResponse] | None) -> Turn:
    if live and live[0].id == turn.id:
        return turn.answered(live[1])  # as saved in a moment, where it has just ended
    return turn if turn.phase.ended else turn.interrupted()
