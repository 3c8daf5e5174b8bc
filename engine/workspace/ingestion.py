"""Ingestion: uploaded files → documents of a collection, one after another, in the background.

    incoming/<id>/.upload.json  the record of the upload; written first
    incoming/<id>/<file>        the file; when it exists, the upload has arrived
    incoming/<id>/unpacked/     the files of a ZIP, until each becomes a separate upload

An upload is on disk from before its processing begins until it has ended, so a crash loses nothing,
and the next start continues. One bad file does not stop the others. Pages read `Upload` objects
while they change.
"""

import json
import logging
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Literal

from engine.durable import set_aside, sync_file, sync_folder, write_whole
from engine.errors import Cancelled, FirstTokenError, PasswordNeededError
from engine.run import Run
from engine.schema import new_id
from engine.store.connection import is_full

log = logging.getLogger(__name__)

# The limits of unpacking one upload, including the ZIPs within it, so that a ZIP of 1 kB cannot
# fill the disk. 2 GB are a tenth of the free disk space of a small laptop, and ten times the size
# limit of a file. 10,000 files of ten passages are what the embedded collection searches quickly.
UNPACKED_BYTES = 2_000_000_000
UNPACKED_FILES = 10_000
# Levels of ZIPs: a ZIP, the ZIPs in it, and the ZIPs in those. Users do have such archives.
UNPACKED_DEPTH = 3


class Stage(StrEnum):
    """The stage of an upload. The value is the word that a page shows."""

    WAITING = "waiting"
    READING = "reading"
    RECOGNISING = "recognising text"
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


Packed = tuple[str, Path]
"""The name and the place of a file that was unpacked from an upload."""


