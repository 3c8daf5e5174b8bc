"""Notebook: cells in order, which run one after another on a separate thread.

The code of all cells runs in one namespace, as in any notebook. A cell names the results of other
cells that it needs. Those cells run first if they have not run yet with the current values. The
work continues while the user looks at another page.
"""

import ast
import asyncio
import inspect
import logging
import textwrap
import threading
import time
import traceback
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from string import Template
from typing import Any

from engine.errors import Cancelled, FirstTokenError
from engine.lease import Lease
from engine.run import RunGroup
from engine.schema import new_id
from pages.cells.output import Output

log = logging.getLogger(__name__)

FILE = "<cell>"  # the name of a cell's code in a traceback
# Seconds for which cells continue without a page that shows them. An open page renews this time
# many times a second. Another page, or a short loss of connection, does not stop a long cell, but a
# closed tab does.
LEASE = 120.0


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: its text, and a template of its code.

    In the template, `$name` stands for a value that the page sets. `needs` are the results of
    earlier cells that the code uses, `makes` the results that it leaves for later cells.
    """

    name: str
    title: str
    prose: str
    template: str
    needs: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()

    @property
    def values(self) -> list[str]:
        """The names of the values that the page sets."""
        return Template(self.template).get_identifiers()

    def code(self, values: Mapping[str, Any]) -> str:
        return filled(self.template, values)


def filled(template: str, values: Mapping[str, Any]) -> str:
    """The code of a template: every `$name` becomes the value as a literal of Python.

    Raises:
        KeyError: a value is missing.
    """
    text = textwrap.dedent(template).strip()
    return Template(text).substitute({name: literal(value) for name, value in values.items()})


def literal(value: Any) -> str:
    """The value as a literal of Python, with text in double quotes if that needs no escapes."""
    written = repr(str(value) if isinstance(value, str) else value)  # the text of a StrEnum
    plain = isinstance(value, str) and '"' not in written and "\\'" not in written
    return f'"{written[1:-1]}"' if plain else written


def awaits(code: str) -> bool:
    """Whether the code has an `await` outside its functions."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compiled = compile(code, FILE, "exec", flags=flags, dont_inherit=True)
    return bool(compiled.co_flags & inspect.CO_COROUTINE)


