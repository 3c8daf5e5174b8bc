"""Spreadsheet files → sheets of rows of cells, each cell with the text that it shows.

- XLSX: python-calamine reads the values, but not how they are shown. The cells' formats are read
  beside it, from the XML inside the file. For 20,000 rows of 10 columns, both together take 1.1 s
  of computing, and openpyxl, which has the formats, 3.0 s, or 2.2 s without merged cells.
- XLS: xlrd, which gives both.
- ODS: the file has the shown text of each cell.
- XLSB: python-calamine alone; numbers come without their formats.

Formulas come as the values they had when the file was saved.
"""

import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from lxml import etree

from engine.errors import DocumentError, PasswordNeededError
from engine.reading.number_formats import BUILT_IN, Value, shown

_PROTECTED = "is protected by a password. Save it without, and add it again."
_DAMAGED = "is damaged, or not a spreadsheet. Save it again, as .xlsx or .ods."
_ELAPSED = re.compile(r"\[(h+|m+|s+)\]", re.IGNORECASE)  # hours since midnight of the first day
_MOST_REPEATED = 1_000  # of an ODS: equal cells or rows that have text; sheets are padded with more


class Cell(NamedTuple):
    """`is_text`: not a number, a date or a yes or no. `rows`, `columns`: of merged cells."""

    text: str
    is_text: bool = True
    rows: int = 1
    columns: int = 1


EMPTY = Cell("")
Rows = Iterator[tuple[int, list[Cell]]]
"""The number of a row, from 0, and its cells from the first column."""


@dataclass(frozen=True, slots=True)
class Sheet:
    name: str
    number: int
    rows: Rows


def read_workbook(path: Path) -> Iterator[Sheet]:
    """The sheets, to be read one after another.

    Raises:
        PasswordNeededError, DocumentError: it cannot be opened.
    """
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            yield from _read_xls(path)
            return
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if "content.xml" in names:
                yield from _read_ods(archive)
                return
            formats = _XlsxFormats(archive) if "xl/workbook.xml" in names else None
            yield from _read_xlsx(path, formats)
    except (zipfile.BadZipFile, etree.XMLSyntaxError, KeyError) as fault:
        raise DocumentError(_DAMAGED) from fault


