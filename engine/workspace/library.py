"""Library: collections, the documents in them, and their original files.

The original files are the source of truth, and the passages in the store are derived from them. At
opening, the library compares both, and indexes originals that the store lacks in the background.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from engine.config import Config
from engine.embedding import Embedding
from engine.errors import (
    Cancelled,
    DocumentError,
    DuplicateDocumentError,
    EmptyDocumentError,
    FirstTokenError,
    LimitExceededError,
    StoreError,
    WeightsError,
)
from engine.index import IngestProgress, NodeParser, OnProgress, VectorStoreIndex
from engine.reading import is_archive, is_mail, read_file, unpack_archive, unpack_mail
from engine.reading.limits import LIMITS
from engine.run import Run
from engine.schema import Document, Node
from engine.settings import CHUNK_SIZE, Settings
from engine.splitting import SentenceSplitter
from engine.store import Source, open_store
from engine.store.connection import is_full
from engine.workspace.ingestion import (
    UNPACKED_DEPTH,
    ChangedFile,
    Packed,
    Stage,
    Upload,
    safe_name,
)
from engine.workspace.originals import KEPT_IN_TRASH, Original, Originals
from engine.workspace.rebuilding import Rebuilder
from engine.workspace.reembedding import Reembedder

log = logging.getLogger(__name__)

DEFAULT_COLLECTION = "default"

# How long after a deletion `restore` needs no new indexing, in seconds.
INSTANT_UNDO = 60.0


def _no_other(name: str) -> Embedding:
    raise WeightsError(f"The embedding model {name} is not here.")


# Seconds that the index of a former embedding model stays after the new one has taken over.
STILL_SEARCHED = 10.0


class Library:
    """All collections of one folder. Safe to use from any thread.

    `notices` are sentences about problems found at opening, which every page shows. `on_ready` is
    called with the collection and the source id of each document that was rebuilt or restored.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        open_embedding: Callable[[str], Embedding] = _no_other,
    ) -> None:
        """`open_embedding` opens the embedding model of a name that a collection records."""
        self.notices: list[str] = []
        self.on_ready: Callable[[str, str], object] = lambda _collection, _source_id: None
        self._originals = Originals(folder)
        self._lock = threading.RLock()
        self._closing = False
        self._rebuilder = Rebuilder(
            self._rebuild, lambda done: self.on_ready(done.collection, done.source_id)
        )
        self._hidden: dict[tuple[str, str], tuple[Source, threading.Timer]] = {}
        self._refused: set[tuple[str, str]] = set()  # deletions that the store did not record
        self._arrived: dict[str, Original] = {}  # by the upload that brought it
        # The embedding that answers in a collection, while it is not the chosen one
        self._before: dict[str, Embedding] = {}
        self._open_embedding = open_embedding
        self.reembedder = Reembedder(self._reread, self._old_and_new, self._finish)
        path = None if config.qdrant_url else folder / "qdrant"
        self._store = open_store(
            path, config.qdrant_url, config.qdrant_api_key, aside=folder
        )
        if place := self._store.set_aside:
            self.notices.append(
                f"The search index was damaged. Its files were moved to {place}, and the index is "
                "being rebuilt from your documents."
            )
        self._read_only = (
            f"The folder {folder} cannot be written. You can read and ask; nothing can be added or "
            "deleted until its permissions are changed and First Token is started again."
        )
        if self._store.temporary:
            self.notices.append(
                "The disk is full, so the index is kept in memory and rebuilt at the next start. "
                "Make room, for example by emptying the trash."
            )
        if self._store.read_only:
            self.notices.append(self._read_only)
        self._find_older_indexes()
        if not self._store.read_only or DEFAULT_COLLECTION in self.collections():
            self.create(DEFAULT_COLLECTION)
        self._compare()
        if not self._store.read_only:
            self.reembedder.start(list(self._before))

    def collections(self) -> list[str]:
        return self._store.collections()

    def create(self, collection: str) -> VectorStoreIndex:
        """Create a collection, or open an existing one.

        Raises:
            StoreError: the name cannot be used, or another embedding model filled it.
        """
        embedding = self._embedding(collection)
        made = self._store.collection(
            collection, embedding.name, embedding.dimension, beside=True
        )
        return VectorStoreIndex(made, embedding, _splitter(embedding))

    def index(self, collection: str) -> VectorStoreIndex:
        """The collection's index.

        Raises:
            StoreError: there is no such collection, or another embedding model filled it.
        """
        embedding = self._embedding(collection)
        opened = self._store.collection(
            collection, embedding.name, embedding.dimension, create=False
        )
        return VectorStoreIndex(opened, embedding, _splitter(embedding))

    def embedding_changed(self) -> None:
        """`Settings.embed_model` is another one now: embed all documents with it.

        That is done in the background. Until a collection is finished, its old index answers, with
        the model that filled it.
        """
        with self._lock:
            self._find_older_indexes()
        self.reembedder.start(list(self._before))

    def documents(self, collection: str) -> list[Source]:
        """The indexed documents, the latest first."""
        return self.index(collection).sources()

    def passages(self, collection: str, source_id: str) -> list[Node]:
        """A document's passages, in order; empty if there is no such document."""
        return self.index(collection).collection.nodes_of(source_id)

    def places(self) -> list[tuple[str, str]]:
        """The collection and the id of every document; in each collection the latest first."""
        return [
            (collection, document.source_id)
            for collection in self.collections()
            for document in self.documents(collection)
        ]

    def original(self, collection: str, source_id: str) -> Path | None:
        """The file as it was added, or None if it is missing."""
        original = self._originals.find(collection, source_id)
        return original.path if original else None

    def delete(self, collection: str, source_ids: Iterable[str]) -> None:
        """Delete documents: their passages are deleted, their files go to the trash.

        Raises:
            StoreError: a document could not be deleted. Those before it have been deleted.
        """
        index = self.index(collection).collection
        there = {each.source_id: each for each in index.sources()}
        for source_id in source_ids:
            with self._lock:
                self._rebuilder.cancel(collection, source_id)
                source = there.get(source_id)
                trashed = self._discard(collection, source_id)
                try:
                    index.hide(source_id)
                except StoreError:
                    # This process hides it. `empty_trash` or the next start finishes the deletion.
                    if trashed is None:
                        raise
                    log.exception("A document's record could not be deleted")
                    self._refused.add((collection, source_id))
                if source:
                    key = (collection, source_id)
                    timer = threading.Timer(INSTANT_UNDO, self._purge, key)
                    timer.daemon = True
                    self._hidden[key] = (source, timer)
                    timer.start()

    def restore(self, collection: str, source_ids: Iterable[str]) -> list[str]:
        """Undo `delete` or `delete_collection`, while the files are in the trash.

        Within a minute after the deletion, this takes effect at once. Later, the documents are
        indexed again in the background (`repairs`). Returns the ids of the restored documents.

        Raises:
            StoreError: a file could not be moved out of the trash.
        """
        index = self.create(collection).collection
        restored: list[str] = []
        for source_id in source_ids:
            with self._lock:
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
                    continue  # it was added again, or was never there
                original = None
                if trashed:
                    try:
                        original = self._originals.put_back(trashed)
                    except OSError as fault:
                        what = f"{trashed.file_name} could not be restored"
                        raise _refused(what, fault) from fault
                there = False
                with suppress(StoreError):
                    there = source is not None and index.unhide(source)
                self._refused.discard((collection, source_id))
                if there:
                    self.on_ready(collection, source_id)
                elif original:
                    self._rebuilder.add(original)
                restored.append(source_id)
        return restored

    def rename(self, collection: str, source_id: str, file_name: str, directory: str) -> None:
        """Give a document another name and directory; its passages stay.

        Raises:
            StoreError: it is not there, or could not be written.
        """
        file_name = safe_name(file_name)
        index = self.index(collection).collection
        source = next((each for each in index.sources() if each.source_id == source_id), None)
        if source is None:
            raise StoreError(f"{file_name} is not in the collection any more.")
        with self._lock:
            index.rename(replace(source, file_name=file_name, directory=directory))
            try:
                self._originals.rename(collection, source_id, file_name, directory)
            except OSError as fault:
                raise _refused(f"{file_name} could not be renamed", fault) from fault

    def trash(self) -> list[Original]:
        """The documents deleted in the last 30 days, the latest first."""
        return self._originals.trash()

    def empty_trash(self) -> None:
        """Delete the files in the trash permanently, which frees disk space."""
        with self._lock:
            self._originals.empty_files()
            for _, timer in self._hidden.values():
                timer.cancel()
            pending = self._refused | self._hidden.keys()
            self._hidden.clear()
            for collection, source_id in pending:
                with suppress(StoreError):
                    self.index(collection).collection.purge(source_id)
                    self._refused.discard((collection, source_id))
            self._originals.empty_trash(keep=self._refused)

    def delete_collection(self, collection: str) -> None:
        """Delete a collection. Its files go to the trash; `restore` brings the documents back.

        Raises:
            StoreError: a file could not be moved, or the store could not be written.
        """
        with self._lock:
            self._rebuilder.cancel(collection)
            for source_id in self._originals.source_ids(collection):
                self._discard(collection, source_id)
            self._store.delete_collection(collection)
            with suppress(OSError):
                self._originals.remove_collection(collection)
            for key in [each for each in self._hidden if each[0] == collection]:
                self._hidden.pop(key)[1].cancel()
            self.create(DEFAULT_COLLECTION)

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
        index = self.index(upload.collection)
        upload.enter(Stage.READING)
        if original := self._arrived.pop(upload.folder.name, None):
            # The last process ended after the document was added and before its upload was removed.
            upload.source_id = original.source_id
            upload.passages = len(index.collection.nodes_of(original.source_id))
        elif is_archive(upload.path):
            return _unpacked(upload)
        else:
            read = read_file(
                upload.path,
                password=upload.password,
                on_progress=lambda done, total: upload.enter(Stage.READING, done, total),
                on_recognised=lambda done, total: upload.enter(Stage.RECOGNISING, done, total),
                run=upload.run,
            )
            upload.notices = list(read.notices)
            source = self._store_documents(upload, index, read.documents)
            upload.passages, upload.source_id = source.passages, source.source_id
        attached = _attached(upload) if is_mail(upload.path) else []
        if upload.replaces and upload.replaces != upload.source_id:
            self.delete(upload.collection, [upload.replaces])
        return attached

    def repairs(self, collection: str | None = None) -> list[Upload]:
        """The documents that are being indexed again from their originals, in the form of uploads.

        Empty when all are done. A document that needs its password is `Stage.LOCKED`, and one that
        failed is `Stage.FAILED` with a message. Their originals are kept, and `repair` tries again.
        """
        return self._rebuilder.repairs(collection)

    def repair(self, upload: Upload, password: str | None = None) -> None:
        """Try again to index one of `repairs`."""
        self._rebuilder.again(upload, password)

    def close(self) -> None:
        self._closing = True
        with self._lock:
            for _, timer in self._hidden.values():
                timer.cancel()
        self.reembedder.close()
        self._rebuilder.close()
        self._store.close()

    # Adding

    def _store_documents(
        self, upload: Upload, index: VectorStoreIndex, documents: Sequence[Document]
    ) -> Source:
        """Stage the original, index it, commit the original. A crash leaves all or nothing."""
        source_id = documents[0].source_id
        there = {each.source_id: each for each in index.sources()}
        names = {each.path: each.source_id for each in there.values()}
        repairs = self.repairs(upload.collection)
        names |= {_shown_path(each): each.source_id for each in repairs}
        kept = self._originals.find(upload.collection, source_id)
        if kept or source_id in there:
            name = kept.file_name if kept else there[source_id].file_name
            if kept or not self._keep(upload, source_id):
                upload.known_as = name
                raise DuplicateDocumentError(
                    f"{upload.name} is there already, as {name}: the same content."
                )
            return there[source_id]
        path = _shown_path(upload)
        if path in names and not upload.replaces and not upload.keep_both:
            raise ChangedFile(upload.name, names[path])
        staged = self._originals.stage(
            upload.collection, source_id, upload.path, upload.folder.name, upload.directory
        )
        indexed = False
        try:
            (source,) = index.insert(
                _placed(documents, upload), _reporting(upload), upload.run, staged.added_at
            )
            indexed = True
            with self._lock:
                if not index.collection.has(source_id):
                    raise Cancelled  # deleted before it was committed
                self._originals.commit(staged)
        except BaseException:
            self._originals.drop(staged)
            if indexed:
                with suppress(StoreError):
                    index.delete(source_id)
            raise
        return source

    def _keep(self, upload: Upload, source_id: str) -> bool:
        """Keep an original for a document that has lost its own. False if that fails."""
        try:
            staged = self._originals.stage(
                upload.collection, source_id, upload.path, upload.folder.name, upload.directory
            )
            self._originals.commit(staged)
        except OSError:
            log.exception("An original could not be kept")
            return False
        return True

    # Deleting

    def _discard(self, collection: str, source_id: str) -> Original | None:
        try:
            return self._originals.discard(collection, source_id)
        except OSError as fault:
            raise _refused("The document could not be deleted", fault) from fault

    def _purge(self, collection: str, source_id: str) -> None:
        with self._lock:
            if self._closing or self._hidden.pop((collection, source_id), None) is None:
                return
        try:
            self.index(collection).collection.purge(source_id)
        except StoreError:  # the next opening does it
            log.exception("The passages of a deleted document could not be deleted")

    # Another embedding model

    def _embedding(self, collection: str) -> Embedding:
        """The one whose index answers."""
        return self._before.get(collection) or Settings.embed_model

    def _find_older_indexes(self) -> None:
        """Note the collections that another model than the chosen one filled."""
        chosen = Settings.embed_model
        opened = {each.name: each for each in self._before.values()}
        self._before = {}
        for collection in self.collections():
            full: list[tuple[int, Embedding]] = []  # how many documents another model's index has
            for name in self._store.embeddings(collection):
                if name in ("", chosen.name):  # empty: not an index of ours; `_compare` says so
                    continue
                try:
                    model = opened[name] = opened.get(name) or self._open_embedding(name)
                    index = self._store.collection(collection, name, model.dimension, create=False)
                    full.append((len(index.sources()), model))
                except StoreError:
                    log.exception("An index could not be opened")
                except FirstTokenError as error:  # the model's files are gone
                    log.warning("The index of %s cannot be used: %s", name, error)
                    with suppress(StoreError):
                        self._store.delete_index(collection, name)
            if full:
                _, self._before[collection] = max(full, key=lambda each: each[0])

    def _old_and_new(self, collection: str) -> tuple[VectorStoreIndex, VectorStoreIndex]:
        chosen = Settings.embed_model
        made = self._store.collection(collection, chosen.name, chosen.dimension, beside=True)
        return self.index(collection), VectorStoreIndex(made, chosen, _splitter(chosen))

    def _reread(self, collection: str, source_id: str, run: Run) -> Sequence[Document]:
        original = self._originals.find(collection, source_id)
        if original is None:
            raise DocumentError("Its original is gone.")
        return read_file(original.path, run=run).documents

    def _finish(self, collection: str) -> bool:
        with self._lock:
            if self._closing:
                raise Cancelled
            old, new = self._old_and_new(collection)
            kept = {each.source_id for each in old.sources()}
            there = {each.source_id for each in new.sources()}
            for source_id in there - kept:  # deleted since
                new.delete(source_id)
            if kept - there:
                return False
            self._before.pop(collection, None)
            # a search that has just begun may still use the old index
            timer = threading.Timer(STILL_SEARCHED, self._drop_older, [collection])
            timer.daemon = True
            timer.start()
        for source_id in kept:
            self.on_ready(collection, source_id)
        return True

    def _drop_older(self, collection: str) -> None:
        """Delete the indexes of other models. What is left here, the next start deletes."""
        with self._lock:
            if self._closing or collection in self._before:
                return
            with suppress(StoreError):
                for name in self._store.embeddings(collection):
                    if name != Settings.embed_model.name:
                        self._store.delete_index(collection, name)

    # Rebuilding

    def _compare(self) -> None:
        """Compare originals and store: rebuild missing documents, and finish deletions."""
        if self._store.read_only:
            return
        originals = self._originals.recovered()
        self._arrived = {each.upload: each for each in originals if each.upload}
        trashed = self._originals.deleted()
        by_collection: dict[str, dict[str, Original]] = {
            each: {} for each in self.collections()
        }
        for original in originals:
            by_collection.setdefault(original.collection, {})[original.source_id] = original
        for name, kept in by_collection.items():
            try:
                index = self.create(name)
                there = {each.source_id for each in index.sources()}
                for source_id in there - kept.keys():
                    if (name, source_id) in trashed:
                        try:
                            index.delete(source_id)
                        except StoreError:  # a full disk: hidden, as in `delete`
                            log.exception("A deletion could not be finished")
                            self._refused.add((name, source_id))
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
        self._originals.empty_trash(KEPT_IN_TRASH, keep=self._refused)

    def _rebuild(self, upload: Upload) -> None:
        upload.enter(Stage.READING)
        original = self._originals.find(upload.collection, upload.source_id)
        if original is None:
            raise Cancelled  # deleted
        index = self.index(upload.collection)
        read = read_file(
            original.path,
            password=upload.password,
            on_progress=lambda done, total: upload.enter(Stage.READING, done, total),
            on_recognised=lambda done, total: upload.enter(Stage.RECOGNISING, done, total),
            run=upload.run,
        )
        if read.documents[0].source_id != upload.source_id:
            raise DocumentError(f"The file of {upload.name} has changed since it was added.")
        try:
            (source,) = index.insert(
                _placed(read.documents, upload),
                _reporting(upload),
                upload.run,
                original.added_at,
            )
            upload.passages = source.passages
        except DuplicateDocumentError:
            pass  # something else indexed it
        with self._lock:
            if self._originals.find(upload.collection, upload.source_id) is None:
                index.delete(upload.source_id)
                raise Cancelled


