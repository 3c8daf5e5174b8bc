"""Estimates: what a model will need and how fast it will be here, before it is downloaded.

Rates are scaled from those measured on this machine with the model nearest in size: reading and
writing a token take time in proportion to the bytes of the model. Two estimates for a model of 1.5
billion parameters in Q4_K_M, from the default one in Q8_0, on an Intel processor: prefill 112
tokens/s without AMX (measured 108) and 245 with it (187), decode 13 (19). So an estimate is right
within a factor of two.
"""

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.llm.local import SMALL
from engine.machine import fingerprint
from engine.models.files import bytes_of

# The tokens of a usual prompt: the best sentence for a small model, three passages for a larger.
PROMPT, PROMPT_OF_SMALL = 500, 100

# Bits of a parameter in a Q4_K_M file: 4.9 for the shapes of Qwen2.5-1.5B and Llama-3.2-3B
# (benchmarks/synthetic.py). Files of smaller models have up to 8, because more of their weights are
# stored in larger types.
_BITS = 5.0


@dataclass(frozen=True, slots=True)
class Measured:
    """A model that has been measured here. size in bytes; prefill, decode in tokens a second."""

    name: str
    size: int
    prefill: float
    decode: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """first_token in seconds, rate in tokens a second, scaled from `of`."""

    first_token: float
    rate: float
    of: str


def usual_size(parameters: float) -> int:
    """Bytes of a Q4_K_M file of a model with this number of parameters, about."""
    return int(parameters * _BITS / 8)


def memory_needed(size: int) -> int:
    """Bytes that a model of this size takes: its weights, and caches and buffers for answers."""
    return int(size * 1.1) + 500_000_000


def available_memory() -> int | None:
    """Bytes that programs can still take without swapping. None where the system does not say."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "darwin":
        with suppress(OSError, ValueError, IndexError):
            said = subprocess.run(["vm_stat"], capture_output=True, text=True, check=False).stdout
            page = int(said.split("page size of ")[1].split()[0])
            kinds = ("Pages free", "Pages inactive", "Pages speculative", "Pages purgeable")
            lines = [line.split(":") for line in said.splitlines() if line.startswith(kinds)]
            return page * sum(int(count.strip(" .")) for _, count in lines)
    return None


def measured_here(record: Path) -> list[Measured]:
    """The models in the probe's record that were measured on this machine and are still there."""
    found: dict[str, Measured] = {}
    with suppress(OSError, ValueError):
        known: dict[str, Any] = json.loads(record.read_text("utf-8"))
        for key, each in known.items():
            path = Path(each.get("path", "")) if isinstance(each, dict) else Path()
            if fingerprint() in key and path.is_file() and each.get("decode"):
                size = bytes_of(path)
                found[path.name] = Measured(path.name, size, each["prefill"], each["decode"])
    return list(found.values())


def estimate(size: int, parameters: float, measured: list[Measured]) -> Estimate | None:
    """The estimate for a model of `size` bytes. `parameters` is 0 if their number is not known.

    None if nothing was measured.
    """
    if not measured or not size:
        return None
    nearest = min(measured, key=lambda each: max(size / each.size, each.size / size))
    scale = size / nearest.size
    parameters = parameters or size * 8 / _BITS
    prompt = PROMPT_OF_SMALL if parameters < SMALL else PROMPT
    rate = nearest.decode / scale
    return Estimate(prompt * scale / nearest.prefill + 1 / rate, rate, nearest.name)
