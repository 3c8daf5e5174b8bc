"""Figures of a run: printed, and kept with the machine they were measured on.

Each processor has a folder of its own in results/, so figures of different machines stand side by
side and none is overwritten.
"""

import json
import os
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

Figures = Mapping[str, float | int | str]

RESULTS = Path(__file__).parent / "results"


def keep(name: str, part: str, figures: Figures) -> None:
    """Print a part's figures, and put them into results/<processor>/<name>.json."""
    print(f"\n{part}")
    for label, value in figures.items():
        print(f"  {label:58s} {_shown(value)}")
    file = RESULTS / processor_family() / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    parts = json.loads(file.read_text()) if file.exists() else {}
    parts[part] = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **machine(), **figures}
    file.write_text(json.dumps(parts, indent=2) + "\n")


def machine() -> dict[str, str | int]:
    return {
        "processor": f"{platform.machine()}, {_processor()}",
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        "onnxruntime": version("onnxruntime"),
    }


def processor_family() -> str:
    """A folder's name, such as authenticamd-25-17: vendor, family and model from /proc/cpuinfo."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    fields = [re.search(rf"^{key}\s*: (.+)$", text, re.MULTILINE) for key in _FAMILY]
    if all(fields):
        return "-".join(found[1] for found in fields if found).lower()
    return re.sub(r"\W+", "-", f"{platform.machine()}-{platform.processor()}".lower()).strip("-")


_FAMILY = ("vendor_id", "cpu family", "model")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _shown(value: float | int | str) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
