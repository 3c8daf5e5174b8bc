"""A PDF's pages, from the reading process, in the app's. What one page costs, no other pays.

A page that takes too long, too much memory, or the process with it, is left out; reading goes
on after it in a new process. It knows no document, only sections.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import groupby
from pathlib import Path

from engine.errors import DocumentError, EmptyDocumentError
from engine.reading.process import ProcessDied, ReadingProcess, Reason, told, what_it_took
from engine.reading.section import Section

OnProgress = Callable[[int, int], None]


class PdfReading:
    """`sections` once; then `notices` say what is not in them."""

    def __init__(self, path: Path, password: str | None, process: ReadingProcess) -> None:
        self.page_count = 0
        self._path, self._password, self._process = path, password, process
        self._without_text: dict[str, list[int]] = defaultdict(list)
        self._lost: dict[int, Reason] = {}
        self._next = 1

    def sections(self, on_progress: OnProgress) -> Generator[Section]:
        """
        Raises:
            EmptyDocumentError: no page has text.
            LimitExceededError: the file, or every page with text, took too much.
            PasswordNeededError, DocumentError: as the reading process tells.
        """
        end = time.monotonic() + self._process.limits.seconds_per_file
        found = False
        while not self.page_count or self._next <= self.page_count:
            try:
                for section in self._go_on(on_progress):
                    found = True
                    yield section
            except ProcessDied as death:
                if not self.page_count:
                    raise
                self._lost[self._next] = death.reason
                self._next += 1
                if len(self._lost) >= self._process.limits.lost_pages or time.monotonic() > end:
                    break
        if not found:
            raise self._nothing()

    def _go_on(self, on_progress: OnProgress) -> Iterator[Section]:
        """The sections from the next page on."""
        request = {
            "task": "read_pdf",
            "path": str(self._path),
            "password": self._password,
            "first": self._next,
            "most_pages": self._process.limits.pages,
        }
        for reply in self._process.ask(request, self._tell(on_progress)):
            self.page_count = reply.get("page_count", self.page_count)
            if page := reply.get("page"):
                self._next = page["number"] + 1
                if page["legibility"] != "text":
                    self._without_text[page["legibility"]].append(page["number"])
                yield from (Section(**each) for each in page["sections"])
            self._tell(on_progress)()

    def _tell(self, on_progress: OnProgress) -> Callable[[], None]:
        return lambda: on_progress(self._next - 1, self.page_count)

    @property
    def notices(self) -> Iterator[str]:
        if empty := self._without_text["empty"]:
            yield f"{_pages(empty)} no text: blank, or pictures of text. {_USE_OCR}"
        if unreadable := self._without_text["unreadable"]:
            yield f"{_pages(unreadable)} letters that their font does not name. {_USE_OCR}"
        for reason in ("time", "memory", "crash"):
            if numbers := [n for n, why in self._lost.items() if why == reason]:
                limit = what_it_took(reason, self._process.limits)
                yield f"{_pages(numbers)} been left out: reading {limit}."
        if self._next <= self.page_count:
            rest = _pages(range(self._next, self.page_count + 1))
            yield f"{rest} been left out: too much time was lost before. {_PRINT_AGAIN}"

    def _nothing(self) -> DocumentError:
        if self._lost:
            return told(ProcessDied(next(iter(self._lost.values()))), self._process.limits)
        if self._without_text["unreadable"]:
            return EmptyDocumentError(f"has only letters that their font does not name. {_USE_OCR}")
        pages = "page is" if self.page_count == 1 else "pages are"
        return EmptyDocumentError(
            f"has no text: its {pages} blank, or pictures of text. {_USE_OCR}"
        )


_USE_OCR = "A copy with recognised text (OCR) can be read."
_PRINT_AGAIN = "Open the file in a viewer, and print it to a new PDF."


def _pages(numbers: Iterable[int]) -> str:
    """[3, 4, 5, 9] → "Pages 3–5, 9 have"."""
    runs: list[str] = []
    for _, run in groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        last = f"–{members[-1]}" if len(members) > 1 else ""
        runs.append(f"{members[0]}{last}")
    single = len(runs) == 1 and "–" not in runs[0]
    return f"Page {runs[0]} has" if single else f"Pages {', '.join(runs)} have"
