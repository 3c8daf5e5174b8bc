"""Each format, read in the real reading process, from a small real file made here."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pptx import Presentation
from pptx.util import Inches

from engine.errors import (
    DocumentError,
    EmptyDocumentError,
    LimitExceededError,
    UnsupportedFormatError,
)
from engine.reading import FileText, ReadingProcess, read_file
from engine.reading.limits import Limits
from tests.making import docx, epub, pdf, pdf_lines, put, zipped

Read = Callable[[str, str | bytes], FileText]


@pytest.fixture(scope="module")
def process() -> Iterator[ReadingProcess]:
    with ReadingProcess() as started:
        yield started


@pytest.fixture
def read(tmp_path: Path, process: ReadingProcess) -> Read:
    return lambda name, content: read_file(put(tmp_path / name, content), process=process)


def sections(read: FileText) -> list[tuple[str | None, str]]:
    return [(each.metadata.get("heading"), each.text) for each in read.documents]


def only_text(read: FileText) -> str:
    (document,) = read.documents
    return document.text


def test_html_is_its_visible_text_under_its_headings(read: Read) -> None:
    page = """<!doctype html><title>The Page</title><style>p {color: red}</style>
    <script>steal()</script><nav><a href="http://evil.example/?q=1">Home</a></nav>
    <h1>Guide</h1><p>Some <b>bo</b>ld text,<br>second line.</p>
    <h2>Install</h2><h3>Linux</h3><ul><li>one</li><li>two</li></ul><p hidden>No.</p>
    <p style="display: none">No.</p><pre>code\n  indented</pre>
    <table><tr><th>Country<th>Capital<tr><td>France<td>Paris</table><!-- no --><h2>End</h2>"""
    assert sections(read("page.html", page)) == [
        ("The Page", "Home"),
        ("Guide", "Guide\n\nSome bold text,\nsecond line."),
        (
            "Guide › Install › Linux",
            "Linux\n\n- one\n- two\n\ncode\n  indented\n\nCountry: France; Capital: Paris",
        ),
        ("Guide › End", "End"),
    ]


def test_html_nested_beyond_the_parsers_depth_loses_no_text(read: Read) -> None:
    deep = read("deep.html", "<div>" * 5_000 + "at the bottom" + "<script>no</script>")
    assert only_text(deep) == "at the bottom"


def test_markdown_is_prose_under_its_headings_without_its_signs(read: Read) -> None:
    text = """---\nauthor: Ann\n---\n# Top\n\nA paragraph,\nwrapped. **Bold**, a [link](http://x.y).

