"""Deletions: documents that were deleted, until their passages and files are gone.

A deletion hides the document and moves its file to the trash. Its passages stay for a minute, so
that an undo within that time needs no new indexing; its file stays for 30 days.
"""

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass

from engine.errors import StoreError
from engine.index import VectorStoreIndex
from engine.store import Source
from engine.store.connection import is_full
from engine.workspace.indexes import Indexes
from engine.workspace.originals import KEPT_IN_TRASH, Original, Originals, lock_of
from engine.workspace.sharing import UNSHARED, Sharing

log = logging.getLogger(__name__)

# How long after a deletion `restore` needs no new indexing, in seconds.
INSTANT_UNDO = 60.0

Place = tuple[str, str]
"""A collection's name and a source's id."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A document that is back. If it is not `indexed`, its original has to be."""

    original: Original | None
    indexed: bool


class Deletions:
    """Safe to use from any thread; `lock` is the library's."""

    def __init__(
        self,
        originals: Originals,
        indexes: Indexes,
        lock: threading.RLock,
        sharing: Sharing = UNSHARED,
    ) -> None:
        self._originals, self._indexes, self._lock = originals, indexes, lock
        self._sharing = sharing
        self._hidden: dict[Place, tuple[Source, threading.Timer]] = {}
        self._refused: set[Place] = set()  # that the store did not record
        self._closing = False

    def delete(self, index: VectorStoreIndex, collection: str, source_id: str) -> None:
        """Delete a document; one that is not there is no error.

        Raises:
            StoreError: it could not be deleted.
        """
        source = index.collection.find(source_id)
        trashed = self._discard(collection, source_id)
        try:
            index.collection.hide(source_id)
        except StoreError:
            # This process hides it. `empty_trash` or the next start finishes the deletion.
            if trashed is None:
                raise
            log.exception("A document's record could not be deleted")
            self._refused.add((collection, source_id))
        if source:
            timer = threading.Timer(INSTANT_UNDO, self._purge, (collection, source_id))
            timer.daemon = True
            self._hidden[collection, source_id] = source, timer
            timer.start()

    def finish(self, index: VectorStoreIndex, collection: str, source_id: str) -> None:
        """At a start: delete the record of a document whose file is in the trash."""
        try:
            index.delete(source_id)
        except StoreError:  # a full disk: hidden, as in `delete`
            log.exception("A deletion could not be finished")
            self._refused.add((collection, source_id))

    def restore(self, collection: str, source_id: str) -> Restored | None:
        """None if it was added again, or there was no such document.

        Raises:
            StoreError: its file could not be moved out of the trash.
        """
        source, timer = self._hidden.pop((collection, source_id), (None, None))
        if timer:
            timer.cancel()
        trashed = next(
            (
                each
                for each in self._originals.trash()
                if (each.collection, each.source_id) == (collection, source_id)
            ),
            None,
        )
        if self._originals.find(collection, source_id) or not (trashed or source):
            return None
        original = None
        if trashed:
            try:
                original = self._originals.put_back(trashed)
            except OSError as fault:
                raise refused(f"{trashed.file_name} could not be restored", fault) from fault
        there = False
        with suppress(StoreError):
            index = self._indexes.get(collection).collection
            there = source is not None and index.unhide(source)
        self._refused.discard((collection, source_id))
        return Restored(original, there)

    def delete_collection(self, collection: str) -> None:
        """Move its files to the trash.

        Raises:
            StoreError: a file could not be moved.
        """
        for source_id in self._originals.source_ids(collection):
            self._discard(collection, source_id)

    def forget(self, collection: str) -> None:
        """The collection is deleted: nothing in it can be undone at once any more."""
        with suppress(OSError):
            self._originals.remove_collection(collection)
        for key in [each for each in self._hidden if each[0] == collection]:
            self._hidden.pop(key)[1].cancel()

    def empty_trash(self) -> None:
        """Delete the files in the trash permanently."""
        self._originals.empty_files()
        for _, timer in self._hidden.values():
            timer.cancel()
        pending = self._refused | self._hidden.keys()
        self._hidden.clear()
        for collection, source_id in pending:
            with suppress(StoreError):
                self._indexes.get(collection).collection.purge(source_id)
                self._refused.discard((collection, source_id))
        self._originals.empty_trash(keep=self._refused)

    def expire(self) -> None:
        """Delete what has been in the trash for its time."""
        self._originals.empty_trash(KEPT_IN_TRASH, keep=self._refused)

    def close(self) -> None:
        self._closing = True
        with self._lock:
            for _, timer in self._hidden.values():
                timer.cancel()

    def _discard(self, collection: str, source_id: str) -> Original | None:
        try:
            return self._originals.discard(collection, source_id)
        except OSError as fault:
            raise refused("The document could not be deleted", fault) from fault

    def _purge(self, collection: str, source_id: str) -> None:
        with self._lock:
            if self._closing or self._hidden.pop((collection, source_id), None) is None:
                return
        try:
            # another process may have restored it, and be writing its passages
            with self._sharing.only(lock_of(collection, source_id)):
                self._indexes.get(collection).collection.purge(source_id)
        except StoreError:  # the next opening does it
            log.exception("The passages of a deleted document could not be deleted")


def refused(what: str, fault: OSError) -> StoreError:
    """The error of a file that could not be moved or renamed."""
    advice = (
        "The disk is full: make room, for example by emptying the trash."
        if is_full(fault)
        else f"{fault.strerror or fault}. Check the permissions of the data folder."
    )
    return StoreError(f"{what}. {advice}")
