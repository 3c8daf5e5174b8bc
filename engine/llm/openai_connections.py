"""Connections to model servers: one HTTP client, and the thread that runs its requests."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

import httpx

from engine.errors import LLMError
from engine.llm.openai_request import CONNECT_SECONDS, Request

# Seconds that an idle connection stays open, so that the next question needs no new TLS handshake
KEEP_ALIVE = 60.0
_CLOSED = "This connection to the model server has been closed. Ask again."


class Connections:
    """One HTTP client, and an event loop on a separate thread that runs its requests.

    They live as long as the LLM, so that a question needs no new client and, while a connection is
    open, no handshake. Requests are tasks of the loop, because a cancelled task closes its
    connection in every stage: while it connects, while the server reads, and while the server
    writes.
    """

    def __init__(self, api_key: str, stall_seconds: float) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(stall_seconds, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None, keepalive_expiry=KEEP_ALIVE),
        )
        self._loop = asyncio.new_event_loop()
        self.tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="llm-server", daemon=True)
        self._thread.start()

    def start(self, request: Request) -> Callable[[], None]:
        """Run a request on the loop. Returns a function that cancels it, from any thread."""
        loop = self._loop
        task: asyncio.Task[None]

        def begin() -> None:
            nonlocal task
            task = loop.create_task(request.run(self._client))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

        def cancel() -> None:
            # Cancel in a later step of the loop, because a task that is cancelled before its first
            # step would not report its end
            loop.call_soon(lambda: task.cancel())

        def cancel_from_any_thread() -> None:
            with suppress(RuntimeError):  # the loop has closed, and its requests have ended
                loop.call_soon_threadsafe(cancel)

        with self._lock:
            if self._closed:
                request.finish("error", LLMError(_CLOSED))
            else:
                loop.call_soon_threadsafe(begin)
        return cancel_from_any_thread

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(CONNECT_SECONDS)

    def _work(self) -> None:
        loop = self._loop

        async def end_all() -> None:
            await asyncio.sleep(0)  # each task must have had its first step
            for task in list(self.tasks):
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            await self._client.aclose()

        try:
            loop.run_forever()
            loop.run_until_complete(end_all())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
