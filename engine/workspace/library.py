"""Library: collections, the documents in them, and their original files.

The original files are the source of truth, and the passages in the store are derived from them. At
opening, the library compares both, and indexes originals that the store lacks in the background.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.config import Config
from engine.embedding import Embedding
from engine.errors import Cancelled, DocumentError, StoreError, WeightsError
from engine.index import VectorStoreIndex
from engine.kinds import KeptSummaries, Kinds
from engine.reading import read_file
from engine.retrieving import HybridRetriever
from engine.run import Run
from engine.schema import Document, Filters, Node
from engine.store import QdrantServer, Source, Store, open_store
from engine.workspace.adding import Adder
from engine.workspace.deletions import Deletions, refused
from engine.workspace.indexes import STILL_SEARCHED, Indexes
from engine.workspace.ingestion import Packed, Upload, safe_name
from engine.workspace.moving import Gate, Move
from engine.workspace.originals import Original, Originals, lock_of
from engine.workspace.place import PLACE, load_place, save_place
from engine.workspace.rebuilding import Rebuilder
from engine.workspace.reembedding import Reembedder
from engine.workspace.sharing import UNSHARED, Held, Sharing
from engine.workspace.team import TeamCollections, is_shared

log = logging.getLogger(__name__)

DEFAULT_COLLECTION = "default"
LONGEST_TAG = 50  # characters
READ_ONLY = "Shared documents can be changed by administrators only."


def _no_other(name: str) -> Embedding:
    raise WeightsError(f"The embedding model {name} is not here.")


class Library:
    """All collections of one folder. Safe to use from any thread.

    `notices` are sentences about problems found at opening, which every page shows. `on_ready` is
    called with the collection and the source id of each document that was rebuilt or restored.

    Beside its own collections, it can have those that a team shares, named "shared:<name>". They
    can only be read: whatever changes a collection looks for it among the own ones.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        open_embedding: Callable[[str], Embedding] = _no_other,
        sharing: Sharing = UNSHARED,
        team: TeamCollections | None = None,
        own: bool = True,
    ) -> None:
        """`open_embedding` opens the embedding model of a name that a collection records.
        `sharing`: other processes that have the same documents. `team`: the team's shared
        collections, which can be read here; without `own`, there are only those.
        """
        self.notices: list[str] = []
        self._team, self._has_own = team, own
        self.on_ready: Callable[[str, str], object] = lambda _collection, _source_id: None
        self._folder, self._config, self._sharing = folder, config, sharing
        shared = QdrantServer.from_config(config) if sharing.folder else None
        self._store = self._open_at(shared or load_place(folder, config))
        self.move: Move | None = None
        """The last move of the index."""
        self._former: list[Store] = []  # places that the index has left and that are still open
        self._gate = Gate()  # documents are added inside
        self._read_only = (
            f"The folder {folder} cannot be written. You can read and ask; nothing can be added or "
            "deleted until its permissions are changed and First Token is started again."
        )
        self._note_repairs()
        self._lock = threading.RLock()
        self._closing = False
        self._originals = Originals(sharing.folder or folder, sharing)
        self._indexes = Indexes(self._store, open_embedding, self._lock, sharing)
        self._deletions = Deletions(self._originals, self._indexes, self._lock, sharing)
        self._adder = Adder(self._originals, self._indexes, self.repairs, self._lock, sharing)
        self._rebuilder = Rebuilder(
            self._add_again, lambda done: self.on_ready(done.collection, done.source_id)
        )
        self.reembedder = Reembedder(self._reread, self._indexes.old_and_new, self._finish)
        try:
            self._indexes.find_older()
        except StoreError as error:
            if self.server is None:
                raise
            raise StoreError(
                f"{error} If it will not come back, clear QDRANT_URL in .env and delete "
                f"{folder / PLACE}: the index is then rebuilt on this computer from your documents."
            ) from error
        if own and (not self._store.read_only or DEFAULT_COLLECTION in self.own_collections()):
            self.create(DEFAULT_COLLECTION)
        self._known: dict[str, frozenset[str]] = {}  # to `follow`
        self._embedding: dict[str, Held] = {}  # while this process embeds a collection again
        self._repairing = False
        if not self._store.read_only:
            self._compare()

    @property
    def server(self) -> QdrantServer | None:
        """The server that has the index; None if it is in the library's folder."""
        return self._store.server

    def collections(self) -> list[str]:
        """The own collections, then those that the team shares."""
        return [*self.own_collections(), *(self._team.names() if self._team else ())]

    def own_collections(self) -> list[str]:
        """Those that can be changed here."""
        return self._store.collections() if self._has_own else []

    def create(self, collection: str) -> VectorStoreIndex:
        """Create a collection, or open an existing one.

        Raises:
            StoreError: the name cannot be used, or another embedding model filled it.
        """
        self._refuse_shared(collection)
        return self._indexes.create(collection)

    def index(self, collection: str) -> VectorStoreIndex:
        """The collection's index, to be read.

        Raises:
            StoreError: there is no such collection, or another embedding model filled it.
        """
        if self._team and is_shared(collection):
            return self._team.index(collection)
        return self.own_index(collection)

    def own_index(self, collection: str) -> VectorStoreIndex:
        """The index of an own collection, to be changed.

        Raises:
            StoreError: there is no such collection, or another embedding model filled it.
        """
        self._refuse_shared(collection)
        return self._indexes.get(collection)

    def _refuse_shared(self, collection: str) -> None:
        if is_shared(collection) or not self._has_own:
            raise StoreError(READ_ONLY)

    def embedding_changed(self) -> None:
        """`Settings.embed_model` is another one now: embed all documents with it.

        That is done in the background. Until a collection is finished, its old index answers, with
        the model that filled it.
        """
        self._indexes.find_older()
        self.reembedder.start(self._indexes.older())

    def retriever(
        self, collection: str, similarity_top_k: int = 2, filters: Filters = Filters()
    ) -> HybridRetriever:
        """A retriever of passages of this collection, or of those that the filters name.

        Raises:
            StoreError: there is no such collection.
        """
        first, *others = self.searched(collection, filters)
        return first.as_retriever(similarity_top_k, filters=filters, also=others)

    def kinds(
        self,
        collection: str,
        similarity_top_k: int,
        filters: Filters,
        kept: KeptSummaries | None = None,
    ) -> Kinds:
        """The treatment of questions that are not for a fact, of this collection or of those that
        the filters name.

        Raises:
            StoreError: there is no such collection.
        """
        first, *others = self.searched(collection, filters)
        return first.as_kinds(similarity_top_k, filters, kept, others)

    def searched(self, collection: str, filters: Filters) -> list[VectorStoreIndex]:
        """The indexes of the collections that the filters name, or of this one.

        Raises:
            StoreError: there is no such collection.
        """
        return [self.index(name) for name in dict.fromkeys(filters.collections or (collection,))]

    def chosen(self, collection: str, filters: Filters) -> list[Source]:
        """The documents that a question with these filters is about."""
        return [
            document
            for name in filters.collections or (collection,)
            for document in self.documents(name)
            if filters.match(
                document.source_id, document.file_name, document.directory, document.tags
            )
        ]

    def described(self, collection: str, filters: Filters) -> list[str]:
        """What the filters name, in the words of a page: "collection reports", "papers/2025/"."""
        names = filters.collections or (collection,)
        paths = {each.source_id: each.path for name in names for each in self.documents(name)}
        return [
            *(f"collection {each}" for each in filters.collections),
            *(f"{each}/" for each in filters.directories),
            *(f"tag {each}" for each in filters.tags),
            *(paths.get(each, "a deleted document") for each in filters.source_ids),
            *filters.file_names,
        ]

    def documents(self, collection: str) -> list[Source]:
        """The indexed documents, the latest first."""
        return self.index(collection).sources()

    def passages(self, collection: str, source_id: str) -> list[Node]:
        """A document's passages, in order; empty if there is no such document."""
        return self.index(collection).collection.nodes_of(source_id)

    def places(self) -> list[tuple[str, str]]:
        """The collection and the id of each own document; in each collection the latest first."""
        return [
            (collection, document.source_id)
            for collection in self.own_collections()
            for document in self.documents(collection)
        ]

    def original(self, collection: str, source_id: str) -> Path | None:
        """The file as it was added, or None if it is missing."""
        if is_shared(collection):
            return self._team.original(collection, source_id) if self._team else None
        original = self._originals.find(collection, source_id)
        return original.path if original else None

    def copy_of(self, collection: str, source_id: str) -> Path | None:
        """The file as it was added, here or in another collection: the id is that of its content.
        None if it is missing.
        """
        others = (each for each in self.collections() if each != collection)
        found = (self.original(each, source_id) for each in (collection, *others))
        return next(filter(None, found), None)

    def delete(self, collection: str, source_ids: Iterable[str]) -> None:
        """Delete documents: their passages are deleted, their files go to the trash.

        Raises:
            StoreError: a document could not be deleted. Those before it have been deleted.
        """
        index = self.own_index(collection)
        for source_id in source_ids:
            self._rebuilder.cancel(collection, source_id)
            with self._sharing.only(lock_of(collection, source_id)), self._lock:
                self._rebuilder.cancel(collection, source_id)
                self._deletions.delete(index, collection, source_id)
            self._sharing.say()

    def restore(self, collection: str, source_ids: Iterable[str]) -> list[str]:
        """Undo `delete` or `delete_collection`, while the files are in the trash.

        Within a minute after the deletion, this takes effect at once. Later, the documents are
        indexed again in the background (`repairs`). Returns the ids of the restored documents.

        Raises:
            StoreError: a file could not be moved out of the trash.
        """
        self.create(collection)
        restored: list[str] = []
        for source_id in source_ids:
            with self._sharing.only(lock_of(collection, source_id)), self._lock:
                back = self._deletions.restore(collection, source_id)
                if back is None:
                    continue
                if back.indexed:
                    self.on_ready(collection, source_id)
                elif back.original:
                    self._rebuilder.add(back.original)
                restored.append(source_id)
            self._sharing.say()
        return restored

    def rename(self, collection: str, source_id: str, file_name: str, directory: str) -> None:
        """Give a document another name and directory; its passages stay.

        Raises:
            StoreError: it is not there, or could not be written.
        """
        self._change(collection, source_id, file_name=safe_name(file_name), directory=directory)

    def tag(self, collection: str, source_id: str, tags: Iterable[str]) -> None:
        """Give a document these tags, in place of those that it has.

        Raises:
            StoreError: it is not there, or could not be written.
        """
        cleaned = (" ".join(tag.split())[:LONGEST_TAG] for tag in tags)
        self._change(collection, source_id, tags=tuple(dict.fromkeys(filter(None, cleaned))))

    def _change(self, collection: str, source_id: str, **facts: Any) -> None:
        index = self.own_index(collection).collection
        with self._sharing.only(lock_of(collection, source_id)), self._lock:
            if self._sharing.folder:
                index.sources()  # another process may have changed it
            source = index.find(source_id)
            if source is None:
                raise StoreError("The document is not in the collection any more.")
            changed = replace(source, **facts)
            index.change(changed)
            try:
                self._originals.change(
                    collection, source_id, changed.file_name, changed.directory, changed.tags
                )
            except OSError as fault:
                raise refused(f"{source.file_name} could not be changed", fault) from fault
        self._sharing.say()

    def trash(self) -> list[Original]:
        """The documents deleted in the last 30 days, the latest first."""
        return self._originals.trash()

    def empty_trash(self) -> None:
        """Delete the files in the trash permanently, which frees disk space."""
        with self._lock:
            self._deletions.empty_trash()

    def delete_collection(self, collection: str) -> None:
        """Delete a collection. Its files go to the trash; `restore` brings the documents back.

        Raises:
            StoreError: a file could not be moved, or the store could not be written.
        """
        self._refuse_shared(collection)
        with self._lock:
            if self.moving:
                raise StoreError(
                    "The search index is being moved. Delete the collection when that is done, or "
                    "stop the move on the Library page."
                )
            self._rebuilder.cancel(collection)
            self._deletions.delete_collection(collection)
            self._store.delete_collection(collection)
            self._deletions.forget(collection)
            self.create(DEFAULT_COLLECTION)
        self._sharing.say()

    def take(self, upload: Upload) -> list[Packed]:
        """Add the document of an upload: read, split, embed, store, and keep its original.

        Of a ZIP, nothing is taken in: its files are unpacked, and given. So are those attached to
        a mail, which is taken in itself.

        Raises:
            DocumentError: it cannot be read, or has been added already.
            ChangedFile: there is another file of this name, and the user has to decide.
            StoreError: its collection was deleted, or could not be written.
            Cancelled: it was stopped. Nothing of it is kept.
        """
        if self._store.read_only:
            raise StoreError(self._read_only)
        with self._gate:
            packed = self._adder.take(upload)
        if upload.replaces and upload.replaces != upload.source_id:
            self.delete(upload.collection, [upload.replaces])
        self._sharing.say()
        return packed

    def repairs(self, collection: str | None = None) -> list[Upload]:
        """The documents that are being indexed again from their originals, in the form of uploads.

        Empty when all are done. A document that needs its password is `Stage.LOCKED`, and one that
        failed is `Stage.FAILED` with a message. Their originals are kept, and `repair` tries again.
        """
        return self._rebuilder.repairs(collection)

    def repair(self, upload: Upload, password: str | None = None) -> None:
        """Try again to index one of `repairs`."""
        self._rebuilder.again(upload, password)

    # Moving the index

    @property
    def moving(self) -> bool:
        return self.move is not None and not self.move.ended.is_set()

    def begin_move(self, url: str, api_key: str = "") -> Move:
        """Move the index to a Qdrant server, in the background; without `url`, into the folder.

        During the move, documents can be asked and changed. The former index stays as it is.

        Raises:
            StoreError: the index is there, or is being moved, or cannot be moved now.
        """
        with self._lock:
            if self._sharing.folder:
                raise StoreError(
                    "Other processes use the index where it is. End all of them, move it with "
                    "`python -m engine move` without SHARED_DIR, and set QDRANT_URL for all."
                )
            if self.moving:
                raise StoreError("The index is being moved already.")
            if self._store.read_only:
                raise StoreError(self._read_only)
            if self.reembedder.pending:
                raise StoreError(
                    "The documents are being embedded with another model. Move the index when that "
                    "is done."
                )
            if url == (self.server.url if self.server else ""):
                raise StoreError("The index is there already.")
            server = QdrantServer.from_config(self._config, url, api_key) if url else None
            self.move = Move(self._store, server, lambda: self._open_at(server), self._switch)
            return self.move

    def _open_at(self, server: QdrantServer | None) -> Store:
        return open_store(self._folder / "qdrant", server, self._folder)

    def _switch(self, store: Store, finish: Callable[[], None], run: Run) -> None:
        """Let another store answer, in which `finish` completes the index."""
        self._gate.close(run.check)
        try:
            with self._lock:
                finish()
                run.check()
                save_place(self._folder, self._config, store.server)
                former, self._store = self._store, store
                self._indexes.use(store)
                self._finish_deletions()
                self._former.append(former)  # a search that has just begun may still use it
                timer = threading.Timer(STILL_SEARCHED, self._leave, [former])
                timer.daemon = True
                timer.start()
        finally:
            self._gate.open()

    def _leave(self, former: Store) -> None:
        with self._lock:
            if former in self._former and former is not self._store:
                former.close()
            self._former = [each for each in self._former if each is not former]

    def _finish_deletions(self) -> None:
        """What the new place still has, and is in the trash."""
        trashed = self._originals.deleted()
        for name in self.own_collections():
            index = self.own_index(name)
            for source in index.sources():
                place = (name, source.source_id)
                if place in trashed and not self._originals.find(*place):
                    self._deletions.finish(index, *place)

    def _add_again(self, upload: Upload) -> None:
        with self._gate:
            self._adder.add_again(upload)
        self._sharing.say()

    def close(self) -> None:
        self._closing = True
        if self.move:
            self.move.stop()
            self.move.ended.wait(30)
        self._indexes.close()
        self._deletions.close()
        self.reembedder.close()
        self._rebuilder.close()
        for store in {*self._former, self._store}:
            store.close()

    # The start

    def _note_repairs(self) -> None:
        """Say what is wrong with the store, for the pages."""
        if place := self._store.set_aside:
            self.notices.append(
                f"The search index was damaged. Its files were moved to {place}, and the index is "
                "being rebuilt from your documents."
            )
        if self._store.temporary:
            self.notices.append(
                "The disk is full, so the index is kept in memory and rebuilt at the next start. "
                "Make room, for example by emptying the trash."
            )
        if self._store.read_only:
            self.notices.append(self._read_only)

    def _compare(self) -> None:
        """Compare originals and store: rebuild missing documents, and finish deletions."""
        originals = self._originals.recovered()
        self._adder.arrived = {each.upload: each for each in originals if each.upload}
        if not self._sharing.is_first():
            return  # another process does the rest
        self._repairing = True
        trashed = self._originals.deleted()
        by_collection: dict[str, dict[str, Original]] = {
            each: {} for each in self.own_collections()
        }
        for original in originals:
            by_collection.setdefault(original.collection, {})[original.source_id] = original
        for name, kept in by_collection.items():
            try:
                index = self.create(name)
                there = {each.source_id for each in index.sources()}
                for source_id in there - kept.keys():
                    if (name, source_id) in trashed:
                        self._finish_deletion(index, name, source_id)
            except StoreError as fault:
                log.exception("A collection could not be compared with its originals")
                self.notices.append(str(fault))
                continue
            lost = [s.file_name for s in index.collection.incomplete if s.source_id not in kept]
            if lost:
                self.notices.append(
                    f"Passages of {', '.join(lost)} are damaged, and the original file is missing. "
                    "Add the file again."
                )
            for source_id in kept.keys() - there:
                self._rebuilder.add(kept[source_id])
        self._deletions.expire()
        older = self._indexes.older()
        for name in older:
            if release := self._sharing.hold(f"embedding {name}"):
                self._embedding[name] = release
        self.reembedder.start(older)

    def _finish_deletion(self, index: VectorStoreIndex, name: str, source_id: str) -> None:
        """Unless another process is adding the document again, or has just done so."""
        release = self._sharing.hold(lock_of(name, source_id))
        if release is None:
            return
        try:
            if not self._originals.find(name, source_id):
                self._deletions.finish(index, name, source_id)
        finally:
            release()

    # Other processes

    def follow(self) -> tuple[bool, bool]:
        """See what other processes have changed: whether documents have come, and have gone."""
        for name in self._indexes.older():
            if not self._sharing.is_held(f"embedding {name}"):
                self._indexes.follow(name)
        known = {
            name: frozenset(each.source_id for each in self.documents(name))
            for name in self.own_collections()
        }
        before, self._known = self._known, known
        none: frozenset[str] = frozenset()
        come = any(known[each] - before.get(each, none) for each in known)
        gone = any(before[each] - known.get(each, none) for each in before)
        return come, gone

    def repair_if_first(self) -> None:
        """Repair what others have left, if the process that did so has ended."""
        if not self._repairing and self._sharing.is_first():
            log.info("This process now repairs what others have left")
            self._compare()

    # Another embedding model

    def _reread(self, collection: str, source_id: str, run: Run) -> Sequence[Document]:
        original = self._originals.find(collection, source_id)
        if original is None:
            raise DocumentError("Its original is gone.")
        return read_file(original.path, recognised=original.recognised, run=run).documents

    def _finish(self, collection: str) -> bool:
        with self._lock:
            if self._closing:
                raise Cancelled
            if not self._indexes.take_over(collection):
                return False
            kept = self.documents(collection)
        if release := self._embedding.pop(collection, None):
            release()
        self._sharing.say()
        for source in kept:
            self.on_ready(collection, source.source_id)
        return True
