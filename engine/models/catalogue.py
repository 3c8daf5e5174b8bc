"""Catalogue: chat models worth trying, from `catalogue.json`."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_FILE = Path(__file__).with_name("catalogue.json")


@dataclass(frozen=True, slots=True)
class Recommended:
    """parameters in billions. languages: ISO 639-1; empty where no source names them.
    sources: the address that says so, by statement."""

    name: str
    maker: str
    repository: str
    file: str
    parameters: float
    licence: str
    languages: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.repository}/{self.file}"


@functools.cache
def catalogue() -> tuple[Recommended, ...]:
    """The models, from small to large."""
    read = json.loads(_FILE.read_text("utf-8"))["models"]
    return tuple(
        Recommended(**{**each, "languages": tuple(each.get("languages", ()))}) for each in read
    )
