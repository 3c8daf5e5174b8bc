"""Figures of a run: printed as they come, and kept in a file with the machine they are of."""

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

Figures = Mapping[str, float | int | str]

RESULTS = Path(__file__).parent / "results"


def keep(name: str, part: str, figures: Figures) -> None:
    """Print a part's figures, and put them into results/<name>.json in place of the last ones."""
    print(f"\n{part}")
    for label, value in figures.items():
        print(f"  {label:58s} {_shown(value)}")
    file = RESULTS / f"{name}.json"
    RESULTS.mkdir(exist_ok=True)
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


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _shown(value: float | int | str) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
