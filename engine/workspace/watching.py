"""Watching: folders on this computer that a collection follows.

    watched.json   the folders, and for each file in them its size, its time and its content's hash

A folder is scanned at the start, whenever the system reports a change in it, and every minute,
since reports get lost. New and changed files become uploads; the document of a deleted file goes to
the trash; a renamed file keeps its passages. Nothing in a watched folder is ever written.
"""

import fnmatch
import hashlib
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from engine.durable import set_aside, write_whole
from engine.errors import ConfigError, FirstTokenError
from engine.schema import new_id
from engine.workspace.ingestion import Ingestor, is_hidden
from engine.workspace.library import Library

log = logging.getLogger(__name__)

# Of one folder. With ten passages each, the embedded collection searches them quickly.
MOST_FILES = 10_000
# Seconds. A file is taken when it has not changed for so long; a scan follows a change after it.
SETTLED = 1.0
SCAN_EVERY = 60.0
_KEPT_LINES = 200  # of a folder's log
# Files that programs write while they work
_TEMPORARY = ("*.tmp", "*.part", "*.crdownload", "*.swp", "*.zip")


@dataclass(slots=True)
class Watched:
    """A folder that a collection follows.

    ignore: patterns of names or relative paths, such as "*.log" or "drafts/*".
    files: by relative path, the size, the time of change in nanoseconds, and the document's id.
    problem: a sentence while the folder cannot be followed.
    lines: what was done, the latest first.
    """

    folder: str
    collection: str
    ignore: tuple[str, ...] = ()
    paused: bool = False
    id: str = field(default_factory=new_id)
    files: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    problem: str = ""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))

    def say(self, line: str) -> None:
        self.lines.appendleft(f"{time.strftime('%H:%M:%S')} {line}")

    def directory(self, path: str) -> str:
        """Of a file at this relative path: its folder as the Library shows it."""
        return str(Path(Path(self.folder).name, path).parent)


