"""Servers with OpenAI's API as models: llama-server, vLLM, Ollama, LM Studio, OpenAI.

Their addresses are in `servers.json`. A key is in `server-keys.json`, which only the user can read;
it goes to its server and nowhere else.
"""

import json
import logging
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from engine.durable import set_aside, write_whole
from engine.errors import ServerError
from engine.redacting import public_address, redact
from engine.schema import new_id

log = logging.getLogger(__name__)

SERVERS, KEYS = "servers.json", "server-keys.json"
_SECONDS = 10.0  # for the list of models


@dataclass(frozen=True, slots=True)
class Server:
    """A model behind a server. address: up to and with /v1, without secrets. model: its name."""

    id: str
    address: str
    model: str


class Servers:
    """The servers that were added. Safe to use from any thread."""

    def __init__(self, folder: Path) -> None:
        self._servers_file, self._keys_file = folder / SERVERS, folder / KEYS
        self._lock = threading.Lock()

    def all(self) -> list[Server]:
        try:
            return [Server(**each) for each in _read(self._servers_file, [])]
        except TypeError:
            log.exception("The list of servers cannot be read")
            return []

    def find(self, server_id: str) -> Server | None:
        return next((each for each in self.all() if each.id == server_id), None)

    def key(self, server: Server) -> str:
        return str(_read(self._keys_file, {}).get(server.id, ""))

    def add(self, address: str, model: str, key: str) -> Server:
        """
        Raises:
            ServerError: the address or the key cannot be used, or nothing could be saved.
        """
        server, key = Server(new_id(), checked_address(address), model), checked_key(key)
        with self._lock:
            keys = _read(self._keys_file, {}) | ({server.id: key} if key else {})
            self._write([*self.all(), server], keys)
        return server

    def remove(self, server: Server) -> None:
        """With its key."""
        with self._lock:
            keys = dict(_read(self._keys_file, {}))
            keys.pop(server.id, None)
            self._write([each for each in self.all() if each.id != server.id], keys)

    def _write(self, servers: list[Server], keys: dict[str, str]) -> None:
        try:
            # the keys first: a file of `write_whole` can be read by nobody but the user
            write_whole(self._keys_file, json.dumps(keys).encode())
            write_whole(self._servers_file, json.dumps(list(map(asdict, servers))).encode())
        except OSError as error:
            raise ServerError(
                f"The server could not be saved ({error.strerror}). Make room on the disk, and "
                "try again."
            ) from error


def checked_address(address: str) -> str:
    """The address without what does not belong to it.

    Raises:
        ServerError: it is none, or it has a password in it.
    """
    address = address.strip().rstrip("/").removesuffix("/chat/completions").removesuffix("/models")
    if not address.startswith(("http://", "https://")):
        raise ServerError("The address must begin with http:// or https://.")
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        raise ServerError("This is not a valid address.") from None
    if url.userinfo or url.query:
        raise ServerError(
            "Write the address without password and question mark. The key has a field of its own."
        )
    return address


def checked_key(key: str) -> str:
    """The key without the spaces around it, which are easily copied with it.

    Raises:
        ServerError: it cannot be sent in a request's head.
    """
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ServerError("The key has a character that keys do not have. Copy it once more.")
    return key


def models_of(address: str, key: str = "") -> list[str]:
    """The names of the models that a server says it has.

    Raises:
        ServerError: it cannot be reached, or refuses; says what to do.
    """
    address, key = checked_address(address), checked_key(key)
    shown = public_address(address)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        response = httpx.get(f"{address}/models", headers=headers, timeout=_SECONDS)
    except httpx.TimeoutException as error:
        raise ServerError(
            f"{shown} did not answer within {_SECONDS:g} s. Is it running?"
        ) from error
    except httpx.HTTPError as error:
        reason = redact(str(error), [key])
        raise ServerError(f"{shown} cannot be reached ({reason}). Is it running?") from error
    if response.status_code in (401, 403):
        raise ServerError(f"{shown} refuses the key. Check it.")
    if response.status_code == 404:
        raise ServerError(f"{shown} has no list of models there. Addresses often end in /v1.")
    if response.status_code >= 300:
        raise ServerError(f"{shown} refused ({response.status_code}). Try again later.")
    try:
        names = [str(each["id"]) for each in response.json()["data"]]
    except (ValueError, LookupError, TypeError):
        raise ServerError(f"{shown} is no server with OpenAI's API. Check the address.") from None
    if not names:
        raise ServerError(f"{shown} has no model. Load one there first.")
    return names


def _read(file: Path, otherwise: Any) -> Any:
    """The file's content. A damaged one is set aside: the next change would overwrite it."""
    try:
        read = json.loads(file.read_text("utf-8"))
        if isinstance(read, type(otherwise)):
            return read
        raise ValueError("it has another shape")
    except FileNotFoundError:
        pass
    except OSError:
        log.exception("%s cannot be read", file.name)
    except ValueError:
        log.exception("%s is damaged", file.name)
        with suppress(OSError):
            set_aside(file, file.parent)
    return otherwise
