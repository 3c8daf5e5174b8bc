"""Recognised pages, kept in a file beside the document, so that none is recognised twice.

The file has a line of JSON for each page, after one with the version. A page is added as soon as it
is recognised, so an interrupted document goes on where it was.
"""

import json
import logging
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from engine.reading.formats import Section

log = logging.getLogger(__name__)

RECOGNISED = ".recognised.jsonl"
"""The name of the file, in the folder of the document."""

# What recognises: pages of another version are recognised again.
_VERSION = {"version": "PP-OCRv6 small, 200 dpi, 1"}


class KeptPages:
    """`file` None keeps them in memory alone."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._pages: dict[int, Section] = {}
        if file is None or not file.exists():
            return
        try:
            first, *lines = file.read_text("utf-8", "surrogatepass").split("\n")
            if json.loads(first) != _VERSION:
                raise ValueError("another version")
            for line in lines:
                with suppress(ValueError, TypeError):  # the last one may have been cut off
                    section = Section(**json.loads(line))
                    self._pages[section.page_number] = section
        except (OSError, ValueError) as fault:
            log.info("Recognised pages are not used: %s", fault)
            with suppress(OSError):
                file.unlink()

    def get(self, number: int) -> Section | None:
        return self._pages.get(number)

    def add(self, section: Section) -> None:
        """Keep a page, also one in which nothing was found."""
        self._pages[section.page_number] = section
        if self._file is None:
            return
        try:
            new = not self._file.exists()
            with self._file.open("a", encoding="utf-8", errors="surrogatepass") as file:
                lines = [_VERSION] if new else []
                for each in (*lines, asdict(section)):
                    file.write(json.dumps(each, ensure_ascii=False) + "\n")
        except OSError:  # a full disk: the page will be recognised again
            log.exception("A recognised page could not be kept")
            self._file = None
