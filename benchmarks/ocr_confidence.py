"""What the confidence of recognised text means: the errors on degraded pages of known text.

    python -m benchmarks.ocr_confidence [--pages N]

Each page has twelve lines of the samples in one of three fonts, and is drawn as a bad scanner or
copier would: with few dots per inch, out of focus, pale, noisy, askew, compressed. How bad it is is
chosen at random, from nearly clean to unreadable. Two tables are printed: of lines and of pages, by
their confidence, the share of wrong characters (edits ÷ characters) and of words that do not come
out whole. The thresholds in engine/reading/ocr.py and engine/reading/paged.py are from them.
"""

import argparse
import io
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pypdfium2 as pdfium
from PIL import Image, ImageFilter

from benchmarks.ocr import LINES_A_PAGE, errors, texts
from engine.reading import ocr
from engine.reading.ocr import ReadLine, recognise
from tests.making import pdf, pdf_lines

LINES, WIDTH = 12, 70
FONTS = (b"Helvetica", b"Times-Roman", b"Courier")
CORES = 2
BINS = (0.0, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.94, 0.97, 0.99, 1.01)


@dataclass(frozen=True, slots=True)
class Judged:
    """Text of that confidence, and how much of it is wrong. `words`: all, `whole`: found whole."""

    confidence: float
    letters: int
    wrong: int
    words: int
    whole: int


def degraded(lines: Sequence[str], chance: random.Random) -> Image.Image:
    font = chance.choice(FONTS)
    content = pdf(pdf_lines(*lines, left=60, top=740)).replace(b"Helvetica", font.ljust(9))
    dpi = chance.choice((60, 75, 90, 100, 120, 150, 200))
    page = pdfium.PdfDocument(content)[0]
    height = (LINES + 6) * 14 / 792
    picture: Image.Image = page.render(scale=dpi / 72).to_pil().convert("L")
    picture = picture.crop((0, 0, picture.width, round(picture.height * height)))
    picture = picture.rotate(chance.uniform(-2, 2), Image.Resampling.BICUBIC, fillcolor=255)
    picture = picture.filter(ImageFilter.GaussianBlur(chance.uniform(0, 1.6) * dpi / 100))
    contrast, noise = chance.uniform(0.15, 1), chance.choice((0, 0, 10, 25, 45))
    grey = 235 - (255 - np.asarray(picture, np.float32)) * contrast * 0.9
    grey += np.random.default_rng(chance.randrange(2**32)).normal(0, noise, grey.shape)
    degraded = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    jpeg = io.BytesIO()
    degraded.save(jpeg, "JPEG", quality=chance.choice((15, 30, 60, 90)))
    scanned = Image.open(jpeg).convert("RGB")
    return scanned.resize((round(scanned.width * 200 / dpi), round(scanned.height * 200 / dpi)))


def read(picture: Image.Image) -> list[ReadLine]:
    steps = recognise(picture)
    granted = None
    while True:
        try:
            granted = min(steps.send(granted), CORES)
        except StopIteration as end:
            found: list[ReadLine] = end.value
            return sorted(found, key=lambda line: line.start[1] + line.end[1])


def judged(confidence: float, wanted: str, got: str) -> Judged:
    """`wanted` and `got` are the same text, or what was made of it."""
    words = wanted.split()
    there = got.split()
    whole = sum(min(words.count(word), there.count(word)) for word in set(words))
    return Judged(confidence, len(wanted), errors(wanted, got), len(words), whole)


def nearest(line: ReadLine, lines: Iterable[str]) -> str:
    return min(lines, key=lambda wanted: errors(wanted, line.text))


def table(what: str, found: Sequence[Judged]) -> None:
    print(f"\n{what:12} {'number':>7} {'wrong characters':>17} {'words not whole':>16}")
    for low, high in pairwise(BINS):
        part = [each for each in found if low <= each.confidence < high]
        if part:
            wrong = sum(each.wrong for each in part) / sum(each.letters for each in part)
            lost = 1 - sum(each.whole for each in part) / sum(each.words for each in part)
            print(f"{low:.2f}–{min(high, 1):.2f}    {len(part):7} {wrong:17.1%} {lost:16.1%}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pages", type=int, default=150)
    options = parser.parse_args()
    chance = random.Random(0)
    least, ocr._LEAST_CONFIDENCE = ocr._LEAST_CONFIDENCE, 0.0
    of_lines: list[Judged] = []
    of_pages: list[Judged] = []
    empty = 0
    whole_pages = options.pages * LINES // LINES_A_PAGE + 1
    every = [line for page in texts(whole_pages, WIDTH) for line in page]
    for page in range(options.pages):
        lines = every[page * LINES : (page + 1) * LINES]
        found = read(degraded(lines, chance))
        of_lines += [judged(each.confidence, nearest(each, lines), each.text) for each in found]
        kept = [line for line in found if line.confidence >= least]
        letters = sum(len(line.text) for line in kept)
        if not letters:
            empty += 1
            continue
        mean = sum(len(line.text) * line.confidence for line in kept) / letters
        of_pages.append(judged(mean, " ".join(lines), " ".join(line.text for line in kept)))
    table("lines", of_lines)
    table("pages", of_pages)
    print(f"\nOn {empty} of {options.pages} pages, no line reached {least:g}.")


if __name__ == "__main__":
    main()
