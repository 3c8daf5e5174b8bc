"""Make .venv ready to run First Token: `python -m scripts.setup [--dev] [--rebuild]`.

    Python, compiler, disk space → .venv → llama.cpp compiled → the other packages → a stamp

The stamp identifies the requirement files, the Python and the processor for which the environment
is ready. If it matches, nothing is run. This program uses the standard library only, because it
runs before packages are installed.

`--rebuild` compiles llama.cpp again, with the CMAKE_ARGS of the environment. `--without amx`,
`--without avx512` and `--without native` leave instruction sets out. `scripts.models` uses them
after llama.cpp has failed on this processor.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.machine import processor
from scripts.installing import Installation, InstallError

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = VENV / "setup.log"
UNFINISHED = VENV / "unfinished"
BUILD = VENV / "llama-build.json"  # how the installed llama.cpp was compiled
RECIPE = ROOT / "scripts" / "llama.cmake"
LLAMA = "llama-cpp-python"
ROOM = 2_000_000_000  # bytes: .venv takes 1.1 GB, and pip's downloads temporarily as much
MINUTES = "about 3 minutes on two cores"

# Loads llama.cpp and runs one kernel. Code that was compiled for another processor fails with an
# illegal instruction. Later, scripts.models checks the results with a model.
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="also what the tests need")
    parser.add_argument("--rebuild", action="store_true", help="compile llama.cpp again")
    parser.add_argument("--without", choices=["amx", "avx512", "native"], default="")
    options = parser.parse_args()
    try:
        prepare(options.dev, options.rebuild, options.without)
    except InstallError as error:
        sys.exit(f"\n{error}")
    except OSError as error:
        what = f"The set-up could not write in {VENV}: {error}."
        sys.exit(f"\n{what} Free some disk space or correct its permissions, and try again.")
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command continues from here.")


def prepare(dev: bool, rebuild: bool, without: str) -> None:
    """Make the environment ready, unless its stamp says that it is.

    Raises:
        InstallError: something is missing or failed; the message says what to do.
    """
    if rebuild or not _is_ready(dev):
        with _only_one() as lock:
            if rebuild or not _is_ready(dev):  # another set-up may have finished in the meantime
                _make_environment()
                LOG.unlink(missing_ok=True)
                complete = {False, dev, *filter(_is_ready, (False, True))}
                for each in (False, True):  # the stamps are written again at the end
                    _stamp(each).unlink(missing_ok=True)
                _install_llama(rebuild, without, lock)
                _install_packages(dev, lock)
                for each in complete:
                    _stamp(each).write_text(_digest(each))
    print("Environment: ready.", flush=True)


def _stamp(dev: bool) -> Path:
    return VENV / ("ready-to-test" if dev else "ready-to-run")


def _is_ready(dev: bool) -> bool:
    return PYTHON.exists() and _stamp(dev).exists() and _stamp(dev).read_text() == _digest(dev)


def _digest(dev: bool) -> str:
    """A hash of everything that the environment depends on."""
    files = [RECIPE, ROOT / "constraints.txt", *_requirement_files(dev)]
    return _hash(sys.version, VENV, _processor(), *(path.read_text() for path in files))


def _requirement_files(dev: bool) -> list[Path]:
    names = ["requirements.txt", "requirements-dev.txt"] if dev else ["requirements.txt"]
    return [ROOT / name for name in names]


def _processor() -> str:
    here = processor()
    return " ".join([os.uname().machine, here.name, *sorted(here.flags)])


def _hash(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def _make_environment() -> None:
    """A new .venv, unless there is one of this Python that is complete."""
    if UNFINISHED.exists():
        print("The last set-up was interrupted while it installed packages: starting again.")
    elif _environment_works():
        return
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise InstallError(
            "This Python lacks its venv module: install it (Debian, Ubuntu: sudo apt install "
            "python3-venv), and try again."
        )
    if (free := shutil.disk_usage(ROOT).free) < ROOM:
        raise InstallError(
            f"The set-up needs {ROOM / 1e9:.0f} GB in {ROOT}, and {free / 1e9:.1f} GB are free: "
            "free some disk space, and try again."
        )
    print(f"Setting up First Token, once. Making a Python environment in {VENV}.", flush=True)
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


# llama.cpp


def _install_llama(rebuild: bool, without: str, lock: int) -> None:
    """Install llama-cpp-python, compiled on this machine unless pip finds a wheel that runs."""
    known = json.loads(BUILD.read_text()) if BUILD.exists() else {}
    # A later set-up keeps the CMAKE_ARGS of the last `make rebuild`, for instance for a GPU.
    arguments = os.environ.get("CMAKE_ARGS") or (not rebuild and known.get("cmake_args")) or ""
    without = without or (not rebuild and known.get("without")) or ""
    pin = next(
        line.split()[0]
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line.startswith(LLAMA)
    )
    build = _hash(pin, RECIPE.read_text(), arguments, without, *_compiler(), _processor())
    if not rebuild and known.get("build") == build and not _llama_fault():
        return
    # pip finds an earlier compiled wheel only by its name and version. Therefore each combination
    # of flags, compiler and processor has a separate cache folder.
    cache = _cache_folder() / "first-token" / build[:16]
    command = ["--cache-dir", str(cache), "-c", str(ROOT / "constraints.txt"), pin]
    environ = os.environ | {"CMAKE_ARGS": f"{_cmake_arguments(without)} {arguments}".strip()}
    from_source = ["--no-binary", LLAMA]
    _uninstall(LLAMA)
    if rebuild:
        shutil.rmtree(cache / "wheels", ignore_errors=True)
        command += from_source
    elif not _compiler():
        command += ["--only-binary", ":all:"]
    else:
        print(f"Compiling llama.cpp for this processor: {MINUTES}.", flush=True)
    _pip(command, lock, environ)
    fault = _llama_fault()
    if fault and not rebuild:
        print(f"The llama.cpp that was found {fault} here. Compiling it: {MINUTES}.", flush=True)
        shutil.rmtree(cache / "wheels", ignore_errors=True)
        _uninstall(LLAMA)
        _pip([*command, *from_source], lock, environ)
        fault = _llama_fault()
    if fault:
        raise InstallError(
            f"llama.cpp has been compiled, and {fault} on this processor. If CMAKE_ARGS is set, "
            "unset it, and run 'make rebuild'."
        )
    state = {"build": build, "cmake_args": arguments, "without": without}
    BUILD.write_text(json.dumps(state))


def _cmake_arguments(without: str) -> str:
    arguments = ["-DLLAVA_BUILD=OFF", f"-DCMAKE_PROJECT_llama_cpp_INCLUDE={RECIPE}"]
    if without == "native":
        arguments.append("-DGGML_NATIVE=OFF")
    elif without:
        arguments.append(f"-DFIRST_TOKEN_WITHOUT={without}")
    return shlex.join(arguments)


def _compiler() -> list[str]:
    """The C++ compiler's path and version; empty if there is none."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and (path := shutil.which(name)):
            done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
            return [path, *done.stdout.splitlines()[:1]]
    return []


