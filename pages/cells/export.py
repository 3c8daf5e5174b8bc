"""A notebook as a file: `.ipynb` with the output of its cells, or a plain `.py`.

Both contain the code that the page shows and runs. They run in any folder: they need the engine,
its packages and its models, but no page, and their header says where those are.
"""

import json
import shlex
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pages.cells.notebook import Cell, Notebook, State, awaits

NAME = "first-token-walkthrough"
TITLE = "The streaming API, step by step"


@dataclass(frozen=True, slots=True)
class Place:
    """Where First Token is on this computer: its folder, its Python, its data folder."""

    project: Path
    python: Path
    data: Path

    @classmethod
    def here(cls, data: Path) -> "Place":
        project = Path(__file__).resolve().parents[2]
        return cls(project, Path(sys.executable).absolute(), data.absolute())

    def run(self, *command: str) -> str:
        """A shell command that runs Python with the engine, its packages and its models."""
        return (
            f"PYTHONPATH={shlex.quote(str(self.project))} DATA_DIR={shlex.quote(str(self.data))} "
            f"{shlex.quote(str(self.python))} {shlex.join(command)}"
        )

    @property
    def install(self) -> str:
        return (
            "On another computer, get First Token and run `make run` in its folder once: this "
            "installs its packages and fetches its models. Then replace the three paths in the "
            "command, and the path of the documents in the first cell."
        )


def as_notebook(notebook: Notebook, place: Place) -> str:
    """JSON of notebook format 4.5, with the outputs that are up to date."""
    pip = f"{shlex.quote(str(place.python))} -m pip install jupyterlab"
    how_to = (
        f"# {TITLE}\n\nExported from First Token. Install Jupyter once, then open this file; both "
        f"commands work in any folder:\n\n```sh\n{pip}\n"
        f"{place.run('-m', 'jupyter', 'lab', f'{NAME}.ipynb')}\n```\n\n{place.install}"
    )
    cells = [_markdown("how-to", how_to)]
    for cell in notebook.cells:
        cells.append(_markdown(f"about-{cell.name}", f"## {cell.title}\n\n{cell.prose}"))
        execution = notebook.execution(cell)
        printed = execution.output.text if execution else ""
        fresh = notebook.state(cell) is State.FINISHED and printed
        output = {"output_type": "stream", "name": "stdout", "text": _lines(printed)}
        cells.append(
            {
                "cell_type": "code",
                "id": cell.name,
                "metadata": {},
                "execution_count": None,
                "source": _lines(_code(notebook, cell)),
                "outputs": [output] if fresh else [],
            }
        )
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    document = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, indent=1, ensure_ascii=False)


def as_script(notebook: Notebook, place: Place) -> str:
    """Python. Each cell begins with `# %%`, which editors recognize, and prints its title."""
    head = [
        f"# {TITLE}. Exported from First Token.",
        "#",
        "# Run it in any folder:",
        "#",
        f"#     {place.run(f'{NAME}.py')}",
        "#",
        *_comment(place.install),
    ]
    parts = ["\n".join(head)]
    for number, cell in enumerate(notebook.cells, start=1):
        title = f"{number}. {cell.title}".replace("`", "")
        code = _code(notebook, cell)
        if _awaits(code):  # a script has no `await` outside functions
            inner = textwrap.indent(code, "    ")
            code = (
                f"import asyncio\n\n\nasync def {cell.name}() -> None:\n{inner}\n\n\n"
                f"asyncio.run({cell.name}())"
            )
        prose = "\n".join(_comment(cell.prose))
        heading = f'print("\\n\\n{title}\\n{"-" * len(title)}\\n")'
        parts.append(f"# %%\n{prose}\n{heading}\n\n{code}")
    return "\n\n\n".join(parts) + "\nprint()\n"


def _code(notebook: Notebook, cell: Cell) -> str:
    """The code of a cell; the folder of the documents as an absolute path, which holds anywhere."""
    if notebook.is_edited(cell) or "folder" not in cell.values:
        return notebook.code(cell)
    return cell.code(notebook.values | {"folder": str(Path(notebook.values["folder"]).resolve())})


def _awaits(code: str) -> bool:
    try:
        return awaits(code)
    except SyntaxError:  # an edited cell: it is exported as it is
        return False


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, 94)]


def _markdown(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": _lines(text)}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
