"""Indexes: the one of a collection that answers, and those of other embedding models.

A collection can have an index for each of several models. While its documents are embedded with the
chosen model, the index of the earlier model answers.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from engine.embedding import Embedding
from engine.errors import FirstTokenError, StoreError
from engine.index import NodeParser, VectorStoreIndex
from engine.settings import CHUNK_SIZE, Settings
from engine.splitting import SentenceSplitter
from engine.store import Store
from engine.workspace.sharing import UNSHARED, Sharing

log = logging.getLogger(__name__)

# Seconds that the index of a former embedding model stays after the new one has taken over.
STILL_SEARCHED = 10.0


class Indexes:
    """Those of a store. Safe to use from any thread; `lock` is the library's.

    `open_embedding` opens the embedding model of a name that a collection records.
    """

    def __init__(
        self,
        store: Store,
        open_embedding: Callable[[str], Embedding],
        lock: threading.RLock,
        sharing: Sharing = UNSHARED,
    ) -> None:
        self._store, self._open_embedding, self._lock = store, open_embedding, lock
        self._sharing = sharing
        # The embedding that answers in a collection, while it is not the chosen one
        self._before: dict[str, Embedding] = {}
        self._closing = False

    def create(self, collection: str) -> VectorStoreIndex:
        """Create a collection, or open an existing one.

        Raises:
            StoreError: the name cannot be used, or another embedding model filled it.
        """
        embedding = self._embedding(collection)
        with self._sharing.only("collections"):  # two processes must not make the same one
            made = self._store.collection(
                collection, embedding.name, embedding.dimension, beside=True
            )
        return VectorStoreIndex(made, embedding, _splitter(embedding))

    def get(self, collection: str) -> VectorStoreIndex:
        """
        Raises:
            StoreError: there is no such collection, or another embedding model filled it.
        """
        embedding = self._embedding(collection)
        opened = self._store.collection(
            collection, embedding.name, embedding.dimension, create=False
        )
        return VectorStoreIndex(opened, embedding, _splitter(embedding))

    def use(self, store: Store) -> None:
        """Another store has the same collections now."""
        self._store = store

    def find_older(self) -> None:
        """Note the collections that another model than the chosen one filled."""
        with self._lock:
            chosen = Settings.embed_model
            opened = {each.name: each for each in self._before.values()}
            self._before = {}
            for collection in self._store.collections():
                full: list[tuple[int, Embedding]] = []  # how many documents that index has
                for name in self._store.embeddings(collection):
                    if name in ("", chosen.name):  # empty: not an index of ours
                        continue
                    try:
                        model = opened[name] = opened.get(name) or self._open_embedding(name)
                        index = self._store.collection(
                            collection, name, model.dimension, create=False
                        )
                        full.append((len(index.sources()), model))
                    except StoreError:
                        log.exception("An index could not be opened")
                    except FirstTokenError as error:  # the model's files are gone
                        log.warning("The index of %s cannot be used: %s", name, error)
                        if self._sharing.alone:  # else another process may search it
                            with suppress(StoreError):
                                self._store.delete_index(collection, name)
                if full:
                    _, self._before[collection] = max(full, key=lambda each: each[0])

    def follow(self, collection: str) -> None:
        """If another process has embedded every document with the chosen model, that index
        answers."""
        with self._lock:
            if Settings.embed_model.name in self._store.embeddings(collection):
                old, new = self.old_and_new(collection)
                there = {each.source_id for each in new.sources()}
                if there >= {each.source_id for each in old.sources()}:
                    self._before.pop(collection, None)

    def older(self) -> list[str]:
        """The collections that another model than the chosen one filled."""
        return list(self._before)

    def old_and_new(self, collection: str) -> tuple[VectorStoreIndex, VectorStoreIndex]:
        """The index that answers, and that of the chosen model."""
        chosen = Settings.embed_model
        made = self._store.collection(collection, chosen.name, chosen.dimension, beside=True)
        return self.get(collection), VectorStoreIndex(made, chosen, _splitter(chosen))

    def take_over(self, collection: str) -> bool:
        """Let the chosen model's index answer, and delete the others a little later. False if it
        lacks a document.
        """
        with self._lock:
            old, new = self.old_and_new(collection)
            kept = {each.source_id: each for each in old.sources()}
            there = {each.source_id: each for each in new.sources()}
            for source_id in there.keys() - kept.keys():  # deleted since
                new.delete(source_id)
            if kept.keys() - there.keys():
                return False
            for source_id, source in kept.items():  # renamed or tagged since
                facts: dict[str, Any] = {
                    "file_name": source.file_name,
                    "directory": source.directory,
                    "tags": source.tags,
                }
                changed = replace(there[source_id], **facts)
                if changed != there[source_id]:
                    new.collection.change(changed)
            self._before.pop(collection, None)
            # a search that has just begun may still use the old index
            timer = threading.Timer(STILL_SEARCHED, self._drop_older, [collection])
            timer.daemon = True
            timer.start()
            return True

    def close(self) -> None:
        self._closing = True

    def _embedding(self, collection: str) -> Embedding:
        """The one whose index answers."""
        return self._before.get(collection) or Settings.embed_model

    def _drop_older(self, collection: str) -> None:
        """Delete the indexes of other models. What is left here, the next start deletes."""
        with self._lock:
            if self._closing or collection in self._before:
                return
            with suppress(StoreError):
                for name in self._store.embeddings(collection):
                    if name != Settings.embed_model.name:
                        self._store.delete_index(collection, name)


def _splitter(embedding: Embedding) -> NodeParser | None:
    """Passages are counted in the tokens of the model that embeds them. None: the default one."""
    if embedding is Settings.embed_model:
        return None
    return SentenceSplitter(CHUNK_SIZE, count_tokens=embedding.count_tokens)