def _splitter(embedding: Embedding) -> NodeParser | None:
    """Passages are counted in the tokens of the model that embeds them. None: the default one."""
    if embedding is Settings.embed_model:
        return None
    return SentenceSplitter(CHUNK_SIZE, count_tokens=embedding.count_tokens)


def _unpacked(upload: Upload) -> list[Packed]:
    """Unpack a ZIP, within what its upload may still unpack."""
    if upload.depth >= UNPACKED_DEPTH:
        raise LimitExceededError(
            f"{upload.name} is a ZIP file within {upload.depth} others, and only {UNPACKED_DEPTH} "
            "levels are unpacked. Unpack it, and add its files."
        )
    limits = replace(LIMITS, archive_files=upload.files_left, archive_bytes=upload.bytes_left)
    try:
        unpacked = unpack_archive(upload.path, upload.folder / "unpacked", upload.run, limits)
    except LimitExceededError as error:
        if upload.depth == 0:
            raise
        raise LimitExceededError(
            f"{upload.name} is too large: of the ZIP file that it came in, only "
            f"{upload.files_left:,} files and {upload.bytes_left / 1e6:,.0f} MB may still be "
            "unpacked. Unpack it, and add its files."
        ) from error
    upload.notices = list(unpacked.notices)
    upload.files = len(unpacked.files)
    if not unpacked.files:
        raise EmptyDocumentError(
            f"{upload.name} could not be unpacked: all its files are damaged."
        )
    return [(each.name, each.path) for each in unpacked.files]


