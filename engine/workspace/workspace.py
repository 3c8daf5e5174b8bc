"""Workspace: the app's data in one folder, and its running answers.

A process has one workspace for a folder. Pages keep no important state: they read it from the
workspace, so a rerun, a reload and a second tab show the same.
"""

import fcntl
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import takewhile
from pathlib import Path
from typing import IO

from engine.config import Config
from engine.embedding import Embedding, Reranker
from engine.errors import FirstTokenError, LLMError, MeasuringError, StoreError, StoreInUseError
from engine.kinds import KeptSummaries
from engine.llm.base import LLM, GenerationOptions
from engine.measuring import Experiment, Lane, Measurements, MeasuringJob, Setup, Transport, Trial
from engine.measuring.asking import Asker, Connection, InProcess, Means, OverHttp, measured_engine
from engine.measuring.feeling import useful_by
from engine.models.asking import Hub
from engine.models.chat import ChatModel
from engine.models.choosing import (
    Choice,
    SearchChoice,
    configured_name,
    load_choice,
    load_search_choice,
    open_chosen,
)
from engine.models.files import ModelFiles
from engine.models.searching import SearchModels, SearchSwitch
from engine.models.servers import Servers
from engine.models.switching import Switch, open_proven
from engine.query_engine import RetrieverQueryEngine
from engine.response import Response, StreamingResponse
from engine.retrieving import is_relevant, may_be_relevant
from engine.run import Phase, Run
from engine.schema import ChatMessage, Filters, new_id
from engine.settings import CHUNK_SIZE, Settings
from engine.splitting import SentenceSplitter
from engine.synthesis import ResponseSynthesizer
from engine.workspace.agent_runs import AgentRuns
from engine.workspace.ask_settings import AskSettings, SavedSettings
from engine.workspace.conversations import Conversation, ConversationStore, Turn
from engine.workspace.ingestion import Ingestor, Packed, Stage, Upload
from engine.workspace.library import Library
from engine.workspace.preparing import Preparer
from engine.workspace.repair import TITLE_LENGTH
from engine.workspace.reports import Reports
from engine.workspace.sharing import Held, Sharing
from engine.workspace.team import Published, TeamCollections
from engine.workspace.watching import Watcher

log = logging.getLogger(__name__)

# Seconds. A page that follows an answer renews its hold several times a second, and another page of
# the same session every 3 s. When the tab is closed, the answer stops within this time.
LEASE = 8.0

# Seconds. Another process's changes are noticed within the first; where they are not announced, as
# after a crash, within the second.
FOLLOW_EVERY, LOOK_EVERY = 1.0, 60.0
SAVE_AGAIN = 5.0  # seconds between two attempts to save answers after the disk was full
CLOSING_SECONDS = 4.0  # that `close` waits for stopped answers to end


