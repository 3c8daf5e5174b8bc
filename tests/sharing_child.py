"""Another process of First Token on the same shared folder:
`python -m tests.sharing_child <data> <shared> <server>`.

It reads lines of JSON, [what, argument, ...], and answers each with a line of JSON. `server`: the
address of a Qdrant server, or the port of a client in memory that another process serves; and a
prefix, after a space.
"""

import json
import socket
import sys
import threading
import time
from contextlib import closing
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient

from engine.config import Config
from engine.run import Phase
from engine.store import QdrantServer
from engine.workspace import Turn, Workspace
from tests.scripted import ScriptedLLM

_KEY = b"only for tests"
_METHODS = (
    "close", "count", "create_collection", "create_payload_index", "delete", "delete_collection",
    "facet", "get_collection", "get_collections", "query_batch_points", "retrieve", "scroll",
    "set_payload", "update_collection", "upsert",
)  # fmt: skip


class _Served(BaseManager):
    """Serves Qdrant's client in memory to several processes."""


class _Asking(BaseManager):
    """Of a process that uses it."""


class _OneAtATime:
    def __init__(self) -> None:
        self._client, self._lock = QdrantClient(":memory:"), threading.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                return method(*args, **kwargs)

        return call if name != "close" else lambda: None


def serve_in_memory() -> int:
    """Start a server for this process and its children. Returns its port."""
    client = _OneAtATime()
    _Served.register("client", callable=lambda: client, exposed=_METHODS)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    server = _Served(("127.0.0.1", port), _KEY).get_server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return port


def connect(port: int) -> Any:
    _Asking.register("client", exposed=_METHODS)
    manager = _Asking(("127.0.0.1", port), _KEY)
    manager.connect()
    return manager.client()  # type: ignore[attr-defined]


def opened(data: Path, shared: Path, server: str, llm: ScriptedLLM | None = None) -> Workspace:
    """A workspace on the shared folder, with a folder of its own."""
    url, _, prefix = server.partition(" ")
    if url.isdecimal():
        QdrantServer.connect = lambda self: connect(int(self.url))  # type: ignore[method-assign]
    config = Config(data_dir=data, shared_dir=shared, qdrant_url=url, qdrant_prefix=prefix)
    return Workspace(data, config, llm or ScriptedLLM(["At", " noon."]))


def settled(workspace: Workspace, name: str, text: str) -> list[str]:
    """Add a document, and return the stage that its upload ends or stops in, and the message."""
    upload = workspace.ingestor.add("default", name, text.encode())
    while not (upload.stage.ended or upload.stage.needs_answer):
        time.sleep(0.01)
    return [upload.stage, upload.message]


def main() -> None:
    data, shared, server = sys.argv[1:]
    hold = threading.Event()

    def wait(number: int) -> None:
        if number:  # after the first piece
            hold.wait(60)

    llm = ScriptedLLM(["At", " noon."], before_piece=wait)
    with closing(opened(Path(data), Path(shared), server, llm)) as workspace:
        library, conversations = workspace.library, workspace.conversations
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            what, *given = json.loads(line)
            answer: Any = None
            if what == "add":
                answer = settled(workspace, *given)
            elif what == "names":
                answer = sorted(each.path for each in library.documents("default"))
            elif what == "cancel":  # all uploads
                for upload in workspace.ingestor.uploads("default"):
                    workspace.ingestor.cancel(upload)
            elif what == "delete":
                library.delete("default", given)
            elif what == "ask":
                conversation = conversations.find(given[0])
                assert conversation
                response = workspace.ask(conversation, given[1])
                while response.phase is not Phase.WRITING:
                    time.sleep(0.01)
            elif what == "save":  # so many turns, one after another
                for number in range(given[1]):
                    conversations.save(given[0], Turn(f"child-{number}", "?", phase=Phase.DONE))
            elif what == "stall":  # the next document stays as it is before its record is written
                stalled = threading.Event()

                def stall(_: object, stalled: threading.Event = stalled) -> bool:
                    stalled.set()
                    return hold.wait(60)

                points = library.index("default").collection._points
                points.is_whole = stall  # type: ignore[method-assign, assignment]
                workspace.ingestor.add("default", given[0], given[1].encode())
                stalled.wait(60)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
