"""Ingestion: uploaded files → documents of a collection, one after another, in the background.

An upload is on disk before its work begins and until it has ended, so that a crash in between
loses nothing: at the next start it is taken up again. One bad file stops no other. It knows
nothing of pages; they read `Upload` objects as they change.
"""

import json
import logging
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from engine.errors import Cancelled, FirstTokenError, PasswordNeededError
from engine.run import Run
from engine.schema import new_id

log = logging.getLogger(__name__)


class Stage(StrEnum):
    """Where an upload is. The value is the word a page shows."""

    WAITING = "waiting"
    READING = "reading"
    SPLITTING = "splitting"
    EMBEDDING = "embedding"
    STORING = "storing"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"
    LOCKED = "needs its password"
    CHANGED = "differs from the one you have"

    @property
    def ended(self) -> bool:
        return self in (Stage.READY, Stage.FAILED, Stage.STOPPED)

    @property
    def needs_answer(self) -> bool:
        return self in (Stage.LOCKED, Stage.CHANGED)


@dataclass(slots=True)
class Upload:
    """One file on its way in. `done` of `total` counts what the stage works through.

    `seconds` is what each stage has taken; `message` says why it failed, or what it asks.
    `files` counts those that were packed in it; `source_id` is the document it became.
    """

    name: str
    collection: str
    folder: Path
    id: str = field(default_factory=new_id)
    stage: Stage = Stage.WAITING
    done: int = 0
    total: int = 0
    message: str = ""
    notices: list[str] = field(default_factory=list)
    passages: int = 0
    files: int = 0
    source_id: str = ""
    seconds: dict[Stage, float] = field(default_factory=dict)
    password: str | None = None
    replaces: str | None = None
    keep_both: bool = False
    run: Run = field(default_factory=Run)
    _since: float = field(default_factory=time.perf_counter)

    @property
    def path(self) -> Path:
        return self.folder / self.name

    def enter(self, stage: Stage, done: int = 0, total: int = 0) -> None:
        """Go on to a stage, or on within it."""
        now = time.perf_counter()
        self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + now - self._since
        self.stage, self.done, self.total, self._since = stage, done, total, now

    @property
    def seconds_left(self) -> float | None:
        """An estimate for the running stage, from its pace so far; None while there is none."""
        spent = self.seconds.get(self.stage, 0.0) + time.perf_counter() - self._since
        if not self.done or not self.total or self.stage.ended:
            return None
        return spent / self.done * (self.total - self.done)


Packed = tuple[str, Path]
Take = Callable[[Upload], Iterable[Packed]]
"""Takes an upload in. Gives the name and place of each file that was packed in it."""


