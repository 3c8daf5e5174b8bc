"""Jupyter notebooks → sections: prose, code, and the text of the outputs."""

import html
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.errors import DocumentError
from engine.reading.hypertext import sections_of
from engine.reading.markdown import html_of
from engine.reading.plain import decode
from engine.reading.section import Section

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def read_notebook(path: Path) -> Iterator[Section]:
    """Headings of the prose go with the code below them."""
    try:
        notebook = json.loads(decode(path.read_bytes()))
        cells = notebook.get("cells") or notebook["worksheets"][0]["cells"]  # until format 3
        page = "\n".join(_cell(cell) for cell in cells)
    except (ValueError, LookupError, TypeError, AttributeError) as fault:
        raise DocumentError(
            "is not a notebook that can be read. Save it again from Jupyter."
        ) from fault
    return sections_of(page)


def _cell(cell: Mapping[str, Any]) -> str:
    source = _text(cell.get("source", cell.get("input", "")))
    if cell["cell_type"] == "code":
        return "".join(map(_block, [source, *map(_output, cell.get("outputs", []))]))
    if cell["cell_type"] == "heading":  # until format 3
        source = f"{'#' * cell.get('level', 1)} {source}"
    return html_of(source)


def _output(output: Mapping[str, Any]) -> str:
    """What it shows as text; of a picture that is its description."""
    shown = output.get("data", output)
    lines = shown.get("text/plain") or output.get("text") or output.get("traceback") or ""
    return _ESCAPES.sub("", _text(lines, "\n" if "traceback" in output else ""))


def _block(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>" if text.strip() else ""


def _text(lines: str | list[str], between: str = "") -> str:
    return lines if isinstance(lines, str) else between.join(lines)
