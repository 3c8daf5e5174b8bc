"""One tool call → what came of it, whatever the tool does: fail, hang, or give a megabyte.

The tool works on a thread of its own. Where it takes too long, or the run is cancelled, the
call ends at once; a sync function cannot be ended from outside, so its thread is left to
itself, and its result is thrown away. It does not know who asked for the call.
"""

import asyncio
import inspect
import json
import logging
import threading
import time
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from engine.agent.events import ToolOutput
from engine.agent.tools import FunctionTool
from engine.errors import Cancelled, FirstTokenError
from engine.run import Run

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    output: ToolOutput
    is_error: bool
    seconds: float


def call_tool(tool: FunctionTool, arguments: Mapping[str, Any], run: Run) -> Outcome:
    """Call a tool with checked arguments.

    Raises:
        Cancelled: `run` was cancelled.
    """
    began = time.perf_counter()
    call = _Call(tool, arguments)
    forget = run.on_cancel(call.stop)
    try:
        ended = call.wait(tool.timeout)
        run.check()
    finally:
        forget()
        call.stop()
    if not ended:
        output, is_error = _took_too_long(tool), True
    elif call.error is not None:
        output, is_error = ToolOutput(_sentence(tool, call.error)), True
    else:
        output, is_error = call.output, False
    return Outcome(_capped(output, tool.max_characters), is_error, time.perf_counter() - began)


class _Call:
    """The tool's thread. `stop` ends the wait, and the tool where it can be ended."""

    def __init__(self, tool: FunctionTool, arguments: Mapping[str, Any]) -> None:
        self.output = ToolOutput("")
        self.error: BaseException | None = None
        self._tool, self._arguments = tool, arguments
        self._run = Run()  # the tool's own: a time limit ends the call, not the agent's run
        self._ended = False
        self._woken = threading.Event()
        threading.Thread(target=self._work, name=f"tool {tool.name}", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Whether it ended within its time."""
        self._woken.wait(seconds)
        return self._ended

    def stop(self) -> None:
        self._run.cancel()
        self._woken.set()

    def _work(self) -> None:
        try:
            value = self._tool.invoke(self._arguments, self._run)
            if inspect.isawaitable(value):
                value = asyncio.run(self._finish(value))
            self.output = _as_output(value)
        except BaseException as error:  # even a SystemExit ends this call and nothing else
            if not isinstance(error, FirstTokenError | Cancelled):
                log.exception("The tool %s failed", self._tool.name)
            self.error = error
        self._ended = True
        self._woken.set()

    async def _finish(self, awaitable: Awaitable[Any]) -> Any:
        task, loop = asyncio.ensure_future(awaitable), asyncio.get_running_loop()

        def end() -> None:
            with suppress(RuntimeError):  # the loop has closed: the tool had just ended
                loop.call_soon_threadsafe(task.cancel)

        self._run.on_cancel(end)
        return await task


def _as_output(value: Any) -> ToolOutput:
    """Text stays; other values become JSON, and what has none its `str`."""
    if isinstance(value, ToolOutput):
        return value
    if isinstance(value, str):
        return ToolOutput(value)
    if value is None:
        return ToolOutput("Done.")
    if isinstance(value, BaseModel | dict | list | tuple | set) or is_dataclass(value):
        plain = to_jsonable_python(value, fallback=str)
        return ToolOutput(json.dumps(plain, ensure_ascii=False))
    return ToolOutput(str(value))


def _capped(output: ToolOutput, most: int) -> ToolOutput:
    left_out = len(output.content) - most
    if left_out <= 0:
        return output
    return replace(output, content=output.content[:most], left_out=left_out)


def _took_too_long(tool: FunctionTool) -> ToolOutput:
    return ToolOutput(f"{tool.name} did not answer within {tool.timeout:g} seconds.")


def _sentence(tool: FunctionTool, error: BaseException) -> str:
    if isinstance(error, FirstTokenError):
        return str(error)
    return f"{tool.name} failed: {str(error).strip().rstrip('.') or type(error).__name__}."