class Ingestor:
    """A queue of uploads and the one thread that works through it.

    `take` does the work for one upload: it moves the upload through its stages, and raises what
    went wrong. Files it finds packed in the upload become uploads of their own.
    """

    def __init__(self, incoming: Path, take: Take) -> None:
        self._incoming = incoming
        self._take = take
        self._uploads: list[Upload] = []
        self._closing = False
        self._queue: queue.SimpleQueue[Upload | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="ingestion", daemon=True)
        incoming.mkdir(parents=True, exist_ok=True)
        self._resume()
        self._thread.start()

    def add(self, collection: str, name: str, content: bytes | Path) -> Upload:
        """Keep the file, given as its bytes or as one to copy, and queue it.

        Raises:
            OSError: there is no room on the disk; nothing is left behind.
        """
        upload = Upload(safe_name(name), collection, self._incoming / new_id())
        try:
            upload.folder.mkdir()
            if isinstance(content, Path):
                shutil.copyfile(content, upload.path)
            else:
                upload.path.write_bytes(content)
            (upload.folder / _RECORD).write_text(json.dumps({"collection": collection}))
        except OSError:
            shutil.rmtree(upload.folder, ignore_errors=True)
            raise
        self._enqueue(upload)
        return upload

    def uploads(self, collection: str) -> list[Upload]:
        """Those not yet dismissed, in the order they came."""
        return [upload for upload in self._uploads if upload.collection == collection]

    @property
    def busy(self) -> bool:
        return any(not (u.stage.ended or u.stage.needs_answer) for u in self._uploads)

    def unlock(self, upload: Upload, password: str) -> None:
        upload.password = password
        self._requeue(upload)

    def decide(self, upload: Upload, keep_both: bool) -> None:
        """A file of this name but other content is there: replace it, or keep both."""
        upload.keep_both = keep_both
        if keep_both:
            upload.replaces = None
        self._requeue(upload)

    def cancel(self, upload: Upload) -> None:
        """Stop it, wherever it is. Nothing of it stays in the collection."""
        upload.run.cancel()
        if upload.stage.needs_answer:
            self._end(upload, Stage.STOPPED)

    def dismiss(self, upload: Upload) -> None:
        """Forget an upload that has ended."""
        if upload.stage.ended and upload in self._uploads:
            self._uploads.remove(upload)

    def close(self) -> None:
        """Stop after the file in work, which is taken up again at the next start."""
        self._closing = True
        self._queue.put(None)
        for upload in self._uploads:
            if not upload.stage.ended:
                upload.run.cancel()
        self._thread.join(30)

    def _resume(self) -> None:
        """Take up what a crash left, and clear away what never arrived whole."""
        for folder in sorted(self._incoming.iterdir(), key=lambda each: each.stat().st_mtime):
            names = [
                each.name for each in folder.iterdir() if each.is_file() and each.name != _RECORD
            ]
            if len(names) == 1 and (folder / _RECORD).exists():
                record = json.loads((folder / _RECORD).read_text())
                self._enqueue(Upload(names[0], record["collection"], folder))
            else:
                shutil.rmtree(folder, ignore_errors=True)

    def _enqueue(self, upload: Upload) -> None:
        self._uploads.append(upload)
        self._queue.put(upload)

    def _requeue(self, upload: Upload) -> None:
        upload.enter(Stage.WAITING)
        upload.message = ""
        self._queue.put(upload)

    def _work(self) -> None:
        while (upload := self._queue.get()) is not None:
            try:
                upload.run.check()
                for name, path in self._take(upload):
                    self.add(upload.collection, name, path)
            except Cancelled:
                if not self._closing:  # else its file stays, for the next start
                    self._end(upload, Stage.STOPPED)
            except PasswordNeededError as error:
                upload.enter(Stage.LOCKED)
                upload.message = str(error)
            except ChangedFile as change:
                upload.replaces = change.source_id
                upload.enter(Stage.CHANGED)
                upload.message = str(change)
            except FirstTokenError as error:
                self._end(upload, Stage.FAILED, str(error))
            except Exception as fault:  # one bad file must not end the thread for all others
                log.exception("Upload %s failed", upload.run.id)
                self._end(upload, Stage.FAILED, f"It could not be taken in: {fault}")
            else:
                self._end(upload, Stage.READY)

    def _end(self, upload: Upload, stage: Stage, message: str = "") -> None:
        upload.enter(stage)
        upload.message = message
        times = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in upload.seconds.items())
        log.info("Upload %s: %s; %d passages; %s", upload.run.id, stage, upload.passages, times)
        shutil.rmtree(upload.folder, ignore_errors=True)


class ChangedFile(Exception):  # noqa: N818 - a question to the person, not an error
    """A file of this name is there with other content, of the source named."""

    def __init__(self, name: str, source_id: str) -> None:
        super().__init__(f"You have another {name}. Replace it, or keep both?")
        self.source_id = source_id


_RECORD = ".upload.json"


def safe_name(name: str) -> str:
    """The last part of a file's name, fit for any file system, never empty."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1].replace("\0", "").strip()
    kept = "".join(c for c in last if c.isprintable() and c not in '<>:"|?*').lstrip(".")
    stem, dot, suffix = kept.rpartition(".")
    # 120 characters: 255 bytes, the usual limit, with room for names outside ASCII.
    return (f"{stem[:100]}{dot}{suffix[:20]}" if stem else kept[:120]) or "file"