def _plain(value: Any) -> str:
    """A value in its general form."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"
    if isinstance(value, datetime):
        midnight = value.time() == time(0)
        return value.date().isoformat() if midnight else value.isoformat(" ", "seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return " ".join(str(value).split())


def _cell(value: Any, code: str = "", span: tuple[int, int] = (1, 1)) -> Cell:
    """`code`: the format of a number or a date."""
    if isinstance(value, str):
        return Cell(_plain(value), True, *span)
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    is_value = isinstance(value, Value) and not isinstance(value, bool)
    text = shown(value, code) if code and is_value else None
    return Cell(_plain(value) if text is None else text, False, *span)


# ---- XLSX, XLSM, XLSB


def _read_xlsx(path: Path, formats: "_XlsxFormats | None") -> Iterator[Sheet]:
    import python_calamine as calamine

    try:
        book = calamine.CalamineWorkbook.from_path(path)
        for number, each in enumerate(book.sheets_metadata, start=1):
            if each.typ == calamine.SheetTypeEnum.WorkSheet:
                sheet = book.get_sheet_by_name(each.name)
                codes = formats.of_sheet(each.name) if formats else {}
                yield Sheet(each.name, number, _xlsx_rows(sheet, codes))
    except calamine.PasswordError as fault:
        raise PasswordNeededError(_PROTECTED) from fault
    except calamine.CalamineError as fault:
        raise DocumentError(_DAMAGED) from fault


def _xlsx_rows(sheet: Any, codes: Mapping[tuple[int, int], str]) -> Rows:
    spans = {
        (top, left): (bottom - top + 1, right - left + 1)
        for (top, left), (bottom, right) in sheet.merged_cell_ranges or ()
    }
    for row, values in enumerate(sheet.to_python(skip_empty_area=False)):
        yield (
            row,
            [
                _cell(value, codes.get((row, column), ""), spans.get((row, column), (1, 1)))
                for column, value in enumerate(values)
            ],
        )


class _XlsxFormats:
    """The formats of the cells of an XLSX, from its XML."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._codes = self._styles()
        relations = self._parsed("xl/_rels/workbook.xml.rels")
        targets = {each.get("Id"): each.get("Target", "") for each in relations}
        self._parts = {
            sheet.get("name"): targets.get(_attribute(sheet, "id"), "")
            for sheet in self._parsed("xl/workbook.xml").iter("{*}sheet")
        }

    def of_sheet(self, name: str) -> dict[tuple[int, int], str]:
        """Row and column, from 0 → the code of a cell that has one."""
        found: dict[tuple[int, int], str] = {}
        if not self._codes or not (part := self._parts.get(name)):
            return found
        place = part.removeprefix("/") if part.startswith("/") else str(PurePosixPath("xl", part))
        row = column = -1
        with self._archive.open(place) as xml:
            for event, element in _streamed(xml, ("row", "c")):
                is_row = element.tag.endswith("}row")
                if event == "start" and is_row:
                    row = int(element.get("r") or row + 2) - 1
                    column = -1
                elif event == "start":
                    reference = element.get("r")
                    column = _column(reference) if reference else column + 1
                    if code := self._codes.get(int(element.get("s") or 0)):
                        found[row, column] = code
                elif is_row:
                    _forget(element)
        return found

    def _styles(self) -> dict[int, str]:
        """A cell's style → its code; none for the general format."""
        if "xl/styles.xml" not in self._archive.namelist():
            return {}
        root = self._parsed("xl/styles.xml")
        own = {
            int(each.get("numFmtId", 0)): each.get("formatCode", "")
            for each in root.iterfind("{*}numFmts/{*}numFmt")
        }
        codes = BUILT_IN | own
        styles = root.iterfind("{*}cellXfs/{*}xf")
        found = {n: codes.get(int(xf.get("numFmtId") or 0), "") for n, xf in enumerate(styles)}
        return {n: code for n, code in found.items() if code.lower() not in ("", "general", "@")}

    def _parsed(self, name: str) -> Any:
        return etree.fromstring(self._archive.read(name), _parser())


def _column(reference: str) -> int:
    """"AB12" → 27."""
    column = 0
    for letter in reference.rstrip("0123456789"):
        column = column * 26 + ord(letter.upper()) - 64
    return column - 1


# ---- XLS


def _read_xls(path: Path) -> Iterator[Sheet]:
    import xlrd

    try:
        book = xlrd.open_workbook(path, formatting_info=True, logfile=_Nowhere())
    except xlrd.XLRDError as fault:
        if "encrypted" in str(fault):
            raise PasswordNeededError(_PROTECTED) from fault
        raise DocumentError(_DAMAGED) from fault
    with closing(_Released(book)):
        for number, sheet in enumerate(book.sheets(), start=1):
            yield Sheet(sheet.name, number, _xls_rows(book, sheet))


class _Nowhere:
    """xlrd prints what it finds odd."""

    def write(self, _: str) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Released:
    book: Any

    def close(self) -> None:
        self.book.release_resources()


def _xls_rows(book: Any, sheet: Any) -> Rows:
    spans = {
        (top, left): (bottom - top, right - left)
        for top, bottom, left, right in sheet.merged_cells
    }
    for row in range(sheet.nrows):
        cells = sheet.row(row)
        yield (
            row,
            [
                _cell(_xls_value(book, cell, code), code, spans.get((row, n), (1, 1)))
                for n, cell in enumerate(cells)
                for code in [_xls_code(book, cell)]
            ],
        )


