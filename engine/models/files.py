"""Model files: GGUF models that were downloaded or added here, and those on their way.

One download runs at a time, on a thread of its own that follows the hub's process. The list is in
`models.json`. A model is in use only after its checksum was right, or if it is a file of the user's
own. What was being downloaded when First Token ended is paused at the next start.
"""

import json
import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from engine.durable import set_aside, write_whole
from engine.errors import Cancelled, FirstTokenError, WeightsError
from engine.models.asking import Hub, HubError, HubFile, RepoFacts
from engine.run import Run

log = logging.getLogger(__name__)

LIST = "models.json"
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


class State(StrEnum):
    WAITING = "waiting"
    DOWNLOADING = "downloading"
    CHECKING = "checking"
    PAUSED = "paused"
    FAILED = "failed"
    READY = "ready"

    @property
    def at_work(self) -> bool:
        return self in (State.WAITING, State.DOWNLOADING, State.CHECKING)


@dataclass(eq=False, slots=True)
class ModelFile:
    """A model: one GGUF file, or the parts of one. `done` and `size` in bytes.

    repo: on the hub; empty for a file of the user's own. name: of the (first) file there, or its
    path here. files: what the hub said of each. paths: of each, once it is here and verified.
    """

    repo: str
    name: str
    revision: str = ""
    licence: str = ""
    files: list[HubFile] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    state: State = State.WAITING
    message: str = ""
    done: int = 0
    began: float = 0.0
    """When the download began or went on, and with how many bytes: for its rate."""
    began_with: int = 0

    @property
    def id(self) -> str:
        return f"{self.repo}/{self.name}" if self.repo else self.name

    @property
    def size(self) -> int:
        return sum(each.size for each in self.files)

    @property
    def path(self) -> Path | None:
        """What llama.cpp loads: the file, or the first part. None until it is here."""
        return Path(self.paths[0]) if self.state is State.READY and self.paths else None

    @property
    def seconds_left(self) -> float | None:
        passed, arrived = time.monotonic() - self.began, self.done - self.began_with
        if self.state is not State.DOWNLOADING or passed < 1 or arrived <= 0:
            return None
        return (self.size - self.done) * passed / arrived


