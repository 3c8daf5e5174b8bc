"""The limits of reading one file. A file that exceeds a limit is refused with a sentence."""

from dataclasses import dataclass

MEGABYTE = 1_000_000

# The longest time of a step by the clock, as a multiple of its computing time: the machine may be
# busy.
PATIENCE = 5

OUT_OF_MEMORY = 81
"""The reading process's exit code when it has used up its memory."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The defaults suit a laptop with 8 GB that also runs the chat model.

    file_bytes: a scanned book has about 100 MB, and is read twice, once for its hash.
    text_bytes: of files that are plain text. Four bytes for each of `characters`, so that larger
        files are refused before they fill the memory.
    pages: of the longest books. 5,000 pages of prose give 10,000 passages.
    recognised_pages: pages of one file whose text is recognised in their pictures. 1,000 pages
        take an hour or two.
    characters: of one file's text: 10,000 passages of 1,000 characters.
    seconds_per_step: computing time for opening a file, and for each page or section. Of 2,000
        pages of test files for PDF readers, the slowest took 1.6 s on the machine of the
        measurement, and the next 0.5 s. By the clock, a step may take PATIENCE times as long.
    seconds_per_file: by the clock.
    memory: resident bytes of the reading process. The same test files took less than 220 MB,
        and recognising the text of A4 pages 650 MB.
    lost_pages: after this many pages that took too long or crashed, the rest is left out.
    archive_files, archive_bytes: the total that a ZIP may unpack to.
    archive_ratio: the largest ratio of a file in a ZIP to its compressed form. Text is compressed
        to a third or a tenth, logs to a thirtieth, and ZIP bombs to a thousandth.
    """

    file_bytes: int = 200 * MEGABYTE
    text_bytes: int = 40 * MEGABYTE
    pages: int = 5_000
    recognised_pages: int = 1_000
    characters: int = 10_000_000
    seconds_per_step: float = 20.0
    seconds_per_file: float = 600.0
    memory: int = 1_000 * MEGABYTE
    lost_pages: int = 5
    archive_files: int = 1_000
    archive_bytes: int = 500 * MEGABYTE
    archive_ratio: int = 200


LIMITS = Limits()
