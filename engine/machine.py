"""The machine: its processor, its memory, and which build of llama.cpp is installed.

This module uses the standard library only and does not load llama.cpp, because the set-up imports
it before packages are installed. The fingerprint identifies the machine of a measurement.
"""

import functools
import hashlib
import os
import platform
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
# Instruction sets that llama.cpp has its own code for, as the processor's flags name them.
_RELEVANT = (
    "avx", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8",
    "amx_bf16", "asimd", "asimddp", "i8mm", "sve", "sve2", "sme",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Processor:
    """A processor: its model name, and the instruction sets that the system reports (`flags`)."""

    name: str
    flags: frozenset[str]

    @property
    def instruction_sets(self) -> str:
        """The instruction sets that llama.cpp uses, for a message."""
        return " ".join(each for each in _RELEVANT if each in self.flags) or platform.machine()


@functools.cache
def processor() -> Processor:
    values: dict[str, str] = {}
    with suppress(OSError):
        for line in _CPUINFO.read_text().splitlines():
            name, _, value = line.partition(":")
            values.setdefault(name.strip().lower(), value.strip())
    name = values.get("model name") or _sysctl("machdep.cpu.brand_string") or platform.processor()
    flags = values.get("flags") or values.get("features") or ""
    return Processor(name or platform.machine(), frozenset(flags.split()))


def _sysctl(key: str) -> str:
    """The value of a system setting on macOS; empty on other systems."""
    if platform.system() != "Darwin":
        return ""
    done = subprocess.run(["sysctl", "-n", key], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def physical_memory() -> int:
    """The machine's memory in bytes; 8 GiB if the system does not report it."""
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 8 * 2**30


def llama_version() -> str:
    """The version of the installed llama-cpp-python."""
    try:
        return version("llama-cpp-python")
    except PackageNotFoundError:
        return "none"


@functools.cache
def llama_build() -> str:
    """A hash of the installed llama.cpp libraries, which differs between builds.

    The processor's library is hashed by content, the others by name and size.
    """
    digest = hashlib.sha256(llama_version().encode())
    spec = find_spec("llama_cpp")
    for folder in (spec.submodule_search_locations if spec else None) or []:
        for path in sorted((Path(folder) / "lib").glob("lib*")):
            digest.update(f"{path.name} {path.stat().st_size}".encode())
            if path.name in ("libggml-cpu.so", "libggml-cpu.dylib"):
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def fingerprint() -> str:
    """This processor with this build of llama.cpp."""
    this = processor()
    parts = [platform.machine(), this.name, *sorted(this.flags), llama_build()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
