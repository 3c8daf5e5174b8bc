"""The picture of a page: the passage is marked where it stands, and nowhere else."""

import io
from pathlib import Path

import pytest
from PIL import Image

from engine.errors import DocumentError, PasswordNeededError
from engine.reading import PagePicture, render_page
from engine.reading.pdf_page import find_passage
from tests.making import pdf, pdf_lines, put, rewritten

LINES = (
    "The ferry leaves at noon and at six.",
    "A ticket costs four crowns, or three for",
    "those who live here. Dogs travel free.",
)


@pytest.fixture
def timetable(tmp_path: Path) -> Path:
    return put(tmp_path / "ferry.pdf", pdf(pdf_lines("Cover"), pdf_lines(*LINES)))


def image(picture: PagePicture) -> Image.Image:
    opened = Image.open(io.BytesIO(picture.png))
    assert opened.size == (picture.width, picture.height)
    return opened.convert("RGB")


def test_a_page_comes_in_the_width_asked_for_with_its_own_proportions(timetable: Path) -> None:
    picture = render_page(timetable, 2, width=612)
    assert (picture.width, picture.height) == (612, 792)
    assert not picture.marked
    dark = image(picture).convert("L").point(lambda value: 255 * (value < 128)).getbbox()
    assert dark and 70 < dark[0] < 80 and 78 < dark[1] < 95 and 115 < dark[3] < 130


def test_the_passage_is_marked_line_by_line_and_its_sentence_more(timetable: Path) -> None:
    picture = render_page(
        timetable,
        2,
        passage=" ".join(LINES[1:]),
        sentences=["A ticket costs four crowns, or three for those who live here."],
        width=612,
    )
    assert len(picture.passage) == len(picture.sentences) == 2
    second_line, third_line = picture.passage
    assert 90 < second_line[1] < second_line[3] < 112
    assert third_line[1] > second_line[1] + 10
    assert picture.sentences[1][2] < third_line[2] - 50  # the dogs are not in it
    page = image(picture)
    strong = page.getpixel((picture.sentences[0][0], picture.sentences[0][1] + 1))
    light = page.getpixel((third_line[2] - 2, third_line[1] + 1))
    assert strong != light != (255, 255, 255) == page.getpixel((10, 10))


def test_what_is_not_on_the_page_is_not_marked(timetable: Path) -> None:
    marked = render_page(timetable, 2, passage="Something quite different about whales.")
    assert not marked.marked
    assert marked.png == render_page(timetable, 2).png


def test_a_turned_page_is_marked_where_it_shows_the_words(timetable: Path) -> None:
    turned = rewritten(timetable.read_bytes(), lambda writer: writer.pages[1].rotate(90))
    picture = render_page(
        put(timetable.with_name("turned.pdf"), turned), 2, passage=LINES[0], width=792
    )
    assert (picture.width, picture.height) == (792, 612)
    ((left, top, right, bottom),) = picture.passage
    assert right - left < bottom - top  # the line runs down the picture
    assert left > 680 and top < 80


def test_a_giant_page_comes_smaller_than_asked_for(tmp_path: Path) -> None:
    data = pdf(pdf_lines("A banner.")).replace(b"0 0 612 792", b"0 0 100 14000")
    picture = render_page(put(tmp_path / "banner.pdf", data), 1, width=1_000)
    assert picture.width * picture.height <= 12_100_000


def test_what_cannot_be_shown_says_why(timetable: Path, tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"^ferry.pdf has no page 3: it has 2."):
        render_page(timetable, 3)
    with pytest.raises(DocumentError, match=r"^gone.pdf is not there any more."):
        render_page(tmp_path / "gone.pdf", 1)
    secret = rewritten(timetable.read_bytes(), lambda writer: writer.encrypt("sesame"))
    path = put(tmp_path / "secret.pdf", secret)
    with pytest.raises(PasswordNeededError):
        render_page(path, 1)
    assert render_page(path, 2, password="sesame", passage=LINES[0]).marked


PAGE = "The sec\x02tion on Fi\ufb01-ty\r\nships. Other words\r\nstand here, and more of them."


@pytest.mark.parametrize(
    ("passage", "found"),
    [
        ("The section on Fifi-ty ships.", "The sec\x02tion on Fi\ufb01-ty\r\nships."),
        ("OTHER WORDS | STAND HERE", "Other words\r\nstand here,"),
        ("", ""),
        ("whales", ""),
    ],
)
def test_a_passage_is_found_by_its_letters_whatever_was_mended(passage: str, found: str) -> None:
    assert "".join(PAGE[start:end] for start, end in find_passage(PAGE, passage)) == found


def test_a_passage_that_another_library_read_is_found_by_most_of_its_words() -> None:
    ranges = find_passage(PAGE, "Other words, (well!) stand here and more of them")
    assert [PAGE[start:end] for start, end in ranges] == [
        "Other words",
        "stand here, and more of them",
    ]
