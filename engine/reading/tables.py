"""CSV and JSON → lines that can be understood alone: "Country: France; Capital: Paris".

Every row has the names of its columns, so no passage loses its header, and a row can be evidence.
Other modules use `table_lines` for the tables in their formats.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

from engine.errors import DocumentError
from engine.reading.formats import Section
from engine.reading.text import decode

# Characters of rows in one section. It is about a passage, so that "rows 21–40" locates a passage.
SECTION_SIZE = 1_000
_FIELD_LIMIT = 10_000_000  # characters of a cell; the csv module's own is 131,072
_DELIMITERS = "\t;|,"  # the comma is last, because it also occurs in numbers and sentences
_SAMPLE_ROWS = 50
_NUMERIC = set("0123456789.,:/%€$£+- \t\r\n")


def read_csv(path: Path) -> Iterator[Section]:
    csv.field_size_limit(_FIELD_LIMIT)
    table = decode(path.read_bytes()).splitlines(keepends=True)
    reader = csv.reader(table, delimiter=_delimiter(table), skipinitialspace=True)
    rows = (row for row in reader if any(cell.strip() for cell in row))
    head = list(islice(rows, 2))
    header = head.pop(0) if has_header(head) else None
    first = 1 if header is None else 2  # as a spreadsheet numbers them
    lines = (row_line(header, row) for row in chain(head, rows))
    yield from grouped(lines, "rows", first, row_line(None, header or []))


def _delimiter(table: Sequence[str]) -> str:
    """The delimiter with which the first rows most often have the same number of cells."""

    def regularity(delimiter: str) -> float:
        sample = csv.reader(table, delimiter=delimiter, skipinitialspace=True)
        widths = Counter(len(row) for row in islice(sample, _SAMPLE_ROWS) if row)
        width, rows = widths.most_common(1)[0] if widths else (0, 0)
        return rows / widths.total() if width > 1 else 0

    try:
        return max(_DELIMITERS, key=regularity)
    except csv.Error:  # reading raises the error
        return ","


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row has the columns' names: different words, with further rows below."""
    if len(rows) < 2 or len(rows[0]) < 2:
        return False
    names = [name for cell in rows[0] if (name := cell.strip())]
    words = not any(
        _NUMERIC.issuperset(name) and any(map(str.isdecimal, name)) for name in names
    )
    return words and len(names) > len(rows[0]) / 2 and len(set(names)) == len(names)


def row_line(header: Sequence[str] | None, row: Sequence[str]) -> str:
    """One row in one line, empty cells left out."""
    cells = [
        f"{_one_line(name)}: {_one_line(cell)}" if name.strip() else _one_line(cell)
        for name, cell in zip(chain(header or (), repeat("")), row, strict=False)
        if cell.strip()
    ]
    return ("; " if header else " | ").join(cells)


def table_lines(rows: Sequence[Sequence[str]], header: Sequence[str] | None = None) -> list[str]:
    """The lines of a table in a page or a slide. Its first row may be its header."""
    if header is None and has_header(rows):
        header, rows = rows[0], rows[1:]
    return [line for row in rows if (line := row_line(header, row))]


def grouped(lines: Iterable[str], unit: str, first: int, alone: str = "") -> Iterator[Section]:
    """Sections of whole lines, with names such as "rows 2–31". `alone` is the text if there are no
    lines.
    """

    def section(last: int) -> Section:
        start = last - len(part) + 1
        place = f"{unit} {start}–{last}" if len(part) > 1 else f"{unit.removesuffix('s')} {last}"
        return Section("\n".join(part), heading=place)

    part: list[str] = []
    size = 0
    number = first - 1
    for number, line in enumerate(lines, start=first):
        part.append(line)
        size += len(line)
        if size >= SECTION_SIZE:
            yield section(number)
            part, size = [], 0
    if part:
        yield section(number)
    if number < first:
        yield Section(alone)


def read_json(path: Path) -> Iterator[Section | str]:
    """An array is a list of items; any other value is one item. JSON Lines are recognised."""
    text = decode(path.read_bytes())
    try:
        value = json.loads(text)
    except json.JSONDecodeError as fault:
        if fault.msg != "Extra data" or not _is_json(text.lstrip().partition("\n")[0]):
            raise _not_whole(fault.lineno, fault.msg) from fault
        yield from _json_lines(text)
        return
    if isinstance(value, list):
        yield from grouped(map(_item, value), "items", 1)
    else:
        yield from grouped(_lines(value), "lines", 1)


def read_json_lines(path: Path) -> Iterator[Section | str]:
    yield from _json_lines(decode(path.read_bytes()))


def _json_lines(text: str) -> Iterator[Section | str]:
    """Lines that are not JSON are left out, and counted in a notice.

    Raises:
        DocumentError: no line is JSON.
    """
    good = bad = 0
    first: tuple[int, str] | None = None

    def items() -> Iterator[str]:
        nonlocal good, bad, first
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError) as fault:
                    bad += 1
                    first = first or (number, getattr(fault, "msg", str(fault)))
                else:
                    good += 1
                    yield _item(value)

    yield from grouped(items(), "items", 1)
    if first and not good:
        raise _not_whole(*first)
    if first:
        were = "1 line is not JSON and was" if bad == 1 else f"{bad:,} lines are not JSON and were"
        yield f"{were} left out: line {first[0]:,}{' and others' * (bad > 1)} ({first[1]})."


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


def _item(value: Any) -> str:
    """An item in one line, so that it can be evidence, unless it is long."""
    lines = list(_lines(value))
    return ("; " if sum(map(len, lines)) < SECTION_SIZE else "\n").join(lines)


def _lines(value: Any, name: str = "") -> Iterator[str]:
    """A value's lines. An object that has only plain values is one line."""
    if _is_plain(value):
        if text := _plain(value):
            yield f"{name}: {text}" if name else text
    elif isinstance(value, dict) and all(map(_is_plain, value.values())):
        cells = (f"{key}: {text}" for key, each in value.items() if (text := _plain(each)))
        if line := "; ".join(cells):
            yield f"{name}: {line}" if name else line
    else:
        pairs = value.items() if isinstance(value, dict) else enumerate(value, start=1)
        for key, inner in pairs:
            yield from _lines(inner, f"{name}.{key}" if name else str(key))


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return not any(isinstance(each, list | dict) for each in value)
    return not isinstance(value, dict)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    return _one_line(text)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _not_whole(line: int, reason: str) -> DocumentError:
    return DocumentError(
        f"is not whole JSON: line {line}: {reason}. Save it again from the program it came from."
    )
