"""Nodes ↔ points of a Qdrant collection. Only this package imports qdrant_client.

Nodes with their vectors go in, one source (a file) at a time; hits and nodes come out. A collection
is in memory, in a folder, or on a Qdrant server, with the same methods.

    server.py      a Qdrant server: settings, several addresses, repeated requests
    connection.py  one client, its lock, damaged and read-only folders, errors as sentences
    points.py      the format of points and of sources' records
    disk.py        the rows in which an embedded collection keeps its points
    embedded.py    the search in an embedded collection, because the client's own is too slow
    server_points.py  the points of a collection on a server
    records.py     the sources that this process knows, and what it does with them
    collection.py  Collection: add, delete, search; a source is stored completely or not at all
    store.py       Store: the collections of one folder or server
"""

from engine.store.collection import EMBEDDED_LIMIT, Collection, Writer
from engine.store.disk import DamagedStoreError
from engine.store.points import Hit, Source
from engine.store.server import QdrantServer
from engine.store.store import Store, open_store

__all__ = [
    "EMBEDDED_LIMIT",
    "Collection",
    "DamagedStoreError",
    "Hit",
    "QdrantServer",
    "Source",
    "Store",
    "Writer",
    "open_store",
]
