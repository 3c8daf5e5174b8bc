"""A client of the API for the terminal's commands."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx

from engine.errors import FirstTokenError

CONNECT = 5.0  # seconds; the server is on this machine


class ApiError(FirstTokenError):
    """The API refused a request, or could not be reached. `str()` is its sentence."""


class Client:
    """`url` is the server's address without /v1. To be closed; blocks while it waits.

    Raises:
        ApiError: from every method, with the server's sentence.
    """

    def __init__(self, url: str, key: str = "") -> None:
        self.url, self.key = url, key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(
            base_url=url,
            headers=headers,
            timeout=httpx.Timeout(None, connect=CONNECT),
            trust_env=False,  # a proxy of the environment has no part in this
        )
        self._streams: list[Any] = []  # of every connection that `ask` has opened

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def abort(self) -> None:
        """End every answer at once, from any thread: the thread that reads it gets an ApiError."""
        for stream in self._streams:
            with suppress(OSError):  # the connection has ended already
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def answers(self) -> bool:
        """Whether a First Token is there, even if it refuses the key."""
        try:
            answer = self._http.get("/v1/models")
        except httpx.HTTPError:
            return False
        return str(answer.headers.get("content-type")).startswith("application/json")

    def search(self, collection: str, query: str, most: int) -> dict[str, Any]:
        body = {"query": query, "max_num_results": most}
        return self._json("POST", f"/v1/vector_stores/{collection}/search", json=body)

    def files(self, collection: str | None = None) -> list[dict[str, Any]]:
        parameters = {"collection": collection} if collection else {}
        found: list[dict[str, Any]] = self._json("GET", "/v1/files", params=parameters)["data"]
        return found

    def file(self, file_id: str) -> dict[str, Any]:
        return self._json("GET", f"/v1/files/{file_id}")

    def add(self, path: Path, collection: str, if_exists: str = "") -> dict[str, Any]:
        """Queue a file. `file` then says how far it is."""
        fields = {"purpose": "user_data", "collection": collection, "if_exists": if_exists}
        with path.open("rb") as content:
            return self._json("POST", "/v1/files", data=fields, files={"file": content})

    def ask(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """POST /v1/chat/completions: the frames of the stream, or the one answer."""

        def note(event: str, info: dict[str, Any]) -> None:
            if event == "connection.connect_tcp.complete":
                self._streams.append(info["return_value"])

        opened = {"trace": note}
        try:
            with self._http.stream(
                "POST", "/v1/chat/completions", json=request, extensions=opened
            ) as answer:
                if answer.is_error or not request.get("stream"):
                    answer.read()
                    yield _checked(answer)
                    return
                for line in answer.iter_lines():
                    if line.startswith("data: {"):
                        frame = json.loads(line.removeprefix("data: "))
                        if "error" in frame:
                            raise ApiError(frame["error"]["message"])
                        yield frame
        except httpx.HTTPError as fault:
            raise self._unreachable(fault) from fault

    def _json(self, method: str, path: str, **parts: Any) -> dict[str, Any]:
        try:
            return _checked(self._http.request(method, path, **parts))
        except httpx.HTTPError as fault:
            raise self._unreachable(fault) from fault

    def _unreachable(self, fault: httpx.HTTPError) -> ApiError:
        return ApiError(f"First Token at {self.url} broke off ({type(fault).__name__}). Try again.")


def _checked(answer: httpx.Response) -> dict[str, Any]:
    try:
        body: dict[str, Any] = answer.json()
    except ValueError:
        message = f"First Token answered {answer.status_code}, and not in JSON. Try again."
        raise ApiError(message) from None
    if answer.is_error:
        raise ApiError(body["error"]["message"])
    return body