def _attached(upload: Upload) -> list[Packed]:
    """The files attached to a mail, within what its upload may still unpack."""
    if upload.depth >= UNPACKED_DEPTH:
        upload.notices.append("What is attached to it was left out: it was packed too deeply.")
        return []
    limits = replace(LIMITS, archive_files=upload.files_left, archive_bytes=upload.bytes_left)
    unpacked = unpack_mail(upload.path, upload.folder / "unpacked", upload.run, limits)
    upload.notices += unpacked.notices
    return [(each.path.name, each.path) for each in unpacked.files]


def _shown_path(upload: Upload) -> str:
    return f"{upload.directory}/{upload.name}" if upload.directory else upload.name


def _placed(documents: Sequence[Document], upload: Upload) -> list[Document]:
    """With the directory that the file was added with, if any."""
    if not upload.directory:
        return list(documents)
    facts = {"directory": upload.directory}
    return [replace(each, metadata={**each.metadata, **facts}) for each in documents]


def _reporting(upload: Upload) -> OnProgress:
    """Move an upload through the stages that the index reports."""

    def report(progress: IngestProgress) -> None:
        upload.enter(Stage(progress.stage), progress.done, progress.total)

    return report


def _refused(what: str, fault: OSError) -> StoreError:
    advice = (
        "The disk is full: make room, for example by emptying the trash."
        if is_full(fault)
        else f"{fault.strerror or fault}. Check the permissions of the data folder."
    )
    return StoreError(f"{what}. {advice}")
