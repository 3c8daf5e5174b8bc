"""Spreadsheets → a page for each sheet, a line for each row.

Every row carries its columns' names, as in tables.py. A merged cell stands in each of its rows. A
header of two rows, whose upper one has merged cells, gives names such as "2025 Costs".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from engine.reading.formats import Section, heading_path
from engine.reading.tables import SECTION_SIZE, has_header, row_line
from engine.reading.workbooks import EMPTY, Cell, Sheet, read_workbook

# Of one sheet. 20,000 rows of 10 columns make 4,000 passages; a spreadsheet program shows up to a
# million rows and 16,384 columns, most of them empty.
MOST_ROWS, MOST_COLUMNS = 20_000, 300
_TITLES = 10  # rows above the header, at most: a title, a date, an empty row
_ROW_LENGTH = 800  # characters; a longer row becomes several lines that begin with its first cell

Row = tuple[int, list[str]]
"""The number of a row as the program shows it, and the text of its cells."""


def read_sheets(path: Path) -> Iterator[Section | str]:
    for sheet in read_workbook(path):
        yield from _read_sheet(sheet)


def _read_sheet(sheet: Sheet) -> Iterator[Section | str]:
    head: list[list[Cell]] = []  # the first rows that have text
    rows: list[Row] = []
    below: dict[int, tuple[int, Cell]] = {}  # column → the last row of a merged cell, and that cell
    left_out = wide = 0
    for place, cells in sheet.rows:
        wide += any(cell.text for cell in cells[MOST_COLUMNS:])
        cells = cells[:MOST_COLUMNS]
        if not any(cell.text for cell in cells):
            continue
        if len(rows) == MOST_ROWS:
            left_out += 1
            continue
        _fill_from_above(cells, place, below)
        if len(head) <= _TITLES + 1:
            head.append(cells)
        rows.append((place + 1, [cell.text for cell in cells]))
    yield from _sections(sheet, rows, head)
    if left_out:
        yield (
            f"Sheet “{sheet.name}” has {len(rows) + left_out:,} rows; the first {MOST_ROWS:,} were "
            "read. Divide it into several files to have all."
        )
    if wide:
        yield (
            f"Sheet “{sheet.name}” has more than {MOST_COLUMNS} columns; those after were not read."
        )


def _fill_from_above(cells: list[Cell], place: int, below: dict[int, tuple[int, Cell]]) -> None:
    """A cell that is merged over several rows stands in all of them."""
    if below:
        cells.extend([EMPTY] * (max(below) + 1 - len(cells)))
    for column, cell in enumerate(cells):
        if cell.rows > 1:
            below[column] = place + cell.rows - 1, cell
        elif column in below:
            last, merged = below[column]
            if place > last:
                del below[column]
            elif not cell.text:
                cells[column] = merged._replace(rows=1)


@dataclass(frozen=True, slots=True)
class _Header:
    """The columns' names, which stand in `rows` rows, under `titles` others."""

    titles: int = 0
    rows: int = 0
    names: list[str] | None = None


def _header(head: Sequence[Sequence[Cell]]) -> _Header:
    """Without names, if the first rows have none."""
    width = max(map(len, head), default=0)
    for start in range(min(len(head) - 1, _TITLES)):
        row = _padded(head[start], width)
        data = [_counted_as(cell) for cell in _padded(head[start + 1], width)]
        names = [_counted_as(cell) for cell in row]
        upper = _padded(head[start - 1], width) if start else []
        if any(1 < cell.columns < width for cell in upper):
            pairs = zip(_spread(upper), names, strict=True)
            both = [" ".join(dict.fromkeys(filter(None, pair))) for pair in pairs]
            if has_header([both, data]):
                return _Header(start - 1, 2, both)
        # the whole width of the table below, so that a title in its first cell is no header
        if has_header([names, data]) and not any(1 < cell.columns < width for cell in row):
            return _Header(start, 1, [cell.text for cell in row])
    return _Header()


def _padded(cells: Sequence[Cell], width: int) -> list[Cell]:
    return [*cells, *([EMPTY] * (width - len(cells)))]


def _spread(cells: Sequence[Cell]) -> list[str]:
    """The texts of a row, those of merged cells in each of their columns."""
    texts = [""] * len(cells)
    for column, cell in enumerate(cells):
        if cell.text:
            texts[column : column + cell.columns] = [cell.text] * cell.columns
    return texts[: len(cells)]


def _counted_as(cell: Cell) -> str:
    """A number or a date is no column's name, whatever words its format writes."""
    return cell.text if cell.is_text or not cell.text else "0"


def _sections(
    sheet: Sheet, rows: Sequence[Row], head: Sequence[Sequence[Cell]]
) -> Iterator[Section]:
    """What stands above the rows of data, then groups of rows, each with the columns' names."""
    header = _header(head)
    first = header.titles + header.rows
    part = [row_line(None, cells) for _, cells in rows[: header.titles]]
    size = sum(map(len, part))
    begun = rows[first][0] if first < len(rows) else 0
    for place, (row_number, cells) in enumerate(islice(rows, first, None), start=first):
        part.extend(_lines(header.names, cells))
        size += sum(map(len, cells))
        if size >= SECTION_SIZE or place == len(rows) - 1:
            what = f"rows {begun}–{row_number}" if row_number > begun else f"row {begun}"
            heading = heading_path([sheet.name, what])
            yield Section("\n".join(part), heading, sheet.name, sheet.number)
            part, size = [], 0
            begun = rows[place + 1][0] if place + 1 < len(rows) else 0
    if part:
        yield Section("\n".join(part), sheet.name, sheet.name, sheet.number)


def _lines(header: Sequence[str] | None, cells: Sequence[str]) -> Iterator[str]:
    """A row in one line. A long one is divided, and each part begins with the row's first cell."""
    filled = [(n, cell) for n, cell in enumerate(cells) if cell]
    names = list(header or ())[: len(cells)]
    names += [""] * (len(cells) - len(names))
    part: list[int] = []
    size = 0
    for n, cell in filled:
        if part and size + len(cell) + len(names[n]) > _ROW_LENGTH:
            yield row_line(names if header else None, _only(cells, part))
            part, size = [filled[0][0]], len(filled[0][1])
        part.append(n)
        size += len(cell) + len(names[n])
    yield row_line(names if header else None, _only(cells, part))


def _only(cells: Sequence[str], columns: Sequence[int]) -> list[str]:
    return [cell if n in columns else "" for n, cell in enumerate(cells)]
