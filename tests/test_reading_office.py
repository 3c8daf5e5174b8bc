"""OpenDocument, Word, PowerPoint, RTF and mails, from files that other programs made."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import UnsupportedFormatError
from engine.reading import ReadingProcess, SimpleDirectoryReader, read_file, unpack_mail
from tests.making import put

FILES = Path(__file__).parent / "files"
@pytest.fixture(scope="module")
def process() -> Iterator[ReadingProcess]:
    with ReadingProcess() as started:
        yield started


def test_an_opendocument_text_is_cut_at_its_headings(process: ReadingProcess) -> None:
    lamp, supplies = read_file(FILES / "letter.odt", process=process).documents
    assert lamp.text.endswith(
        "by Aud Ørland’s great-grandmother (Her name was Inger.). It burned colza oil until 1907."
    )
    assert supplies.metadata["heading"] == "The lamp of Cold Ness › Supplies"
    assert "- Forty litres of oil a month\n- Two spare wicks\n" in supplies.text
    assert "Month: January; Litres: 52" in supplies.text
    assert "Written in “Quernsay” by the harbour\noffice." in supplies.text


def test_a_word_document_is_cut_at_its_headings_and_its_footnotes_stand_where_they_are_cited(
    process: ReadingProcess,
) -> None:
    lamp, supplies = read_file(FILES / "letter.docx", process=process).documents
    assert lamp.text.endswith(
        "by Aud Ørland’s great-grandmother (Her name was Inger.). It burned colza oil until 1907."
    )
    assert supplies.metadata["heading"] == "The lamp of Cold Ness › Supplies"
    assert "Month: January; Litres: 52" in supplies.text
    assert supplies.text.endswith("by the harbour\noffice.")


def test_each_slide_is_a_page_with_its_tables_and_notes(process: ReadingProcess) -> None:
    ferry, passengers = read_file(FILES / "slides.pptx", process=process).documents
    assert ferry.metadata["page_label"] == "1" and ferry.text.startswith("The ferry to Sula")
    assert "A single fare costs four pounds." in ferry.text
    assert ferry.text.endswith("Say that dogs travel free.")
    assert "Month: July; Passengers: 1,204" in passengers.text


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
