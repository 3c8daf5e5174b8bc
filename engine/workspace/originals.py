"""Originals: the files as they were added, and the trash.

    files/<collection>/<source id>/<file>          the original
    files/<collection>/<source id>/.document.json  its record: name, times, upload
    files/<collection>/<source id>/.recognised.jsonl  the text that was recognised in its pictures
    files/<collection>/.arriving-<source id>/      the same, while the file is being indexed
    trash/<time>~<source id>/                      a deleted one, for 30 days

The originals are the source of truth, and the index is derived from them. This module removes
originals only from the trash.
"""

import json
import logging
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.durable import sync_file, sync_folder, write_whole
from engine.reading.kept_pages import RECOGNISED
from engine.workspace.sharing import UNSHARED, Sharing

log = logging.getLogger(__name__)

KEPT_IN_TRASH = timedelta(days=30)

_RECORD = ".document.json"
_ARRIVING = ".arriving-"
_SOURCE_ID = re.compile(r"[0-9a-f]{64}")  # a sha256: other folders are not ours
_TIME = "%Y-%m-%dT%H-%M-%S-%f"


@dataclass(frozen=True, slots=True)
class Original:
    """`folder` holds the file and its record. `upload` names the upload it came from.

    `added_at` and `deleted_at` are ISO 8601, UTC; `deleted_at` is empty outside the trash.
    """

    folder: Path
    collection: str
    source_id: str
    file_name: str
    added_at: str = ""
    upload: str = ""
    deleted_at: str = ""
    directory: str = ""
    tags: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return self.folder / self.file_name

    @property
    def recognised(self) -> Path:
        """Where the text that was recognised in its pictures is kept, if there is any."""
        return self.folder / RECOGNISED

    @property
    def size(self) -> int:
        """In bytes; 0 if the file is missing."""
        with suppress(OSError):
            return self.path.stat().st_size
        return 0


def lock_of(collection: str, source_id: str) -> str:
    """The name of the lock of a document, in `Sharing`."""
    return f"document {collection}/{source_id}"


