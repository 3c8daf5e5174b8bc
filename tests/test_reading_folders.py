"""Folders and ZIP files: every file that can be read is, and none can do harm."""

import io
import logging
import os
import zipfile
from pathlib import Path

import pytest

from engine.errors import (
    DocumentError,
    DuplicateDocumentError,
    EmptyDocumentError,
    LimitExceededError,
    PasswordNeededError,
    UnsupportedFormatError,
)
from engine.reading import SimpleDirectoryReader, is_archive, unpack_archive
from engine.reading.limits import Limits
from tests.making import docx, pdf, pdf_lines, put, rewritten, zipped


def test_the_seeds_line_reads_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "data" / "example.txt", "Asynchronous programming.")
    monkeypatch.chdir(tmp_path)
    documents = SimpleDirectoryReader("./data").load_data()
    assert [each.text for each in documents] == ["Asynchronous programming."]
    assert documents[0].metadata["file_name"] == "example.txt"


def test_a_folder_is_read_in_order_of_paths_hidden_files_apart(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.txt", "a/b/c.md", ".hidden.txt", ".git/config", "c.txt"):
        put(tmp_path / name, f"This is {name}.")
    found = [each.text for each in SimpleDirectoryReader(tmp_path).load_data()]
    assert found == [f"This is {name}." for name in ("a/b/c.md", "a/z.txt", "b.txt", "c.txt")]
    top = SimpleDirectoryReader(tmp_path, recursive=False).load_data()
    assert [each.text for each in top] == ["This is b.txt.", "This is c.txt."]


def test_a_bad_file_among_good_ones_is_told_and_the_others_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path / "a.txt", "Good.")
    put(tmp_path / "b.pdf", b"%PDF-1.7 and no more")
    put(tmp_path / "c.png", b"\x89PNG\r\n")
    put(tmp_path / "d.pdf", pdf(pdf_lines("Good too."), b" "))
    reader = SimpleDirectoryReader(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert [each.text for each in reader.load_data()] == ["Good.", "Good too."]
    assert [type(each) for each in reader.problems] == [DocumentError, DocumentError]
    assert [str(each).split()[0] for each in reader.problems] == ["b.pdf", "c.png"]
    assert reader.notices == [
        "d.pdf: Page 2 has no text: blank, or a picture without any."
    ]
    assert len(caplog.messages) == 3


def test_a_file_asked_for_by_name_raises_its_own_error(tmp_path: Path) -> None:
    empty = put(tmp_path / "empty.txt", "")
    with pytest.raises(EmptyDocumentError, match=r"^empty.txt is empty"):
        SimpleDirectoryReader(input_files=[empty]).load_data()


def test_where_nothing_can_be_read_every_reason_is_told(tmp_path: Path) -> None:
    put(tmp_path / "a.txt", "")
    put(tmp_path / "b.gz", b"\x1f\x8b\x08")
    with pytest.raises(DocumentError, match=r"(?s)a.txt is empty.*b.gz is a gzip archive"):
        SimpleDirectoryReader(tmp_path).load_data()


def test_no_folder_and_an_empty_one_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="There is no folder"):
        SimpleDirectoryReader(tmp_path / "nowhere")
    with pytest.raises(DocumentError, match="There are no files in"):
        SimpleDirectoryReader(tmp_path)
    with pytest.raises(ValueError, match="either input_dir or input_files"):
        SimpleDirectoryReader()


def test_the_same_content_twice_is_taken_once(tmp_path: Path) -> None:
    put(tmp_path / "a.txt", "Same.")
    put(tmp_path / "b.txt", "Same.")
    reader = SimpleDirectoryReader(tmp_path)
    assert len(reader.load_data()) == 1
    (problem,) = reader.problems
    assert isinstance(problem, DuplicateDocumentError)
    assert str(problem) == "b.txt has the same content as a.txt."


def test_a_password_opens_the_encrypted_files_of_a_folder(tmp_path: Path) -> None:
    secret = rewritten(pdf(pdf_lines("Hidden.")), lambda writer: writer.encrypt("sesame"))
    put(tmp_path / "secret.pdf", secret)
    with pytest.raises(PasswordNeededError):
        SimpleDirectoryReader(tmp_path).load_data()
    (document,) = SimpleDirectoryReader(tmp_path, password="sesame").load_data()
    assert document.text == "Hidden."


