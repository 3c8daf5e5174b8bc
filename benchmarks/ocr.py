"""How well and how fast text is recognised: pages drawn from known text, as scans come.

    python -m benchmarks.ocr [--pages N]

For each kind of page: the character error rate (edits ÷ characters, spaces as one), the mean
confidence, the share of lines whose place is right, and seconds a page.
"""

import argparse
import io
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
from PIL import Image, ImageFilter

from engine.reading import ReadingProcess, read_file
from tests.making import pdf, pdf_lines

TEXT = Path(__file__).parents[1] / "samples"
LINES_A_PAGE = 46  # of 12 points on a page


def texts(pages: int, width: int) -> Iterator[list[str]]:
    """The lines of one page after another, from the samples, again from the start at their end."""
    paragraphs = " ".join(
        (TEXT / name).read_text(encoding="utf-8") for name in ("tide-mill.md", "ice-log.txt")
    )
    plain = "".join(char for char in paragraphs if char.isascii() and char not in "#*`>|")
    lines = textwrap.wrap(" ".join(plain.split()), width)
    lines *= 1 + pages * LINES_A_PAGE // len(lines)
    for page in range(pages):
        yield lines[page * LINES_A_PAGE : (page + 1) * LINES_A_PAGE]


def drawn(content: bytes, dpi: int) -> Image.Image:
    page = pdfium.PdfDocument(pdf(content))[0]
    picture: Image.Image = page.render(scale=dpi / 72).to_pil().convert("RGB")
    return picture


def one_column(lines: Sequence[str]) -> bytes:
    return pdf_lines(*lines, left=60, top=740)


def two_columns(lines: Sequence[str]) -> bytes:
    half = len(lines) // 2
    return pdf_lines(*lines[:half], left=50, top=740) + pdf_lines(*lines[half:], left=320, top=740)


def turned(picture: Image.Image) -> Image.Image:
    return picture.rotate(2, Image.Resampling.BICUBIC, expand=True, fillcolor="white")


def noisy(picture: Image.Image) -> Image.Image:
    """Grey paper, blurred letters, and noise, as of a bad copier."""
    chance = np.random.default_rng(0)
    grey = np.asarray(picture.convert("L").filter(ImageFilter.GaussianBlur(1.2)), np.float32)
    speckled = 40 + grey * 0.75 + chance.normal(0, 22, grey.shape)
    return Image.fromarray(speckled.clip(0, 255).astype(np.uint8)).convert("RGB")


Alter = Callable[[Image.Image], Image.Image]
KINDS: dict[str, tuple[int, int, Callable[[Sequence[str]], bytes], Alter]] = {
    # kind: dots per inch, characters in a line, layout, what happens to the picture
    "clean, 200 dpi": (200, 80, one_column, lambda picture: picture),
    "clean, 300 dpi": (300, 80, one_column, lambda picture: picture),
    "150 dpi": (150, 80, one_column, lambda picture: picture),
    "100 dpi": (100, 80, one_column, lambda picture: picture),
    "turned by 2°": (200, 80, one_column, turned),
    "upside down": (200, 80, one_column, lambda picture: picture.rotate(180)),
    "on its side": (200, 80, one_column, lambda picture: picture.rotate(90, expand=True)),
    "noisy": (200, 80, one_column, noisy),
    "two columns": (200, 36, two_columns, lambda picture: picture),
}


def errors(wanted: str, got: str) -> int:
    """Edits between two texts: insertions, deletions, replacements (Levenshtein)."""
    row = np.arange(len(got) + 1)
    codes = np.array([*map(ord, got)])
    for number, char in enumerate(wanted, start=1):
        best = np.minimum(row[1:] + 1, row[:-1] + (codes != ord(char)))
        steps = np.concatenate([[number], best])
        row = np.minimum.accumulate(steps - np.arange(len(steps))) + np.arange(len(steps))
    return int(row[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pages", type=int, default=3)
    parser.add_argument("--show", action="store_true", help="print lines that came out otherwise")
    options = parser.parse_args()
    print(f"{'kind of page':16} {'CER':>7} {'confidence':>11} {'s a page':>9}")
    with ReadingProcess() as process, tempfile.TemporaryDirectory() as folder:
        warm = Path(folder, "warm.png")
        drawn(pdf_lines("The models are loaded."), 100).save(warm)
        read_file(warm, process=process)
        for kind, (dpi, width, layout, alter) in KINDS.items():
            wrong = letters = 0
            sure: list[float] = []
            seconds = 0.0
            for lines in texts(options.pages, width):
                file = Path(folder, "page.png")
                png = io.BytesIO()
                alter(drawn(layout(lines), dpi)).save(png, "PNG", compress_level=1)
                file.write_bytes(png.getvalue())
                begun = time.perf_counter()
                (page,) = read_file(file, process=process).documents
                seconds += time.perf_counter() - begun
                wanted = " ".join(" ".join(lines).split())
                got = " ".join(page.text.split())
                wrong += errors(wanted, got)
                letters += len(wanted)
                sure += [line[-1] / 100 for line in page.metadata["lines"]]
                if options.show:
                    read = [page.text[start:end] for start, end, *_ in page.metadata["lines"]]
                    print(*(each for each in zip(lines, read, strict=False) if each[0] != each[1]))
            pace = seconds / options.pages
            print(f"{kind:16} {wrong / letters:7.2%} {np.mean(sure):11.0%} {pace:9.2f}", flush=True)


if __name__ == "__main__":
    main()