def _xls_value(book: Any, cell: Any, code: str) -> Any:
    import xlrd

    if cell.ctype == xlrd.XL_CELL_DATE:
        try:
            if _ELAPSED.search(code):
                return timedelta(days=cell.value)
            moment = xlrd.xldate_as_datetime(cell.value, book.datemode)
            return moment.time() if 0 <= cell.value < 1 else moment
        except (ValueError, OverflowError):
            return cell.value
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return bool(cell.value)
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(cell.value, ""))
    return cell.value


def _xls_code(book: Any, cell: Any) -> str:
    style = book.xf_list[cell.xf_index]
    number = style.format_key
    code = str(book.format_map[number].format_str) if number in book.format_map else ""
    return "" if code.lower() in ("general", "@") or number in (14, 22) else code


# ---- ODS


def _read_ods(archive: zipfile.ZipFile) -> Iterator[Sheet]:
    if b"encryption-data" in archive.read("META-INF/manifest.xml"):
        raise PasswordNeededError(_PROTECTED)
    with archive.open("content.xml") as xml:
        events = _streamed(xml, ("table", "table-row"))
        number = 0
        for event, element in events:
            if event == "start" and element.getparent().tag.endswith("}spreadsheet"):
                number += 1
                rows = _ods_rows(events, element)
                yield Sheet(_attribute(element, "name"), number, rows)
                for _ in rows:  # those that the reader of the sheet has left
                    pass


def _ods_rows(events: Iterator[tuple[str, Any]], table: Any) -> Rows:
    row = 0
    for event, element in events:
        if event == "end" and element is table:
            _forget(element)
            return
        if event == "end" and element.tag.endswith("}table-row"):
            repeated = int(_attribute(element, "number-rows-repeated") or 1)
            cells = _ods_cells(element)
            for n in range(min(repeated, _MOST_REPEATED) if cells else 0):
                yield row + n, cells
            row += repeated
            _forget(element)


def _ods_cells(row: Any) -> list[Cell]:
    cells: list[Cell] = []
    for element in row:
        covered = element.tag.endswith("}covered-table-cell")
        if not covered and not element.tag.endswith("}table-cell"):
            continue
        cell = EMPTY if covered else _ods_cell(element)
        repeated = int(_attribute(element, "number-columns-repeated") or 1)
        cells.extend([cell] * (min(repeated, _MOST_REPEATED) if cell.text else repeated % 20_000))
    while cells and not cells[-1].text:
        cells.pop()
    return cells


def _ods_cell(element: Any) -> Cell:
    """A cell's text as it is shown; where a program has not written it, its value."""
    kind = _attribute(element, "value-type")
    paragraphs = [each for each in element if each.tag.endswith("}p")]
    text = " ".join("".join(_ods_text(each)) for each in paragraphs)
    if not text.strip() and kind:
        names = ("date-value", "time-value", "boolean-value", "string-value", "value")
        text = next(filter(None, (_attribute(element, name) for name in names)), "")
    return Cell(
        " ".join(text.split()),
        kind in ("", "string"),
        int(_attribute(element, "number-rows-spanned") or 1),
        int(_attribute(element, "number-columns-spanned") or 1),
    )


def _ods_text(element: Any) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        name = etree.QName(child).localname if isinstance(child.tag, str) else ""
        if name in ("s", "tab", "line-break"):
            yield " "
        elif name != "annotation":
            yield from _ods_text(child)
        yield child.tail or ""


# ---- XML


def _streamed(xml: IO[bytes], names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    tags = [f"{{*}}{name}" for name in names]
    yield from etree.iterparse(
        xml, ("start", "end"), tag=tags, resolve_entities=False, no_network=True
    )


def _forget(element: Any) -> None:
    """Free an element that has been read, and those before it: else the whole tree is kept."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True)


def _attribute(element: Any, name: str) -> str:
    """An attribute of any namespace."""
    return next((str(v) for key, v in element.items() if etree.QName(key).localname == name), "")