@dataclass(slots=True)
class Upload:
    """One uploaded file. `done` of `total` is the progress of the stage.

    `seconds` has the duration of each stage. `message` is the reason of a failure, or a question.
    `files` is the number of files in a ZIP. `source_id` is the document made from the upload.
    `known_as` is the name of a document in the collection with the same content. `depth` is the
    number of ZIPs that contained the file, and `root` the folder name of the outermost one.
    `directory` is the relative path of the folder that it was added with, or empty. `tags` are
    those that the document gets.
    `if_exists`: what to do where another file of this name is there; empty: ask. `added`: when, as
    `time.time()`. `bytes_left` and `files_left` are how much may still be unpacked of that ZIP.
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
    known_as: str = ""
    seconds: dict[Stage, float] = field(default_factory=dict)
    password: str | None = None
    replaces: str | None = None
    keep_both: bool = False
    if_exists: Literal["", "replace", "keep_both"] = ""
    added: float = field(default_factory=time.time)
    directory: str = ""
    tags: tuple[str, ...] = ()
    root: str = ""
    depth: int = 0
    bytes_left: int = UNPACKED_BYTES
    files_left: int = UNPACKED_FILES
    packed: list[Packed] | None = None  # after unpacking: the files that become uploads
    run: Run = field(default_factory=Run)
    _since: float = field(default_factory=time.perf_counter)

    @property
    def path(self) -> Path:
        return self.folder / self.name

    def enter(self, stage: Stage, done: int = 0, total: int = 0) -> None:
        """Set the stage and its progress."""
        now = time.perf_counter()
        self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + now - self._since
        self.stage, self.done, self.total, self._since = stage, done, total, now

    @property
    def seconds_left(self) -> float | None:
        """An estimate for the running stage from its speed so far, or None."""
        spent = self.seconds.get(self.stage, 0.0) + time.perf_counter() - self._since
        if not self.done or not self.total or self.stage.ended:
            return None
        return spent / self.done * (self.total - self.done)


Take = Callable[[Upload], Iterable[Packed]]
"""Adds the document of an upload. Returns the files of a ZIP."""


class Ingestor:
    """A queue of uploads and the one thread that works through it.

    `take` processes one upload: it moves the upload through its stages, and raises if that fails.
    The files of a ZIP become separate uploads.
    """

    def __init__(
        self,
        incoming: Path,
        take: Take,
        check: Callable[[str], object] = lambda _collection: None,
    ) -> None:
        """`check` raises FirstTokenError if a collection cannot take uploads."""
        self.notices: list[str] = []
        """Sentences about uploads that could not be continued. Every page shows them."""
        self._incoming = incoming
        self._take = take
        self._check = check
        self._uploads: list[Upload] = []
        self._spent: dict[str, tuple[int, int]] = {}  # bytes and files unpacked, by root
        self._closing = False
        self._queue: queue.SimpleQueue[Upload | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="ingestion", daemon=True)
        try:
            incoming.mkdir(parents=True, exist_ok=True)
        except OSError:  # the folder cannot be written: `add` raises then
            log.exception("The folder for uploads could not be made")
        self._resume()
        self._thread.start()

    def add(
        self,
        collection: str,
        name: str,
        content: bytes | Path | IO[bytes],
        if_exists: Literal["", "replace", "keep_both"] = "",
        directory: str = "",
        replaces: str | None = None,
    ) -> Upload:
        """Save a file, given as bytes or as a path or an open file to copy from, and queue it.
        `directory`: the relative path of the folder that it comes with. `replaces`: the id of the
        document that it replaces.

        Raises:
            FirstTokenError: the collection was deleted.
            OSError: it could not be written, for example on a full disk. Nothing of it is kept.
        """
        self._check(collection)
        upload = Upload(safe_name(name), collection, self._incoming / new_id())
        upload.root, upload.if_exists = upload.folder.name, if_exists
        upload.directory, upload.replaces = safe_directory(directory), replaces
        try:
            upload.folder.mkdir()
            _write_record(upload)
            part = upload.folder / _PART
            if isinstance(content, Path):
                shutil.copyfile(content, part)
            elif isinstance(content, bytes):
                part.write_bytes(content)
            else:
                with part.open("wb") as copy:
                    shutil.copyfileobj(content, copy)
            sync_file(part)
            part.rename(upload.path)
            sync_folder(upload.folder)
            sync_folder(self._incoming)
        except OSError:
            shutil.rmtree(upload.folder, ignore_errors=True)
            raise
        self._enqueue(upload)
        return upload

    def uploads(self, collection: str) -> list[Upload]:
        """The uploads that are not dismissed, in the order of arrival."""
        return [upload for upload in self._uploads.copy() if upload.collection == collection]

    @property
    def busy(self) -> bool:
        return any(not (u.stage.ended or u.stage.needs_answer) for u in self._uploads)

    def unlock(self, upload: Upload, password: str) -> None:
        upload.password = password
        self._requeue(upload)

    def decide(self, upload: Upload, keep_both: bool) -> None:
        """Replace the file with the same name and other content, or keep both."""
        upload.keep_both = keep_both
        if keep_both:
            upload.replaces = None
        try:
            _write_record(upload)
        except OSError:  # a full disk: after a crash, the question is asked again
            log.exception("An answer about an upload could not be recorded")
        self._requeue(upload)

    def cancel(self, upload: Upload) -> None:
        """Stop an upload in any stage. Nothing of it stays in the collection."""
        upload.run.cancel()
        if upload.stage.needs_answer:
            self._end(upload, Stage.STOPPED)

    def dismiss(self, upload: Upload) -> None:
        """Remove an upload that has ended from the list."""
        if upload.stage.ended and upload in self._uploads:
            self._uploads.remove(upload)

    def drop(self, collection: str) -> None:
        """Stop and remove all uploads of a collection that is deleted."""
        for upload in self.uploads(collection):
            upload.run.cancel()
            waits = upload.stage.ended or upload.stage.needs_answer or upload.stage is Stage.WAITING
            if waits:  # otherwise the working thread removes the folder
                shutil.rmtree(upload.folder, ignore_errors=True)
            self._uploads.remove(upload)

    def close(self) -> None:
        """Stop. The next start continues with the present file."""
        self._closing = True
        self._queue.put(None)
        for upload in self._uploads:
            if not upload.stage.ended:
                upload.run.cancel()
        self._thread.join(30)

    def _resume(self) -> None:
        """Continue the uploads that the last process left. Other files stay where they are."""
        try:
            folders = [each for each in self._incoming.iterdir() if each.is_dir()]
        except OSError:
            return
        for folder in sorted(folders, key=lambda each: each.stat().st_mtime):
            try:
                self._resume_folder(folder)
            except OSError:
                log.exception("The upload in %s could not be continued", folder)
                self.notices.append(f"The upload in {folder} could not be read. It stays there.")

    def _resume_folder(self, folder: Path) -> None:
        files = [each for each in folder.iterdir() if each.is_file() and each.name[0] != "."]
        try:
            record = json.loads((folder / _RECORD).read_bytes())
            upload = Upload(files[0].name if files else "", record["collection"], folder)
            upload.root = record.get("root", folder.name)
            upload.depth = record.get("depth", 0)
            upload.replaces = record.get("replaces")
            upload.keep_both = record.get("keep_both", False)
            upload.directory = record.get("directory", "")
            if (packed := record.get("packed")) is not None:
                upload.packed = [(name, folder / place) for name, place in packed]
                upload.files = len(packed)
            spent = tuple(record.get("spent", (0, 0)))
        except FileNotFoundError:
            if not files:  # another program's folder, or one just created
                return
            record = None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            record = None
        if record is None or len(files) > 1:
            log.error("The record of the upload in %s cannot be read", folder)
            names = ", ".join(each.name for each in files) or "with no file"
            place = set_aside(folder, self._incoming.parent)
            self.notices.append(
                f"An upload ({names}) was interrupted, and its record is damaged. It was moved to "
                f"{place}. Add it again."
            )
        elif not files:  # the upload was interrupted before the file had arrived
            shutil.rmtree(folder, ignore_errors=True)
        else:
            known = self._spent.get(upload.root, (0, 0))
            self._spent[upload.root] = (max(known[0], spent[0]), max(known[1], spent[1]))
            self._enqueue(upload)

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
                if upload.packed is None:
                    upload.run.check()
                    self._unpack(upload, list(self._take_within(upload)))
                self._hand_over(upload)
            except Cancelled:
                if not self._closing:  # otherwise its file stays for the next start
                    self._end(upload, Stage.STOPPED)
            except PasswordNeededError as error:
                upload.enter(Stage.LOCKED)
                upload.message = str(error)
            except ChangedFile as change:
                upload.replaces = change.source_id
                if upload.if_exists:
                    self.decide(upload, keep_both=upload.if_exists == "keep_both")
                else:
                    upload.enter(Stage.CHANGED)
                    upload.message = str(change)
            except FirstTokenError as error:
                self._end(upload, Stage.FAILED, str(error))
            except Exception as fault:  # one bad file must not end the thread for all others
                log.exception("Upload %s failed", upload.run.id)
                if upload.packed is not None:
                    # Its files exist nowhere else, so they are kept, and the next start continues.
                    upload.enter(Stage.FAILED)
                    upload.message = (
                        f"Not all files of {upload.name} could be unpacked{_because(fault)} They "
                        "are kept. Start First Token again to continue."
                    )
                else:
                    message = f"{upload.name} could not be added{_because(fault)} Add it again."
                    self._end(upload, Stage.FAILED, message)
            else:
                self._end(upload, Stage.READY)

    def _take_within(self, upload: Upload) -> Iterable[Packed]:
        """Process an upload, within the remaining limits of its outermost ZIP."""
        spent_bytes, spent_files = self._spent.get(upload.root, (0, 0))
        upload.bytes_left = max(0, UNPACKED_BYTES - spent_bytes)
        upload.files_left = max(0, UNPACKED_FILES - spent_files)
        shutil.rmtree(upload.folder / "unpacked", ignore_errors=True)  # left from an interruption
        return self._take(upload)

    def _unpack(self, upload: Upload, packed: list[Packed]) -> None:
        """Record the unpacked files. After this, a restart does not unpack again."""
        if not packed:
            return
        spent_bytes, spent_files = self._spent.get(upload.root, (0, 0))
        size = sum(path.stat().st_size for _, path in packed)
        self._spent[upload.root] = (spent_bytes + size, spent_files + len(packed))
        upload.files = len(packed)
        os.sync()  # the files must be on the disk before the record that lists them
        _write_record(upload, packed, self._spent[upload.root])
        upload.packed = packed

    def _hand_over(self, upload: Upload) -> None:
        """Make each unpacked file an upload, by one rename, so that it happens exactly once."""
        for name, path in upload.packed or ():
            upload.run.check()
            if not path.exists():
                continue  # the last process has already made it an upload
            child = Upload(safe_name(name), upload.collection, self._incoming / new_id())
            inside = name.replace("\\", "/").rpartition("/")[0]
            child.directory = safe_directory(f"{upload.directory}/{inside}")
            child.root, child.depth = upload.root, upload.depth + 1
            child.folder.mkdir()
            _write_record(child, spent=self._spent.get(upload.root, (0, 0)), durable=False)
            path.rename(child.path)
            self._enqueue(child)
        if upload.packed:
            os.sync()  # before the ZIP is removed

    def _end(self, upload: Upload, stage: Stage, message: str = "") -> None:
        upload.message = message
        # The file is removed first: a start ignores a folder without it, even if the rest remains.
        with suppress(OSError):
            upload.path.unlink()
        shutil.rmtree(upload.folder, ignore_errors=True)
        upload.enter(stage)
        times = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in upload.seconds.items())
        log.info("Upload %s: %s; %d passages; %s", upload.run.id, stage, upload.passages, times)


class ChangedFile(Exception):  # noqa: N818 - a question to the person, not an error
    """The source `source_id` has the same name and other content."""

    def __init__(self, name: str, source_id: str) -> None:
        super().__init__(f"You have another {name}. Replace it, or keep both?")
        self.source_id = source_id


_RECORD, _PART = ".upload.json", ".part"
_DEEPEST, _LONGEST_DIRECTORY = 20, 1_000  # levels; characters


def is_hidden(path: str) -> bool:
    """Whether a file, or a folder above it, is hidden, or what a system adds to folders."""
    parts = path.replace("\\", "/").split("/")
    return any(part.startswith((".", "~$", "__MACOSX")) for part in parts) or (
        parts[-1].lower() in ("thumbs.db", "desktop.ini", "icon\r")
    )


def safe_directory(path: str) -> str:
    """A relative folder as it is shown and searched: "reports/2025", without parts that lead
    elsewhere.
    """
    parts = [part.strip() for part in path.replace("\\", "/").split("/")]
    kept = ["".join(filter(str.isprintable, part)) for part in parts if part.strip(". ")]
    return "/".join(kept[:_DEEPEST])[:_LONGEST_DIRECTORY]


def safe_name(name: str) -> str:
    """The last part of a file's name, valid on every file system and never empty."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1].replace("\0", "").strip()
    kept = "".join(c for c in last if c.isprintable() and c not in '<>:"|?*').lstrip(".")
    stem, dot, suffix = kept.rpartition(".")
    # File systems allow 255 bytes (some 255 UTF-16 units): 200 for the stem, 40 for the suffix.
    name = f"{_cut(stem, 200)}{dot}{_cut(suffix, 40)}" if stem else _cut(kept, 240)
    return name or "file"


def _cut(text: str, size: int) -> str:
    """At most `size` bytes of UTF-8, whole characters only."""
    return text.encode(errors="ignore")[:size].decode(errors="ignore")


def _because(fault: Exception) -> str:
    if is_full(fault):
        return ": the disk is full. Make room, for example by emptying the trash."
    return f" ({fault.strerror})." if isinstance(fault, OSError) else f" ({fault})."


def _write_record(
    upload: Upload,
    packed: list[Packed] | None = None,
    spent: tuple[int, int] = (0, 0),
    durable: bool = True,
) -> None:
    record: dict[str, object] = {
        "collection": upload.collection,
        "root": upload.root,
        "depth": upload.depth,
        "replaces": upload.replaces,
        "keep_both": upload.keep_both,
        "directory": upload.directory,
        "spent": spent,
    }
    if packed is not None:
        record["packed"] = [
            (name, str(path.relative_to(upload.folder))) for name, path in packed
        ]
    content = json.dumps(record).encode()
    if durable:
        write_whole(upload.folder / _RECORD, content)
    else:
        (upload.folder / _RECORD).write_bytes(content)