class Watcher:
    """Follows folders, in a thread of its own. Safe to use from any thread.

    `delete` deletes documents of a collection.
    """

    def __init__(
        self,
        file: Path,
        library: Library,
        ingestor: Ingestor,
        delete: Callable[[str, Sequence[str]], None],
        shared: Path | None = None,
    ) -> None:
        """`shared`: a folder with data of the app, besides the one of `file`."""
        self.notices: list[str] = []
        self._data = [each.resolve() for each in (file.parent, shared) if each]
        self._file, self._library, self._ingestor, self._delete = file, library, ingestor, delete
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._closing = False
        self._watched = self._load()
        self._observer: BaseObserver | None = None
        self._observing: set[str] = set()
        self._thread: threading.Thread | None = None
        if self._watched:
            self._start()

    def folders(self, collection: str) -> list[Watched]:
        with self._lock:
            return [each for each in self._watched if each.collection == collection]

    def add(self, collection: str, folder: str, ignore: Sequence[str] = ()) -> Watched:
        """Follow a folder from now on.

        Raises:
            ConfigError: it is not there, is followed already, or holds the app's own data.
        """
        path = Path(folder).expanduser().resolve()
        if not path.is_dir():
            raise ConfigError(f"There is no folder {path}. Write its whole path.")
        if any(each.is_relative_to(path) or path.is_relative_to(each) for each in self._data):
            raise ConfigError(f"{path} holds the data of First Token. Choose another folder.")
        with self._lock:
            for each in self._watched:
                other = Path(each.folder)
                if path.is_relative_to(other) or other.is_relative_to(path):
                    raise ConfigError(
                        f"{each.folder} is followed already, in the collection {each.collection}."
                    )
            patterns = tuple(pattern.strip() for pattern in ignore if pattern.strip())
            watched = Watched(str(path), collection, patterns)
            self._watched.append(watched)
            self._save()
        self._start()
        self._wake.set()
        return watched

    def pause(self, watched: Watched, paused: bool) -> None:
        with self._lock:
            watched.paused = paused
            self._save()
        self._wake.set()

    def remove(self, watched: Watched) -> None:
        """Stop following it. Its documents stay in the collection."""
        with self._lock:
            self._watched.remove(watched)
            self._save()

    def drop(self, collection: str) -> None:
        """Stop following all folders of a collection, because it is deleted."""
        for each in self.folders(collection):
            self.remove(each)

    def close(self) -> None:
        self._closing = True
        self._wake.set()
        if self._thread:
            self._thread.join(30)
        if self._observer:
            self._observer.stop()
            self._observer.join(5)

    # ---- Following

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="watching", daemon=True)
                try:  # the system has few observers, so none is made without a folder
                    self._observer = Observer()
                    self._observer.daemon = True
                    self._observer.start()
                except OSError:
                    log.exception("Changes of folders are not reported")
                    self._observer = None
                self._thread.start()

    def _work(self) -> None:
        while not self._closing:
            unsettled = False
            with self._lock:
                watched = [each for each in self._watched if not each.paused]
            for each in watched:
                try:
                    self._observe(each)
                    unsettled |= self._follow(each)
                except (OSError, FirstTokenError) as fault:
                    log.exception("A folder could not be followed")
                    each.problem = f"The folder could not be read: {fault}. It is tried again."
                except Exception:
                    log.exception("A folder could not be followed")
                    each.problem = "The folder could not be followed; the log says why."
            if self._wake.wait(SETTLED if unsettled else SCAN_EVERY):
                self._wake.clear()
                if not self._closing:
                    time.sleep(SETTLED)  # several changes come together

    def _observe(self, watched: Watched) -> None:
        """Have the system report changes; where it cannot, the scan every minute finds them."""
        observed = watched.folder in self._observing
        if self._observer and not observed and Path(watched.folder).is_dir():
            try:
                self._observer.schedule(_Waker(self._wake), watched.folder, recursive=True)
            except OSError:  # such as too many watched folders
                log.exception("Changes of a folder are not reported")
            self._observing.add(watched.folder)

    def _follow(self, watched: Watched) -> bool:
        """Bring the collection to what is in the folder. Whether some file is still changing."""
        root = Path(watched.folder)
        if not root.is_dir():  # a drive that is not there must not empty the collection
            watched.problem = "The folder is not there. Its documents are kept."
            return False
        there: dict[str, os.stat_result] = {}
        for path, facts in _files_of(root, watched.ignore):
            if len(there) >= MOST_FILES:
                watched.problem = f"Only the first {MOST_FILES:,} files are followed."
                break
            there[path] = facts
        else:
            watched.problem = ""
        gone = {path: known[2] for path, known in watched.files.items() if path not in there}
        unsettled = changed = False
        for path, facts in there.items():
            if self._closing or watched.paused:
                break
            known = watched.files.get(path)
            if known and known[:2] == (facts.st_size, facts.st_mtime_ns):
                continue
            if time.time() - facts.st_mtime < SETTLED:
                unsettled = True
                continue
            changed = True
            try:
                self._take(watched, path, facts, known[2] if known else "", gone)
            except OSError as fault:  # unreadable, or gone meanwhile
                watched.say(f"{path} could not be read: {fault.strerror}.")
        else:
            if not unsettled:  # a renamed file may be one that is still settling
                for path, source_id in gone.items():
                    changed = True
                    del watched.files[path]
                    if source_id and not _holds(watched, source_id):
                        self._delete(watched.collection, [source_id])
                        watched.say(f"{path} was deleted; its document is in the trash.")
        if changed:
            with self._lock:
                self._save()
        return unsettled

    def _take(
        self,
        watched: Watched,
        path: str,
        facts: os.stat_result,
        before: str,
        gone: dict[str, str],
    ) -> None:
        """A file that is new or has changed."""
        file = Path(watched.folder, path)
        with file.open("rb") as opened:
            source_id = hashlib.file_digest(opened, "sha256").hexdigest()
        entry = (facts.st_size, facts.st_mtime_ns, source_id)
        if source_id == before or not facts.st_size:
            watched.files[path] = entry
            return
        old_path = next((each for each, known in gone.items() if known == source_id), None)
        there = {each.source_id for each in self._library.documents(watched.collection)}
        if old_path and source_id in there:
            self._library.rename(
                watched.collection, source_id, file.name, watched.directory(path)
            )
            watched.say(f"{old_path} is now {path}.")
            del gone[old_path], watched.files[old_path]
        elif source_id in there:
            watched.say(f"{path} has the content of a document that is there.")
        else:
            replaced = before if before in there and not _holds(watched, before, path) else None
            self._ingestor.add(
                watched.collection,
                file.name,
                file,
                directory=watched.directory(path),
                replaces=replaced,
            )
            watched.say(f"{path} {'has changed' if before else 'is new'}; it is being added.")
        watched.files[path] = entry

    # ---- What is kept

    def _load(self) -> list[Watched]:
        if not self._file.exists():
            return []
        try:
            return [
                Watched(
                    each["folder"],
                    each["collection"],
                    tuple(each["ignore"]),
                    each["paused"],
                    each["id"],
                    {path: (known[0], known[1], known[2]) for path, known in each["files"].items()},
                )
                for each in json.loads(self._file.read_bytes())
            ]
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            log.exception("The list of watched folders cannot be read")
            with suppress(OSError):
                place = set_aside(self._file, self._file.parent)
                self.notices.append(
                    f"The list of watched folders was damaged. It is kept as {place}. Add the "
                    "folders again in the Library."
                )
            return []

    def _save(self) -> None:
        kept = [asdict(each) for each in self._watched]
        for each in kept:
            del each["problem"], each["lines"]
        try:
            write_whole(self._file, json.dumps(kept).encode())
        except OSError:  # the next scan finds the same again
            log.exception("The list of watched folders could not be saved")


class _Waker(FileSystemEventHandler):
    def __init__(self, wake: threading.Event) -> None:
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in ("opened", "closed_no_write"):
            self._wake.set()


def _holds(watched: Watched, source_id: str, besides: str = "") -> bool:
    """Whether another file of the folder has this content."""
    return any(
        known[2] == source_id and path != besides for path, known in watched.files.items()
    )


def _files_of(root: Path, ignore: Sequence[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Relative paths of the files to follow. Symbolic links are passed over."""
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in sorted(names):
            file = Path(folder, name)
            path = file.relative_to(root).as_posix()
            patterns = (*_TEMPORARY, *ignore)
            ignored = any(
                fnmatch.fnmatch(name, each) or fnmatch.fnmatch(path, each) for each in patterns
            )
            if is_hidden(name) or ignored or file.is_symlink():
                continue
            with suppress(OSError):
                facts = file.stat()
                if file.is_file():
                    yield path, facts
