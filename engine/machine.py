"""The machine: its processor, its memory, and which build of llama.cpp is installed.

Standard library only, and llama.cpp is not loaded: the set-up uses this before packages are
installed, and after them to recognise a machine on which something was measured.
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
    """name: as the maker gives it. flags: what it can execute, where the system says it."""

    name: str
    flags: frozenset[str]

    @property
    def instruction_sets(self) -> str:
        """Those that matter to llama.cpp, for a message."""
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
    """macOS's name for a value; empty elsewhere."""
    if platform.system() != "Darwin":
        return ""
    done = subprocess.run(["sysctl", "-n", key], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def physical_memory() -> int:
    """The machine's memory in bytes; 8 GiB where the system does not say."""
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
    """A hash of the installed llama.cpp libraries: another build has another one.

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
