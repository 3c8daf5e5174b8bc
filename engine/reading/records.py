"""JSON and JSON lines → lines of "name: value", nested names joined by dots."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import DocumentError
from engine.reading.plain import decode
from engine.reading.section import Section
from engine.reading.tables import SECTION_SIZE, grouped


def read_json(path: Path) -> Iterator[Section]:
    """An array is a row of items; anything else one item. Lines of JSON are taken for that."""
    text = decode(path.read_bytes())
    try:
        value = json.loads(text)
    except json.JSONDecodeError as fault:
        if fault.msg != "Extra data":
            raise _broken(fault.lineno, fault) from fault
        yield from read_json_lines(path)
        return
    if isinstance(value, list):
        yield from grouped(map(_item, value), "items", 1)
    else:
        yield from grouped(_lines(value), "lines", 1)


def read_json_lines(path: Path) -> Iterator[Section]:
    yield from grouped(_items(decode(path.read_bytes())), "lines", 1)


def _items(text: str) -> Iterator[str]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield _item(json.loads(line))
            except json.JSONDecodeError as fault:
                raise _broken(number, fault) from fault


def _item(value: Any) -> str:
    """An item in one line, as evidence that stands alone, unless it is long."""
    lines = list(_lines(value))
    return ("; " if sum(map(len, lines)) < SECTION_SIZE else "\n").join(lines)


def _lines(value: Any, name: str = "") -> Iterator[str]:
    """A value's lines. What holds only plain values is one line."""
    if _is_plain(value):
        if text := _plain(value):
            yield f"{name}: {text}" if name else text
    elif isinstance(value, dict) and all(map(_is_plain, value.values())):
        cells = (f"{key}: {text}" for key, each in value.items() if (text := _plain(each)))
        if line := "; ".join(cells):
            yield f"{name}: {line}" if name else line
    else:
        pairs = value.items() if isinstance(value, dict) else enumerate(value, start=1)
        for key, inner in pairs:
            yield from _lines(inner, f"{name}.{key}" if name else str(key))


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return not any(isinstance(each, list | dict) for each in value)
    return not isinstance(value, dict)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    return " ".join(text.split())


def _broken(line: int, fault: json.JSONDecodeError) -> DocumentError:
    return DocumentError(
        f"is not whole JSON: line {line}: {fault.msg}. Save it again from the program it came from."
    )