class State(StrEnum):
    """The state of a cell. The value is the word that a page shows."""

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

    values: what the page sets, by name. watch: returns what else the result of a cell depends on,
    such as the files in a folder; when it changes, the cell is out of date. version: increases
    whenever a cell is requested, begins, ends or is edited, so that a page knows when to draw
    again. halted: why the cells after a failed one did not run. runs_all: all cells were
    requested together. namespace: the variables of the cells.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        values: Mapping[str, Any],
        watch: Callable[["Notebook", Cell], Hashable] = lambda *_: None,
    ) -> None:
        self.id = new_id()
        self.cells = list(cells)
        self.values = dict(values)
        self.halted = ""
        self.runs_all = False
        self.version = 0
        self._watch = watch
        self._by_name = {cell.name: cell for cell in self.cells}
        self._makers = {result: cell for cell in self.cells for result in cell.makes}
        self._edits: dict[str, str] = {}
        self._executions: dict[str, Execution] = {}
        self._queue: list[Cell] = []
        self._asked = 0
        self._running: tuple[Cell, Execution, RunGroup] | None = None
        self.namespace: dict[str, Any] = {"__name__": "walkthrough"}
        self._lease = Lease(self.stop, lambda: False)
        self._lock = threading.RLock()

    # For display

    def code(self, cell: Cell) -> str:
        """The code that the cell shows and runs: the edited code, or that with the current
        values."""
        edited = self._edits.get(cell.name)
        return cell.code(self.values) if edited is None else edited

    def is_edited(self, cell: Cell) -> bool:
        return cell.name in self._edits

    def execution(self, cell: Cell) -> Execution | None:
        """The current or last run of a cell."""
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
        """The number of cells that have run, and of requested cells, since the last idle time."""
        with self._lock:
            left = len(self._queue) + (self._running is not None)
            return self._asked - left, self._asked

    # Actions of the user

    def edit(self, name: str, code: str) -> None:
        """Replace the code of a cell. It still runs after the cells that it needed before."""
        with self._lock:
            self._edits[name] = code
            self.version += 1

    def reset(self, name: str) -> None:
        """Restore the original code of a cell."""
        with self._lock:
            self._edits.pop(name, None)
            self.version += 1

    def run(self, name: str) -> None:
        """Run a cell, after those it needs."""
        self._enqueue(self._needed(self._by_name[name]))

    def run_all(self) -> None:
        self._enqueue(self.cells, runs_all=True)

    def stop(self) -> None:
        """Stop the running cell, and run none of the queued ones."""
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
            self.namespace = {"__name__": "walkthrough"}

    def hold(self) -> None:
        """A page shows this notebook: keep its cells running for a while."""
        self._lease.hold(LEASE)

    # How it runs

    def _needed(self, cell: Cell) -> list[Cell]:
        """The cell and those that it needs, unless their results are up to date."""
        wanted, todo = {cell.name}, [cell]
        while todo:
            for maker in self._makers_of(todo.pop()):
                if maker.name not in wanted and not self._is_fresh(maker):
                    wanted.add(maker.name)
                    todo.append(maker)
        return [each for each in self.cells if each.name in wanted]

    def _makers_of(self, cell: Cell) -> list[Cell]:
        return list(dict.fromkeys(self._makers[name] for name in cell.needs))

    def _is_fresh(self, cell: Cell) -> bool:
        """Whether it has finished, and nothing that its result depends on has changed since."""
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

    def _enqueue(self, cells: Sequence[Cell], runs_all: bool = False) -> None:
        with self._lock:
            if not self.busy:
                self._asked, self.halted, self.runs_all = 0, "", runs_all
            new = [cell for cell in cells if cell not in self._queue and cell is not self.running]
            self._queue += new
            self._asked += len(new)
            self.version += 1
            self.hold()
            if self._running is None and self._queue:
                self._begin_next()

    def _begin_next(self) -> None:
        """Start the next cell on a new thread. The caller has the lock."""
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
                _execute(execution.code, self.namespace, execution.output)
        except (Exception, SystemExit) as fault:
            if isinstance(fault, Cancelled) or group.cancelled:
                state = State.STOPPED
            else:
                state = State.FAILED
                log.info("The cell %s failed", cell.name, exc_info=True)
                error = _sentence(fault)
        with self._lock:
            execution.ended = time.perf_counter()
            execution.state, execution.error = state, error
            self._running = None
            self.version += 1
            if state is not State.FINISHED and self._queue:
                self.halted = f"“{cell.title}” {state}, so the cells after it did not run."
                self._queue.clear()
            if self._queue:
                self._begin_next()


def _sentence(fault: BaseException) -> str:
    """The sentence for an error, with the line of the cell for Python errors."""
    if isinstance(fault, FirstTokenError):
        return str(fault)
    lines = [f.lineno for f in traceback.extract_tb(fault.__traceback__) if f.filename == FILE]
    place = f" (line {lines[-1]})" if lines else ""
    return f"{type(fault).__name__}: {fault}{place}"


def _execute(code: str, namespace: dict[str, Any], output: Output) -> None:
    """Run a cell's code, which may have `await` outside its functions, as in any notebook."""
    # A library's own threads print too, and have no context that the router knows.
    namespace["print"] = partial(print, file=output)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compiled = compile(code, FILE, "exec", flags=flags, dont_inherit=True)
    if not compiled.co_flags & inspect.CO_COROUTINE:
        exec(compiled, namespace)
        return

    def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), Cancelled):
            loop.default_exception_handler(context)

    with asyncio.Runner() as loop:
        loop.get_loop().set_exception_handler(report)
        loop.run(eval(compiled, namespace))