class Originals:
    """`sharing`: other processes that use the same folder."""

    def __init__(self, folder: Path, sharing: Sharing = UNSHARED) -> None:
        self._files, self._trash, self._sharing = folder / "files", folder / "trash", sharing
        for each in (self._files, self._trash):
            with suppress(OSError):  # a folder that cannot be written: it can be read
                each.mkdir(parents=True, exist_ok=True)

    def stage(
        self,
        collection: str,
        source_id: str,
        file: Path,
        upload: str = "",
        directory: str = "",
        tags: tuple[str, ...] = (),
    ) -> Original:
        """Put a file into a staging folder. `commit` makes it an original, `drop` removes it.

        Raises:
            OSError: it could not be written, for example on a full disk.
        """
        folder = self._files / collection / f"{_ARRIVING}{source_id}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        now = datetime.now(UTC).isoformat()
        original = Original(
            folder, collection, source_id, file.name, now, upload, "", directory, tags
        )
        try:
            try:
                os.link(file, original.path)
            except OSError:  # another file system, or one without links
                shutil.copyfile(file, original.path)
                sync_file(original.path)
            with suppress(FileNotFoundError):
                shutil.copyfile(file.with_name(RECOGNISED), original.recognised)
            _write_record(original)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return original

    def commit(self, staged: Original) -> Original:
        target = staged.folder.with_name(staged.source_id)
        if target.exists():  # without a file of ours in it
            self._to_trash(target)
        staged.folder.rename(target)
        sync_folder(target.parent)
        return replace(staged, folder=target)

    def drop(self, staged: Original) -> None:
        shutil.rmtree(staged.folder, ignore_errors=True)

    def find(self, collection: str, source_id: str) -> Original | None:
        return _read(self._files / collection / source_id, collection, source_id)

    def change(
        self,
        collection: str,
        source_id: str,
        file_name: str,
        directory: str,
        tags: tuple[str, ...],
    ) -> None:
        """Give an original another name, directory and tags. One that is missing is no error.

        Raises:
            OSError: it could not be written.
        """
        if original := self.find(collection, source_id):
            changed = replace(original, file_name=file_name, directory=directory, tags=tags)
            if original.path != changed.path:
                original.path.rename(changed.path)
            _write_record(changed)

    def source_ids(self, collection: str) -> list[str]:
        folders = _folders(self._files / collection)
        return [each.name for each in folders if _SOURCE_ID.fullmatch(each.name)]

    def recovered(self) -> list[Original]:
        """Every original. Those that an ended process had staged are committed first. Without other
        processes, call this only at a start."""
        found: list[Original] = []
        for collection in _folders(self._files):
            for folder in _folders(collection):
                source_id = folder.name.removeprefix(_ARRIVING)
                if not _SOURCE_ID.fullmatch(source_id):
                    continue
                release = None
                if folder.name != source_id:
                    release = self._sharing.hold(lock_of(collection.name, source_id))
                    if release is None:
                        continue  # another process is adding it
                try:
                    if original := self._recovered(folder, collection.name, source_id):
                        found.append(original)
                finally:
                    if release:
                        release()
        return found

    def _recovered(self, folder: Path, collection: str, source_id: str) -> Original | None:
        original = _read(folder, collection, source_id)
        if original is None:
            return None
        try:
            if folder.name != source_id:
                if self.find(collection, source_id) or not _has_record(folder):
                    self._to_trash(folder)  # a copy, or half of one
                    return None
                return self.commit(original)
            if not _has_record(folder):
                _write_record(original)  # written by an earlier version
        except OSError:  # a full or read-only disk: the next start tries again
            log.exception("The record of an original could not be written")
        return original

    def discard(self, collection: str, source_id: str) -> Original | None:
        """Move an original to the trash. None if there is no such original.

        Raises:
            OSError: it could not be moved, and is still in its place.
        """
        original = self.find(collection, source_id)
        if original is None:
            return None
        return replace(original, folder=self._to_trash(original.folder))

    def remove_collection(self, collection: str) -> None:
        """Remove a collection's folder. Originals that are still in it go to the trash."""
        folder = self._files / collection
        for original in folder.glob("*"):
            if original.is_dir():
                self._to_trash(original)
        shutil.rmtree(folder, ignore_errors=True)

    def trash(self) -> list[Original]:
        """The deleted originals, the latest first."""
        found: list[Original] = []
        for folder in sorted(_folders(self._trash), reverse=True):
            time, _, source_id = folder.name.partition("~")
            deleted_at = _parsed(time)
            original = _read(folder, "", source_id)
            if deleted_at and original and original.collection:
                found.append(replace(original, deleted_at=deleted_at.isoformat()))
        return found

    def put_back(self, trashed: Original) -> Original:
        """Move an original out of the trash, back to its collection.

        Raises:
            OSError: it could not be moved; it stays in the trash.
        """
        return self.commit(self._moved(trashed))

    def deleted(self) -> set[tuple[str, str]]:
        """The collection and source id of all entries of the trash, even those without a file."""
        return {
            (str(record.get("collection", "")), folder.name.partition("~")[2])
            for folder in _folders(self._trash)
            if (record := _record(folder))
        }

    def empty_files(self) -> None:
        """Delete the files in the trash, and their recognised text. Their records are kept."""
        for original in self.trash():
            for file in (original.path, original.recognised):
                with suppress(OSError):
                    file.unlink()

    def empty_trash(
        self, older_than: timedelta = timedelta(0), keep: Collection[tuple[str, str]] = ()
    ) -> None:
        """Delete what is in the trash, except for the folders of `keep`."""
        for folder in _folders(self._trash):
            time, _, source_id = folder.name.partition("~")
            deleted_at = _parsed(time)
            known = (str(_record(folder).get("collection", "")), source_id)
            if deleted_at and datetime.now(UTC) - deleted_at >= older_than and known not in keep:
                shutil.rmtree(folder, ignore_errors=True)

    def _moved(self, trashed: Original) -> Original:
        folder = self._files / trashed.collection / f"{_ARRIVING}{trashed.source_id}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        trashed.folder.rename(folder)
        return replace(trashed, folder=folder, deleted_at="")

    def _to_trash(self, folder: Path) -> Path:
        """Move a folder to the trash by one rename, which works on a full disk too."""
        self._trash.mkdir(exist_ok=True)
        source_id = folder.name.removeprefix(_ARRIVING)
        target = self._trash / f"{datetime.now(UTC).strftime(_TIME)}~{source_id}"
        folder.rename(target)
        return target


def _folders(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from sorted(each for each in folder.iterdir() if each.is_dir())


def _has_record(folder: Path) -> bool:
    return (folder / _RECORD).is_file()


def _write_record(original: Original) -> None:
    record = {
        name: value
        for name, value in asdict(original).items()
        if name not in ("folder", "deleted_at")
    }
    write_whole(original.folder / _RECORD, json.dumps(record).encode())


def _read(folder: Path, collection: str, source_id: str) -> Original | None:
    """The original in this folder. Fields that its record lacks are taken from the folder."""
    try:
        files = [each for each in folder.iterdir() if each.is_file() and each.name[0] != "."]
    except OSError:
        return None
    if len(files) != 1:
        return None
    record = _record(folder)
    changed = datetime.fromtimestamp(files[0].stat().st_mtime, UTC).isoformat()
    return Original(
        folder,
        collection or str(record.get("collection", "")),
        source_id,
        files[0].name,
        str(record.get("added_at") or changed),
        str(record.get("upload", "")),
        directory=str(record.get("directory", "")),
        tags=_strings(record.get("tags")),
    )


def _record(folder: Path) -> dict[str, object]:
    """The record in a folder; empty if it cannot be read."""
    with suppress(OSError, ValueError):
        read = json.loads((folder / _RECORD).read_bytes())
        return read if isinstance(read, dict) else {}
    return {}


def _strings(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _parsed(time: str) -> datetime | None:
    with suppress(ValueError):
        return datetime.strptime(time, _TIME).replace(tzinfo=UTC)
    return None
