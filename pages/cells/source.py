"""A function → a cell: the code of its body with values filled in, its prose, what it needs.

The code is the function's own source: comments and line ends stay, and only the places that the
syntax tree names are replaced. What is shown, run and downloaded is this one text. It does not
know what the functions do.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

Function = Callable[..., Any]
Edit = tuple[int, int, str]
"""Replace these bytes, from and to, by this text."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A function as a cell. `inputs` are its parameters; `outputs` the names that it returns."""

    name: str
    title: str
    prose: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    is_async: bool
    function: Function

    def code(self, values: Mapping[str, Any]) -> str:
        """The code, with a literal for each input that has a value; others stay names."""
        return body(self.function, literals({n: values[n] for n in self.inputs if n in values}))


def literals(values: Mapping[str, Any]) -> dict[str, str]:
    """Names → their values as Python writes them; texts in double quotes where they can be."""
    return {name: _literal(value) for name, value in values.items()}


def _literal(value: Any) -> str:
    written = repr(str(value) if isinstance(value, str) else value)  # an enumeration's word
    plain = isinstance(value, str) and '"' not in written and "\\'" not in written
    return f'"{written[1:-1]}"' if plain else written


def cell_of(function: Function) -> Cell:
    """The docstring's first line is the title, the rest the prose."""
    title, _, prose = (inspect.getdoc(function) or function.__name__).partition("\n")
    last = _parsed(function)[1].body[-1]
    outputs = _names(last.value) if isinstance(last, ast.Return) else ()
    return Cell(
        function.__name__,
        title,
        prose.strip(),
        tuple(inspect.signature(function).parameters),
        outputs,
        inspect.iscoroutinefunction(function),
        function,
    )


def makers(cells: Sequence[Cell]) -> dict[str, str]:
    """Name → the cell that makes it; the last one, where several do."""
    return {output: cell.name for cell in cells for output in cell.outputs}


def body(function: Function, fill: Mapping[str, str], result: str = "") -> str:
    """The code of a function's body, without its docstring.

    `fill`: an expression, as `ast.unparse` writes it → what stands in its place. The last
    `return` goes; with `result`, what it gave is assigned to that name.
    """
    return _body(function, tuple(fill.items()), result)


@lru_cache(maxsize=256)  # a page asks for every cell's code at every rerun
def _body(function: Function, fill: tuple[tuple[str, str], ...], result: str) -> str:
    source, definition = _parsed(function)
    places = _Places(source)
    statements = definition.body[1:] if ast.get_docstring(definition) else definition.body
    edits = [edit for each in statements for edit in _replacements(each, dict(fill), places)]
    last = statements[-1]
    if isinstance(last, ast.Return):
        start, end = places.span(last)
        edits.append((start, start + len("return"), f"{result} =") if result else (start, end, ""))
        if not result:
            edits = [edit for edit in edits if not start < edit[0]]
    first = places.line(definition.body[0].end_lineno or 0)  # comments after a docstring stay
    begin = first if statements is not definition.body else places.line(statements[0].lineno - 1)
    return textwrap.dedent(_edited(source, begin, edits)).strip()


def _edited(source: bytes, begin: int, edits: Sequence[Edit]) -> str:
    parts, done = [], begin
    for start, end, text in sorted(edits):
        parts += [source[done:start], text.encode()]
        done = end
    return b"".join([*parts, source[done:]]).decode()


@cache
def _parsed(function: Function) -> tuple[bytes, ast.FunctionDef | ast.AsyncFunctionDef]:
    source = textwrap.dedent(inspect.getsource(function))
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef)
    return source.encode(), definition


def _names(returned: ast.expr | None) -> tuple[str, ...]:
    parts = returned.elts if isinstance(returned, ast.Tuple) else [returned]
    return tuple(part.id for part in parts if isinstance(part, ast.Name))


def _replacements(node: ast.AST, fill: Mapping[str, str], places: "_Places") -> Iterator[Edit]:
    """Into f-strings it does not look: before Python 3.12 their parts have no true places."""
    if isinstance(node, ast.Name | ast.Attribute | ast.Call):
        text = fill.get(ast.unparse(node))
        if text is not None:
            yield (*places.span(node), text)
            return
    if not isinstance(node, ast.JoinedStr):
        for child in ast.iter_child_nodes(node):
            yield from _replacements(child, fill, places)


class _Places:
    """Lines and columns of the syntax tree → offsets in bytes, which its columns count."""

    def __init__(self, source: bytes) -> None:
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def line(self, number: int) -> int:
        """Where the line after so many begins."""
        return self._lines[number]

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return (
            self._lines[node.lineno - 1] + node.col_offset,
            self._lines[node.end_lineno - 1] + node.end_col_offset,
        )
