"""Scans and pictures: their text is recognised, in order, with its place and how sure it is."""

import io
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2 as pdfium
import pytest
from PIL import Image, ImageChops, ImageFilter

from engine.errors import EmptyDocumentError
from engine.reading import PagePicture, ReadingProcess, read_file, render_page
from engine.reading.kept_pages import RECOGNISED
from engine.reading.text import is_rubbish
from engine.schema import Document
from engine.splitting import SentenceSplitter
from tests.making import pdf, pdf_lines, pdf_stream, put

FILES = Path(__file__).parent / "files"
LINES = (
    "Visitors reach Cold Ness by the ferry from Pell Creek.",
    "It crosses four times a day, and takes forty minutes.",
    "",
    "The lamp house is open from May to October.",
)


class Counting(ReadingProcess):
    """Counts the pages that are recognised."""

    pages = 0

    def ask(
        self, request: dict[str, Any], while_waiting: Callable[[], None] = lambda: None
    ) -> Iterator[dict[str, Any]]:
        self.pages += request["task"] == "recognise"
        return super().ask(request, while_waiting)


@pytest.fixture(scope="module")
def process() -> Iterator[Counting]:
    """One for all tests: it loads the models once."""
    with Counting() as started:
        yield started


def drawn(*contents: bytes, dpi: int = 130) -> list[Image.Image]:
    pages = pdfium.PdfDocument(pdf(*contents))
    return [page.render(scale=dpi / 72).to_pil().convert("RGB") for page in pages]


def cut(*contents: bytes, dpi: int = 130, margin: int = 40) -> list[Image.Image]:
    """Pages cut to what is on them: lines are found sooner in a small picture."""
    whole = drawn(*contents, dpi=dpi)
    inked = [ImageChops.invert(page).getbbox() or (200, 200, 400, 300) for page in whole]
    return [
        page.crop((left - margin, top - margin, right + margin, bottom + margin))
        for page, (left, top, right, bottom) in zip(whole, inked, strict=True)
    ]


def words(document: Document) -> str:
    return " ".join(document.text.split())


def scanned(picture: Image.Image, behind: bytes = b"") -> bytes:
    """A PDF whose page is this picture, with text under it."""
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=80)
    entries = b"/Type/XObject/Subtype/Image/ColorSpace/DeviceRGB/BitsPerComponent 8" + (
        b"/Filter/DCTDecode/Width %d/Height %d" % picture.size
    )
    return pdf(
        behind + b"q 612 0 0 792 0 0 cm /X Do Q",
        extra=[pdf_stream(jpeg.getvalue(), entries)],
        resources=b"/XObject<</X 6 0 R>>",
    )


def shares(picture: PagePicture, boxes: Sequence[tuple[int, int, int, int]]) -> list[list[float]]:
    sides = (picture.width, picture.height) * 2
    return [[value / side for value, side in zip(box, sides, strict=True)] for box in boxes]


def test_a_scanned_page_among_pages_of_text_is_recognised_and_its_words_are_marked(
    process: ReadingProcess,
) -> None:
    seen: list[tuple[int, int]] = []
    read = read_file(
        FILES / "scan.pdf", process=process, on_recognised=lambda *now: seen.append(now)
    )
    minutes, notice = read.documents
    assert "lines" not in minutes.metadata and "2 October" in minutes.text
    assert notice.metadata["page_number"] == 2
    assert "The harbour of Quernsay is closed to boats over twelve metres" in words(notice)
    assert seen[0] == (0, 1) and seen[-1] == (1, 1)
    assert read.notices[0].startswith("Page 2 was recognised from a picture (OCR), with 9")

    nodes = SentenceSplitter(chunk_size=30, chunk_overlap=0).get_nodes_from_documents([notice])
    tickets = next(node for node in nodes if "Tickets" in node.text)
    assert tickets.confidence and tickets.confidence > 0.9
    picture = render_page(
        FILES / "scan.pdf",
        2,
        passage=tickets.text,
        sentences=["Tickets are sold at the lamp house, daily from 8 to 16."],
        lines=tickets.metadata["lines"],
    )
    ((left, top, right, bottom),) = shares(picture, picture.sentences)
    whole = Image.open(io.BytesIO(picture.png)).convert("L")
    dark = np.asarray(whole) < 128
    rows = [int(value * picture.height) for value in (top, bottom)]
    inside = dark[rows[0] : rows[1], int(left * picture.width) : int(right * picture.width)]
    below = dark[rows[1] + 4 :]
    assert inside.mean() > 0.03, "the mark is not on words"
    assert not below.any(), "the last line of the page is the one that is marked"


