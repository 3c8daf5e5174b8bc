"""Library: collections, the documents in them, and the original files.

A document is there when its source is whole in the store; its original lies beside it, under
files/<collection>/<source id>/. Deleting one removes both. It does not know who asks.
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.config import Config
from engine.errors import DuplicateDocumentError
from engine.index import IngestProgress, VectorStoreIndex
from engine.reading import is_archive, read_file, unpack_archive
from engine.schema import Document, Node
from engine.settings import Settings
from engine.store import Source, open_store
from engine.workspace.ingestion import ChangedFile, Packed, Stage, Upload

DEFAULT_COLLECTION = "default"


class Library:
    """All collections of one folder. Safe to use from any thread."""

    def __init__(self, folder: Path, config: Config) -> None:
        self._files = folder / "files"
        path = None if config.qdrant_url else folder / "qdrant"
        self._store = open_store(path, config.qdrant_url, config.qdrant_api_key)
        self.index(DEFAULT_COLLECTION)
        self._clear_orphans()

    def collections(self) -> list[str]:
        return self._store.collections()

    def index(self, collection: str) -> VectorStoreIndex:
        """The collection's index, made where it is not there.

        Raises:
            StoreError: the name cannot be used, or another embedding model filled it.
        """
        embedding = Settings.embed_model
        return VectorStoreIndex(
            self._store.collection(collection, embedding.name, embedding.dimension), embedding
        )

    def documents(self, collection: str) -> list[Source]:
        """What is indexed, the latest first."""
        return self.index(collection).sources()

    def passages(self, collection: str, source_id: str) -> list[Node]:
        """A document's passages, in order; none where it is gone."""
        return self.index(collection).collection.nodes_of(source_id)

    def places(self) -> list[tuple[str, str]]:
        """Every document's collection and id, those of each collection the latest first."""
        return [
            (collection, document.source_id)
            for collection in self.collections()
            for document in self.documents(collection)
        ]

    def original(self, collection: str, source_id: str) -> Path | None:
        """The file as it was added; None where it is gone."""
        folder = self._files / collection / source_id
        return next(iter(folder.iterdir()), None) if folder.is_dir() else None

    def delete(self, collection: str, source_ids: Iterable[str]) -> None:
        """Delete documents: their passages and their files."""
        index = self.index(collection)
        for source_id in source_ids:
            index.delete(source_id)
            shutil.rmtree(self._files / collection / source_id, ignore_errors=True)

    def delete_collection(self, collection: str) -> None:
        self._store.delete_collection(collection)
        shutil.rmtree(self._files / collection, ignore_errors=True)
        self.index(DEFAULT_COLLECTION)

    def take(self, upload: Upload) -> list[Packed]:
        """Take one upload in: read, split, embed, store, and keep its original.

        Of a ZIP, nothing is taken in: its files are unpacked, and given.

        Raises:
            DocumentError: it cannot be read, or is there already.
            ChangedFile: another file of this name is there, and nobody has decided yet.
            Cancelled: it was stopped; nothing of it stays.
        """
        upload.enter(Stage.READING)
        if is_archive(upload.path):
            return _unpacked(upload)
        read = read_file(
            upload.path,
            password=upload.password,
            on_progress=lambda done, total: upload.enter(Stage.READING, done, total),
            run=upload.run,
        )
        upload.notices = list(read.notices)
        self._look_for_twin(upload, read.documents[0].source_id)
        source = self._store_documents(upload, read.documents)
        upload.passages, upload.source_id = source.passages, source.source_id
        if upload.replaces:
            self.delete(upload.collection, [upload.replaces])
        return []

    def close(self) -> None:
        self._store.close()

    def _look_for_twin(self, upload: Upload, source_id: str) -> None:
        there = self.documents(upload.collection)
        for document in there:
            if document.source_id == source_id:
                raise DuplicateDocumentError(
                    f"{upload.name} is there already, as {document.file_name}: the same content."
                )
        same_name = next((each for each in there if each.file_name == upload.name), None)
        if same_name and not upload.replaces and not upload.keep_both:
            raise ChangedFile(upload.name, same_name.source_id)

    def _store_documents(self, upload: Upload, documents: Sequence[Document]) -> Source:
        """The original is in place before its passages are, so no document is without one."""
        folder = self._files / upload.collection / documents[0].source_id
        folder.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(upload.path, folder / upload.name)
            index = self.index(upload.collection)
            (source,) = index.insert(documents, _Reporter(upload), upload.run)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return source

    def _clear_orphans(self) -> None:
        """Originals whose passages are not there, left by a crash between the two."""
        for collection in self.collections():
            whole = {document.source_id for document in self.documents(collection)}
            folder = self._files / collection
            for kept in folder.iterdir() if folder.is_dir() else ():
                if kept.name not in whole:
                    shutil.rmtree(kept, ignore_errors=True)


def _unpacked(upload: Upload) -> list[Packed]:
    unpacked = unpack_archive(upload.path, upload.folder / "unpacked", upload.run)
    upload.notices = list(unpacked.notices)
    upload.files = len(unpacked.files)
    return [(each.path.name, each.path) for each in unpacked.files]


class _Reporter:
    """Moves an upload through the stages that the index reports."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    def __call__(self, progress: IngestProgress) -> None:
        self._upload.enter(Stage(progress.stage), progress.done, progress.total)
