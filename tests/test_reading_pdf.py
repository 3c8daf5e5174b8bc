"""PDFs: text as a person reads it, pages and headings to cite, and a clear word where it fails."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pypdf import PdfWriter
from pypdf.constants import PageLabelStyle

from engine.errors import (
    DocumentError,
    EmptyDocumentError,
    LimitExceededError,
    PasswordNeededError,
)
from engine.reading import FileText, ReadingProcess, read_file
from engine.reading.limits import Limits
from tests.making import pdf, pdf_lines, pdf_stream, put, rewritten

REAL = Path(__file__).parents[2] / "shared" / "data" / "pdfs"
real = pytest.mark.skipif(not REAL.exists(), reason="no real PDFs beside the repository")

Read = Callable[..., FileText]


@pytest.fixture(scope="module")
def process() -> Iterator[ReadingProcess]:
    with ReadingProcess() as started:
        yield started


@pytest.fixture
def read(tmp_path: Path, process: ReadingProcess) -> Read:
    def read(content: bytes, ocr: bool = True) -> FileText:
        return read_file(put(tmp_path / "file.pdf", content), process=process, ocr=ocr)

    return read


def text_of(read: FileText) -> str:
    return "\n\n".join(document.text for document in read.documents)


def test_lines_are_joined_to_paragraphs_and_items_are_not(read: Read) -> None:
    page = pdf_lines(
        "A heading",
        "This line is as long as the column is wide, and therefore goes on",
        "in the next one, until it ends early.",
        "- an item",
        "- another item that has no full stop",
    )
    assert text_of(read(pdf(page))) == (
        "A heading\nThis line is as long as the column is wide, and therefore goes on in the next "
        "one, until it ends early.\n- an item\n- another item that has no full stop"
    )


def test_a_gap_parts_paragraphs_and_columns_are_read_one_after_the_other(read: Read) -> None:
    left = pdf_lines("The left column begins", "and goes on to its foot", "where it")
    right = pdf_lines("ends in the right one.", "Then it goes on.", left=350)
    below = pdf_lines("Far below.", top=500)
    assert text_of(read(pdf(left + right + below))) == (
        "The left column begins and goes on to its foot where it ends in the right one.\n"
        "Then it goes on.\n\nFar below."
    )


def test_the_rows_of_a_table_stay_apart_and_so_do_their_cells(read: Read) -> None:
    rows = [("Country", "Capital"), ("Austria", "Vienna"), ("Finland", "Helsinki")]
    page = b"".join(
        pdf_lines(name, top=700 - 14 * number) + pdf_lines(capital, left=250, top=700 - 14 * number)
        for number, (name, capital) in enumerate(rows)
    )
    assert text_of(read(pdf(page))) == ("Country | Capital\nAustria | Vienna\nFinland | Helsinki")


def test_each_page_is_cited_by_its_printed_label_and_its_number_is_no_text(read: Read) -> None:
    def label(writer: PdfWriter) -> None:
        writer.set_page_label(0, 0, PageLabelStyle.LOWERCASE_ROMAN, start=4)
        writer.set_page_label(1, 1, PageLabelStyle.DECIMAL, start=1)

    pages = [pdf_lines("A preface.") + pdf_lines("iv", top=40), pdf_lines("A text.", "", "", "1")]
    documents = read(rewritten(pdf(*pages), label)).documents
    assert [each.text for each in documents] == ["A preface.", "A text."]
    assert [each.metadata["page_label"] for each in documents] == ["iv", "1"]
    assert [each.metadata["page_number"] for each in documents] == [1, 2]
    assert documents[0].metadata["page_count"] == 2


def test_bookmarks_cut_pages_at_their_titles_and_hold_on_the_pages_after(read: Read) -> None:
    def outline(writer: PdfWriter) -> None:
        chapter = writer.add_outline_item(title="Storms", page_number=0)
        writer.add_outline_item(title="At sea", page_number=0, parent=chapter)
        writer.add_outline_item(title="On land", page_number=0, parent=chapter)

    sea = ["1. Storms", "1.1 At sea", "Waves come first.", "Then comes the wind."]
    land = ["1.2 On land", "Trees fall.", "Roofs fly."]
    page = pdf_lines(*sea, *land)
    documents = read(rewritten(pdf(page, pdf_lines("Calm.")), outline)).documents
    assert [(each.metadata["heading"], each.text.split("\n")[-1]) for each in documents] == [
        ("Storms › At sea", "Then comes the wind."),
        ("Storms › On land", "Roofs fly."),
        ("Storms › On land", "Calm."),
    ]


def test_what_was_typed_into_a_form_is_read_with_its_names(read: Read) -> None:

    widget = (
        b"<</Type/Annot/Subtype/Widget/FT/Tx/T(f1)/TU(Family name)/V(Lovelace)"
        b"/Rect[72 600 300 620]/P 4 0 R>>"
    )
    note = b"<</Type/Annot/Subtype/FreeText/Contents(Checked twice)/Rect[72 500 300 520]>>"
    data = pdf(pdf_lines("Application"), extra=[widget, note])
    data = data.replace(b"/Pages 2 0 R", b"/Pages 2 0 R/AcroForm<</Fields[6 0 R]>>")
    data = data.replace(b"/MediaBox", b"/Annots[6 0 R 7 0 R]/MediaBox")
    assert text_of(read(data)) == "Application\n\nFamily name: Lovelace\nChecked twice"


def test_pages_without_text_are_named_and_the_others_read(read: Read) -> None:
    pages = [pdf_lines("One."), b" ", b" ", pdf_lines("Four."), b" "]
    found = read(pdf(*pages))
    assert [each.metadata["page_number"] for each in found.documents] == [1, 4]
    assert found.notices == ("Pages 2–3, 5 have no text: blank, or pictures without any.",)


def pdf_with_picture(*contents: bytes) -> bytes:
    """Pages that may draw the picture /X, of one pixel."""
    entries = (
        b"/Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8"
    )
    number = 4 + 2 * len(contents)
    resources = b"/XObject<</X %d 0 R>>" % number
    return pdf(*contents, extra=[pdf_stream(b"x", entries)], resources=resources)


SCAN = b"q 612 0 0 792 0 0 cm /X Do Q "
PROSE = pdf_lines(*["This page has words enough to be read, whatever is behind them."] * 5)
LOGO = b"q 80 0 0 80 20 690 cm /X Do Q "


def test_pages_that_are_pictures_are_named_even_with_a_few_words_on_them(read: Read) -> None:
    stamped = SCAN + pdf_lines("Trial version")
    data = pdf_with_picture(PROSE, stamped, SCAN + PROSE, LOGO + pdf_lines("A letter."))
    found = read(data, ocr=False)
    assert [each.metadata["page_number"] for each in found.documents] == [1, 2, 3, 4]
    assert found.notices == (
        "Page 2 was not read: it is a picture, but for a few words. "
        "Turn text recognition on (OCR=true in .env), and add the file again.",
    )
    (notice,) = read(pdf_with_picture(PROSE, SCAN, SCAN), ocr=False).notices
    assert notice.startswith("Pages 2–3 were not read: they are pictures. Turn")
    halves = [b"q 612 0 0 396 0 %d cm /X Do Q " % bottom for bottom in (0, 396)]
    (notice,) = read(
        pdf_with_picture(b"".join(halves) + pdf_lines("Scanned by X")), ocr=False
    ).notices
    assert notice.startswith("Page 1 was not read: it is a picture, but for")


def test_a_picture_inside_a_form_counts_too(read: Read) -> None:
    entries = b"/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<</XObject<</X 7 0 R>>>>"
    image = b"/Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8"
    extra = [pdf_stream(SCAN, entries), pdf_stream(b"x", image)]
    stamped = b"/Y Do " + pdf_lines("Trial version")
    data = pdf(stamped, extra=extra, resources=b"/XObject<</Y 6 0 R>>")
    (notice,) = read(data, ocr=False).notices
    assert notice.startswith("Page 1 was not read: it is a picture")


def test_pages_with_nothing_but_the_same_short_line_are_named(read: Read) -> None:
    pages = [pdf_lines("Trial version of Scanner") + pdf_lines(str(n), top=40) for n in (1, 2, 3)]
    (notice,) = read(pdf(*pages)).notices
    assert notice.startswith("Pages 1–3 have only the same few words, “Trial version of Scanner”.")
    assert not read(pdf(*pages[:2], PROSE)).notices


def test_a_pdf_of_pictures_alone_says_so(read: Read) -> None:
    with pytest.raises(EmptyDocumentError, match=r"^file.pdf has no text: its pages are pictures."):
        read(pdf_with_picture(SCAN, SCAN), ocr=False)


def test_a_pdf_of_blank_pages_says_so(read: Read) -> None:
    with pytest.raises(EmptyDocumentError, match=r"^file.pdf has no text: its pages are blank, or"):
        read(pdf(b" ", b" "))
    with pytest.raises(EmptyDocumentError, match=r"^file.pdf has no text: its pages are .*OCR"):
        read(pdf(b" ", b" "), ocr=False)


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-128", "AES-256"])
def test_an_encrypted_pdf_asks_for_its_password_and_opens_with_it(
    tmp_path: Path, process: ReadingProcess, algorithm: str
) -> None:
    secret = rewritten(
        pdf(pdf_lines("The secret.")), lambda writer: writer.encrypt("sésame", algorithm=algorithm)
    )
    path = put(tmp_path / "secret.pdf", secret)
    with pytest.raises(PasswordNeededError, match=r"^secret.pdf is protected by a password"):
        read_file(path, process=process)
    with pytest.raises(PasswordNeededError, match="does not open with that password"):
        read_file(path, password="wrong", process=process)
    assert text_of(read_file(path, password="sésame", process=process)) == "The secret."


def test_a_pdf_that_only_its_owner_may_change_opens_without_a_password(read: Read) -> None:
    def lock(writer: PdfWriter) -> None:
        writer.encrypt("", "owner", algorithm="AES-256")

    assert text_of(read(rewritten(pdf(pdf_lines("Open.")), lock))) == "Open."


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_a_truncated_pdf_gives_what_is_left_or_says_that_it_is_not_whole(
    read: Read, keep: float
) -> None:
    whole = pdf(*(pdf_lines(f"Page {number} of the report.") for number in range(1, 9)))
    try:
        found = read(whole[: int(len(whole) * keep)])
    except DocumentError as error:
        assert str(error).startswith("file.pdf ") and "print it to a new PDF" in str(error)
    else:
        assert "of the report." in text_of(found)


def test_junk_before_the_header_and_a_broken_table_do_no_harm(read: Read) -> None:
    good = pdf(pdf_lines("Still there."))
    assert text_of(read(b"junk from a mail programme\r\n" + good)) == "Still there."
    assert text_of(read(good.replace(b"startxref\n", b"startxref\n9"))) == "Still there."


def test_something_that_only_begins_like_a_pdf_is_told(read: Read) -> None:
    with pytest.raises(DocumentError, match=r"^file.pdf is damaged, or not a whole PDF"):
        read(b"%PDF-1.7\n" + bytes(range(256)) * 50)


def test_deep_nesting_and_pages_in_a_circle_end(read: Read) -> None:
    nested = pdf(pdf_lines("Deep.")).replace(
        b"/MediaBox", b"/X" + b"[" * 9_999 + b"]" * 9_999 + b"/MediaBox"
    )
    for content in (nested, pdf(pdf_lines("Round.")).replace(b"Kids[4 0 R]", b"Kids[2 0 R]")):
        try:
            assert text_of(read(content)) in ("Deep.", "Round.")
        except DocumentError as error:
            assert str(error).startswith("file.pdf ")


def test_more_pages_than_the_limit_are_told_with_both_numbers(tmp_path: Path) -> None:
    path = put(tmp_path / "long.pdf", pdf(*[pdf_lines("x")] * 7))
    with (
        ReadingProcess(Limits(pages=5)) as narrow,
        pytest.raises(LimitExceededError, match=r"^long.pdf has 7 pages; at most 5 are read"),
    ):
        read_file(path, process=narrow)


def test_progress_is_told_page_by_page(tmp_path: Path, process: ReadingProcess) -> None:
    path = put(tmp_path / "three.pdf", pdf(*[pdf_lines("x")] * 3))
    told: list[tuple[int, int]] = []
    read_file(path, process=process, on_progress=lambda *done: told.append(done))
    seen = [done for done in dict.fromkeys(told) if done[1]]
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_letters_without_a_name_are_no_text(read: Read) -> None:
    page = pdf_stream(b"BT /F 12 Tf 72 700 Td <0102030405060708> Tj ET")
    with pytest.raises(EmptyDocumentError, match="letters that their font does not name"):
        read(pdf(page))


@real
@pytest.mark.parametrize("path", sorted(REAL.glob("*.pdf")), ids=lambda path: path.name)
def test_every_real_pdf_ends_in_text_or_in_a_clear_sentence(
    path: Path, process: ReadingProcess
) -> None:
    try:
        found = read_file(path, password="openpassword", process=process)
    except EmptyDocumentError as error:
        assert path.name == "imagemagick-lzw.pdf"
        assert str(error).startswith("imagemagick-lzw.pdf has no text: its page is")
    else:
        assert all(len(document.text) > 10 for document in found.documents)
        assert not found.notices


@real
def test_real_columns_read_in_order_hyphens_mended_and_arabic_kept(process: ReadingProcess) -> None:
    columns = read_file(REAL / "multicolumn.pdf", process=process).documents
    assert "consectetuer adipiscing elit. Ut purus elit, vestibulum ut, placerat" in columns[0].text
    assert "Pellentesque cursus luctus mauris.\nNulla malesuada porttitor diam." in columns[0].text
    assert "Donec nonummy pellentesque ante." in columns[0].text  # over the columns' border
    assert "with two columns filled with" in columns[0].text  # printed with an fi ligature
    assert "Austria | 8.9 | 83,879 | Vienna | German" in columns[2].text
    assert text_of(read_file(REAL / "habibi.pdf", process=process)) == "حَبيبي habibi حَبيبي"


@real
def test_a_real_encrypted_pdf_asks_for_its_password(process: ReadingProcess) -> None:
    with pytest.raises(PasswordNeededError, match="is protected by a password"):
        read_file(REAL / "libreoffice-writer-password.pdf", process=process)