## Sub\n\n- item\n\n| A | B |\n|---|---|\n| 1 | x |\n\n```\ncode  here\n```\n
Underlined\n==========\n\n<script>no()</script>\n\nThe end. ![alt](http://evil.example/p.png)\n"""
    assert sections(read("notes.md", text)) == [
        (None, "author: Ann"),
        ("Top", "Top\n\nA paragraph, wrapped. Bold, a link."),
        ("Top › Sub", "Sub\n\n- item\n\nA: 1; B: x\n\ncode  here"),
        ("Underlined", "Underlined\n\nThe end."),
    ]


def test_docx_is_its_paragraphs_and_tables_under_its_headings(read: Read) -> None:
    content = docx(
        ("heading 1", "Plan"),
        ("", "We begin in May."),
        ("heading 2", "People"),
        ("", "Two of us."),
        table=[["Name", "Role"], ["Ann", "Lead"]],
    )
    assert sections(read("plan.docx", content)) == [
        ("Plan", "Plan\n\nWe begin in May."),
        ("Plan › People", "People\n\nTwo of us.\n\nName: Ann; Role: Lead"),
    ]


def test_pptx_is_a_document_a_slide_with_table_and_notes(
    tmp_path: Path, process: ReadingProcess
) -> None:
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Results"
    slide.placeholders[1].text = "Better\nFaster"
    slide.notes_slide.notes_text_frame.text = "Say it slowly."
    deck.slides.add_slide(deck.slide_layouts[6])
    last = deck.slides.add_slide(deck.slide_layouts[5])
    last.shapes.title.text = "Figures"
    cells = last.shapes.add_table(2, 2, 0, 0, Inches(2), Inches(1)).table
    for row, texts in enumerate((("Year", "Sum"), ("1990", "7"))):
        for column, text in enumerate(texts):
            cells.cell(row, column).text = text
    deck.save(str(tmp_path / "deck.pptx"))
    read = read_file(tmp_path / "deck.pptx", process=process)
    assert [(each.metadata["page_label"], each.metadata["heading"]) for each in read.documents] == [
        ("1", "Results"),
        ("3", "Figures"),
    ]
    assert read.documents[0].text == "Results\n\nBetter\nFaster\n\nSay it slowly."
    assert read.documents[1].text == "Figures\n\nYear: 1990; Sum: 7"


def test_epub_is_its_chapters_in_reading_order(read: Read) -> None:
    book = epub("<h1>Prologue</h1><p>Première.</p>", "<h1>One</h1><p>Second.</p>")
    assert sections(read("book.epub", book)) == [
        ("Prologue", "Prologue\n\nPremière."),
        ("One", "One\n\nSecond."),
    ]


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_every_row_of_a_csv_carries_its_header(read: Read, sign: str) -> None:
    rows = [["Name", "Town", "Age"], ["Ann", "Köln, \nSüd", "34"], ["Bob", "", "5"]]
    table = "\n".join(sign.join(f'"{cell}"' for cell in row) for row in rows)
    assert sections(read("people.csv", table)) == [
        ("rows 2–3", "Name: Ann; Town: Köln, Süd; Age: 34\nName: Bob; Age: 5"),
    ]


def test_commas_in_numbers_do_not_divide_columns(read: Read) -> None:
    assert only_text(read("sizes.csv", "1,5;2,5\n3,5;4,5\n")) == "1,5 | 2,5\n3,5 | 4,5"


def test_a_long_csv_is_many_documents_that_name_their_rows(read: Read) -> None:
    table = "Item,Price\n" + "".join(f"thing number {n},{n} crowns\n" for n in range(2, 100))
    documents = read("prices.csv", table).documents
    assert len(documents) > 2
    for document in documents:
        first, last = document.metadata["heading"].removeprefix("rows ").split("–")
        lines = document.text.split("\n")
        assert lines[0] == f"Item: thing number {first}; Price: {first} crowns"
        assert lines[-1].startswith(f"Item: thing number {last};")


def test_json_is_lines_of_names_and_values(read: Read) -> None:
    value = {"title": "Log", "entries": [{"day": 1, "ok": True}, {"day": 2, "note": None}]}
    assert only_text(read("log.json", json.dumps(value))) == (
        "title: Log\nentries.1: day: 1; ok: true\nentries.2: day: 2"
    )
    assert sections(read("list.json", '[{"a": 1, "b": {"c": [1, 2]}}, {"a": 2}]')) == [
        ("items 1–2", "a: 1; b: c: 1, 2\na: 2")
    ]


def test_json_lines_are_one_item_a_line_whatever_the_files_ending(read: Read) -> None:
    lines = '{"q": "who?"}\n\n{"q": "why?"}\n'
    for name in ("questions.jsonl", "questions.json"):
        assert only_text(read(name, lines)) == "q: who?\nq: why?"


def test_bad_lines_of_json_are_left_out_and_counted(read: Read) -> None:
    lines = '{"q": "who?"}\n{"q": \n\n{"q": "why?"}\n'
    one = read("questions.jsonl", lines)
    assert only_text(one) == "q: who?\nq: why?"
    assert one.notices == ("1 line is not JSON and was left out: line 2 (Expecting value).",)
    more = read("questions.jsonl", lines + "oops\n" + "9" * 5_000 + "\n")
    assert only_text(more) == "q: who?\nq: why?"
    assert more.notices[0].startswith("3 lines are not JSON and were left out: line 2 and others")
    with pytest.raises(DocumentError, match=r"^none.jsonl is not whole JSON: line 1: Expecting"):
        read("none.jsonl", "not\njson\n")
    with pytest.raises(DocumentError, match=r"^spread.json is not whole JSON: line 5: Extra data"):
        read("spread.json", '{\n "a":\n 1\n}\nand more')


def test_broken_and_bottomless_json_say_so(read: Read) -> None:
    with pytest.raises(DocumentError, match=r"^b.json is not whole JSON: line 2: "):
        read("b.json", '{"a": 1,\n"b": }')
    with pytest.raises(DocumentError, match=r"^d.json is nested too deeply"):
        read("d.json", "[" * 100_000 + "]" * 100_000)


def test_a_notebook_is_its_prose_its_code_and_what_it_printed(read: Read) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Study\n", "We add."]},
        {
            "cell_type": "code",
            "source": "print(1 < 2)",
            "outputs": [
                {"output_type": "stream", "text": ["True\n"]},
                {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo="}},
                {"output_type": "error", "traceback": ["\x1b[31mValueError\x1b[0m", "no"]},
            ],
        },
    ]
    notebook = json.dumps({"nbformat": 4, "cells": cells})
    assert sections(read("study.ipynb", notebook)) == [
        ("Study", "Study\n\nWe add.\n\nprint(1 < 2)\n\nTrue\n\nValueError\nno")
    ]


def test_source_code_keeps_its_lines_and_indentation(read: Read) -> None:
    code = "def f(x):\n    if x:\n\treturn 1\n"
    assert only_text(read("f.py", code)) == code.rstrip("\n")
    assert only_text(read("Makefile", "all:\n\techo hello")) == "all:\n\techo hello"


def test_text_wrapped_by_hand_is_joined_and_other_text_is_left_alone(read: Read) -> None:
    text = (
        "It was the best of times, it was the worst of times, it was the\n"
        "age of wisdom, it was the age of foolish-\n"
        "ness, it was the well-known epoch of belief, it was the well-\n"
        "known epoch.\n\nRoses are red,\nviolets are blue.\n"
    )
    assert only_text(read("tale.txt", text)) == (
        "It was the best of times, it was the worst of times, it was the age of wisdom, it was "
        "the age of foolishness, it was the well-known epoch of belief, it was the well-known "
        "epoch.\n\nRoses are red,\nviolets are blue."
    )


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8-sig", "Mit Zeichen am Anfang: Größe."),
        ("utf-16", "Byte für Byte zwei: ein Satz mit Umlauten."),
        ("utf-16-le", "Ohne Zeichen am Anfang, aber lang genug, um erkannt zu werden."),
        ("utf-32", "Vier Byte für jeden Buchstaben."),
        ("cp1252", "He said “hello” – and left. The price is £5 or €6. It’s fine."),
        ("latin-1", "Le café était fermé à cause de la grève générale. Où est l'été ?"),
        ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy. Dnes je hezký den."),
        ("iso8859-2", "Zażółć gęślą jaźń. Święta są w grudniu, a łąka jest zielona."),
        ("cp1251", "Съешь же ещё этих мягких французских булок, да выпей чаю."),
        ("koi8-r", "Съешь же ещё этих мягких французских булок, да выпей чаю."),
        ("cp1256", "مرحبا بالعالم، كيف حالك اليوم؟ هذا نص عربي للاختبار فقط."),
        ("shift_jis", "これは日本語の文章です。文字コードを正しく判定できるでしょうか。"),
        ("euc_jp", "これは日本語の文章です。文字コードを正しく判定できるでしょうか。"),
        ("gb18030", "这是一个中文句子,用来测试编码检测。今天天气很好。"),
        ("big5", "這是一個中文句子,用來測試編碼檢測。今天天氣很好。"),
        ("euc_kr", "안녕하세요. 이것은 인코딩 감지를 위한 한국어 문장입니다."),
    ],
)
def test_encodings_are_recognised(read: Read, encoding: str, text: str) -> None:
    assert only_text(read("text.txt", text.encode(encoding))) == text