class ModelFiles:
    """Safe to use from any thread. `notices`: sentences about what was wrong at the start."""

    def __init__(self, folder: Path, hub: Hub) -> None:
        self.notices: list[str] = []
        self.hub = hub
        self._file = folder / LIST
        self._lock = threading.RLock()
        self._all: dict[str, ModelFile] = {}
        self._facts: dict[str, tuple[float, RepoFacts]] = {}  # by repository: when asked, and what
        self._runs: dict[str, Run] = {}  # of downloads at work, by id
        self._queue: queue.SimpleQueue[ModelFile | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.asking = False
        """Whether `ask_all` is at work; `ask_problem` says how its last call failed."""
        self.ask_problem = ""
        self._load()

    def all(self) -> list[ModelFile]:
        """In the order in which they were added."""
        with self._lock:
            return list(self._all.values())

    def find(self, model_id: str) -> ModelFile | None:
        return self._all.get(model_id)

    def licence_of(self, path: Path) -> str:
        """The licence of a downloaded model, as the hub names it; empty where it is not known."""
        found = (each.licence for each in self.all() if each.path == path)
        return next(found, "")

    def known_facts(self, repo: str) -> RepoFacts | None:
        """What the hub said of a repository when it was last asked."""
        asked = self._facts.get(repo)
        return asked[1] if asked else None

    def ask(self, repo: str, run: Run | None = None) -> RepoFacts:
        """Ask the hub now, and keep what it says.

        Raises:
            HubError, Cancelled: see `Hub.facts`.
        """
        facts = self.hub.facts(repo, run)
        with self._lock:
            self._facts[repo] = (time.time(), facts)
            self._save()
        return facts

    def ask_all(self, repos: Iterable[str]) -> None:
        """Ask the hub about these repositories, in the background, one after the other."""

        def ask() -> None:
            try:
                for repo in repos:
                    self.ask(repo)
            except FirstTokenError as error:
                self.ask_problem = str(error)
            finally:
                self.asking = False

        if not self.asking:
            self.asking, self.ask_problem = True, ""
            threading.Thread(target=ask, name="asking the hub", daemon=True).start()

    def download(self, repo: str, name: str) -> ModelFile:
        """Begin to download a model, or go on with it. Parts of a split model come together."""
        with self._lock:
            model = self._all.setdefault(f"{repo}/{name}", ModelFile(repo, name))
            if model.state is State.READY or model.id in self._runs:
                return model
            model.state, model.message = State.WAITING, ""
            self._runs[model.id] = Run()
            self._save()
            self._queue.put(model)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="downloads", daemon=True)
                self._thread.start()
        return model

    def pause(self, model: ModelFile) -> None:
        """Stop a download; `download` goes on with it."""
        with self._lock:
            if run := self._runs.pop(model.id, None):
                model.state = State.PAUSED
                run.cancel()
                self._save()

    def add_local(self, path: Path) -> ModelFile:
        """Add a GGUF file that is on this machine. It stays where it is.

        Raises:
            WeightsError: it is not there, or no GGUF file.
        """
        path = path.expanduser().absolute()
        try:
            with path.open("rb") as file:
                magic = file.read(4)
        except OSError as error:
            raise WeightsError(
                f"{path} cannot be read ({error.strerror}). Write the whole path of a GGUF file."
            ) from error
        if magic != b"GGUF":
            raise WeightsError(f"{path.name} is not a GGUF file. Choose one that ends in .gguf.")
        paths = parts_of(path)
        if missing := [each.name for each in paths if not each.is_file()]:
            raise WeightsError(f"Parts of the model are missing beside it: {', '.join(missing)}.")
        model = ModelFile("", str(path), state=State.READY)
        model.files = [HubFile(each.name, each.stat().st_size) for each in paths]
        model.paths = [str(each) for each in paths]
        model.done = model.size
        with self._lock:
            self._all[model.id] = model
            self._save()
        return model

    def remove(self, model: ModelFile) -> int:
        """Forget a model. What was downloaded is deleted; a file of the user's own stays.

        Returns the bytes that became free.
        """
        with self._lock:
            self.pause(model)
            self._all.pop(model.id, None)
            self._save()
        if not model.repo:
            return 0
        return sum(map(_delete, model.paths)) + self._delete_partial(model)

    def close(self) -> None:
        with self._lock:
            for model in self.all():
                self.pause(model)
            self._queue.put(None)
        if self._thread:
            self._thread.join(10)

    # The thread of downloads

    def _work(self) -> None:
        while (model := self._queue.get()) is not None:
            run = self._runs.get(model.id)
            if run is None:  # paused while it waited
                continue
            try:
                self._fetch(model, run)
                state, message = State.READY, ""
            except Cancelled:
                continue
            except FirstTokenError as error:
                log.exception("%s could not be downloaded", model.id)
                state, message = State.FAILED, str(error)
                if isinstance(error, HubError) and error.kind == "wrong":
                    model.files, model.done = [], 0  # the hub is asked again
            except Exception as error:
                log.exception("A download failed")
                state = State.FAILED
                message = f"The download failed ({type(error).__name__}). The log says more."
            with self._lock:
                if self._runs.pop(model.id, None) is run:
                    model.state, model.message = state, message
                    self._save()

    def _fetch(self, model: ModelFile, run: Run) -> None:
        model.state, model.began = State.DOWNLOADING, 0.0
        if not model.files:
            facts = self.ask(model.repo, run)
            wanted = [facts.file(each) for each in _parts(model.name)]
            if None in wanted:
                raise WeightsError(_no_such_file(model, facts))
            with self._lock:
                model.revision, model.licence = facts.revision, facts.licence
                model.files = [each for each in wanted if each]
                self._save()
        facts = RepoFacts(model.repo, model.revision, model.licence, tuple(model.files))
        paths: list[str] = []
        for file in model.files:
            before = sum(each.size for each in model.files[: len(paths)])
            path = self.hub.fetch(facts, file, run, self._reporting(model, before))
            paths.append(str(path))
        with self._lock:
            model.paths, model.done = paths, model.size

    def _reporting(self, model: ModelFile, before: int) -> Callable[[str, int, int], None]:
        def report(stage: str, done: int, _total: int) -> None:
            if stage == "checking":
                model.state = State.CHECKING
                return
            if model.state is not State.DOWNLOADING or not model.began:
                model.began, model.began_with = time.monotonic(), before + done
            model.state, model.done = State.DOWNLOADING, before + done

        return report

    def _delete_partial(self, model: ModelFile) -> int:
        freed = 0
        for partial in self.hub.partial_files(model.repo, model.files):
            with suppress(OSError):
                size = partial.stat().st_size
                partial.unlink()
                freed += size
        return freed

    # The list

    def _load(self) -> None:
        if not self._file.exists():
            return
        try:
            kept = json.loads(self._file.read_text("utf-8"))
            models = [_model(each) for each in kept["models"]]
            facts = {each["repo"]: (at, _facts(each)) for at, each in kept["facts"]}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            log.exception("The list of models cannot be read")
            with suppress(OSError):
                aside = set_aside(self._file, self._file.parent)
                self.notices.append(
                    f"The list of downloaded models was damaged; it is kept as {aside}. The files "
                    "are still there: download a model again, and it is found at once."
                )
            return
        for model in models:
            if model.state.at_work:
                model.state = State.PAUSED
            if model.state is State.READY and not all(Path(each).is_file() for each in model.paths):
                model.state = State.FAILED
                model.message = "Its file is no longer there. Download it again, or remove it."
                model.paths = []
            self._all[model.id] = model
        self._facts = facts

    def _save(self) -> None:
        """Needs the lock. A disk that is full is no reason to stop: the next change tries again."""
        kept = {
            "models": [asdict(each) for each in self._all.values()],
            "facts": [(at, asdict(facts)) for at, facts in self._facts.values()],
        }
        try:
            write_whole(self._file, json.dumps(kept, indent=1).encode())
        except OSError:
            log.exception("The list of models could not be saved")


