"""Files of pages: PDFs and pictures, read page by page.

Runs in the app's process. Each class asks the reading process for one page after another, so that
a page that fails is left out and named.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

from engine.errors import DocumentError, EmptyDocumentError
from engine.reading.formats import Section
from engine.reading.kept_pages import KeptPages
from engine.reading.process import ProcessDied, ReadingProcess, Reason, cost, error_of
from engine.schema import mean_confidence

OnProgress = Callable[[int, int], None]

USE_OCR = "Turn text recognition on (OCR=true in .env), and add the file again."
_SCAN_AGAIN = "Scan it again, straight, evenly lit, with 300 dpi."
_PRINT_AGAIN = "Open the file in a viewer, and print it to a new PDF."
_SHORT_TEXT = 100  # characters of a page that may be no more than a stamp or a watermark
# Mean confidences of a page. On 150 pages of known text that were drawn as bad scanners and copiers
# would (benchmarks/ocr_confidence.py), nine of ten words were wrong below the first, one of three
# at the second, and one of six just above the third; of pages with 0.97 or more, one of thirty.
# Handwriting and damaged paper were not among them.
TOO_POOR, BETTER_THAN_RUBBISH, DOUBTFUL = 0.75, 0.85, 0.95
# Pages of these kinds are recognised (`pdf.Legibility`).
_UNTRUSTED = ("picture", "empty", "unreadable", "rubbish")


class Scans:
    """Pages that are pictures, recognised one by one; those that are kept are not recognised again.
    One that takes too much time or memory is left out. `notices` are complete after `sections`.
    `on` False leaves all out.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        password: str | None,
        process: ReadingProcess,
        on_progress: OnProgress,
        kept: KeptPages,
        on: bool,
    ) -> None:
        self.on = on
        self.read: dict[int, float] = {}  # page number → confidence
        self.blank: list[int] = []
        self._poor: list[int] = []
        self._lost: dict[int, Reason] = {}
        self._left: list[int] = []
        self._request = {"task": "recognise", "path": str(path), "kind": kind, "password": password}
        self._process, self._on_progress, self._kept = process, on_progress, kept

    def sections(self, numbers: Sequence[int]) -> Generator[Section]:
        """A section for each of these pages that has text."""
        if not numbers:
            return
        limits = self._process.limits
        for done, number in enumerate(numbers):
            if len(self._lost) >= limits.lost_pages or done >= limits.recognised_pages:
                self._left = list(numbers[done:])
                break
            report = partial(self._on_progress, done, len(numbers))
            report()
            section = self._kept.get(number)
            if section is None:
                try:
                    (reply,) = self._process.ask({**self._request, "number": number}, report)
                except ProcessDied as death:
                    self._lost[number] = death.reason
                    continue
                section = Section(**reply["section"])
                self._kept.add(section)
            confidence = mean_confidence(section.lines)
            if not section.text:
                self.blank.append(number)
            elif confidence < TOO_POOR:
                self._poor.append(number)
            else:
                self.read[number] = confidence
                yield section
        self._on_progress(len(numbers), len(numbers))

    @property
    def notices(self) -> Iterator[str]:
        if self.read:
            mean = sum(self.read.values()) / len(self.read)
            yield (
                f"{_pages(self.read, 'was', 'were')} recognised from "
                f"{'a picture' if len(self.read) == 1 else 'pictures'} (OCR), with {mean:.0%} "
                "confidence."
            )
        if doubtful := [n for n, confidence in self.read.items() if confidence < DOUBTFUL]:
            of_all = min(self.read[number] for number in doubtful)
            yield (
                f"{_pages(doubtful)} letters that are hard to recognise ({of_all:.0%}): compare "
                f"what is quoted with the picture. {_SCAN_AGAIN}"
            )
        if self._poor:
            yield f"{_pages(self._poor, 'is', 'are')} too poor to be recognised. {_SCAN_AGAIN}"
        for reason in ("time", "memory", "crash"):
            if numbers := [n for n, why in self._lost.items() if why == reason]:
                limit = cost(reason, self._process.limits)
                yield f"{_pages(numbers)} been left out: recognising the text {limit}."
        if self._left:
            yield f"{_pages(self._left)} been left out: too many to recognise. Split the file."

    def failure(self) -> DocumentError | None:
        """Why no page could be read, if one was tried."""
        if self._lost:
            return error_of(next(iter(self._lost.values())), self._process.limits)
        if self._poor:
            what = "its picture is" if len(self._poor) == 1 else "its pictures are"
            return EmptyDocumentError(f"cannot be read: {what} too poor. {_SCAN_AGAIN}")
        return None