class Workspace:
    """Everything in `folder`: library, uploads, conversations, measurements, settings.

    With SHARED_DIR, documents, conversations, settings, summaries and reports are there instead,
    and other processes use them too.

    `llm`: by default the model that was chosen on the Models page, else `Settings.llm`. `notices`
    has a sentence for each repair at the start. A page shows it until the user closes it.

    `team`: the workspace with whose models this one, of a person, answers, and whose shared
    collections it can read. Without `own`, it has no other collections.

    Raises:
        FirstTokenError: something in the folder can be neither opened nor set aside.
        OSError: the folder cannot be used.
    """

    chat_model: ChatModel
    switch: Switch
    search_models: SearchModels
    search_switch: SearchSwitch
    models: ModelFiles
    servers: Servers
    library: Library
    published: Published

    def __init__(
        self,
        folder: Path,
        config: Config,
        llm: LLM | None = None,
        team: "Workspace | None" = None,
        own: bool = True,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder_lock = _lock_folder(folder)
        self.sharing = Sharing(config.shared_dir)
        try:
            self._open(folder, config, llm, team, own)
        except BaseException:
            self.sharing.close()
            self._folder_lock.close()
            raise

    def _open(
        self, folder: Path, config: Config, llm: LLM | None, team: "Workspace | None", own: bool
    ) -> None:
        self.notices: list[str] = []
        self._folder, self._config = folder, config
        self._team = team or self
        self._people: list[Workspace] = []  # the open workspaces of people, at the team's
        searching: SearchChoice | None = None  # search models that must be fetched first
        if team is None:
            searching = self._open_models(llm)
        else:
            self.chat_model, self.switch = team.chat_model, team.switch
            self.search_models, self.search_switch = team.search_models, team.search_switch
            self.models, self.servers = team.models, team.servers
        with self.sharing.opening():
            self._open_shared(self.sharing.folder or folder, team, own)
        if team is None:
            self.llm.keep_states(folder / "states")
        self._preparer = Preparer(self.llm, self.library.passages, self.library.places)
        self.library.on_ready = lambda *_: self._preparer.added()
        self.ingestor = Ingestor(folder / "incoming", self._take, self.library.own_index)
        self.notices += self.ingestor.notices
        self.watcher = Watcher(
            folder / "watched.json",
            self.library,
            self.ingestor,
            self.delete_documents,
            config.shared_dir,
        )
        self.notices += self.watcher.notices
        self.measurements = Measurements(folder / "measurements", self._means())
        self.notices += self.measurements.notices
        self.agents = AgentRuns(self.library, lambda: self.llm)
        self._running: dict[str, tuple[Turn, StreamingResponse]] = {}
        self._unsaved: dict[str, tuple[str, Turn]] = {}  # by turn: its conversation, and the turn
        self._locks: dict[str, Held] = {}  # by conversation, while its answer is written
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._closing = False
        self._closed = False
        self.changes = 0
        """How often documents have been changed by other processes."""
        self._ending = threading.Event()
        if team:
            team._people.append(self)
        if searching:
            self.search_switch.begin(searching)
        if self.sharing.folder:
            threading.Thread(target=self._follow, name="following", daemon=True).start()

    def _open_shared(self, folder: Path, team: "Workspace | None", own: bool) -> None:
        """What other processes may use at the same time."""
        self.published = Published(folder)
        shared = TeamCollections(lambda: team.library, team.published) if team else None
        default = AskSettings(first_token_budget=self._config.first_token_budget)
        shared_by_processes = self.sharing.folder is not None
        file = folder / "settings.json"
        self._settings = SavedSettings(file, default, shared_by_processes, self.notices)
        self.conversations = ConversationStore(folder / "conversations.sqlite3", self.sharing)
        self.notices += self.conversations.notices
        self.library = Library(
            self._folder, self._config, self.search_models.embedder, self.sharing, shared, own
        )
        self.notices += self.library.notices
        self.summaries = KeptSummaries(folder / "summaries")
        if self.sharing.is_first() and not self.library.repairs():
            # otherwise a document may be missing for a while
            self.summaries.keep_only({source_id for _, source_id in self.library.places()})
        self.reports = Reports(folder / "reports")

    def _open_models(self, llm: LLM | None) -> SearchChoice | None:
        """The models, of which a process has one of each. Returns the chosen search models if they
        must be fetched, in the background; the default ones search until then."""
        folder, config = self._folder, self._config
        choice = Choice()
        if llm is None:
            chosen, problem = open_chosen(folder, config)
            if chosen:
                Settings.llm, choice = chosen, load_choice(folder, config)
            self.notices += [problem] if problem else []
            llm = Settings.llm
        self.chat_model = ChatModel(llm, also_in_use=self._agents_use)
        self.search_models = SearchModels(folder, Hub(config), _default_search_models)
        self.search_switch = SearchSwitch(folder, config, self.search_models, self._install_search)
        self.models = ModelFiles(folder, Hub(config))
        self.notices += self.models.notices
        self.servers = Servers(folder)
        self.switch = Switch(folder, config, self._answering, self._install)
        self.switch.current = choice
        searching = (
            SearchChoice(config.embed_model, config.rerank_model)
            if config.shared_dir
            else load_search_choice(folder, config)
        )
        return searching if self._open_search(searching) else None

    @property
    def personal(self) -> bool:
        """Whether it is that of a person beside a team's, whose models it uses."""
        return self._team is not self

    @property
    def _all(self) -> "list[Workspace]":
        """The workspaces that answer with the same models."""
        return [self._team, *self._team._people]

    def _agents_use(self, llm: LLM) -> bool:
        return any(each.agents.uses(llm) for each in self._all)

    @property
    def llm(self) -> LLM:
        """The model that answers now. `chat_model.hold()` keeps it open; see `switch`."""
        return self.chat_model.current

    @llm.setter
    def llm(self, llm: LLM) -> None:
        """Without the steps of `switch`; the model before stays open."""
        self.chat_model = ChatModel(llm, also_in_use=self._agents_use)

    def _answering(self) -> bool:
        return any(each._running for each in self._all) or self._measuring()

    def _measuring(self) -> bool:
        return any(each.measurements.busy for each in self._all)

    def _install(self, new: LLM) -> None:
        """Let a new model answer, and read passages ahead. What is being answered goes on."""
        if self._measuring():
            getattr(new, "close", lambda: None)()
            raise LLMError("A measurement is running. Stop it, or wait for it, and choose again.")
        new.keep_states(self._folder / "states")
        former = [each._preparer for each in self._all]
        for each in self._all:
            each._preparer = Preparer(new, each.library.passages, each.library.places)
        self.chat_model.exchange(new)
        Settings.llm = new
        for preparer in former:
            preparer.close()

    def _open_search(self, choice: SearchChoice) -> bool:
        """Let the chosen search models search. True: they must be fetched first, in the background,
        and the default ones search until then.

        Raises:
            FirstTokenError: they cannot be opened, and other processes search with them.
        """
        if choice == SearchChoice():
            return False
        if self.sharing.folder:
            embedder = self.search_models.embedder(choice.embedder)
            _use_search_models(embedder, self.search_models.reranker(choice.reranker))
            self.search_switch.current = choice
            return False
        if not all(map(self.search_models.is_here, (choice.embedder, choice.reranker))):
            return True
        try:
            embedder = self.search_models.embedder(choice.embedder)
            reranker = self.search_models.reranker(choice.reranker)
        except FirstTokenError as error:
            log.exception("The chosen search models could not be opened")
            self.notices.append(f"The search uses the default models. {error}")
            return False
        _use_search_models(embedder, reranker)
        self.search_switch.current = choice
        return False

    def _install_search(self, embedder: Embedding, reranker: Reranker) -> None:
        """Documents are embedded again in the background where the embedder is another one."""
        other = embedder.name != Settings.embed_model.name
        _use_search_models(embedder, reranker)
        if other:
            for each in self._all:
                each.library.embedding_changed()

    def measure(
        self,
        experiment: Experiment,
        setup: Setup,
        trials: Sequence[Trial],
        connect: Callable[[], Connection],
    ) -> MeasuringJob:
        """Measure in the background. `connect` opens a connection to this app's own API.

        Raises:
            MeasuringError: there is no question, or something else is being measured or loaded.
        """
        if self.switch.step.at_work:
            raise MeasuringError("A model is being loaded. Stop that, or wait for it.")
        if self._measuring():
            raise MeasuringError("A measurement is running already. Stop it, or wait for it.")
        return self.measurements.start(experiment, setup, trials, self._means(connect))

    def _means(self, connect: Callable[[], Connection] | None = None) -> Means:
        """What measurements ask with."""

        @contextmanager
        def open_model(name: str, run: Run) -> Iterator[LLM]:
            choice = self.model_choices().get(name)
            if name and choice is None:
                raise LLMError(f"The model {name} is no longer here. Choose another one.")
            if choice is None or choice == self.switch.current:
                held = self.chat_model.hold()
                try:
                    yield held.llm
                finally:
                    held.release()
                return
            llm = open_proven(choice, self._folder, self._config, run)
            try:
                yield llm
            finally:
                getattr(llm, "close", lambda: None)()

        def asker(setup: Setup, lane: Lane, llm: LLM) -> Asker:
            if lane.transport is Transport.HTTP:
                if connect is None or llm is not self.llm:
                    raise MeasuringError(
                        "Over HTTP, the app answers with the model in use. Choose that model."
                    )
                return OverHttp(connect(), setup, lane)
            return InProcess(self.measured_engine(setup, lane, llm), lane.mode)

        return Means(open_model, asker, useful_by(lambda: Settings.reranker))

    def measured_engine(self, setup: Setup, lane: Lane, llm: LLM) -> RetrieverQueryEngine:
        return measured_engine(self.library.index, llm, setup, lane, self.summaries)

    def model_choices(self) -> dict[str, Choice]:
        """The models that can be asked now, by a name for each; the configured one first."""
        if self.personal:  # another model would take memory from everybody
            return {configured_name(self._config): self.switch.current}
        found = {configured_name(self._config): Choice()}
        for model in self.models.all():
            if model.path:
                found[Path(model.name).stem] = Choice(path=str(model.path))
        for server in self.servers.all():
            found[f"{server.model} at {server.address}"] = Choice(server=server.id)
        return found

    @property
    def settings(self) -> AskSettings:
        return self._settings.current()

    @settings.setter
    def settings(self, settings: AskSettings) -> None:
        """Save the settings.

        Raises:
            StoreError: they could not be written. The earlier settings stay in force.
        """
        self._settings.save(settings)

    def ask(
        self,
        conversation: Conversation,
        question: str,
        instead_of: Turn | None = None,
        settings: AskSettings | None = None,
        filters: Filters = Filters(),
    ) -> StreamingResponse:
        """Ask in a conversation, with these settings or the saved ones. A conversation has one
        running answer.

        The question follows the last turn that is shown, or replaces the turn `instead_of` and the
        turns after it, which are kept as another version.

        Raises:
            ValueError: the question is empty or too long, or an answer is still being written.
            StoreError: the question could not be saved, and was not asked.
        """
        with self._lock:
            if self._closing:
                raise StoreError("First Token is being stopped. Start it again, then ask.")
            if self.running(conversation.id):
                raise ValueError("An answer is still being written here. Stop it, or wait.")
            if last := self._running.get(conversation.id):
                self._ended(conversation, *last)  # it has just ended, and is not saved yet
            lock = self.sharing.hold(f"answer {conversation.id}")
            if lock is None:
                raise ValueError("An answer is being written here in another window. Wait for it.")
            self._locks[conversation.id] = lock
            try:
                return self._ask(conversation, question, instead_of, settings, filters)
            except BaseException:
                self._locks.pop(conversation.id)()
                raise

    def _ask(
        self,
        conversation: Conversation,
        question: str,
        instead_of: Turn | None,
        settings: AskSettings | None,
        filters: Filters,
    ) -> StreamingResponse:
        settings = settings or self.settings
        before = self.turns(conversation.id)
        # the clocks of two machines may differ
        latest = max((turn.chosen for turn in before), default=0.0)
        if instead_of is not None:
            before = list(takewhile(lambda turn: turn.id != instead_of.id, before))
        turn = Turn(
            new_id(),
            question.strip(),
            settings=asdict(settings) | self._filters_record(conversation.collection, filters),
            parent=before[-1].id if before else "",
            chosen=max(time.time(), latest),
        )
        held = self.chat_model.hold()

        def on_done(done: StreamingResponse) -> None:
            held.release()
            self._ended(conversation, turn, done)

        try:
            engine = self._engine(conversation.collection, settings, filters, held.llm)
            response = engine.start(
                turn.question,
                stream=settings.streaming,
                history=self._history(before),
                on_done=on_done,
            )
        except BaseException:
            held.release()
            raise
        turn = replace(turn, run_id=response.run_id, question=response.question)
        title = "" if before else turn.question[:TITLE_LENGTH]
        try:
            self.conversations.save(conversation.id, turn, title)
        except StoreError:
            response.cancel()  # `_ended` saves only answers in `_running`
            raise
        response.hold(LEASE)
        self._running[conversation.id] = (turn, response)
        return response

    def running(self, conversation_id: str) -> tuple[Turn, StreamingResponse] | None:
        """The turn whose answer is running in this conversation, and the answer."""
        live = self._running.get(conversation_id)
        return None if live is None or live[1].phase.ended else live

    def turns(self, conversation_id: str) -> list[Turn]:
        """The turns that have ended, in order. A turn that a crash has interrupted is failed. One
        that another process is answering is left out (`elsewhere`)."""
        with self._lock:  # otherwise an answer may end, and be saved, between the three
            live = self._running.get(conversation_id)
            unsaved = dict(self._unsaved)
            all_saved = self.conversations.turns(conversation_id)
        turns = []
        for saved in all_saved:
            turn = unsaved.get(saved.id, ("", saved))[1]
            if live and live[0].id == turn.id:
                turn = turn.answered(live[1])  # it may have ended and not be saved yet
                if turn.phase.ended:
                    turns.append(turn)
            elif turn.phase.ended:
                turns.append(turn)
            elif not self._is_answered_elsewhere(conversation_id):
                turns.append(turn.interrupted())
        return turns

    def elsewhere(self, conversation_id: str) -> Turn | None:
        """The turn of this conversation that another process is answering."""
        if self.sharing.folder and self._is_answered_elsewhere(conversation_id):
            for turn in self.conversations.turns(conversation_id):
                if not turn.phase.ended:
                    return turn
        return None

    def _is_answered_elsewhere(self, conversation_id: str) -> bool:
        ours = conversation_id in self._locks
        return not ours and self.sharing.is_held(f"answer {conversation_id}")

    @property
    def unsaved(self) -> list[str]:
        """The ids of turns whose answers are only in memory, because the disk was full. The
        workspace tries to save them every few seconds."""
        with self._changed:  # waits for an answer that is being saved
            return list(self._unsaved)

    def delete_conversation(self, conversation_id: str) -> None:
        """Delete a conversation with all its turns. Its running answer is stopped."""
        if live := self.running(conversation_id):
            live[1].cancel()
        self.conversations.delete(conversation_id)
        with self._lock:
            for turn_id, (place, _) in list(self._unsaved.items()):
                if place == conversation_id:
                    del self._unsaved[turn_id]

    def delete_documents(self, collection: str, source_ids: Sequence[str]) -> None:
        """Delete documents: their passages and prompt states. Their files go to the trash."""
        self.library.delete(collection, source_ids)
        self.summaries.forget(source_ids)
        for upload in self.ingestor.uploads(collection):
            if upload.source_id in source_ids:
                self.ingestor.dismiss(upload)
        self._preparer.forget()

    def delete_collection(self, collection: str) -> None:
        """Delete a collection with its conversations. Its files go to the trash."""
        self.published.publish(collection, False)  # a later one of this name is another one
        for conversation in self.conversations.list(collection):
            self.delete_conversation(conversation.id)
        documents = [each.source_id for each in self.library.documents(collection)]
        self.watcher.drop(collection)
        self.ingestor.drop(collection)
        self.library.delete_collection(collection)
        self.summaries.forget(documents)
        self._preparer.forget()

    def prepared(self, collection: str, source_id: str) -> int | None:
        """How many passages of a document are prepared; None if the model needs no preparing."""
        if not self._preparer.useful:
            return None
        return self._preparer.prepared(collection, source_id)

    def hold(self, conversation_id: str) -> bool:
        """Keep the conversation's running answer going for `LEASE` seconds. False if none runs."""
        live = self.running(conversation_id)
        if live:
            live[1].hold(LEASE)
        return live is not None

    def close(self) -> None:
        """Stop all work, and save the text of running answers. Safe to repeat."""
        with self._lock:
            if self._closed:
                return
            self._closing = True
            running = list(self._running.values())
        self._ending.set()
        for each in list(self._people):
            each.close()
        for _, response in running:
            response.cancel()
        self.agents.close()
        with self._changed:
            self._changed.wait_for(lambda: not self._running, CLOSING_SECONDS)
            for conversation_id, (turn, response) in self._running.items():
                late = replace(turn.answered(response), phase=Phase.STOPPED, trace=response.trace)
                self._unsaved[turn.id] = (conversation_id, late)
            self._running.clear()
            self._save_again()
            for release in self._locks.values():
                release()
            self._locks.clear()
            self._closed = True
            self._changed.notify_all()
        if self.personal:
            self._team._people.remove(self)
        else:
            self.switch.close()
            self.search_switch.close()
            self.models.close()
        self.conversations.close()
        self.measurements.close()
        self.watcher.close()
        self.ingestor.close()
        self._preparer.close()
        self.library.close()
        self.sharing.close()
        self._folder_lock.close()

    def _take(self, upload: Upload) -> list[Packed]:
        packed = self.library.take(upload)
        if upload.replaces:
            self._preparer.forget()  # it has states of the replaced document
            self.summaries.forget([upload.replaces])
        elif upload.source_id:
            self._preparer.added()
        return packed

    def _follow(self) -> None:
        """Follow what other processes do with the documents, until the end."""
        missed, looked = False, time.monotonic()
        while not self._ending.wait(FOLLOW_EVERY):
            try:
                self.library.repair_if_first()
                missed |= self.sharing.heard() or time.monotonic() - looked > LOOK_EVERY
                if not missed:
                    continue
                come, gone = self.library.follow()
                missed, looked = False, time.monotonic()
                self.changes += 1
                if gone:
                    self._forget_deleted()
                elif come:
                    self._preparer.added()
            except (FirstTokenError, OSError) as error:  # the server or the folder is away
                log.warning("The other processes could not be followed: %s", error)
            except Exception:
                log.exception("The other processes could not be followed")

    def _forget_deleted(self) -> None:
        """Another process has deleted documents: forget what was made of them here."""
        there = set(self.library.places())
        for collection in {each for each, _ in there}:
            for upload in self.ingestor.uploads(collection):
                if upload.stage is Stage.READY and (collection, upload.source_id) not in there:
                    self.ingestor.dismiss(upload)
        self._preparer.forget()

    def _filters_record(self, collection: str, filters: Filters) -> dict[str, object]:
        """What a turn keeps of its filters: themselves, and `only`, their names as shown."""
        if not filters:
            return {}
        return {"filters": asdict(filters), "only": self.library.described(collection, filters)}

    def _engine(
        self, collection: str, settings: AskSettings, filters: Filters, llm: LLM
    ) -> RetrieverQueryEngine:
        retriever = self.library.retriever(collection, settings.passages, filters)
        options = GenerationOptions(max_tokens=settings.length, temperature=settings.temperature)
        synthesizer = ResponseSynthesizer(
            llm,
            streaming=settings.streaming,
            response_mode=settings.response_mode,
            options=options,
            first_token_budget=settings.first_token_budget or None,
        )
        kinds = self.library.kinds(collection, settings.passages, filters, self.summaries)
        return RetrieverQueryEngine(
            retriever, synthesizer, is_relevant, kinds, may_be_relevant
        )

    def _history(self, turns: Sequence[Turn]) -> list[ChatMessage]:
        """The questions and answers of these turns as messages, in order."""
        return [
            message
            for turn in turns
            for message in (
                ChatMessage("user", turn.question),
                ChatMessage("assistant", turn.text),
            )
        ]

    def _ended(self, conversation: Conversation, turn: Turn, response: Response) -> None:
        """Save the answer. If that fails, keep it and try again later."""
        answered = turn.answered(response)
        self._preparer.found(conversation.collection, [each.node for each in answered.sources])
        with self._changed:
            live = self._running.get(conversation.id)
            if self._closed or live is None or live[0].id != turn.id:
                return  # its question could not be saved, or `close` has saved it
            self._unsaved[turn.id] = (conversation.id, answered)
            del self._running[conversation.id]
            if not self._save_again():
                name = "save-again"
                threading.Thread(target=self._keep_saving, name=name, daemon=True).start()
            self._locks.pop(conversation.id)()
            self._changed.notify_all()

    def _save_again(self) -> bool:
        """Save the answers that are only in memory. False if that fails. Call it with the lock."""
        try:
            for turn_id, (conversation_id, turn) in list(self._unsaved.items()):
                self.conversations.save(conversation_id, turn)
                del self._unsaved[turn_id]
        except StoreError:
            log.exception("%d answers are not saved", len(self._unsaved))
        return not self._unsaved

    def _keep_saving(self) -> None:
        with self._changed:
            while not self._closed and not self._save_again():
                self._changed.wait(SAVE_AGAIN)


def _default_search_models() -> tuple[Path, Path]:
    return Settings.weights.embedder, Settings.weights.reranker


def _use_search_models(embedder: Embedding, reranker: Reranker) -> None:
    Settings.embed_model, Settings.reranker = embedder, reranker
    Settings.node_parser = SentenceSplitter(CHUNK_SIZE, count_tokens=embedder.count_tokens)


def _lock_folder(folder: Path) -> IO[str]:
    """Keep other processes out of the folder, until the file is closed or this process ends.

    Raises:
        StoreInUseError: another process is using it.
    """
    lock = (folder / ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as fault:
        lock.close()
        raise StoreInUseError(
            f"Another process is using the documents in {folder}. Close the other First Token, or "
            "set another DATA_DIR in .env."
        ) from fault
    except OSError as fault:  # a file system without locks
        log.warning("The data folder cannot be locked: %s", fault)
    return lock