def gguf_files(facts: RepoFacts) -> list[str]:
    """The names of the models in a repository: of split ones the first part."""
    names = [each.name for each in facts.files if each.name.lower().endswith(".gguf")]
    return [name for name in names if not (part := _PART.search(name)) or int(part[1]) == 1]


def size_of(facts: RepoFacts, name: str) -> int | None:
    """The bytes of a model, all its parts together; None if the repository lacks one."""
    files = [facts.file(each) for each in _parts(name)]
    return None if None in files else sum(each.size for each in files if each)


def parts_of(path: Path) -> list[Path]:
    """The files of a model on this machine, from the path of one."""
    return [path.with_name(each) for each in _parts(path.name)]


def bytes_of(path: Path) -> int:
    """The size of a model on this machine: of a split one, of all its parts."""
    return sum(each.stat().st_size for each in parts_of(path) if each.is_file())


def _parts(name: str) -> list[str]:
    """The names of all parts of a model, from that of one."""
    part = _PART.search(name)
    if part is None:
        return [name]
    stem, total = name[: part.start()], int(part[2])
    return [f"{stem}-{number:05}-of-{total:05}.gguf" for number in range(1, total + 1)]


def _delete(path: str) -> int:
    """Delete a file of the hub's cache, unless another revision there has it too."""
    name = Path(path)
    blob = name.resolve()
    freed = 0
    try:
        size = blob.stat().st_size
        name.unlink()
        others = blob.parent.parent.glob("snapshots/**/*")
        if blob != name and not any(each.resolve() == blob for each in others if each.is_symlink()):
            blob.unlink()
        freed = 0 if blob.exists() else size
        name.parent.rmdir()  # if it was the last file of its revision
    except OSError as error:
        log.info("Not deleted: %s", error)
    return freed


def _no_such_file(model: ModelFile, facts: RepoFacts) -> str:
    there = gguf_files(facts)
    if not there:
        return f"{model.repo} has no GGUF file. Choose a repository whose name ends in -GGUF."
    shown = ", ".join(there[:12])
    return f"{model.repo} has no file {model.name}. It has: {shown}."


def _model(values: dict[str, Any]) -> ModelFile:
    files = [HubFile(**each) for each in values.pop("files")]
    state = State(values.pop("state"))
    return ModelFile(**values, files=files, state=state)


def _facts(values: dict[str, Any]) -> RepoFacts:
    files = tuple(HubFile(**each) for each in values.pop("files"))
    return RepoFacts(**values, files=files)