def test_markup_is_read_in_the_encoding_it_declares(read: Read) -> None:
    page = '<meta charset="iso-8859-5"><p>Москва</p>'
    assert only_text(read("p.html", page.encode("iso-8859-5"))) == "Москва"


def test_what_cannot_be_stored_or_deceives_is_taken_out(read: Read) -> None:
    text = "a\0b\u202ec\ufeff \ufb01ne\u00ad \u00a0wide\r\nnew\x0cpage e\u0301"
    assert only_text(read("odd.txt", text)) == "abc fine  wide\nnew\npage é"


def test_every_document_says_where_it_is_from_and_content_gives_its_identity(
    tmp_path: Path, process: ReadingProcess
) -> None:
    one = read_file(put(tmp_path / "one.md", "# A\n\nx\n\n# B\n\ny"), process=process)
    other = read_file(put(tmp_path / "other.md", "# A\n\nx\n\n# B\n\ny"), process=process)
    changed = read_file(put(tmp_path / "one.md", "# A\n\nx\n\n# B\n\nz"), process=process)
    facts = one.documents[1].metadata
    assert (facts["file_name"], facts["file_type"], facts["file_size"]) == (
        "one.md",
        "markdown",
        14,
    )
    assert facts["file_path"] == str(tmp_path / "one.md")
    assert len({each.source_id for each in one.documents + other.documents}) == 1
    assert [each.id_ for each in one.documents] == [each.id_ for each in other.documents]
    assert len({each.id_ for each in one.documents}) == 2
    assert changed.documents[0].source_id != one.documents[0].source_id


