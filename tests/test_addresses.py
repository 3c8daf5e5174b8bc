"""Several addresses of one service: who gets a request, and what happens when one fails."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from engine.addresses import Addresses, split_addresses
from engine.errors import StoreError
from engine.store import QdrantServer, open_store

COLLECTIONS = b'{"result": {"collections": []}, "status": "ok", "time": 0}'


class Node(ThreadingHTTPServer):
    """Answers each request with the next of `statuses`, then with 200."""

    def __init__(self, *statuses: int) -> None:
        node = self
        self.asked: list[str] = []
        self.accepted = ""
        self.left = list(statuses)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                node.asked.append(self.headers["Host"])
                node.accepted = self.headers["Accept-Encoding"]
                status = node.left.pop(0) if node.left else 200
                self.send_response(status)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", str(len(COLLECTIONS)))
                self.end_headers()
                self.wfile.write(COLLECTIONS)

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def node() -> Iterator[Node]:
    with Node() as running:
        yield running
        running.shutdown()


GONE = "http://127.0.0.1:9"


def test_the_address_with_the_least_to_do_is_chosen() -> None:
    addresses = Addresses(["a", "b", "c"])
    with addresses.one() as first, addresses.one() as second, addresses.one() as third:
        assert {first, second, third} == {"a", "b", "c"}
    with addresses.one() as busy:
        for _ in range(4):
            with addresses.one() as other:
                assert other != busy
    chosen = []
    for _ in range(6):
        with addresses.one() as each:
            chosen.append(each)
    assert sorted(chosen) == ["a", "a", "b", "b", "c", "c"]


def test_one_that_failed_is_left_out_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = Addresses(["a", "b"])
    addresses.failed("a")
    for _ in range(4):
        with addresses.one() as chosen:
            assert chosen == "b"
    with addresses.one(tried={"b"}) as chosen:
        assert chosen == "a", "what has just failed for this request comes last"
    monkeypatch.setattr("engine.addresses.LEFT_OUT", 0.0)
    with addresses.one() as first, addresses.one() as second:
        assert {first, second} == {"a", "b"}


def test_an_address_that_is_named_twice_is_one() -> None:
    assert Addresses(["a", "b", "a"]).all == ["a", "b"]


def test_addresses_are_split_at_commas_and_blanks() -> None:
    assert split_addresses("http://a:1/, http://b:2 http://c") == [
        "http://a:1",
        "http://b:2",
        "http://c",
    ]


@pytest.mark.parametrize("statuses", [(503,), (429, 500), (502, 504, 503)])
def test_a_passing_fault_is_not_seen(node: Node, statuses: tuple[int, ...]) -> None:
    node.left = list(statuses)
    assert open_store(server=QdrantServer(node.address)).collections() == []
    assert len(node.asked) == len(statuses) + 1


def test_a_fault_that_stays_is_a_sentence(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.server.READ_PATIENCE", 0.3)
    node.left = [503] * 1000
    with pytest.raises(StoreError, match=r"The Qdrant server at http://127.* failed .* try again"):
        open_store(server=QdrantServer(node.address)).collections()


def test_no_compressed_answer_is_asked_for(node: Node) -> None:
    open_store(server=QdrantServer(node.address)).collections()
    assert node.accepted == "identity"


def test_another_node_answers_for_one_that_is_gone(node: Node) -> None:
    store = open_store(server=QdrantServer(f"{GONE},{node.address}"))
    for _ in range(4):
        assert store.collections() == []
    assert node.asked == [httpx.URL(node.address).netloc.decode()] * 4


def test_another_node_answers_for_one_that_stands_still(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.server.ANOTHER_AFTER", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as still:  # accepts, and never answers
        address = f"http://127.0.0.1:{still.getsockname()[1]}"
        store = open_store(server=QdrantServer(f"{address},{node.address}", timeout=600))
        for _ in range(4):
            assert store.collections() == []


def test_a_node_that_stands_still_alone_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.server.READ_PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as still:
        still.setblocking(False)
        address = f"http://127.0.0.1:{still.getsockname()[1]}"
        with pytest.raises(StoreError, match="no answer came in time"):
            open_store(server=QdrantServer(address, timeout=1)).collections()
        still.accept()
        with pytest.raises(BlockingIOError):
            still.accept()


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_named(node: Node, status: int) -> None:
    node.left = [status]
    with pytest.raises(StoreError, match=r"refused the key\. Check QDRANT_API_KEY"):
        open_store(server=QdrantServer(node.address, "wrong")).collections()


def test_with_several_addresses_each_part_is_on_two_nodes() -> None:
    def copies(url: str, replicas: int = 0) -> object:
        return QdrantServer(url, replicas=replicas).collection_options()["replication_factor"]

    assert (copies("http://a"), copies("http://a,http://b,http://c")) == (1, 2)
    assert copies("http://a,http://b,http://c", 3) == 3