class PictureReading:
    """The pages of a picture file."""

    def __init__(self, path: Path, process: ReadingProcess, scans: Scans) -> None:
        self.page_count = 0
        self._path, self._process, self._scans = path, process, scans

    def sections(self, on_progress: OnProgress) -> Generator[Section]:
        """
        Raises:
            EmptyDocumentError: no text could be recognised.
            LimitExceededError: it has too many pixels or pages, or took too much.
            DocumentError: damaged.
        """
        if not self._scans.on:
            raise EmptyDocumentError(f"is a picture. {USE_OCR}")
        request = {"task": "count_frames", "path": str(self._path)}
        (reply,) = self._process.ask(request, lambda: on_progress(0, 1))
        self.page_count = reply["page_count"]
        yield from self._scans.sections(range(1, self.page_count + 1))
        if not self._scans.read:
            nothing = EmptyDocumentError("is a picture in which no text was found.")
            raise self._scans.failure() or nothing

    @property
    def notices(self) -> Iterator[str]:
        yield from self._scans.notices
        if blank := self._scans.blank:
            yield f"{_pages(blank)} no text."


class PdfReading:
    """The pages of a PDF. A page that takes too much time or memory, or crashes the process, is
    left out; a new process goes on after it. Pages without text that can be trusted are recognised
    when all others are read. `notices` are complete after `sections`.
    """

    def __init__(
        self, path: Path, password: str | None, process: ReadingProcess, scans: Scans
    ) -> None:
        self.page_count = 0
        self._path, self._password, self._process = path, password, process
        self._scans = scans
        self._next = 1
        self._pages: dict[str, list[int]] = defaultdict(list)  # legibility → page numbers
        self._held: dict[int, list[Section]] = {}  # what is on pages that may be recognised
        self._lost: dict[int, Reason] = {}
        self._texts: dict[int, str] = {}  # of pages with little text, without digits

    def sections(self, on_progress: OnProgress) -> Generator[Section]:
        """The recognised pages come last.

        Raises:
            EmptyDocumentError: no page has text.
            LimitExceededError: the file, or every page with text, took too much.
            PasswordNeededError, DocumentError: from the reading process.
        """
        end = time.monotonic() + self._process.limits.seconds_per_file
        found = False
        while not self.page_count or self._next <= self.page_count:
            try:
                for section in self._sections_from_next(on_progress):
                    found = True
                    yield section
            except ProcessDied as death:
                if not self.page_count:
                    raise
                self._lost[self._next] = death.reason
                self._next += 1
                if len(self._lost) >= self._process.limits.lost_pages or time.monotonic() > end:
                    break
        if self._scans.on:
            numbers = sorted(n for kind in _UNTRUSTED for n in self._pages[kind])
            for section in self._scans.sections(numbers):
                number = section.page_number
                doubtful = self._scans.read[number] < BETTER_THAN_RUBBISH
                if number in self._pages["rubbish"] and doubtful:
                    continue  # no better than what is there
                found = True
                self._held.pop(number, None)
                yield section
        for sections in self._held.values():
            found = True
            yield from sections
        if not found:
            raise self._failure()

    def _sections_from_next(self, on_progress: OnProgress) -> Iterator[Section]:
        request = {
            "task": "read_pdf",
            "path": str(self._path),
            "password": self._password,
            "first": self._next,
            "most_pages": self._process.limits.pages,
        }

        def report() -> None:
            on_progress(self._next - 1, self.page_count)

        for reply in self._process.ask(request, report):
            self.page_count = reply.get("page_count", self.page_count)
            if page := reply.get("page"):
                self._next = page["number"] + 1
                self._pages[page["legibility"]].append(page["number"])
                sections = [Section(**each) for each in page["sections"]]
                text = " ".join(section.text for section in sections)
                if 0 < len(text) <= _SHORT_TEXT:
                    words = "".join(char for char in text if not char.isdigit())
                    self._texts[page["number"]] = " ".join(words.split())
                if page["legibility"] in _UNTRUSTED:
                    if sections:
                        self._held[page["number"]] = sections
                else:
                    yield from sections
            report()

    def _failure(self) -> DocumentError:
        if self._lost:
            return error_of(next(iter(self._lost.values())), self._process.limits)
        if failure := self._scans.failure():
            return failure
        if self._pages["unreadable"]:
            advice = _PRINT_AGAIN if self._scans.on else USE_OCR
            return EmptyDocumentError(f"has only letters that their font does not name. {advice}")
        one = self.page_count == 1
        whose = f"its {'page is' if one else 'pages are'}"
        if self._scans.on:
            without = "a picture without text" if one else "pictures without text"
            return EmptyDocumentError(f"has no text: {whose} blank, or {without}.")
        drawn = "a picture" if one else "pictures"
        if len(self._pages["picture"]) < self.page_count:
            drawn = "blank, or pictures of text"
        return EmptyDocumentError(f"has no text: {whose} {drawn}. {USE_OCR}")

    @property
    def notices(self) -> Iterator[str]:
        if self._scans.on:
            yield from self._scans.notices
            if again := [n for n in self._pages["rubbish"] if n not in self._held]:
                yield (
                    f"{_pages(again)} a hidden text that is not what the picture shows; the "
                    "picture was read in its place."
                )
            if blank := self._scans.blank:
                are = "blank, or pictures" if len(blank) > 1 else "blank, or a picture"
                yield f"{_pages(blank)} no text: {are} without any."
        else:
            yield from self._notices_without_ocr()
        with_text = self._pages["text"]
        texts = {self._texts.get(number, "") for number in with_text}
        if len(with_text) > 1 and len(texts) == 1 and (text := texts.pop()):
            yield (
                f"{_pages(with_text)} only the same few words, “{text}”. What else is on them is "
                "drawn, and was not read. Print the file to a new PDF as pictures, and add that."
            )
        for reason in ("time", "memory", "crash"):
            if numbers := [n for n, why in self._lost.items() if why == reason]:
                limit = cost(reason, self._process.limits)
                yield f"{_pages(numbers)} been left out: reading {limit}."
        if self._next <= self.page_count:
            rest = _pages(range(self._next, self.page_count + 1))
            yield f"{rest} been left out: too much time was lost before. {_PRINT_AGAIN}"

    def _notices_without_ocr(self) -> Iterator[str]:
        if pictures := self._pages["picture"]:
            are = "it is a picture" if len(pictures) == 1 else "they are pictures"
            few = ", but for a few words" if self._texts.keys() & set(pictures) else ""
            yield f"{_pages(pictures, 'was', 'were')} not read: {are}{few}. {USE_OCR}"
        if empty := self._pages["empty"]:
            yield f"{_pages(empty)} no text: blank, or pictures of text. {USE_OCR}"
        if unreadable := self._pages["unreadable"]:
            yield f"{_pages(unreadable)} letters that their font does not name. {USE_OCR}"
        if rubbish := self._pages["rubbish"]:
            yield f"{_pages(rubbish)} a hidden text with many errors. {USE_OCR}"


def _pages(numbers: Iterable[int], one: str = "has", many: str = "have") -> str:
    """[3, 4, 5, 9] → "Pages 3–5, 9 have"."""
    runs: list[str] = []
    for _, run in groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        last = f"–{members[-1]}" if len(members) > 1 else ""
        runs.append(f"{members[0]}{last}")
    single = len(runs) == 1 and "–" not in runs[0]
    return f"Page {runs[0]} {one}" if single else f"Pages {', '.join(runs)} {many}"
