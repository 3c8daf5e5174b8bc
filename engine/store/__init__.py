"""Nodes ↔ points of a Qdrant collection. The only importer of qdrant_client.

Nodes with their vectors go in, one source (a file) at a time; hits and nodes come out. A
collection is in memory, in a folder, or on a Qdrant server, by the same calls.

    connection.py  one client, one lock, damaged and read-only folders, errors as sentences
    points.py      what a point and a source's record look like
    terms.py       the lexical search of the embedded collection, which Qdrant's is too slow for
    collection.py  Collection: add, delete, search; a source is whole or not there
    store.py       Store: the collections of one folder or server
"""

from engine.store.collection import EMBEDDED_LIMIT, Collection, Writer
from engine.store.connection import DamagedStoreError
from engine.store.points import Hit, Source
from engine.store.store import Store, open_store

__all__ = [
    "EMBEDDED_LIMIT",
    "Collection",
    "DamagedStoreError",
    "Hit",
    "Source",
    "Store",
    "Writer",
    "open_store",
]
