"""The machine, the model file and the versions with which a measurement was made.

Measurements with different fingerprints can differ for that reason. A fingerprint has no names of
persons or folders.
"""

import functools
import hashlib
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engine.cores import cores
from engine.llm.base import LLM

PACKAGES = ("llama-cpp-python", "fastembed", "onnxruntime", "qdrant-client", "streamlit")


def fingerprint(llm: LLM) -> dict[str, str]:
    """Name → value, for everything besides the settings that influences a measurement."""
    return {**_model(llm), **_machine(), **_versions()}


def _model(llm: LLM) -> dict[str, str]:
    metadata = llm.metadata
    described = {"model": metadata.model_name, "context window": str(metadata.context_window)}
    if (file := metadata.model_file) is not None and file.is_file():
        state = file.stat()
        described["model file"] = file.name
        described["model bytes"] = str(state.st_size)
        described["model sha256"] = _sha256(file, state.st_size, state.st_mtime_ns)
    return described


@functools.lru_cache(maxsize=8)
def _sha256(file: Path, size: int, changed: int) -> str:  # noqa: ARG001 - a change of either clears the cache
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _machine() -> dict[str, str]:
    memory = _memory_bytes()
    return {
        "processor": _processor(),
        "cores": f"{cores().total} of {os.cpu_count() or 1}",
        **({"memory": f"{memory / 2**30:.0f} GB"} if memory else {}),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }


def _processor() -> str:
    """The model of the processor where the system reports it, else the architecture."""
    try:
        listed = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        listed = ""
    named = re.search(r"^model name\s*:\s*(.+)$", listed, re.MULTILINE)
    name = named[1] if named else platform.processor() or platform.machine()
    return re.sub(r"\s+", " ", re.sub(r"\((R|TM)\)", "", name)).strip()


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
