"""Runs pip with a progress line, a complete log, and a sentence that explains a failure.

Standard library only.
"""

import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from scripts.progress import ProgressLine

_COMPILER_STEP = re.compile(r"^\s*\[\s*(\d+/\d+|\d+%)\]")  # as ninja and make print it
# Output of pip and compilers → what to do. The first pattern that matches is used.
_REASONS = [
    (
        "No space left on device|Disk quota exceeded",
        "The disk is full: free some space, and try again.",
    ),
    (
        "Killed signal terminated program|out of memory|MemoryError",
        "The compiler ran out of memory: close other programs, or compile one file at a time "
        "with CMAKE_BUILD_PARALLEL_LEVEL=1, and try again.",
    ),
    (
        r"Retry\(total=0|Max retries exceeded|Could not fetch URL|ConnectTimeout|ReadTimeout",
        "The packages could not be downloaded: check the connection to the internet, and pip's "
        "proxy and index settings (pip config list), and try again.",
    ),
    (
        r"(Cannot install|No matching distribution found for) llama|CMAKE_CXX_COMPILER not set",
        "llama.cpp could not be compiled, because there is no C++ compiler: install one (Debian, "
        "Ubuntu: sudo apt install build-essential; Fedora: sudo dnf install gcc-c++; macOS: "
        "xcode-select --install), and try again.",
    ),
    (
        "ResolutionImpossible|No matching distribution found",
        "A package was not found for this Python and system: First Token runs on Linux (x86-64, "
        "ARM64) and on macOS (Apple silicon). If yours is one of them, check the connection to the "
        "internet and pip's index settings (pip config list), and try again.",
    ),
    ("Permission denied", "A file could not be written: correct the folder's permissions."),
]


class InstallError(Exception):
    """The message says what to do."""


class Installation:
    """One run of pip. `began_installing`: it may have changed the environment."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.began_installing = False
        self._step, self._detail = "Looking at what is needed", ""
        self._said: list[str] = []

    def run(self, command: Sequence[str], keep_open: int, environ: Mapping[str, str]) -> None:
        """Run pip to its end. pip inherits the file descriptor `keep_open`, a lock.

        Raises:
            InstallError: pip failed; its last lines have been printed.
        """
        line = ProgressLine()
        with self.log.open("a") as log:
            pip = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                pass_fds=[keep_open],
                env=environ,
            )
            assert pip.stdout
            reader = threading.Thread(target=self._read, args=(pip.stdout, log), daemon=True)
            reader.start()
            try:
                while reader.is_alive():
                    line.show(self._step, self._detail)
                    reader.join(0.3)
            except KeyboardInterrupt:
                reader.join()  # the terminal has also stopped pip, which cleans up
                raise
            line.end()
        if pip.wait() != 0:
            raise InstallError(self._why())

    def _read(self, output: IO[str], log: IO[str]) -> None:
        for text in output:
            self._said.append(text.rstrip())
            self._understand(text)
            with suppress(OSError):  # on a full disk, only the message below matters
                log.write(text)
                log.flush()

    def _understand(self, text: str) -> None:
        if text.startswith("Collecting "):
            self._step, self._detail = "Fetching packages", text.split()[1]
        elif text.startswith("  Downloading "):
            file, size = text.split(maxsplit=2)[1:]
            self._detail = "-".join(Path(file).name.split("-")[:2]) + " " + size.strip()
        elif text.startswith("WARNING: Retrying"):
            self._detail = "no answer yet, asking again"
        elif text.startswith("  Building wheel for llama-cpp-python"):
            self._step, self._detail = "Compiling llama.cpp", ""
        elif text.startswith("Installing collected packages"):
            self._step, self._detail = "Installing packages", ""
            self.began_installing = True
        elif found := _COMPILER_STEP.match(text):
            self._detail = found[1]

    def _why(self) -> str:
        last = [line[:200] for line in self._said if line][-8:]
        print("\nThe last lines of pip's output:", *last, sep="\n    ")
        said = "\n".join(self._said)
        reasons = [do for pattern, do in _REASONS if re.search(pattern, said)]
        return (reasons or ["pip failed."])[0] + f" The complete output is in {self.log}."