@pytest.mark.parametrize(
    ("name", "content", "error", "sentence"),
    [
        ("e.txt", b"", EmptyDocumentError, "e.txt is empty."),
        ("s.txt", b" \n\t\n", EmptyDocumentError, "s.txt has no text in it."),
        ("t.html", "<script>x</script>", EmptyDocumentError, "t.html has no text in it."),
        ("p.pdf", b"\x89PNG\r\n\x1a\n", DocumentError, "p.pdf is not a picture that can be read"),
        ("j.jpg", b"\xff\xd8\xff\xe0", DocumentError, "j.jpg is not a picture that can be read"),
        ("w.pdf", "<html>Login", UnsupportedFormatError, "w.pdf is not a PDF, although its name"),
        ("w.docx", "words", UnsupportedFormatError, "w.docx is not a Word document, although"),
        ("o.doc", b"\xd0\xcf\x11\xe0", UnsupportedFormatError, "o.doc is an Office file of the"),
        ("x.xls", b"\xd0\xcf\x11\xe0", DocumentError, "x.xls is damaged, or not a spreadsheet."),
        ("g.gz", b"\x1f\x8b\x08", UnsupportedFormatError, "g.gz is a gzip archive. Unpack it"),
        ("b.bin", bytes(range(256)), UnsupportedFormatError, "b.bin holds binary data, not"),
        ("h.docx", b"PK\x03\x04 and no more", DocumentError, "h.docx is damaged or not whole."),
        ("n.ipynb", "[1, 2]", DocumentError, "n.ipynb is not a notebook that can be read."),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence_that_names_the_file(
    read: Read, name: str, content: bytes, error: type[DocumentError], sentence: str
) -> None:
    with pytest.raises(error) as caught:
        read(name, content)
    assert type(caught.value) is error
    assert str(caught.value).startswith(sentence)


PROGRAM = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff" + b"This program cannot be run in DOS mode." * 9


@pytest.mark.parametrize("name", ["setup.exe", "setup.txt", "setup.md", "setup", "setup.csv"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (PROGRAM + b"\0" * 50 + bytes(range(256)) * 20, "is a program"),
        (PROGRAM.ljust(2_000, b"\x01"), "is a program"),
        (b"\x7fELF\x02\x01\x01" + b"plain words " * 500, "is a program"),
        (b"BZh91AY&SY" + bytes(range(256)) * 9, "is a bzip2 archive. Unpack it"),
        (bytes(range(256)) * 9, "holds binary data, not text"),
        (b"A text at first. " * 2_000 + bytes(range(256)) * 400, "holds binary data, not text"),
        (bytes(3_000), "holds binary data, not text"),
    ],
)
def test_binary_content_is_refused_whatever_its_name(
    read: Read, name: str, content: bytes, what: str
) -> None:
    with pytest.raises(UnsupportedFormatError, match=rf"^{name} {what}"):
        read(name, content)


def test_text_with_nul_bytes_is_read_and_a_notice_says_so(read: Read) -> None:
    found = read("station.log", b"The lamp was lit.\n" * 100 + bytes(900) + b"It went out.\n")
    assert only_text(found).endswith("The lamp was lit.\nIt went out.")
    assert found.notices[0].startswith("It holds NUL bytes, which no text has; they were left out.")
    with pytest.raises(UnsupportedFormatError, match=r"^strings.dat holds binary data, not text"):
        read("strings.dat", b"one\0two\0three\0" * 100)


def test_a_text_that_begins_like_a_program_is_a_text(read: Read) -> None:
    assert only_text(read("mz.txt", "MZ is what programs begin with.")).startswith("MZ is")


@pytest.mark.parametrize(
    ("files", "error", "word"),
    [
        ({"xl/workbook.xml": "x"}, DocumentError, "is damaged, or not a spreadsheet. Save it"),
        (
            {"content.xml": "x", "mimetype": "application/vnd.oasis.opendocument.presentation"},
            UnsupportedFormatError,
            "an OpenDocument file of another kind. Save it as .docx",
        ),
        ({"word/document.xml": "<w:no"}, DocumentError, "cannot be read: it is damaged"),
        ({"META-INF/container.xml": "<c/>"}, DocumentError, "is not an EPUB that can be read"),
        ({"a.txt": "x"}, UnsupportedFormatError, "is a ZIP file. Unpack it"),
    ],
)
def test_formats_that_are_zip_files_are_told_apart_by_what_is_inside(
    read: Read, files: dict[str, str], error: type[DocumentError], word: str
) -> None:
    with pytest.raises(error, match=word):
        read("file.docx", zipped(files))


def test_a_name_that_lies_is_noticed_and_the_content_read(read: Read) -> None:
    lying = read("report.txt", pdf(pdf_lines("In truth a PDF.")))
    assert only_text(lying) == "In truth a PDF."
    assert lying.notices == ("By its content it is a PDF, and was read as one.",)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"^gone.txt is not there: "):
        read_file(tmp_path / "gone.txt")
    (tmp_path / "sub").mkdir()
    with pytest.raises(DocumentError, match=r"^sub is a folder."):
        read_file(tmp_path / "sub")


def test_too_large_a_file_and_too_much_text_are_told_with_both_numbers(tmp_path: Path) -> None:
    long = put(tmp_path / "long.txt", "A line of text. " * 1_000)
    with (
        ReadingProcess(Limits(characters=9_000)) as narrow,
        pytest.raises(LimitExceededError, match=r"^long.txt has more than 9,000 characters"),
    ):
        read_file(long, process=narrow)
    with (
        ReadingProcess(Limits(text_bytes=1_000_000)) as narrow,
        pytest.raises(LimitExceededError, match=r"^huge.md has 3 MB; at most 1 MB are read"),
    ):
        read_file(put(tmp_path / "huge.md", "x" * 3_000_000), process=narrow)