def test_the_files_in_a_zip_are_files_of_their_own(tmp_path: Path) -> None:
    inside: dict[str, str | bytes] = {
        "notes/a.txt": "First.",
        "b.docx": docx(("", "Second.")),
        "c.png": b"\x89PNG\r\n",
        "__MACOSX/._a.txt": "resource fork",
        ".DS_Store": "Bud1",
    }
    put(tmp_path / "all.zip", zipped(inside))
    put(tmp_path / "z.txt", "Last.")
    reader = SimpleDirectoryReader(tmp_path)
    documents = reader.load_data()
    assert [(each.metadata["file_name"], each.text) for each in documents] == [
        ("all.zip/notes/a.txt", "First."),
        ("all.zip/b.docx", "Second."),
        ("z.txt", "Last."),
    ]
    assert len({each.source_id for each in documents}) == 3
    assert [str(each).split()[0] for each in reader.problems] == ["all.zip/c.png"]


def test_a_docx_is_no_archive_and_a_zip_by_any_name_is(tmp_path: Path) -> None:
    assert not is_archive(put(tmp_path / "a.docx", docx(("", "x"))))
    assert not is_archive(put(tmp_path / "a.txt", "x"))
    assert is_archive(put(tmp_path / "a.dat", zipped({"a.txt": "x"})))


@pytest.mark.parametrize(
    "name",
    ["../../evil.txt", "/etc/evil.txt", "..\\..\\evil.txt", "C:\\evil.txt", "a/../../evil.txt"],
)
def test_a_name_that_leads_elsewhere_stays_in_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "deep" / "down" / "here"
    unpacked = unpack_archive(put(tmp_path / "x.zip", zipped({name: "harmless"})), folder)
    (file,) = unpacked.files
    assert file.path.read_text() == "harmless"
    assert file.path.resolve().is_relative_to(folder.resolve())
    assert ".." not in file.name and not file.name.startswith("/")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["deep", "x.zip"]


def test_files_of_one_name_and_links_do_not_meet(tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("a/same.txt", "one")
        archive.writestr("b/same.txt", "two")
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("n" * 300 + ".txt", "long")
    unpacked = unpack_archive(put(tmp_path / "x.zip", data.getvalue()), tmp_path / "out")
    assert [each.path.read_text() for each in unpacked.files] == ["one", "two", "long"]
    assert [each.name for each in unpacked.files][:2] == ["a/same.txt", "b/same.txt"]
    assert not any(each.path.is_symlink() for each in unpacked.files)


def test_bombs_are_told_before_anything_is_unpacked(tmp_path: Path) -> None:
    nothing = b"\0" * 20_000_000
    for files, limits, sentence in (
        (
            {"a.txt": nothing},
            Limits(),
            r"^x.zip has a file in it, a.txt, that is .* times as large",
        ),
        (
            {"a.txt": nothing},
            Limits(archive_bytes=9_000_000),
            r"^x.zip unpacks to 20 MB; at most 9",
        ),
        ({f"{n}.txt": "x" for n in range(9)}, Limits(archive_files=8), r"^x.zip has 9 files in it"),
    ):
        path = put(tmp_path / "x.zip", zipped(files))
        with pytest.raises(LimitExceededError, match=sentence):
            unpack_archive(path, tmp_path / "out", limits=limits)
    assert not (tmp_path / "out").exists()


def test_a_size_that_lies_lets_no_more_out_than_it_says(tmp_path: Path) -> None:
    data = zipped({"a.txt": os.urandom(1_000) + b"x" * 5_000_000})
    true, false = (5_001_000).to_bytes(4, "little"), (2_000).to_bytes(4, "little")
    path = put(tmp_path / "x.zip", data.replace(true, false))
    unpacked = unpack_archive(path, tmp_path / "out")
    assert not unpacked.files
    assert unpacked.notices == ("a.txt is damaged in the ZIP file, and was left out.",)
    assert sum(each.stat().st_size for each in tmp_path.rglob("out/**/*.txt")) <= 2_000


def test_a_damaged_file_in_a_zip_is_told_and_the_others_unpacked(tmp_path: Path) -> None:
    data = zipped({"a.txt": os.urandom(5_000), "b.txt": "whole"})
    path = put(tmp_path / "x.zip", data[:500] + bytes(100) + data[600:])
    unpacked = unpack_archive(path, tmp_path / "out")
    assert [each.name for each in unpacked.files] == ["b.txt"]
    assert unpacked.notices == ("a.txt is damaged in the ZIP file, and was left out.",)


def test_empty_encrypted_and_broken_zips_are_told(tmp_path: Path) -> None:
    encrypted = bytearray(zipped({"a.txt": "x"}))
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    for data, error, sentence in (
        (zipped({}), EmptyDocumentError, "x.zip has no files in it."),
        (bytes(encrypted), UnsupportedFormatError, "x.zip is encrypted. Unpack it, and add"),
        (b"PK\x03\x04 no more", DocumentError, "x.zip is damaged or not whole."),
    ):
        with pytest.raises(error) as caught:
            unpack_archive(put(tmp_path / "x.zip", data), tmp_path / "out")
        assert str(caught.value).startswith(sentence)
