"""Rebuilding: originals that the index lacks → passages, one after another, in the background."""

import logging
import queue
import threading
from collections.abc import Callable

from engine.errors import Cancelled, FirstTokenError, PasswordNeededError
from engine.workspace.ingestion import Stage, Upload
from engine.workspace.originals import Original

log = logging.getLogger(__name__)


class Rebuilder:
    """A queue of repairs, in the form of uploads, and the one thread that works through it.

    `rebuild` indexes one document, and raises if that fails. `on_done` is called after each one.
    """

    def __init__(
        self, rebuild: Callable[[Upload], None], on_done: Callable[[Upload], object]
    ) -> None:
        self._rebuild, self._on_done = rebuild, on_done
        self._lock = threading.Lock()
        self._repairs: list[Upload] = []
        self._queue: queue.SimpleQueue[Upload | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def repairs(self, collection: str | None = None) -> list[Upload]:
        with self._lock:
            return [each for each in self._repairs if collection in (None, each.collection)]

    def add(self, original: Original) -> None:
        upload = Upload(original.file_name, original.collection, original.folder)
        upload.directory, upload.tags = original.directory, original.tags
        upload.source_id = original.source_id
        with self._lock:
            self._repairs.append(upload)
        self._enqueue(upload)

    def again(self, upload: Upload, password: str | None) -> None:
        upload.password = password
        upload.message = ""
        upload.enter(Stage.WAITING)
        self._enqueue(upload)

    def cancel(self, collection: str, source_id: str | None = None) -> None:
        """Remove the repair of a source that is deleted, or of all sources of a collection."""
        with self._lock:
            for upload in self._repairs.copy():
                if upload.collection == collection and source_id in (None, upload.source_id):
                    upload.run.cancel()
                    self._repairs.remove(upload)

    def close(self) -> None:
        """Stop. The next start continues with the rest."""
        for each in self.repairs():
            each.run.cancel()
        self._queue.put(None)
        if self._thread:
            self._thread.join(30)

    def _enqueue(self, upload: Upload) -> None:
        with self._lock:
            self._queue.put(upload)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="rebuilding", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (upload := self._queue.get()) is not None:
            try:
                upload.run.check()
                self._rebuild(upload)
                upload.enter(Stage.READY)
                self._on_done(upload)
            except Cancelled:
                upload.enter(Stage.STOPPED)
            except PasswordNeededError as error:
                upload.message = str(error)
                upload.enter(Stage.LOCKED)
            except FirstTokenError as error:
                upload.message = f"{error} Its file is kept: {upload.path}"
                upload.enter(Stage.FAILED)
            except Exception:
                log.exception("Repair %s failed", upload.run.id)
                upload.message = (
                    f"{upload.name} could not be indexed again. Its file is kept: {upload.path}"
                )
                upload.enter(Stage.FAILED)
            log.info("Repair %s: %s", upload.run.id, upload.stage)
            with self._lock:
                if all(each.stage is Stage.READY for each in self._repairs):
                    self._repairs.clear()
