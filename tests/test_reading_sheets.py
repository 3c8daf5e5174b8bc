"""Spreadsheets: their cells as they are shown, with their columns' names."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest

from engine.errors import DocumentError
from engine.reading import ReadingProcess, read_file
from engine.reading.number_formats import Value, shown
from engine.reading.sheets import MOST_COLUMNS
from engine.schema import Node
from tests.making import put, zipped

FILES = Path(__file__).parent / "files"
REPAIRS = (
    "Repairs of the harbour, 2025\n"
    "Place: North pier; Work: New bollards; Date: 14.03.2025; Cost: 1,250.50 €; Share: 13%\n"
    "Place: North pier; Work: Lamp glass; Date: 02.05.2025; Cost: 310.00 €; Share: 3%\n"
    "Place: Slipway; Work: Concrete, second coat; Date: 30.09.2025; Cost: 8,439.50 €; Share: 84%\n"
    "Place: Total; Cost: 10,000.00 €"
)
KINDS = ("xlsx", "xls", "ods")
MOMENT = datetime(2025, 3, 4, 15, 7, 9, 250_000)


@pytest.fixture(scope="module")
def process() -> Iterator[ReadingProcess]:
    with ReadingProcess() as started:
        yield started


@pytest.mark.parametrize("kind", KINDS)
def test_each_row_has_its_columns_names_and_formulas_their_values_as_they_are_shown(
    kind: str, process: ReadingProcess
) -> None:
    name = f"budget.{kind}"
    repairs, keepers = read_file(FILES / name, process=process).documents
    assert repairs.text == REPAIRS
    assert repairs.metadata["heading"] == "Repairs › rows 4–7"
    assert "Name: Jean-Luc Müller; Since: 2011" in keepers.text
    assert repairs.metadata["page_count"] == 2
    assert Node("", keepers.metadata).label == f"{name}, sheet Keepers"


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_read_as_libreoffice_shows_them_under_a_header_of_two_rows(
    kind: str, process: ReadingProcess
) -> None:
    accounts, formats = read_file(FILES / f"accounts.{kind}", process=process).documents
    assert accounts.text.split("\n") == [
        "Keeper: Aud Ørland; 2024 Costs: 12,345.60 €; 2024 Balance: ($1,234.50); "
        "2025 Costs: 0.50 €; 2025 Balance: $99.00",
        "Keeper: Jean-Luc Müller; 2024 Costs: 1,000,000.00 €; 2024 Balance: $0.00; "
        "2025 Costs: -3.00 €; 2025 Balance: ($0.25)",
    ]
    (of_libreoffice,) = read_file(FILES / "accounts.ods", process=process).documents[1:]
    assert formats.text == of_libreoffice.text
    for line in ("share; Shown: 12.3%", "code; Shown: 00042", "opened; Shown: 5 March 1984"):
        assert f"What: {line}" in formats.text


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (1250.5, "#,##0.00\\ [$€]", "1,250.50 €"),
        (-1234.5, '_-* #,##0.00 _€_-;-* #,##0.00 _€_-;_-* "-"?? _€_-;_-@_-', "-1,234.50"),
        (0.0, '_-* #,##0.00 _€_-;-* #,##0.00 _€_-;_-* "-"?? _€_-;_-@_-', "-"),
        (-5.5, "0.00;[Red](0.00)", "(5.50)"),
        (0.125, "0%", "13%"),
        (2.5, "0", "3"),
        (1.005, "0.00", "1.01"),
        (1234567.0, '0.0,,"M"', "1.2M"),
        (4155551234.0, "(###) ###-####", "(415) 555-1234"),
        (7.0, "000", "007"),
        (1.5, "0.##", "1.5"),
        (0.5, ".00", ".50"),
        (12345.678, "0.00E+00", "1.23E+04"),
        (2.75, "# ?/?", "2 3/4"),
        (3.25, "[<10]0.0;[>=10]0", "3.3"),
        (42.0, '"none"', "none"),
        (3.0, "General", None),
        (1e20, "0", None),
        (MOMENT, "d mmm yyyy", "4 Mar 2025"),
        (MOMENT, "[$-409]d. mmmm yyyy", "4. March 2025"),
        (MOMENT, "[$-407]d. mmmm yyyy", None),  # März: the program's own names are not here
        (MOMENT, "[$-F800]dddd, mmmm dd, yyyy", None),
        (MOMENT, "h:mm AM/PM", "3:07 PM"),
        (MOMENT, "mm:ss.00", "07:09.25"),
        (MOMENT, 'yyyy"年"m"月"d"日"', "2025年3月4日"),
        (date(2025, 1, 2), "dd/mm/yyyy", "02/01/2025"),
        (time(8, 30), "hh:mm", "08:30"),
        (timedelta(hours=30, minutes=5), "[h]:mm:ss", "30:05:00"),
    ],
)
def test_a_format_says_how_a_value_is_shown(value: Value, code: str, text: str | None) -> None:
    assert shown(value, code) == text


def test_a_very_wide_sheet_is_read_in_part_and_its_rows_are_divided(
    tmp_path: Path, process: ReadingProcess
) -> None:
    columns = range(MOST_COLUMNS + 5)
    rows = [[f"Column {n}" for n in columns], ["Ferry", *(f"value {n}" for n in columns[1:])]]
    filled = ("".join(map(_cell, row)) for row in rows)
    cells = "".join(f"<table:table-row>{line}</table:table-row>" for line in filled)
    namespaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text")
    )
    content = (
        f"<office:document-content {namespaces}><office:body><office:spreadsheet>"
        f'<table:table table:name="All">{cells}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = '<manifest xmlns="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    book = zipped(
        {"mimetype": kind, "META-INF/manifest.xml": manifest, "content.xml": content}
    )
    read = read_file(put(tmp_path / "wide.ods", book), process=process)
    lines = "\n".join(document.text for document in read.documents).split("\n")
    assert len(lines) > 5 and all(line.startswith("Column 0: Ferry; ") for line in filled)
    assert lines[-1].endswith(f"Column {MOST_COLUMNS - 1}: value {MOST_COLUMNS - 1}")
    assert "more than 300 columns" in read.notices[0]


def _cell(text: str) -> str:
    value = 'office:value-type="string"'
    return f"<table:table-cell {value}><text:p>{text}</text:p></table:table-cell>"


def test_a_damaged_spreadsheet_says_what_to_do(tmp_path: Path, process: ReadingProcess) -> None:
    whole = (FILES / "budget.xls").read_bytes()
    with pytest.raises(DocumentError, match="Save it again"):
        read_file(put(tmp_path / "a.xls", whole[:1500]), process=process)
    with pytest.raises(DocumentError, match="Save it again"):
        content = {"xl/workbook.xml": "<x", "[Content_Types].xml": "<Types/>"}
        read_file(put(tmp_path / "b.xlsx", zipped(content)), process=process)
