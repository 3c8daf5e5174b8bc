"""Notebook: cells in order, run one after another on a thread of their own.

A cell's code runs in the notebook's namespace, as in any notebook. What a cell needs is read
from its inputs: the cells that make them run first where they have not, or not with the values
of now. Pages come and go; the work does not. It does not know what the cells do.
"""

import ast
import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from engine.errors import Cancelled, FirstTokenError
from engine.lease import Lease
from engine.run import RunGroup
from engine.schema import new_id
from pages.cells.output import Output
from pages.cells.source import Cell, cell_of, makers

log = logging.getLogger(__name__)

# A page that is open renews it many times a second; another page, or a tab that lost its
# connection for a while, does not stop a long cell. A closed tab does, after so many seconds.
LEASE = 120.0


class State(StrEnum):
    """Where a cell is. The value is the word a page shows."""

    NEVER_RUN = "never run"
    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    OUT_OF_DATE = "out of date"


@dataclass(slots=True, eq=False)
class Execution:
    """One run of a cell. `made_from`: the executions of the cells it needed."""

    code: str
    watched: Hashable
    made_from: tuple["Execution", ...]
    state: State = State.RUNNING
    error: str = ""
    output: Output = field(default_factory=Output)
    began: float = field(default_factory=time.perf_counter)
    ended: float | None = None

    @property
    def seconds(self) -> float:
        return (self.ended or time.perf_counter()) - self.began


