"""Many files at once: folders (`SimpleDirectoryReader`), ZIP files and mails (`unpack_…`).

Unpacking writes only into the given folder, and only as much as the limits allow.
"""

import logging
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.errors import (
    DocumentError,
    DuplicateDocumentError,
    EmptyDocumentError,
    LimitExceededError,
    UnsupportedFormatError,
)
from engine.reading.files import FileText, read_file
from engine.reading.formats import detect_format
from engine.reading.limits import LIMITS, MEGABYTE, Limits
from engine.reading.process import ReadingProcess, errors_about
from engine.run import Run
from engine.schema import Document

log = logging.getLogger(__name__)

# Files in a ZIP up to this size may have any compression ratio.
_HARMLESS = 10 * MEGABYTE


class SimpleDirectoryReader:
    """Reads every file of a folder, including files inside ZIP files, but no hidden files.

    A file that cannot be read is left out, and its error is logged as a warning and added to
    `problems`. `notices` has sentences about unreadable parts of the other files. If no file could
    be read, the error is raised.

    `password` opens every encrypted PDF.

    Raises:
        DocumentError: there is no such folder, or no file in it.
    """

    def __init__(
        self,
        input_dir: Path | str | None = None,
        *,
        input_files: Sequence[Path | str] = (),
        recursive: bool = True,
        password: str | None = None,
    ) -> None:
        if (input_dir is None) == (not input_files):
            raise ValueError("Give either input_dir or input_files.")
        self.problems: list[DocumentError] = []
        self.notices: list[str] = []
        self._password = password
        self._files = [Path(each).expanduser() for each in input_files]
        if input_dir is not None:
            self._files = _files_of(Path(input_dir).expanduser(), recursive)

    def load_data(self) -> list[Document]:
        """All documents of all files, in the order of their paths.

        Raises:
            DocumentError: nothing could be read.
        """
        return [document for documents in self.iter_data() for document in documents]

    def iter_data(self) -> Iterator[list[Document]]:
        """The documents of one file after another, as they are read."""
        self.problems, self.notices = [], []
        known: dict[str, str] = {}
        with ReadingProcess() as process, TemporaryDirectory() as folder:
            for number, file in enumerate(self._files):
                for path, name in self._unpacked(file, Path(folder, str(number))):
                    if read := self._read(path, name, process, known):
                        self.notices += [f"{name}: {notice}" for notice in read.notices]
                        yield list(read.documents)
        if self.problems and not known:
            if len(self.problems) == 1:
                raise self.problems[0]
            reasons = "\n".join(f"- {problem}" for problem in self.problems)
            raise DocumentError(f"None of these files could be read.\n{reasons}")
        for sentence in [*map(str, self.problems), *self.notices]:
            log.warning(sentence)

    def _unpacked(self, file: Path, folder: Path) -> Iterator[tuple[Path, str]]:
        """The file, or the files in it, and their names; of a mail, it and what is attached."""
        mail = is_mail(file)
        if mail or not is_archive(file):
            yield file, file.name
            if not mail:
                return
        try:
            unpacked = (unpack_mail if mail else unpack_archive)(file, folder)
        except DocumentError as error:
            self.problems.append(error)
            return
        self.notices += [f"{file.name}: {notice}" for notice in unpacked.notices]
        for each in unpacked.files:
            yield each.path, f"{file.name}/{each.name}"

    def _read(
        self, path: Path, name: str, process: ReadingProcess, known: dict[str, str]
    ) -> FileText | None:
        try:
            read = read_file(path, file_name=name, password=self._password, process=process)
            source_id = read.documents[0].source_id
            if source_id in known:
                raise DuplicateDocumentError(f"{name} has the same content as {known[source_id]}.")
        except DocumentError as error:
            self.problems.append(error)
            return None
        known[source_id] = name
        return read


