"""How much one file may take, in one place. What goes beyond ends in a sentence, not a crash."""

from dataclasses import dataclass

MEGABYTE = 1_000_000

# How many times its computing time a step may take by the clock: the machine may be busy.
PATIENCE = 5

OUT_OF_MEMORY = 81
"""The reading process's exit code where it has used up its memory."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The defaults suit a laptop with 8 GB that is running the chat model meanwhile.

    file_bytes: a scanned book has 100 MB or so; it is read twice, once for its hash.
    text_bytes: of files that are text all through, so that `characters` is found exceeded
        before they fill the memory: four bytes a character at most.
    pages: the longest books; 5,000 pages of prose make 10,000 passages.
    characters: of one file's text: 10,000 passages of 1,000, what the collection holds well.
    seconds_per_step: of computing, for opening a file, and then for each page or section. Of
        2,000 pages of test files for PDF readers, the slowest took 1.6 s here, the next 0.5.
        Where the machine is busy a step may take PATIENCE times as long by the clock.
    seconds_per_file: by the clock, for the whole of it.
    memory: bytes resident in the reading process. The same test files stayed below 220 MB.
    lost_pages: after so many pages that took too long or crashed, the rest is given up.
    archive_files, archive_bytes: what a ZIP may unpack to, all together.
    archive_ratio: how much larger a file in a ZIP may be than its compressed form. Text shrinks
        to a third or a tenth, logs to a thirtieth; a bomb to a thousandth.
    """

    file_bytes: int = 200 * MEGABYTE
    text_bytes: int = 40 * MEGABYTE
    pages: int = 5_000
    characters: int = 10_000_000
    seconds_per_step: float = 20.0
    seconds_per_file: float = 600.0
    memory: int = 1_000 * MEGABYTE
    lost_pages: int = 5
    archive_files: int = 1_000
    archive_bytes: int = 500 * MEGABYTE
    archive_ratio: int = 200


LIMITS = Limits()
