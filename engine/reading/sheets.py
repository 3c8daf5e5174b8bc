"""Spreadsheets: XLSX, XLSM, XLSB, XLS, ODS → a page for each sheet, a line for each row.

Every row carries its columns' names, as in tables.py. Formulas come as the values they had when the
file was saved.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from engine.errors import DocumentError, PasswordNeededError
from engine.reading.formats import Section, heading_path
from engine.reading.tables import SECTION_SIZE, has_header, row_line

# Of one sheet. 20,000 rows of 10 columns make 4,000 passages; a spreadsheet program shows up to a
# million rows and 16,384 columns, most of them empty.
MOST_ROWS, MOST_COLUMNS = 20_000, 300
_TITLES = 10  # rows above the header, at most: a title, a date, an empty row
_ROW_LENGTH = 800  # characters; a longer row becomes several lines that begin with its first cell


def read_sheets(path: Path) -> Iterator[Section | str]:
    import python_calamine as calamine

    try:
        book = calamine.CalamineWorkbook.from_path(path)
    except calamine.PasswordError as fault:
        raise PasswordNeededError(
            "is protected by a password. Save it without, and add it again."
        ) from fault
    except calamine.CalamineError as fault:
        raise DocumentError(
            "is damaged, or not a spreadsheet. Save it again, as .xlsx or .ods."
        ) from fault
    for number, sheet in enumerate(book.sheets_metadata, start=1):
        if sheet.typ == calamine.SheetTypeEnum.WorkSheet:
            yield from _read_sheet(book.get_sheet_by_name(sheet.name), number)


def _read_sheet(sheet: Any, number: int) -> Iterator[Section | str]:
    rows: list[tuple[int, list[str]]] = []  # (the row's number in the sheet, cells)
    below: dict[int, tuple[int, str]] = {}  # column → where a merged cell ends, and its text
    merged = {first: last for first, last in sheet.merged_cell_ranges or () if first[0] < last[0]}
    left_out = wide = 0
    for place, cells in enumerate(sheet.to_python(skip_empty_area=False)):
        wide += any(map(_shown, cells[MOST_COLUMNS:]))
        row = [_shown(cell) for cell in cells[:MOST_COLUMNS]]
        filled = any(row)
        for column, text in enumerate(row):
            if last := merged.get((place, column)):
                below[column] = (last[0], text)
            elif not text and below.get(column, (-1, ""))[0] >= place:
                row[column] = below[column][1]
        if filled and len(rows) < MOST_ROWS:
            rows.append((place + 1, row))
        else:
            left_out += filled
    yield from _sections(sheet.name, number, rows)
    if left_out:
        yield (
            f"Sheet “{sheet.name}” has {len(rows) + left_out:,} rows; the first {MOST_ROWS:,} were "
            "read. Divide it into several files to have all."
        )
    if wide:
        yield (
            f"Sheet “{sheet.name}” has more than {MOST_COLUMNS} columns; those after were not read."
        )


def _sections(name: str, number: int, rows: Sequence[tuple[int, list[str]]]) -> Iterator[Section]:
    """What stands above the header, then groups of rows, each with the header's names."""
    header: list[str] | None = None
    for start in range(min(len(rows) - 1, _TITLES)):
        # the whole width of the table below, so that a title in its first cell is no header
        if has_header([cells for _, cells in rows[start : start + 2]]):
            header = rows[start][1]
            break
    first = 0 if header is None else start + 1
    titles = [row_line(None, cells) for _, cells in rows[: max(first - 1, 0)]]
    if header and first == len(rows):
        titles.append(row_line(None, header))
    part: list[str] = titles
    size = sum(map(len, titles))
    begun = rows[first][0] if first < len(rows) else 0
    for place, (row_number, cells) in enumerate(rows[first:], start=first):
        part.extend(_lines(header, cells))
        size += sum(map(len, cells))
        if size >= SECTION_SIZE or place == len(rows) - 1:
            what = f"rows {begun}–{row_number}" if row_number > begun else f"row {begun}"
            yield Section("\n".join(part), heading_path([name, what]), name, number)
            part, size = [], 0
            begun = rows[place + 1][0] if place + 1 < len(rows) else 0
    if part:
        yield Section("\n".join(part), name, name, number)


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


def _shown(cell: Any) -> str:
    """A value as text. The reader does not give a cell's own format, such as a currency's sign."""
    if cell is None or cell == "":
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.0f}" if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.12g}"
    if isinstance(cell, datetime):
        midnight = cell.time() == time(0)
        return cell.date().isoformat() if midnight else cell.isoformat(" ", "seconds")
    if isinstance(cell, date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        seconds = round(cell.total_seconds())
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return " ".join(str(cell).split())
