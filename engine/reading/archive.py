"""ZIP → the files in it, in a folder of ours. Nothing is written anywhere else, nor without end.

It does not know what the files are.
"""

import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from engine.errors import (
    DocumentError,
    EmptyDocumentError,
    LimitExceededError,
    UnsupportedFormatError,
)
from engine.reading.kinds import kind_of
from engine.reading.limits import LIMITS, MEGABYTE, Limits
from engine.run import Run

# Where a file in a ZIP is no larger than this, its ratio does not matter.
_HARMLESS = 10 * MEGABYTE


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """`name` is its path inside the ZIP, for people; `path` is where it lies now."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Unpacked:
    """`notices` are sentences about what could not be unpacked."""

    files: tuple[ArchivedFile, ...]
    notices: tuple[str, ...] = ()


def is_archive(path: Path) -> bool:
    """Whether this is a ZIP of files; a DOCX, which is a ZIP too, is not."""
    try:
        return path.is_file() and kind_of(path).name == "zip"
    except (DocumentError, OSError):  # reading it will tell
        return False


def unpack_archive(
    path: Path, folder: Path, run: Run | None = None, limits: Limits = LIMITS
) -> Unpacked:
    """Unpack into `folder`, each file into a folder of its own, whatever its name claims.

    Hidden files, and what macOS adds, are passed over.

    Raises:
        LimitExceededError: too many files, or too much in them.
        EmptyDocumentError: no files in it.
        UnsupportedFormatError: encrypted.
        DocumentError: damaged.
        Cancelled: `run` was cancelled.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not _is_passed_over(entry)]
            _check(entries, limits)
            return _unpack(archive, entries, folder, run or Run())
    except DocumentError as error:
        raise type(error)(f"{path.name} {error}") from error
    except (zipfile.BadZipFile, NotImplementedError) as fault:
        raise DocumentError(
            f"{path.name} is damaged or not whole. Download or make it again."
        ) from fault


def _unpack(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], folder: Path, run: Run
) -> Unpacked:
    files: list[ArchivedFile] = []
    notices: list[str] = []
    for number, entry in enumerate(entries):
        run.check()
        name = _display_name(entry)
        target = folder / f"{number:04}" / _file_name(name)
        target.parent.mkdir(parents=True)
        try:
            with archive.open(entry) as packed, target.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
            files.append(ArchivedFile(name, target))
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
            notices.append(f"{name} is damaged in the ZIP file, and was left out.")
    return Unpacked(tuple(files), tuple(notices))


def _check(entries: list[zipfile.ZipInfo], limits: Limits) -> None:
    """By what the ZIP says of itself: more than that never comes out of it."""
    if not entries:
        raise EmptyDocumentError("has no files in it.")
    if any(entry.flag_bits & 1 for entry in entries):
        raise UnsupportedFormatError("is encrypted. Unpack it, and add the files in it.")
    if len(entries) > limits.archive_files:
        raise LimitExceededError(
            f"has {len(entries):,} files in it; at most {limits.archive_files:,} are taken from "
            "one ZIP file. Split it."
        )
    size = sum(entry.file_size for entry in entries)
    if size > limits.archive_bytes:
        raise LimitExceededError(
            f"unpacks to {size / MEGABYTE:,.0f} MB; at most "
            f"{limits.archive_bytes / MEGABYTE:,.0f} MB are taken from one ZIP file. Split it."
        )
    for entry in entries:
        ratio = entry.file_size / max(entry.compress_size, 1)
        if entry.file_size > _HARMLESS and ratio > limits.archive_ratio:
            raise LimitExceededError(
                f"has a file in it, {_display_name(entry)}, that is {ratio:,.0f} times as large "
                f"unpacked; no document is packed more than {limits.archive_ratio} times. If it "
                "is harmless, unpack it, and add the files in it."
            )


def _is_passed_over(entry: zipfile.ZipInfo) -> bool:
    parts = _parts(entry)
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return entry.is_dir() or hidden or not parts or stat.S_ISLNK(entry.external_attr >> 16)


def _parts(entry: zipfile.ZipInfo) -> list[str]:
    """The folders and the name, without those that lead anywhere else."""
    names = entry.filename.replace("\\", "/").split("/")
    return [name for name in names if name.strip(". ") and not name.endswith(":")]


def _display_name(entry: zipfile.ZipInfo) -> str:
    return "".join(filter(str.isprintable, "/".join(_parts(entry))))


def _file_name(name: str) -> str:
    """The last part, fit for any file system: 40 characters are 160 bytes at most."""
    stem, dot, suffix = name.rsplit("/", 1)[-1].rpartition(".")
    return f"{stem[:40]}{dot}{suffix[:40]}"
