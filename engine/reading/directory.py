"""SimpleDirectoryReader: a folder, or files by name → Documents."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.errors import DocumentError, DuplicateDocumentError
from engine.reading.archive import is_archive, unpack_archive
from engine.reading.files import FileText, read_file
from engine.reading.process import ReadingProcess
from engine.schema import Document

_log = logging.getLogger(__name__)


class SimpleDirectoryReader:
    """Reads every file of a folder, and those inside its ZIP files; hidden ones are passed over.

    One bad file among others loses only itself: it is logged as a warning, and is in `problems`
    afterwards; `notices` has what could not be read of the others. Where a single file is asked
    for, or nothing at all could be read, the error is raised.

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
        self._tell(bool(known))

    def _unpacked(self, file: Path, folder: Path) -> Iterator[tuple[Path, str]]:
        """The file, or the files in it, and what they are called."""
        if not is_archive(file):
            yield file, file.name
            return
        try:
            unpacked = unpack_archive(file, folder)
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

    def _tell(self, found: bool) -> None:
        if self.problems and not found:
            if len(self.problems) == 1:
                raise self.problems[0]
            reasons = "\n".join(f"- {problem}" for problem in self.problems)
            raise DocumentError(f"None of these files could be read.\n{reasons}")
        for sentence in [*map(str, self.problems), *self.notices]:
            _log.warning(sentence)


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