@pytest.mark.parametrize("turn", [2, 90, 180])
def test_lines_are_read_in_order_however_the_page_lies_and_marked_there(
    tmp_path: Path, process: ReadingProcess, turn: int
) -> None:
    (page,) = cut(pdf_lines(*LINES))
    file = tmp_path / "page.png"
    page.rotate(turn, Image.Resampling.BICUBIC, expand=True, fillcolor="white").save(file)
    (document,) = read_file(file, process=process).documents
    assert words(document) == " ".join(" ".join(LINES).split())
    picture = render_page(
        file, 1, passage=document.text, sentences=[LINES[3]], lines=document.metadata["lines"]
    )
    upright = Image.new("L", (picture.width, picture.height))
    for box in picture.sentences:
        upright.paste(255, box)
    upright = upright.rotate(-turn, expand=True)
    left, top, right, bottom = upright.getbbox() or (0, 0, 0, 0)
    assert right - left > 5 * (bottom - top), "the fourth line runs across the upright page"
    assert (top + bottom) / 2 > 0.55 * upright.height, "it is the last one"


def test_columns_are_read_one_after_the_other_under_their_title(
    tmp_path: Path, process: ReadingProcess
) -> None:
    left = ["The left column begins here,", "goes on for some lines as", "columns do, and ends at",
            "the foot of the page. Then"]  # fmt: skip
    right = ["the right one goes on with", "the same sentence. It ends", "where the page does, and",
             "nothing comes after it."]  # fmt: skip
    title = pdf_lines("A title that runs across both of the columns of this page", top=740)
    page = title + pdf_lines(*left, top=700) + pdf_lines(*right, left=300, top=700)
    cut(page)[0].save(tmp_path / "page.jpg")
    (document,) = read_file(tmp_path / "page.jpg", process=process).documents
    found = words(document)
    places = [found.index(line) for line in (*left, *right)]
    assert all(before < after for before, after in pairwise(places))
    assert found.startswith("A title")


def test_the_cells_of_a_table_stay_in_their_rows(tmp_path: Path, process: ReadingProcess) -> None:
    rows = [("Month", "Litres"), ("January", "52"), ("February", "47"), ("March", "44")]
    page = b"".join(
        pdf_lines(name, top=700 - 20 * n) + pdf_lines(value, left=250, top=700 - 20 * n)
        for n, (name, value) in enumerate(rows)
    )
    cut(page)[0].save(tmp_path / "table.png")
    (document,) = read_file(tmp_path / "table.png", process=process).documents
    assert document.text.split("\n") == [" | ".join(row) for row in rows]


def test_each_page_of_a_tiff_is_a_page_a_blank_one_is_named_and_none_is_recognised_again(
    tmp_path: Path, process: Counting
) -> None:
    fax, kept = tmp_path / "fax.tiff", tmp_path / RECOGNISED
    first, second, third = cut(pdf_lines("Ferry"), b" ", pdf_lines("Lamp house"))
    first.save(fax, save_all=True, append_images=[second, third])
    process.pages = 0
    whole = read_file(fax, recognised=kept, process=process)
    assert [(words(each), each.metadata["page_label"]) for each in whole.documents] == [
        ("Ferry", "1"),
        ("Lamp house", "3"),
    ]
    assert whole.documents[0].metadata["page_count"] == 3
    assert "Page 2 has no text." in whole.notices
    assert process.pages == 3
    again = read_file(fax, recognised=kept, process=process)
    assert process.pages == 3
    assert (again.documents, again.notices) == (whole.documents, whole.notices)
    # one that was interrupted after its first page goes on with the others
    kept.write_text("".join(kept.read_text().splitlines(keepends=True)[:2]) + '{"text": "cut')
    assert read_file(fax, recognised=kept, process=process).documents == whole.documents
    assert process.pages == 5
    kept.write_text("of another version\n")
    assert read_file(fax, recognised=kept, process=process).documents == whole.documents
    assert process.pages == 8


