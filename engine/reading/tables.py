"""Tables → lines that are understood alone: "Country: France; Capital: Paris".

Every row carries its columns' names, so that no passage loses its header, and a row found is
evidence by itself.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from engine.reading.plain import decode
from engine.reading.section import Section

# Characters of rows in one section. About a passage, so that "rows 21–40" is where it is.
SECTION_SIZE = 1_000
_FIELD_LIMIT = 10_000_000  # characters of a cell; the csv module's own is 131,072
_NUMBER = re.compile(r"[\s\d.,:/%€$£+-]*\d[\s\d.,:/%€$£+-]*")


def read_csv(path: Path) -> Iterator[Section]:
    csv.field_size_limit(_FIELD_LIMIT)
    text = decode(path.read_bytes())
    rows = _filled(csv.reader(text.splitlines(keepends=True), _dialect(text)))
    head = list(islice(rows, 2))
    header = head.pop(0) if has_header(head) else None
    first = 1 if header is None else 2  # as a spreadsheet numbers them
    lines = (row_line(header, row) for row in chain(head, rows))
    yield from grouped(lines, "rows", first, row_line(None, header or []))


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: all of it words, no two alike, and more below."""
    if len(rows) < 2 or len(rows[0]) < 2:
        return False
    names = [cell.strip() for cell in rows[0]]
    telling = [name for name in names if name]
    words = not any(_NUMBER.fullmatch(name) for name in telling)
    return words and len(telling) > len(names) / 2 and len(set(telling)) == len(telling)


def row_line(header: Sequence[str] | None, row: Sequence[str]) -> str:
    """One row in one line, empty cells left out."""
    names = [*(header or []), *[""] * len(row)]
    cells = [
        f"{_flat(name)}: {_flat(cell)}" if name.strip() else _flat(cell)
        for name, cell in zip(names, row, strict=False)
        if cell.strip()
    ]
    return ("; " if header else " | ").join(cells)


def table_lines(rows: Sequence[Sequence[str]], header: Sequence[str] | None = None) -> list[str]:
    """A table of a page or a slide, whose first row may be its header."""
    if header is None and has_header(rows):
        header, rows = rows[0], rows[1:]
    return [line for row in rows if (line := row_line(header, row))]


def grouped(lines: Iterable[str], unit: str, first: int, alone: str = "") -> Iterator[Section]:
    """Sections of whole lines, named after them: "rows 2–31". `alone` is for no lines at all."""
    part: list[str] = []
    number = first - 1
    for number, line in enumerate(lines, start=first):
        part.append(line)
        if sum(map(len, part)) >= SECTION_SIZE:
            yield _section(part, unit, number)
            part = []
    if part:
        yield _section(part, unit, number)
    if number < first:
        yield Section(alone)


def _section(lines: Sequence[str], unit: str, last: int) -> Section:
    first = last - len(lines) + 1
    place = f"{unit} {first}–{last}" if len(lines) > 1 else f"{unit.removesuffix('s')} {last}"
    return Section("\n".join(lines), heading=place)


def _dialect(text: str) -> type[csv.Dialect]:
    sample = text[:64_000]
    try:
        return csv.Sniffer().sniff(sample, delimiters=",;\t|")
    except csv.Error:  # one column, or cells that hide the pattern
        return csv.excel_tab if "\t" in sample else csv.excel


def _filled(rows: Iterable[list[str]]) -> Iterator[list[str]]:
    return (row for row in rows if any(cell.strip() for cell in row))


def _flat(cell: str) -> str:
    return " ".join(cell.split())
