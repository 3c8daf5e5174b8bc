"""A page of a PDF → its picture, for showing where a passage stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import DocumentError
from engine.reading.process import ReadingProcess, told_of
from engine.run import Run

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels of the picture."""


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A PNG, `width` by `height` pixels, and what is marked in it. A passage that could not be
    found on the page is not marked, and has no boxes.
    """

    png: bytes
    width: int
    height: int
    passage: tuple[Box, ...] = ()
    sentences: tuple[Box, ...] = ()

    @property
    def marked(self) -> bool:
        return bool(self.passage or self.sentences)


def render_page(
    path: Path | str,
    page_number: int,
    *,
    passage: str = "",
    sentences: Sequence[str] = (),
    width: int = 1000,
    password: str | None = None,
    run: Run | None = None,
) -> PagePicture:
    """The picture of page `page_number`, from 1, with the passage marked lightly and, in it, the
    sentences strongly. `width` is in pixels; a very long page comes narrower. Takes about 0.2 s of
    computing.

    Raises:
        PasswordNeededError: the file is encrypted, and no password or a wrong one was given.
        LimitExceededError: it took too much time or memory.
        DocumentError: it is damaged, no PDF, or has no such page.
        Cancelled: `run` was cancelled.
    """
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise DocumentError(f"{file.name} is not there any more.")
    request = {
        "task": "picture",
        "path": str(file),
        "number": page_number,
        "passage": passage,
        "sentences": list(sentences),
        "width": width,
        "password": password,
    }
    with ReadingProcess(urgent=True) as process, told_of(file.name, process.limits):
        (reply,) = process.ask(request, (run or Run()).check)
    return PagePicture(
        png=reply["picture"],
        width=reply["size"][0],
        height=reply["size"][1],
        passage=tuple(tuple(box) for box in reply["passage"]),
        sentences=tuple(tuple(box) for box in reply["sentences"]),
    )