@pytest.mark.parametrize("name", ["photo.heic", "photo.webp"])
def test_pictures_of_other_programs_are_read(name: str, process: ReadingProcess) -> None:
    (document,) = read_file(FILES / name, process=process).documents
    assert "closed to boats over twelve metres" in words(document)
    assert document.metadata["file_type"] == "picture"


RUBBISH = "Th1s 1$ n0t wh@t tbe p|ctvre sh0ws lt wss rec0gn|sed by s0me o1d pr0gramrn " * 4


def test_a_hidden_text_that_is_rubbish_gives_way_to_what_the_picture_shows(
    tmp_path: Path, process: ReadingProcess
) -> None:
    (page,) = drawn(pdf_lines(*LINES[:2]))
    hidden = pdf_lines(*(RUBBISH[start : start + 60] for start in range(0, 300, 60)))
    file = put(tmp_path / "old.pdf", scanned(page, b"3 Tr " + hidden))
    read = read_file(file, process=process)
    assert [words(each) for each in read.documents] == [" ".join(LINES[:2])]
    assert any("hidden text that is not what the picture shows" in each for each in read.notices)
    good = put(tmp_path / "good.pdf", scanned(page, b"3 Tr " + pdf_lines(*LINES * 2)))
    (kept,) = read_file(good, process=process).documents
    assert "lines" not in kept.metadata


def test_prose_names_tables_and_codes_are_no_rubbish() -> None:
    assert is_rubbish(RUBBISH)
    for name in ("tide-mill.md", "ice-log.txt"):
        assert not is_rubbish((FILES.parents[1] / "samples" / name).read_text(encoding="utf-8"))
    assert not is_rubbish("Der Müller öffnet täglich um acht; am 3. Mai (Freitag) früher. " * 5)
    assert not is_rubbish("船は正午と六時に出る。切符は四クローネ。" * 10)


def blurred(dpi: int) -> Image.Image:
    """Two lines, grey, noisy and out of focus."""
    (page,) = cut(pdf_lines(*LINES[:2]), dpi=dpi, margin=12)
    grey = np.asarray(page.convert("L").filter(ImageFilter.GaussianBlur(0.9)), np.float32)
    noise = np.random.default_rng(0).normal(60, 6, grey.shape)
    bad = Image.fromarray((grey * 0.6 + noise).clip(0, 255).astype("u1"))
    return bad.resize((page.width * 3, page.height * 3))


def test_what_is_too_poor_or_hard_to_read_is_said(tmp_path: Path, process: ReadingProcess) -> None:
    blurred(dpi=44).save(tmp_path / "bad.png")
    with pytest.raises(EmptyDocumentError, match=r"^bad.png cannot be read: its picture is too"):
        read_file(tmp_path / "bad.png", process=process)
    blurred(dpi=54).save(tmp_path / "doubtful.png")
    read = read_file(tmp_path / "doubtful.png", process=process)
    assert any("letters that are hard to recognise" in each for each in read.notices)


def test_without_recognition_scans_are_named_and_pictures_refused(process: ReadingProcess) -> None:
    read = read_file(FILES / "scan.pdf", ocr=False, process=process)
    assert len(read.documents) == 1
    assert read.notices[0].startswith("Page 2 was not read: it is a picture. Turn text recognition")
    with pytest.raises(EmptyDocumentError, match="Turn text recognition on"):
        read_file(FILES / "photo.webp", ocr=False, process=process)