def _files_of(folder: Path, recursive: bool) -> list[Path]:
    if not folder.is_dir():
        raise DocumentError(f"There is no folder {folder}.")
    found = sorted(folder.rglob("*") if recursive else folder.iterdir())
    hidden = (
        any(part.startswith(".") for part in each.relative_to(folder).parts) for each in found
    )
    files = [each for each, skip in zip(found, hidden, strict=True) if each.is_file() and not skip]
    if not files:
        raise DocumentError(f"There are no files in {folder}.")
    return files


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """`name` is its path inside the ZIP, to show; `path` is where it was unpacked."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Unpacked:
    """`notices` are sentences about what could not be unpacked."""

    files: tuple[ArchivedFile, ...]
    notices: tuple[str, ...] = ()


def is_archive(path: Path) -> bool:
    """Whether this is a ZIP of files. A DOCX, which is a ZIP too, does not count."""
    try:
        return path.is_file() and detect_format(path)[0].name == "zip"
    except (DocumentError, OSError):  # reading the file raises the error
        return False


def is_mail(path: Path) -> bool:
    """Whether this is a mail, which may have files attached to it."""
    try:
        return path.is_file() and detect_format(path)[0].name in ("eml", "msg")
    except (DocumentError, OSError):  # the error comes when it is read
        return False


def unpack_mail(
    path: Path,
    folder: Path,
    run: Run | None = None,
    limits: Limits = LIMITS,
    process: ReadingProcess | None = None,
) -> Unpacked:
    """Write the files that are attached to a mail into `folder`, each into a folder of its own.

    The mail itself is read with `read_file`. Files beyond the limits are left out, with a notice.

    Raises:
        DocumentError: damaged.
        Cancelled: `run` was cancelled.
    """
    files: list[ArchivedFile] = []
    notices: list[str] = []
    size = 0
    request = {"task": "attachments", "path": str(path), "kind": detect_format(path)[0].name}
    with (
        nullcontext(process) if process else ReadingProcess() as reading_process,
        errors_about(path.name, limits),
    ):
        for reply in reading_process.ask(request, (run or Run()).check):
            name = reply["attachment"].replace("\\", "/").rsplit("/", 1)[-1]
            name = "".join(filter(str.isprintable, name)).strip(". ") or "attachment"
            size += len(reply["data"])
            if len(files) >= limits.archive_files or size > limits.archive_bytes:
                notices.append(f"{name} is attached, and was left out: too much is attached.")
                continue
            target = _target(folder, len(files), name)
            target.write_bytes(reply["data"])
            files.append(ArchivedFile(name, target))
    return Unpacked(tuple(files), tuple(notices))


def unpack_archive(
    path: Path, folder: Path, run: Run | None = None, limits: Limits = LIMITS
) -> Unpacked:
    """Unpack into `folder`, each file into a separate folder, independent of its name in the ZIP.

    Hidden files, links, and files that macOS adds are left out.

    Raises:
        LimitExceededError: too many files, or too much in them.
        EmptyDocumentError: no files in it.
        UnsupportedFormatError: encrypted.
        DocumentError: damaged.
        Cancelled: `run` was cancelled.
    """
    files: list[ArchivedFile] = []
    notices: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if _is_document(entry)]
            _check(entries, limits)
            for number, entry in enumerate(entries):
                if run:
                    run.check()
                name = _display_name(entry)
                target = _target(folder, number, name.rsplit("/", 1)[-1])
                try:
                    with archive.open(entry) as packed, target.open("wb") as unpacked:
                        shutil.copyfileobj(packed, unpacked)
                    files.append(ArchivedFile(name, target))
                except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
                    notices.append(f"{name} is damaged in the ZIP file, and was left out.")
    except DocumentError as error:
        raise type(error)(f"{path.name} {error}") from error
    except (zipfile.BadZipFile, NotImplementedError) as fault:
        raise DocumentError(
            f"{path.name} is damaged or not whole. Download or make it again."
        ) from fault
    return Unpacked(tuple(files), tuple(notices))


def _target(folder: Path, number: int, name: str) -> Path:
    """Where to write the file of this name, in a folder that is made."""
    stem, dot, suffix = name.rpartition(".")
    # 40 characters are 160 bytes at most, which any file system takes
    target = folder / f"{number:04}" / f"{stem[:40]}{dot}{suffix[:40]}"
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _check(entries: list[zipfile.ZipInfo], limits: Limits) -> None:
    """Check the sizes that the ZIP declares. The zipfile module never unpacks more than those."""
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
                f"unpacked, and at most {limits.archive_ratio} times are allowed. If it is "
                "harmless, unpack it, and add its files."
            )


def _is_document(entry: zipfile.ZipInfo) -> bool:
    parts = _parts(entry)
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    is_link = stat.S_ISLNK(entry.external_attr >> 16)
    return bool(parts) and not (hidden or is_link or entry.is_dir())


def _parts(entry: zipfile.ZipInfo) -> list[str]:
    """The folders and the name, without parts that lead out of the folder."""
    names = entry.filename.replace("\\", "/").split("/")
    return [name for name in names if name.strip(". ") and not name.endswith(":")]


def _display_name(entry: zipfile.ZipInfo) -> str:
    return "".join(filter(str.isprintable, "/".join(_parts(entry))))
