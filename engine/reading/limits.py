"""How much one file may take. A file that exceeds a limit is refused with a sentence."""

from dataclasses import dataclass

MEGABYTE = 1_000_000

# A step may take so many times its computing time by the clock: the machine may be busy.
PATIENCE = 5

OUT_OF_MEMORY = 81
"""The reading process's exit code when it has used up its memory."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The defaults suit a laptop with 8 GB that also runs the chat model.

    file_bytes: a scanned book has 100 MB or so; it is read twice, once for its hash.
    text_bytes: of files that are text all through, four bytes for each of `characters`, so that
        they are refused before they fill the memory.
    pages: the longest books; 5,000 pages of prose make 10,000 passages.
    characters: of one file's text: 10,000 passages of 1,000, what the collection holds well.
    seconds_per_step: of computing, for opening a file, and then for each page or section. Of
        2,000 pages of test files for PDF readers, the slowest took 1.6 s on the machine where
        this was measured, the next 0.5 s. By the clock, a step may take PATIENCE times as long.
    seconds_per_file: by the clock.
    memory: bytes resident in the reading process. The same test files stayed below 220 MB.
    lost_pages: after so many pages that took too long or crashed, the rest is left out.
    archive_files, archive_bytes: what a ZIP may unpack to, all together.
    archive_ratio: how much larger a file in a ZIP may be than its compressed form. Text shrinks
        to a third or a tenth, logs to a thirtieth; a ZIP bomb to a thousandth.
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
