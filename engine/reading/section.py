"""Section: what a format's reader gives, one citable place of a file.

A reader takes a path and yields sections in order. It raises a DocumentError whose text goes
on after the file's name: "is not whole JSON: …". It does not know how the file is called.
"""

from collections.abc import Sequence
from dataclasses import dataclass

PATH_SIGN = " › "  # between a heading and the one below it


@dataclass(frozen=True, slots=True)
class Section:
    """Text under one heading, or of one page. A newline ends a sentence, an empty line a
    paragraph. `page_number` counts from 1; `page_label` is as printed. Empty where there is
    none.
    """

    text: str
    heading: str = ""
    page_label: str = ""
    page_number: int = 0


def heading_path(titles: Sequence[str]) -> str:
    """["Guide", "Install"] → "Guide › Install"."""
    return PATH_SIGN.join(title for title in titles if title)
