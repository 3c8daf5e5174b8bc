"""Catalogue: chat models worth trying, from `catalogue.json`, and parts of them on PyPI, from
`wheels.json`."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.wheels import Wheel

_FILE = Path(__file__).with_name("catalogue.json")
_WHEELS = Path(__file__).with_name("wheels.json")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a model file: the file `path` of `size` bytes in a wheel."""

    wheel: Wheel
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Recommended:
    """parameters in billions. languages: ISO 639-1; empty where no source names them.
    sources: the address that says so, by statement. parts: of the file on PyPI, in order; empty
    where only the hub has it. size, sha256: of the file, known in advance if it has parts."""

    name: str
    maker: str
    repository: str
    file: str
    parameters: float
    licence: str
    languages: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
    sha256: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.repository}/{self.file}"


@functools.cache
def catalogue() -> tuple[Recommended, ...]:
    """The models, from small to large."""
    models = json.loads(_FILE.read_text("utf-8"))["models"]
    wheels = json.loads(_WHEELS.read_text("utf-8"))["parts"]
    read = []
    for each in models:
        parts = tuple(
            Part(
                Wheel(part["name"], part["version"], part["sha256"], part["size"]),
                part["path"],
                part["bytes"],
            )
            for part in wheels.get(f"{each['repository']}/{each['file']}", ())
        )
        languages = tuple(each.get("languages", ()))
        read.append(Recommended(**{**each, "languages": languages, "parts": parts}))
    return tuple(read)
