"""Probe: what a GGUF file is and how it runs here, found out in a process of its own.

A file from outside can abort llama.cpp, hang in its template, or take all memory; then the
child dies, and the reader gets a sentence. What was found is remembered for that file, machine
and version. It does not choose how to run the model.
"""

import json
import os
import platform
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.cores import Cores, Priority
from engine.errors import FirstTokenError, LLMError
from engine.llm.calibrate import Figures, measure
from engine.llm.model import Model
from engine.llm.template import PromptTemplate
from engine.schema import ChatMessage

_SECONDS = 60.0  # and one more for every SLOW_BYTES of the file: a slow disk, read once
_SLOW_BYTES = 30e6
_OTHER_MODEL = "Name another file as CHAT_MODEL in .env."


@dataclass(frozen=True, slots=True)
class Findings:
    """cache_bytes: of the key-value cache for one token, in f16."""

    trained_context: int
    cache_bytes: int
    figures: Figures


def probe(path: Path, cores: Cores, record: Path) -> Findings:
    """The findings on a model file, from `record` where it has been probed before.

    Raises:
        LLMError: the file is no chat model that runs here; says why and what to do.
    """
    if not path.is_file():
        raise LLMError(f"There is no model file {path}. {_OTHER_MODEL}")
    known, key = _read_record(record), _key(path, cores.total)
    if key not in known:
        with cores.take(cores.total, Priority.SEARCH):
            known[key] = _run_child(path, cores.total)
        _write_record(record, known)
    found = known[key]
    return Findings(**{**found, "figures": Figures(**found["figures"])})


def physical_memory() -> int:
    """The machine's memory in bytes; 8 GiB where the system does not say."""
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 8 * 2**30


def _run_child(path: Path, threads: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "engine.llm.probe", str(path.resolve()), str(threads)]
    limit = _SECONDS + path.stat().st_size / _SLOW_BYTES
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=limit,
            check=False,
            cwd=Path(__file__).parents[2],
        )
    except subprocess.TimeoutExpired as error:
        raise LLMError(
            f"{path.name} did not finish a first token within {limit:.0f} s. {_OTHER_MODEL}"
        ) from error
    with suppress(ValueError, IndexError):
        result = json.loads(done.stdout.decode("utf-8", "replace").splitlines()[-1])
        if "error" in result:
            raise LLMError(str(result["error"]))
        return dict(result)
    raise LLMError(f"{path.name} {_end(done.returncode)} {_OTHER_MODEL}")


def _end(code: int) -> str:
    if code == -signal.SIGILL:
        return (
            "needs instructions that this processor has not: llama.cpp was compiled for "
            "another one. Run `make rebuild`."
        )
    if code == -signal.SIGKILL:
        return "needs more memory than this machine has."
    return f"makes llama.cpp crash (exit {code}): it is damaged, or made to do so."


def _key(path: Path, threads: int) -> str:
    """Whatever changes the findings: the file, the library, the machine."""
    stat = path.stat()
    parts = (path.resolve(), stat.st_size, stat.st_mtime_ns, version("llama-cpp-python"))
    return "|".join(map(str, (*parts, platform.machine(), platform.processor(), threads)))


def _read_record(record: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        known = json.loads(record.read_text("utf-8"))
        if isinstance(known, dict):
            return known
    return {}


def _write_record(record: Path, known: dict[str, Any]) -> None:
    """Whole or not at all. Where it cannot be written, the next start probes again."""
    with suppress(OSError):
        record.parent.mkdir(parents=True, exist_ok=True)
        fresh = record.with_name(f"{record.name}.new")
        fresh.write_text(json.dumps(known, indent=1), "utf-8")
        fresh.replace(record)


# The child


def _find_out(path: Path, threads: int) -> Findings:
    model = Model(path)
    if not model.can_write:
        raise LLMError(f"{path.name} does not write text: it is no chat model. {_OTHER_MODEL}")
    PromptTemplate(model).tokens([ChatMessage("user", "Hello")])
    return Findings(model.trained_context, model.cache_bytes_per_token(), measure(model, threads))


def _limit_memory() -> None:
    """Fail to allocate, instead of driving the machine out of memory."""
    with suppress(ImportError, ValueError, OSError):  # not on every system
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (physical_memory(), physical_memory()))


def _main() -> None:
    _limit_memory()
    try:
        result = asdict(_find_out(Path(sys.argv[1]), int(sys.argv[2])))
    except FirstTokenError as error:
        result = {"error": str(error)}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    _main()