def _cache_folder() -> Path:
    """The folder of pip's cache, or a folder in .venv if pip's cache is disabled."""
    done = subprocess.run(
        [PYTHON, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=False
    )
    return Path(done.stdout.strip()) if done.returncode == 0 else VENV / "cache"


def _llama_fault() -> str:
    """The fault of the installed llama.cpp, as the end of a sentence; empty if it runs."""
    probe = subprocess.run(
        [PYTHON, "-c", PROBE], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if probe.returncode == 0:
        return ""
    last = (probe.stderr.strip().splitlines() or [""])[-1]
    return f"dies of signal {-probe.returncode}" if probe.returncode < 0 else f"fails ({last})"


# pip


def _install_packages(dev: bool, lock: int) -> None:
    """The other packages, pinned. They come as wheels: nothing else is compiled."""
    arguments = ["--only-binary", ":all:", "-c", str(ROOT / "constraints.txt")]
    for path in _requirement_files(dev):
        arguments += ["-r", str(path)]
    _pip(arguments, lock, dict(os.environ))


def _uninstall(package: str) -> None:
    """Remove a package if it is installed, so that pip installs another build of the version."""
    command = [str(PYTHON), "-m", "pip", "uninstall", "--yes", package]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def _pip(arguments: Sequence[str], lock: int, environ: dict[str, str]) -> None:
    installation = Installation(LOG)
    UNFINISHED.touch()
    command = [str(PYTHON), "-m", "pip", "install", "-v", "--no-input", "--progress-bar", "off"]
    try:
        installation.run([*command, "--disable-pip-version-check", *arguments], lock, environ)
    except (InstallError, KeyboardInterrupt):
        if not installation.began_installing:
            UNFINISHED.unlink()
        raise
    UNFINISHED.unlink()


@contextmanager
def _only_one() -> Iterator[int]:
    """Lock the project folder against a second set-up. Yields the lock's file descriptor."""
    lock = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up is working in this folder: waiting for it to finish.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


if __name__ == "__main__":
    main()
