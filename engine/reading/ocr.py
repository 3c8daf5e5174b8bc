"""A picture → the lines of text in it, each with its place and the model's confidence.

Runs in the reading process. RapidOCR finds the lines and reads them, with PP-OCRv6's small models,
which lie in its wheel. The work is cut into steps, so that the app's process can give each step
its cores and stop between two.
"""

import functools
import logging
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from engine.reading.text import clean

if TYPE_CHECKING:
    from rapidocr import RapidOCR

# The longer side, in pixels, of the picture in which lines are looked for. They are read from the
# whole picture. benchmarks/ocr.py measures both.
DETECTION_SIDE = 1280
# Lines that one thread reads at once. More share the padding to the longest, and take more memory.
_BATCH = 3
# A line below this confidence is left out: it is a stain, a drawing or handwriting. Of printed
# lines below it, 99 of 100 words were wrong (benchmarks/ocr_confidence.py).
_LEAST_CONFIDENCE = 0.5
_DOUBTFUL = 0.85  # below, a line is read a second time: half of the words were wrong
# A picture whose brightness differs by less than this, of 255, is blank.
_BLANK = 40

Point = tuple[float, float]
Steps = Generator[int, int | None, "list[ReadLine]"]
"""Yields the number of cores that the next step can use, and is sent the number it gets."""


@dataclass(frozen=True, slots=True)
class ReadLine:
    """A line and its place: the middles of its left and right end, and its height, in pixels.

    `confidence` is the mean over its characters, 0 to 1.
    """

    text: str
    start: Point
    end: Point
    height: float
    confidence: float


def recognise(picture: Image.Image) -> Steps:
    """The lines of a picture, in no particular order. Places are in the picture as given, which
    may lie on its side or upside down.
    """
    shades = picture.convert("L").histogram()
    present = [shade for shade, pixels in enumerate(shades) if pixels]
    if present[-1] - present[0] < _BLANK:
        return []
    yield 1
    pixels = _pixels(picture)
    crops, boxes = _find_lines(pixels)
    if crops and median(_height(box) / max(_width(box), 1) for box in boxes) > 1:
        yield 1  # most lines run up or down: the page lies on its side
        pixels = np.ascontiguousarray(np.rot90(pixels))
        crops, boxes = _find_lines(pixels)
        lines = yield from _read_lines(crops, boxes)
        width = picture.width
        return [
            replace(line, start=_unturned(line.start, width), end=_unturned(line.end, width))
            for line in lines
        ]
    return (yield from _read_lines(crops, boxes))


def _pixels(picture: Image.Image) -> Any:
    return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1])


def _unturned(point: Point, width: int) -> Point:
    """A point of a picture that was turned to the left, in the picture before."""
    x, y = point
    return width - 1 - y, x


def _find_lines(pixels: Any) -> tuple[list[Any], list[Any]]:
    """The parts of the picture that are lines, upright, and their four corners."""
    from rapidocr.main import RapidOCRError

    try:
        crops, found = _models().detect_and_crop(pixels, {})
    except RapidOCRError:  # nothing found
        return [], []
    return list(crops), list(found.boxes if found.boxes is not None else ())


def _read_lines(crops: Sequence[Any], boxes: Sequence[Any]) -> Steps:
    if not crops:
        return []
    yield 1
    _, found = _models().cls_and_rotate(list(crops))
    turned = sum(label == "180" for label, _ in found.cls_res or ())
    if upside_down := 2 * turned > len(crops):
        crops = [np.ascontiguousarray(crop[::-1, ::-1]) for crop in crops]
    texts = yield from _read(dict(enumerate(crops)))
    # The recogniser now and then fails on a line of good quality, and reads it when the picture of
    # the line has another width.
    doubtful = {
        number: np.pad(crops[number], ((2, 2), (12, 12), (0, 0)), mode="edge")
        for number, (_, confidence) in texts.items()
        if confidence < _DOUBTFUL
    }
    for number, again in (yield from _read(doubtful)).items():
        texts[number] = max(texts[number], again, key=lambda read: read[1])
    lines = []
    for number, box in enumerate(boxes):
        text, confidence = texts.get(number, ("", 0.0))
        if (text := clean(text).strip()) and confidence >= _LEAST_CONFIDENCE:
            lines.append(_line(text, float(confidence), box, upside_down))
    return lines


def _read(crops: Mapping[int, Any]) -> Generator[int, int | None, dict[int, tuple[str, float]]]:
    """Text and confidence of each line, by its number."""
    texts: dict[int, tuple[str, float]] = {}
    # lines of about the same length together: a batch is as wide as its widest
    order = sorted(crops, key=lambda number: crops[number].shape[1] / crops[number].shape[0])
    batches = [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]
    with ThreadPoolExecutor(thread_name_prefix="ocr") as threads:
        while batches:
            cores = (yield len(batches)) or 1
            now, batches = batches[:cores], batches[cores:]
            work = [[crops[number] for number in batch] for batch in now]
            for batch, result in zip(now, threads.map(_models().recognize_txt, work), strict=True):
                read = zip(result.txts or (), result.scores or (), strict=True)
                texts.update(zip(batch, read, strict=False))
    return texts


def _line(text: str, confidence: float, box: Any, upside_down: bool) -> ReadLine:
    (x1, y1), (x2, y2), (x3, y3), (x4, y4) = box.tolist()
    start, end = ((x1 + x4) / 2, (y1 + y4) / 2), ((x2 + x3) / 2, (y2 + y3) / 2)
    if upside_down:
        start, end = end, start
    return ReadLine(text, start, end, _height(box), confidence)


def _width(box: Any) -> float:
    return float(np.linalg.norm(box[1] - box[0]))


def _height(box: Any) -> float:
    return float(np.linalg.norm(box[3] - box[0]))


@functools.cache
def _models() -> "RapidOCR":
    """Loaded on first use, which takes 1 s of computing. Each runs in the thread that calls it."""
    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
    import cv2
    import rapidocr

    cv2.setNumThreads(1)
    folder = Path(rapidocr.__file__).parent / "models"
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.use_vertical_padding": False,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "Det.limit_type": "max",
            "Det.limit_side_len": DETECTION_SIDE,
            # named, so that nothing is looked for in the network
            "Det.model_path": str(folder / "PP-OCRv6_det_small.onnx"),
            "Cls.model_path": str(folder / "ch_ppocr_mobile_v2.0_cls_mobile.onnx"),
            "Rec.model_path": str(folder / "PP-OCRv6_rec_small.onnx"),
            "Rec.rec_batch_num": _BATCH,
        }
    )
