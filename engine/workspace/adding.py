"""Adding: an upload, or an original that the index lacks → a document of a collection.

A document's original is staged, then its passages are indexed, then the original is committed, so
that a crash leaves all or nothing. Of several processes, one at a time adds the same content, or a
file of the same name: the others then see what it has added.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from engine.errors import (
    Cancelled,
    DocumentError,
    DuplicateDocumentError,
    EmptyDocumentError,
    LimitExceededError,
    StoreError,
)
from engine.index import IngestProgress, OnProgress, VectorStoreIndex
from engine.reading import (
    FileText,
    is_archive,
    is_mail,
    read_file,
    unpack_archive,
    unpack_mail,
)
from engine.reading.kept_pages import RECOGNISED
from engine.reading.limits import LIMITS
from engine.schema import Document
from engine.store import Source
from engine.workspace.indexes import Indexes
from engine.workspace.ingestion import UNPACKED_DEPTH, ChangedFile, Packed, Stage, Upload
from engine.workspace.originals import Original, Originals, lock_of
from engine.workspace.sharing import UNSHARED, Sharing

log = logging.getLogger(__name__)


class Adder:
    """`repairs` gives the documents of a collection that are being indexed again. `lock` is the
    library's.
    """

    def __init__(
        self,
        originals: Originals,
        indexes: Indexes,
        repairs: Callable[[str], Sequence[Upload]],
        lock: threading.RLock,
        sharing: Sharing = UNSHARED,
    ) -> None:
        self._originals, self._indexes, self._repairs = originals, indexes, repairs
        self._lock, self._sharing = lock, sharing
        self.arrived: dict[str, Original] = {}
        """By the upload that brought it: what the last process had added when it ended."""

    def take(self, upload: Upload) -> list[Packed]:
        """`Library.take`, without the document that it replaces."""
        index = self._indexes.get(upload.collection)
        upload.enter(Stage.READING)
        if original := self.arrived.pop(upload.folder.name, None):
            # The last process ended after the document was added and before its upload was removed.
            upload.source_id = original.source_id
            upload.passages = len(index.collection.nodes_of(original.source_id))
        elif is_archive(upload.path):
            return _unpacked(upload)
        else:
            read = _read(upload, upload.path)
            upload.notices = list(read.notices)
            names = (
                lock_of(upload.collection, read.documents[0].source_id),
                f"path {upload.collection}/{_shown_path(upload)}",
            )

            def wait() -> None:
                upload.run.check()
                if upload.stage is not Stage.WAITING:
                    upload.enter(Stage.WAITING)

            with self._sharing.only(*names, check=wait):
                source = self._store(upload, index, read.documents)
            upload.passages, upload.source_id = source.passages, source.source_id
        return _attached(upload) if is_mail(upload.path) else []

    def add_again(self, upload: Upload) -> None:
        """Index the original of a document that the index lacks.

        Raises:
            Cancelled: it was deleted.
            FirstTokenError: it could not be read or stored.
        """
        upload.enter(Stage.READING)
        original = self._originals.find(upload.collection, upload.source_id)
        if original is None:
            raise Cancelled  # deleted
        index = self._indexes.get(upload.collection)
        read = _read(upload, original.path)
        if read.documents[0].source_id != upload.source_id:
            raise DocumentError(f"The file of {upload.name} has changed since it was added.")
        name = lock_of(upload.collection, upload.source_id)
        with self._sharing.only(name, check=upload.run.check):
            self._index_again(upload, index, original, read.documents)

    def _index_again(
        self,
        upload: Upload,
        index: VectorStoreIndex,
        original: Original,
        documents: Sequence[Document],
    ) -> None:
        try:
            (source,) = index.insert(
                _placed(documents, upload),
                _reporting(upload),
                upload.run,
                original.added_at,
                original.tags,
            )
            upload.passages = source.passages
        except DuplicateDocumentError:
            pass  # something else indexed it
        with self._lock:
            if self._originals.find(upload.collection, upload.source_id) is None:
                index.delete(upload.source_id)
                raise Cancelled

    def _store(
        self, upload: Upload, index: VectorStoreIndex, documents: Sequence[Document]
    ) -> Source:
        """Stage the original, index it, commit the original."""
        source_id = documents[0].source_id
        there = {each.source_id: each for each in index.sources()}
        names = {each.path: each.source_id for each in there.values()}
        names |= {_shown_path(each): each.source_id for each in self._repairs(upload.collection)}
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
        replaced = there.get(upload.replaces or "")
        staged = self._originals.stage(
            upload.collection,
            source_id,
            upload.path,
            upload.folder.name,
            upload.directory,
            replaced.tags if replaced else upload.tags,
        )
        indexed = False
        try:
            (source,) = index.insert(
                _placed(documents, upload),
                _reporting(upload),
                upload.run,
                staged.added_at,
                staged.tags,
            )
            indexed = True
            with self._lock:
                if index.collection.find(source_id) is None:
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


def _read(upload: Upload, file: Path) -> FileText:
    """What is recognised in its pictures is kept beside the file, also when that is interrupted."""
    return read_file(
        file,
        recognised=file.with_name(RECOGNISED),
        password=upload.password,
        on_progress=lambda done, total: upload.enter(Stage.READING, done, total),
        on_recognised=lambda done, total: upload.enter(Stage.RECOGNISING, done, total),
        run=upload.run,
    )


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


# ---- Files in files


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
