"""Spreadsheets, OpenDocument, RTF and mails, from files that other programs made."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import UnsupportedFormatError
from engine.reading import ReadingProcess, SimpleDirectoryReader, read_file, unpack_mail
from engine.reading.sheets import MOST_COLUMNS
from engine.schema import Node
from tests.making import put, zipped

FILES = Path(__file__).parent / "files"
REPAIRS = (
    "Repairs of the harbour, 2025\n"
    "Place: North pier; Work: New bollards; Date: 2025-03-14; Cost: 1250.5; Share: 0.12505\n"
    "Place: North pier; Work: Lamp glass; Date: 2025-05-02; Cost: 310; Share: 0.031\n"
    "Place: Slipway; Work: Concrete, second coat; Date: 2025-09-30; Cost: 8439.5; Share: 0.84395\n"
    "Place: Total; Cost: 10000"
)


@pytest.fixture(scope="module")
def process() -> Iterator[ReadingProcess]:
    with ReadingProcess() as started:
        yield started


@pytest.mark.parametrize("name", ["budget.xlsx", "budget.xls", "budget.ods"])
def test_each_row_of_a_sheet_has_its_columns_names_and_formulas_their_values(
    name: str, process: ReadingProcess
) -> None:
    repairs, keepers = read_file(FILES / name, process=process).documents
    wanted = REPAIRS
    if name.endswith("ods"):  # the library does not say which cells are merged
        wanted = wanted.replace("Place: North pier; Work: Lamp", "Work: Lamp")
    assert repairs.text == wanted
    assert repairs.metadata["heading"] == "Repairs › rows 4–7"
    assert "Name: Jean-Luc Müller; Since: 2011" in keepers.text
    assert repairs.metadata["page_count"] == 2
    assert Node("", keepers.metadata).label == f"{name}, sheet Keepers"


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


def test_an_opendocument_text_is_cut_at_its_headings(process: ReadingProcess) -> None:
    lamp, supplies = read_file(FILES / "letter.odt", process=process).documents
    assert lamp.text.endswith(
        "by Aud Ørland’s great-grandmother (Her name was Inger.). It burned colza oil until 1907."
    )
    assert supplies.metadata["heading"] == "The lamp of Cold Ness › Supplies"
    assert "- Forty litres of oil a month\n- Two spare wicks\n" in supplies.text
    assert "Month: January; Litres: 52" in supplies.text
    assert "Written in “Quernsay” by the harbour\noffice." in supplies.text


def test_an_rtf_document_is_read(process: ReadingProcess) -> None:
    (letter,) = read_file(FILES / "letter.rtf", process=process).documents
    assert "by Aud Ørland’s great-grandmother. It burned colza oil until 1907." in letter.text
    assert "January | 52" in letter.text


@pytest.mark.parametrize("name", ["mail.eml", "mail.msg"])
def test_a_mail_is_read_and_what_is_attached_to_it_becomes_files(
    name: str, tmp_path: Path, process: ReadingProcess
) -> None:
    (mail,) = read_file(FILES / name, process=process).documents
    assert mail.metadata["heading"] == "Lamp glass for Cold Ness"
    assert "costs 310 euros and comes with the Tuesday boat." in mail.text
    if name == "mail.msg":
        assert 'From: "Jean-Luc Müller" <jl@quernsay.example>' in mail.text
        assert "Date: 2025-05-02 09:30" in mail.text
    (attached,) = unpack_mail(FILES / name, tmp_path, process=process).files
    assert attached.name == "budget.xlsx"
    assert attached.path.read_bytes() == (FILES / "budget.xlsx").read_bytes()


def test_an_attached_name_cannot_leave_the_folder(tmp_path: Path, process: ReadingProcess) -> None:
    mail = (FILES / "mail.eml").read_text().replace("budget.xlsx", "../../../evil.txt")
    file = put(tmp_path / "mail.eml", mail)
    (attached,) = unpack_mail(file, tmp_path / "out", process=process).files
    assert attached.name == "evil.txt"
    assert attached.path.is_relative_to(tmp_path / "out")


def test_a_folder_is_read_with_what_is_attached_to_its_mails(tmp_path: Path) -> None:
    put(tmp_path / "mail.eml", (FILES / "mail.eml").read_bytes())
    documents = SimpleDirectoryReader(tmp_path).load_data()
    assert {each.metadata["file_name"] for each in documents} == {
        "mail.eml",
        "mail.eml/budget.xlsx",
    }


def test_old_office_files_and_those_with_a_password_say_what_to_do(tmp_path: Path) -> None:
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    with pytest.raises(UnsupportedFormatError, match=r"a.doc is an Office file of the old kind"):
        read_file(put(tmp_path / "a.doc", old))
    with pytest.raises(UnsupportedFormatError, match=r"a.docx is protected by a password. Save it"):
        read_file(put(tmp_path / "a.docx", old))
