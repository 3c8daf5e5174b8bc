"""A notebook → a file to take along: `.ipynb` with what the cells printed, or a plain `.py`.

Both hold the code that the page shows and runs, cell by cell; they need First Token's engine
beside them, and nothing of its pages. Pure.
"""

import json
import textwrap
from typing import Any

from pages.cells.notebook import Notebook, State
from pages.cells.source import Cell

NAME = "first-token-walkthrough"
HOW_TO = (
    f"Put this file into the folder of First Token, where `engine/` is. As a script: "
    f"`.venv/bin/python {NAME}.py`. As a notebook: `.venv/bin/pip install jupyterlab`, then "
    f"`.venv/bin/jupyter lab {NAME}.ipynb`."
)


def as_notebook(notebook: Notebook) -> str:
    """JSON of notebook format 4.5. Outputs are those that are not out of date."""
    cells = [_markdown("how-to", f"# The streaming API, step by step\n\n{HOW_TO}")]
    for cell in notebook.cells:
        cells.append(_markdown(f"about-{cell.name}", f"## {cell.title}\n\n{cell.prose}"))
        cells.append(_code(notebook, cell))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    document = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, indent=1, ensure_ascii=False)


def as_script(notebook: Notebook) -> str:
    """Python, with `# %%` where a cell begins, as editors know it."""
    head = f'"""The streaming API, step by step.\n\n{textwrap.fill(HOW_TO, 90)}\n"""'
    return "\n\n".join([head, *(_script(notebook, cell) for cell in notebook.cells)]) + "\n"


def _markdown(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": _lines(text)}


def _code(notebook: Notebook, cell: Cell) -> dict[str, Any]:
    execution = notebook.execution(cell)
    printed = execution.output.text if execution else ""
    fresh = notebook.state(cell) is State.FINISHED and printed
    outputs = [{"output_type": "stream", "name": "stdout", "text": _lines(printed)}]
    return {
        "cell_type": "code",
        "id": cell.name,
        "metadata": {},
        "execution_count": None,
        "source": _lines(notebook.code(cell)),
        "outputs": outputs if fresh else [],
    }


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _script(notebook: Notebook, cell: Cell) -> str:
    """A script has no `await` at its top: such a cell becomes a function, run on a loop."""
    lines = [cell.title, "", *cell.prose.splitlines()]
    prose = "\n".join(f"# {line}".rstrip() for line in lines)
    code = notebook.code(cell)
    if cell.is_async:
        inner = textwrap.indent(code, "    ")
        code = (
            f"import asyncio\n\n\nasync def {cell.name}() -> None:\n{inner}\n\n\n"
            f"asyncio.run({cell.name}())"
        )
    return f"# %%\n{prose}\n\n{code}"