class Notebook:
    """Safe to use from any thread.

    values: of the inputs that no cell makes. watch: for a cell's inputs, whatever else its
    result depends on, such as the files in a folder; when it changes, the cell is out of date.
    version: goes up whenever a cell is asked for, begins or ends, so that a page knows whether
    what it has drawn still holds.
    """

    def __init__(
        self,
        functions: Sequence[Callable[..., Any]],
        values: Mapping[str, Any],
        watch: Callable[["Notebook", Cell], Hashable] = lambda *_: None,
    ) -> None:
        self.id = new_id()
        self.cells = [cell_of(function) for function in functions]
        self.values = dict(values)
        self.halted = ""
        self.version = 0
        self._watch = watch
        self._by_name = {cell.name: cell for cell in self.cells}
        self._makers = makers(self.cells)
        self._executions: dict[str, Execution] = {}
        self._queue: list[Cell] = []
        self._asked = 0
        self._running: tuple[Cell, Execution, RunGroup] | None = None
        self._namespace: dict[str, Any] = {"__name__": "walkthrough"}
        self._lease = Lease(self.stop, lambda: False)
        self._lock = threading.RLock()

    # What a page shows

    def code(self, cell: Cell) -> str:
        return cell.code(self.values)

    def execution(self, cell: Cell) -> Execution | None:
        """Its last run, or the one that is going on."""
        return self._executions.get(cell.name)

    def state(self, cell: Cell) -> State:
        with self._lock:
            if cell in self._queue:
                return State.QUEUED
            execution = self.execution(cell)
            if execution is None:
                return State.NEVER_RUN
            if execution.state is State.FINISHED and not self._is_fresh(cell):
                return State.OUT_OF_DATE
            return execution.state

    def needs(self, cell: Cell) -> list[Cell]:
        """The cells that would run before it, in their order."""
        with self._lock:
            return [each for each in self._needed(cell) if each is not cell]

    @property
    def running(self) -> Cell | None:
        running = self._running
        return running[0] if running else None

    @property
    def busy(self) -> bool:
        return self._running is not None or bool(self._queue)

    @property
    def progress(self) -> tuple[int, int]:
        """Cells done and cells asked for, since it was last idle."""
        with self._lock:
            left = len(self._queue) + (self._running is not None)
            return self._asked - left, self._asked

    # What a person does

    def run(self, name: str) -> None:
        """Run a cell, after those it needs."""
        self._enqueue(self._needed(self._by_name[name]))

    def run_all(self) -> None:
        self._enqueue(self.cells)

    def stop(self) -> None:
        """Stop the running cell, wherever it is, and run none of those that wait."""
        with self._lock:
            self._queue.clear()
            self.version += 1
            if self._running:
                _, execution, group = self._running
                execution.output.refuse()
                group.cancel()

    def forget(self) -> None:
        """Drop all results and outputs."""
        with self._lock:
            self.stop()
            self._executions.clear()
            self._namespace = {"__name__": "walkthrough"}

    def hold(self) -> None:
        """Somebody looks: go on for a while."""
        self._lease.hold(LEASE)

    # How it runs

    def _needed(self, cell: Cell) -> list[Cell]:
        """The cell and whatever it needs that is not there, or out of date."""
        wanted, todo = {cell.name}, [cell]
        while todo:
            for maker in self._makers_of(todo.pop()):
                if maker.name not in wanted and not self._is_fresh(maker):
                    wanted.add(maker.name)
                    todo.append(maker)
        return [each for each in self.cells if each.name in wanted]

    def _makers_of(self, cell: Cell) -> list[Cell]:
        names = {self._makers[name]: None for name in cell.inputs if name in self._makers}
        return [self._by_name[name] for name in names]

    def _is_fresh(self, cell: Cell) -> bool:
        """It has finished, and would give the same now."""
        execution = self.execution(cell)
        if execution is None or execution.state is not State.FINISHED:
            return False
        makers_now = self._makers_of(cell)
        return (
            execution.code == self.code(cell)
            and execution.watched == self._watch(self, cell)
            and all(self._is_fresh(maker) for maker in makers_now)
            and execution.made_from == self._executions_of(makers_now)
        )

    def _executions_of(self, cells: Sequence[Cell]) -> tuple[Execution, ...]:
        return tuple(self._executions[cell.name] for cell in cells)

    def _enqueue(self, cells: Sequence[Cell]) -> None:
        with self._lock:
            if not self.busy:
                self._asked, self.halted = 0, ""
            new = [cell for cell in cells if cell not in self._queue and cell is not self.running]
            self._queue += new
            self._asked += len(new)
            self.version += 1
            self.hold()
            if self._running is None and self._queue:
                self._begin_next()

    def _begin_next(self) -> None:
        """Holding the lock: take the next cell and begin it on a thread of its own."""
        cell = self._queue.pop(0)
        self.version += 1
        execution = Execution(
            self.code(cell), self._watch(self, cell), self._executions_of(self._makers_of(cell))
        )
        self._executions[cell.name] = execution
        self._running = (cell, execution, RunGroup())
        work = partial(self._work, *self._running)
        threading.Thread(target=work, name=f"cell {cell.name}", daemon=True).start()

    def _work(self, cell: Cell, execution: Execution, group: RunGroup) -> None:
        state, error = State.FINISHED, ""
        try:
            with execution.output.taking_prints(), group:
                _execute(execution.code, self._namespace, execution.output)
        except Exception as fault:
            stopped = isinstance(fault, Cancelled) or group.cancelled
            state = State.STOPPED if stopped else State.FAILED
            error = "" if stopped else _sentence(fault)
            if not stopped:
                log.exception("Cell %s failed", cell.name)
        with self._lock:
            execution.ended = time.perf_counter()
            execution.state, execution.error = state, error
            self._running = None
            self.version += 1
            if state is not State.FINISHED and self._queue:
                self.halted = f"“{cell.title}” {state}: the cells after it have not run."
                self._queue.clear()
            if self._queue:
                self._begin_next()


def _sentence(fault: Exception) -> str:
    return str(fault) if isinstance(fault, FirstTokenError) else f"{type(fault).__name__}: {fault}"


def _execute(code: str, namespace: dict[str, Any], output: Output) -> None:
    """Run a cell's code. `await` may stand at its top, as in any notebook."""
    # Threads that a library starts print too, and have not the context that routes.
    namespace["print"] = partial(print, file=output)
    compiled = compile(
        code, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    if not compiled.co_flags & inspect.CO_COROUTINE:
        exec(compiled, namespace)
        return
    with asyncio.Runner() as loop:
        loop.get_loop().set_exception_handler(_tell_unless_stopped)
        loop.run(eval(compiled, namespace))


def _tell_unless_stopped(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), Cancelled):
        loop.default_exception_handler(context)
