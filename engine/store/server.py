"""A Qdrant server, or the nodes of a cluster: its settings, and how requests reach it.

Every request of this package may be repeated: points are written under ids that are computed from
their source, and a deletion that is repeated deletes nothing more. So a request that failed on its
way, or that a node could not serve, is sent again, to another node if there is one.
"""

import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from qdrant_client import QdrantClient, models

from engine.addresses import Addresses, split_addresses
from engine.config import Config
from engine.redacting import public_address, redact

log = logging.getLogger(__name__)

# Answers of a node that is starting, overloaded, or cut off from the others. A wrong request gets
# another one.
_PASSING = (429, 500, 502, 503, 504)
# Seconds from its beginning in which a request is sent again. A person waits for a search. A
# document that is being added can wait until a node has started again.
READ_PATIENCE, WRITE_PATIENCE = 5.0, 60.0
# Seconds that a node gets for a connection, and for its answer to a search if another one was not
# asked yet. A node that stands still would hold the search for the whole time-out.
CONNECTING, ANOTHER_AFTER = 5.0, 5.0
# Seconds between two attempts, doubled each time, and at most
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 2.0
CONNECTIONS = 64  # at once; also the number that stays open between requests


@dataclass(frozen=True, slots=True)
class QdrantServer:
    """`url`: its address, or several with commas between them, which are nodes of one cluster.

    The other fields are explained at `Config`. Shards and replicas are those of collections that
    are made from then on; quantization and storage are changed in existing ones too.
    """

    url: str
    api_key: str = field(default="", repr=False)
    prefix: str = ""
    timeout: int = 30
    shards: int = 0
    replicas: int = 0
    write_consistency: int = 1
    quantization: str = "none"
    on_disk: bool = False

    @classmethod
    def from_config(cls, config: Config, url: str = "", api_key: str = "") -> "QdrantServer":
        """The server of .env, or another one with the other settings of .env."""
        return cls(
            url or config.qdrant_url,
            api_key or config.qdrant_api_key,
            config.qdrant_prefix,
            config.qdrant_timeout,
            config.qdrant_shards,
            config.qdrant_replicas,
            config.qdrant_write_consistency,
            config.qdrant_quantization,
            config.qdrant_on_disk,
        )

    @property
    def shown(self) -> str:
        """The addresses without secrets."""
        return public_address(self.url)

    def connect(self) -> QdrantClient:
        """A client. It is safe to use from many threads at once."""
        addresses = split_addresses(self.url)
        return QdrantClient(
            url=addresses[0],
            api_key=self.api_key or None,
            timeout=self.timeout,
            check_compatibility=False,
            transport=_Transport(addresses),
        )

    def collection_options(self) -> dict[str, Any]:
        """For the creation of a collection: on how many nodes its parts are, who confirms, and when
        the server tidies up."""
        return {
            "shard_number": self.shards or None,
            "replication_factor": self.replicas or min(2, len(split_addresses(self.url))),
            # A source is complete when its record is there. That holds on every node even with 1:
            # the server waits for all replicas that are alive, and one that fails is not searched
            # until it is up to date.
            "write_consistency_factor": self.write_consistency,
            # Deleted passages count in the rarity of words until the server has rewritten their
            # segment, which it does from this number of passages on, and with a fifth deleted.
            "optimizers_config": models.OptimizersConfigDiff(vacuum_min_vector_number=100),
        }

    @property
    def quantized(
        self,
    ) -> models.ScalarQuantization | models.BinaryQuantization | None:
        """How vectors are kept in memory for the search, besides the exact ones."""
        if self.quantization == "scalar":
            return models.ScalarQuantization(
                scalar=models.ScalarQuantizationConfig(
                    type=models.ScalarType.INT8, quantile=0.99, always_ram=True
                )
            )
        if self.quantization == "binary":
            return models.BinaryQuantization(
                binary=models.BinaryQuantizationConfig(always_ram=True)
            )
        return None

    @property
    def search_params(self) -> models.SearchParams | None:
        """With quantization, more candidates are taken, and ranked by their exact vectors."""
        if self.quantized is None:
            return None
        oversampling = 4.0 if self.quantization == "binary" else 2.0
        return models.SearchParams(
            quantization=models.QuantizationSearchParams(rescore=True, oversampling=oversampling)
        )


class _Transport(httpx.BaseTransport):
    """Sends each request to a node, and again if that failed."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = Addresses(addresses)
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        self._http = httpx.HTTPTransport(limits=limits)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        writing = request.method == "PUT"
        given_up = time.monotonic() + (WRITE_PATIENCE if writing else READ_PATIENCE)
        wait = _FIRST_WAIT
        tried: set[str] = set()
        while True:
            with self._addresses.one(tried) as address:
                tried.add(address)
                last = len(tried) == len(self._addresses.all)
                outcome = self._attempt(address, request, hurry=not (last or writing))
            if isinstance(outcome, httpx.Response) and outcome.status_code not in _PASSING:
                return outcome
            pause = 0.0
            if last:
                pause = _asked_wait(outcome) or wait * random.uniform(0.5, 1.5)
                wait = min(2 * wait, _LONGEST_WAIT)
                tried.clear()
                if time.monotonic() + pause > given_up:
                    if isinstance(outcome, httpx.Response):
                        return outcome
                    raise outcome
            log.warning("%s: %s. Sent again.", public_address(address), _said(outcome))
            time.sleep(pause)

    def close(self) -> None:
        self._http.close()

    def _attempt(
        self, address: str, request: httpx.Request, hurry: bool
    ) -> httpx.Response | httpx.TransportError:
        """`hurry`: another node is asked if this one takes long."""
        try:
            response = self._http.handle_request(_to(address, request, hurry))
            response.read()
        except httpx.TransportError as fault:
            self._addresses.failed(address)
            return fault
        self._addresses.answered(address)
        return response


def _to(address: str, request: httpx.Request, hurry: bool) -> httpx.Request:
    node = httpx.URL(address)
    url = request.url.copy_with(scheme=node.scheme, host=node.host, port=node.port)
    headers = request.headers.copy()
    headers["Host"] = url.netloc.decode("ascii")
    # Qdrant sends a compressed answer in two TCP segments, and the second one waits for the
    # client's acknowledgement of the first: 40 ms on Linux, where a search takes less than 10.
    headers["Accept-Encoding"] = "identity"
    timeout = {**request.extensions["timeout"]}
    timeout["connect"] = min(timeout["connect"], CONNECTING)
    if hurry:
        timeout["read"] = min(timeout["read"], ANOTHER_AFTER)
    extensions = {**request.extensions, "timeout": timeout}
    return httpx.Request(
        request.method, url, headers=headers, stream=request.stream, extensions=extensions
    )


def _asked_wait(outcome: httpx.Response | httpx.TransportError) -> float:
    """The seconds that an overloaded server asks to wait; 0 if it does not."""
    if isinstance(outcome, httpx.Response):
        after = str(outcome.headers.get("Retry-After", ""))
        return float(after) if after.isdecimal() else 0.0
    return 0.0


def _said(outcome: httpx.Response | httpx.TransportError) -> str:
    if isinstance(outcome, httpx.Response):
        return redact(f"{outcome.status_code} {outcome.text[:200]}")
    return type(outcome).__name__
