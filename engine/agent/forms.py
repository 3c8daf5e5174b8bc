"""Forms: patterns of questions, kept in TOML files, where a long pattern can be written in lines.

[parts]                      texts that stand for {name} in the patterns and in later parts
be = '(?:is|was|will be)'

[forms]                      a name → the patterns of its questions
weekday = [
'(?:which|what) weekday {be} D',
]
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Forms:
    """`data`: the whole file. The patterns match whole texts, and ignore case."""

    data: dict[str, Any]
    parts: dict[str, str]
    patterns: dict[str, tuple[re.Pattern[str], ...]]

    def filled(self, pattern: str) -> str:
        """A pattern of the file in one line, with its parts."""
        return _filled(pattern, self.parts)

    def match(self, name: str, text: str) -> re.Match[str] | None:
        """The match of the first pattern of this form, or None."""
        found = (pattern.fullmatch(text) for pattern in self.patterns[name])
        return next((match for match in found if match), None)

    def first(self, text: str) -> tuple[str, re.Match[str]] | None:
        """The first form that matches, in the order of the file, with its match."""
        for name in self.patterns:
            if match := self.match(name, text):
                return name, match
        return None


def read_forms(module: str) -> Forms:
    """The forms of a module: `__file__` with the suffix .toml."""
    data = tomllib.loads(Path(module).with_suffix(".toml").read_text(encoding="utf-8"))
    parts: dict[str, str] = {}
    for name, text in data.get("parts", {}).items():
        parts[name] = _filled(text, parts)
    patterns = {
        name: tuple(re.compile(_filled(each, parts), re.I | re.S) for each in texts)
        for name, texts in data.get("forms", {}).items()
    }
    return Forms(data, parts, patterns)


def _filled(text: str, parts: dict[str, str]) -> str:
    joined = "".join(line.strip("\n") for line in text.splitlines())
    return re.sub(r"\{([a-z_]+)\}", lambda match: parts[match[1]], joined)
