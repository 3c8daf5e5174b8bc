"""The set-up in a folder of its own: real venv, real pip, and small packages in place of ours.

`llama-cpp-python` is played by a package of a few lines, with a source distribution whose
"compiling" takes no time and a wheel that dies as one compiled for another processor does.
"""

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
GOOD = "def llama_backend_init(): pass\n"
DIES = "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n"
# A build backend that needs no other package. It waits as long as there is the file HOLD.
BACKEND = """
import os, pathlib, time, zipfile
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    print("[1/2] Building", flush=True)
    while pathlib.Path(HOLD).exists():
        time.sleep(0.05)
    name = "llama_cpp_python-0.3.36-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / name, "w") as wheel:
        for member, text in MEMBERS.items():
            wheel.writestr(member, text)
        wheel.writestr("llama_cpp_arguments.txt", os.environ["CMAKE_ARGS"])
    return name
"""


def members(name: str, version: str, code: str) -> dict[str, str]:
    info = f"{name}-{version}.dist-info"
    module = "llama_cpp" if name.startswith("llama") else name
    return {
        f"{module}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }


class Project:
    """A First Token whose requirements are one small package and a small llama.cpp."""

    def __init__(self, place: Path) -> None:
        self.folder, self.index, self.hold = place / "project", place / "index", place / "hold"
        if self.folder.exists():
            return
        self.index.mkdir(parents=True)
        shutil.copytree(ROOT / "scripts", self.folder / "scripts")
        (self.folder / "engine").mkdir()
        for module in ("__init__.py", "machine.py"):
            shutil.copy(ROOT / "engine" / module, self.folder / "engine")
        shutil.copy(ROOT / "Makefile", self.folder)
        self.require("small==1.0", "llama-cpp-python==0.3.36  # compiled")
        self.add_wheel("small", "1.0", "")

    def require(self, *lines: str) -> None:
        text = "".join(f"{line}\n" for line in lines)
        (self.folder / "requirements.txt").write_text(text)
        pins = "".join(f"{line.split()[0]}\n" for line in lines).replace("-", "_")
        (self.folder / "constraints.txt").write_text(pins)

    def add_wheel(self, name: str, version: str, code: str) -> None:
        with zipfile.ZipFile(self.index / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            for member, text in members(name, version, code).items():
                wheel.writestr(member, text)

    def add_source(self, code: str = GOOD) -> None:
        """What has to be compiled."""
        contents = members("llama_cpp_python", "0.3.36", code)
        files = {
            "pyproject.toml": (
                '[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["."]\n'
            ),
            "build.py": f"HOLD, MEMBERS = {str(self.hold)!r}, {contents!r}\n{BACKEND}",
            "PKG-INFO": contents["llama_cpp_python-0.3.36.dist-info/METADATA"],
        }
        with tarfile.open(self.index / "llama_cpp_python-0.3.36.tar.gz", "w:gz") as archive:
            for name, text in files.items():
                entry = tarfile.TarInfo(f"llama_cpp_python-0.3.36/{name}")
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        own = {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.index),
            "PIP_CACHE_DIR": str(self.index.parent / "cache"),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "scripts.setup", *arguments],
            cwd=self.folder,
            env=os.environ | own | environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def set_up(self, *arguments: str, **environ: str) -> tuple[int, str]:
        process = self.start(*arguments, **environ)
        said, _ = process.communicate(timeout=120)
        return process.returncode, said

    def installed(self) -> str:
        found = subprocess.run(
            [self.folder / ".venv/bin/python", "-m", "pip", "freeze"],
            capture_output=True,
            text=True,
            check=True,
        )
        return found.stdout


class First(NamedTuple):
    """What the first set-up said and left, and where it was."""

    said: str
    left: Path
    place: Path


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> First:
    """It makes an environment, which takes seconds. The tests have copies of it."""
    place = tmp_path_factory.mktemp("set-up") / "place"
    project = Project(place)
    project.add_source()
    status, said = project.set_up()
    assert status == 0, said
    assert project.installed() == "llama_cpp_python==0.3.36\nsmall==1.0\n"
    return First(said, place.rename(place.with_name("left")), place)


@pytest.fixture
def ready(first: First) -> Iterator[Project]:
    """The project after its first set-up, at the same place."""
    shutil.copytree(first.left, first.place, symlinks=True)
    yield Project(first.place)
    shutil.rmtree(first.place)


@pytest.fixture
def environment(first: First, tmp_path: Path) -> Path:
    """A .venv in which nothing is installed yet."""
    folder, installed = tmp_path / "environment", ("llama*", "small*", "ready-*", "setup.log")
    ignored = shutil.ignore_patterns(*installed)
    shutil.copytree(first.left / "project/.venv", folder, symlinks=True, ignore=ignored)
    return folder


@pytest.fixture
def project(tmp_path: Path, environment: Path) -> Project:
    """With a .venv in which nothing is installed yet."""
    made = Project(tmp_path)
    environment.rename(made.folder / ".venv")
    return made


def compiled_with(project: Project) -> str:
    (file,) = project.folder.glob(".venv/lib/*/site-packages/llama_cpp_arguments.txt")
    return file.read_text()


def test_a_compiled_wheel_is_reused_only_if_it_was_compiled_in_the_same_way(
    ready: Project, environment: Path
) -> None:
    assert "llama.cmake" in compiled_with(ready)
    log = ready.folder / ".venv/setup.log"
    assert "[1/2] Building" in log.read_text()

    def set_up_in_a_new_environment() -> bool:
        """Whether llama.cpp was compiled."""
        shutil.rmtree(ready.folder / ".venv")
        shutil.copytree(environment, ready.folder / ".venv", symlinks=True)
        status, said = ready.set_up()
        assert status == 0, said
        return "[1/2] Building" in log.read_text()

    assert not set_up_in_a_new_environment()
    recipe = ready.folder / "scripts/llama.cmake"
    recipe.write_text(recipe.read_text() + "# other flags\n")
    assert set_up_in_a_new_environment()


def test_the_users_cmake_arguments_are_added_and_kept(ready: Project) -> None:
    assert ready.set_up("--rebuild", CMAKE_ARGS="-DGGML_CUDA=on")[0] == 0
    assert compiled_with(ready).endswith(" -DGGML_CUDA=on")
    ready.add_wheel("small", "2.0", "")
    ready.require("small==2.0", "llama-cpp-python==0.3.36")
    assert ready.set_up()[0] == 0
    assert "small==2.0" in ready.installed()
    assert compiled_with(ready).endswith(" -DGGML_CUDA=on")
    assert ready.set_up("--rebuild", "--without", "avx512")[0] == 0
    assert compiled_with(ready).endswith("-DFIRST_TOKEN_WITHOUT=avx512")


def wait_for_log(project: Project, text: str) -> None:
    log, end = project.folder / ".venv/setup.log", time.monotonic() + 120
    while not (log.exists() and text in log.read_text()):
        assert time.monotonic() < end, f"waited in vain for {text!r}"
        time.sleep(0.05)


def test_the_second_time_nothing_runs_until_a_requirement_changes(
    first: First, ready: Project
) -> None:
    assert first.said.splitlines()[-1] == "Environment: ready."
    assert "about 3 minutes" in first.said

    (ready.folder / ".venv/setup.log").unlink()
    assert ready.set_up() == (0, "Environment: ready.\n")
    assert not (ready.folder / ".venv/setup.log").exists()  # pip was not even started

    ready.add_wheel("small", "2.0", "")
    ready.require("small==2.0", "llama-cpp-python==0.3.36")
    assert ready.set_up()[0] == 0
    assert "small==2.0" in ready.installed()


def test_a_llama_cpp_compiled_for_another_processor_is_compiled_again(project: Project) -> None:
    project.add_wheel("llama_cpp_python", "0.3.36", DIES)
    project.add_source()
    status, said = project.set_up()
    assert status == 0, said
    assert f"dies of signal {signal.SIGILL.value} here" in said
    assert (project.folder / ".venv/ready-to-run").exists()

    project.add_source(code=DIES)
    status, said = project.set_up("--rebuild")
    assert status == 1
    assert "has been compiled, and dies of signal 4 on this processor" in said


def test_without_a_compiler_the_sentence_names_one_to_install(
    project: Project, tmp_path: Path
) -> None:
    project.add_source()
    (tmp_path / "bin").mkdir()
    status, said = project.set_up(PATH=str(tmp_path / "bin"), CXX="")
    assert status == 1
    assert "sudo apt install build-essential" in said.splitlines()[-1]
    # ... and a wheel, where there is one, needs none.
    project.add_wheel("llama_cpp_python", "0.3.36", GOOD)
    assert project.set_up(PATH=str(tmp_path / "bin"), CXX="")[0] == 0


def test_without_a_network_the_sentence_says_what_to_check(project: Project) -> None:
    status, said = project.set_up(
        PIP_NO_INDEX="",
        PIP_FIND_LINKS="",
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
        PIP_RETRIES="1",
    )
    assert status == 1
    assert "check the connection to the internet" in said.splitlines()[-1]
    assert not (project.folder / ".venv/ready-to-run").exists()


def test_two_at_once_wait_for_each_other(project: Project) -> None:
    project.add_source()
    project.hold.touch()
    one = project.start()
    wait_for_log(project, "[1/2] Building")
    other = project.start()
    assert other.stdout
    waiting = other.stdout.readline()
    assert waiting == "Another set-up is working in this folder: waiting for it to finish.\n"
    project.hold.unlink()
    assert other.communicate(timeout=120)[0] == "Environment: ready.\n"
    assert one.communicate(timeout=120)[0].count("Environment: ready.") == 1
    assert (one.returncode, other.returncode) == (0, 0)


def test_a_killed_set_up_starts_afresh(project: Project) -> None:
    project.add_source()
    project.hold.touch()
    killed = project.start()
    wait_for_log(project, "[1/2] Building")
    stray = project.folder / ".venv/half-installed"
    stray.touch()
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    project.hold.unlink()
    status, said = project.set_up()
    assert status == 0, said
    assert "interrupted" in said.splitlines()[0]
    assert not stray.exists()
    assert "llama_cpp_python==0.3.36" in project.installed()


def test_an_old_python_is_refused(project: Project, tmp_path: Path) -> None:
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    for python in (str(old), ""):
        made = subprocess.run(
            ["make", "run", f"PYTHON={python}"], cwd=project.folder, capture_output=True, text=True
        )
        assert made.returncode != 0
        assert made.stderr.startswith("First Token needs Python 3.11, 3.12, 3.13 or 3.14")
