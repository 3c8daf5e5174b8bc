"""Make .venv ready to run First Token: `python -m scripts.setup [--dev] [--rebuild]`.

    Python, compiler, room → .venv → the pinned packages → llama.cpp tried → a stamp

The stamp says for which requirement files, Python and processor the environment is ready; where
it fits, nothing runs at all. Standard library only, for this runs before anything is installed.
It does not know the models.
"""

import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.installing import Installation, InstallError

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = VENV / "setup.log"
UNFINISHED = VENV / "unfinished"
LLAMA = "llama-cpp-python"
ROOM = 2_000_000_000  # bytes: .venv takes 1.1 GB, and pip's downloads pass by as well

# Loads llama.cpp, and runs the kernel that does most of a Q8_0 model's work: code compiled for
# another processor dies here of an illegal instruction, rather than in front of a user.
PROBE = """
import ctypes, pathlib, sys, llama_cpp
llama_cpp.llama_backend_init()
suffix = "dylib" if sys.platform == "darwin" else "so"
library = pathlib.Path(llama_cpp.__file__).parent / "lib" / f"libggml-cpu.{suffix}"
if library.exists():
    result, zeros = ctypes.c_float(1), ctypes.create_string_buffer(34 * 32)  # 32 blocks of Q8_0
    dot = ctypes.CDLL(str(library)).ggml_vec_dot_q8_0_q8_0
    size = ctypes.c_size_t
    dot(32 * 32, ctypes.byref(result), size(0), zeros, size(0), zeros, size(0), 1)
    assert result.value == 0
"""


def main(arguments: list[str]) -> None:
    try:
        prepare(dev="--dev" in arguments, rebuild="--rebuild" in arguments)
    except InstallError as error:
        sys.exit(f"\n{error}")
    except OSError as error:
        what = f"The set-up could not write in {VENV}: {error}."
        sys.exit(f"\n{what} Make room or mend its permissions, and try again.")
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command goes on from here.")


def prepare(dev: bool, rebuild: bool) -> None:
    """Make the environment ready, unless its stamp says that it is.

    Raises:
        InstallError: something is missing or failed; the message says what to do.
    """
    if not rebuild and _is_ready(dev):
        print("Environment: ready.", flush=True)
        return
    with _only_one() as lock:
        if rebuild or not _is_ready(dev):  # another may have finished it meanwhile
            _make_environment()
            _install(dev, lock)
            if rebuild or not _llama_works():
                _compile_again(lock)
            for each in {False, dev}:
                _stamp(each).write_text(_digest(each))
    print("Environment: ready.", flush=True)


def _stamp(dev: bool) -> Path:
    return VENV / ("ready-to-test" if dev else "ready-to-run")


def _is_ready(dev: bool) -> bool:
    return PYTHON.exists() and _stamp(dev).exists() and _stamp(dev).read_text() == _digest(dev)


def _digest(dev: bool) -> str:
    """What the environment depends on."""
    parts = [sys.version, str(VENV), _processor()]
    parts += [(ROOT / name).read_text() for name in [*_requirement_files(dev), "constraints.txt"]]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _requirement_files(dev: bool) -> list[str]:
    return ["requirements.txt", "requirements-dev.txt"] if dev else ["requirements.txt"]


def _processor() -> str:
    """What this processor can execute, where the system says it."""
    described = platform.machine() + platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return described
    return described + next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _make_environment() -> None:
    """A new .venv, unless there is one of this Python that no interrupted set-up has left."""
    if UNFINISHED.exists():
        print("The last set-up was interrupted while it installed packages: starting afresh.")
    elif _environment_works():
        return
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise InstallError(
            "This Python lacks its venv module: install it (Debian, Ubuntu: sudo apt install "
            "python3-venv), and try again."
        )
    if (free := shutil.disk_usage(ROOT).free) < ROOM:
        raise InstallError(
            f"{ROOM / 1e9:.0f} GB are needed in {ROOT}, and {free / 1e9:.1f} GB are free: make "
            "room, and try again."
        )
    print(f"First Token sets itself up, once. A Python environment is made in {VENV}.", flush=True)
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise InstallError(f"Python could not make an environment in {VENV}:\n{made.stdout}")


def _environment_works() -> bool:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if not (VENV / "lib" / version).is_dir() or not PYTHON.exists():
        return False
    answer = subprocess.run(
        [PYTHON, "-m", "pip", "--version"],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return answer.returncode == 0


def _install(dev: bool, lock: int) -> None:
    """The pinned packages. Everything but llama.cpp comes compiled, or not at all."""
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    names = [pin.partition("==")[0] for pin in pins if "==" in pin]
    compiled = [name for name in names if name.replace("_", "-") != LLAMA]
    if _has_compiler():
        print(
            "Packages are fetched. Then llama.cpp is compiled for this processor, which takes "
            "about 5 minutes, unless pip has done so before.",
            flush=True,
        )
    else:
        compiled.append(LLAMA)
    arguments = ["--only-binary", ",".join(compiled), "-c", str(ROOT / "constraints.txt")]
    for name in _requirement_files(dev):
        arguments += ["-r", str(ROOT / name)]
    _pip(arguments, lock)


def _has_compiler() -> bool:
    return any(
        shutil.which(name) for name in (os.environ.get("CXX"), "c++", "g++", "clang++") if name
    )


def _compile_again(lock: int) -> None:
    """llama.cpp once more from its source, for this processor."""
    requirements = (ROOT / "requirements.txt").read_text().splitlines()
    (pin,) = (line.split()[0] for line in requirements if line.startswith(LLAMA))
    _pip(["--no-deps", "--force-reinstall", "--no-cache-dir", "--no-binary", LLAMA, pin], lock)
    if not _llama_works():
        raise InstallError(
            "llama.cpp has been compiled and still does not run on this processor. If CMAKE_ARGS "
            "is set, unset it, and run 'make rebuild'."
        )


def _llama_works() -> bool:
    probe = subprocess.run(
        [PYTHON, "-c", PROBE], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if probe.returncode == 0:
        return True
    last = (probe.stderr.strip().splitlines() or [""])[-1]
    died = f"dies of signal {-probe.returncode}" if probe.returncode < 0 else f"fails ({last})"
    print(
        f"The llama.cpp that pip had at hand {died} here: it was compiled for another machine. "
        "It is compiled again for this one, about 5 minutes.",
        flush=True,
    )
    return False


def _pip(arguments: list[str], lock: int) -> None:
    installation = Installation(LOG)
    UNFINISHED.touch()
    command = [str(PYTHON), "-m", "pip", "install", "-v", "--no-input", "--progress-bar", "off"]
    try:
        installation.run([*command, "--disable-pip-version-check", *arguments], lock)
    except (InstallError, KeyboardInterrupt):
        if not installation.began_installing:
            UNFINISHED.unlink()
        raise
    UNFINISHED.unlink()


@contextmanager
def _only_one() -> Iterator[int]:
    """Hold the project folder against a second set-up. Yields the lock's file descriptor."""
    lock = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up works in this folder: waiting for it to finish.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


if __name__ == "__main__":
    main(sys.argv[1:])
