"""The README is true: its example runs, its tree and pictures are there, its variables exist."""

import re

import pytest
from dotenv import dotenv_values

from engine.config import Config
from tests.browser import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
LARGEST = 200_000  # bytes of a picture: the page is to open at once


def tree() -> set[str]:
    """Every path that the annotated tree names, a folder without its slash."""
    (block,) = re.findall(r"```\n(streamlit_app\.py .*?)```", README, re.DOTALL)
    paths, folder = set(), ""
    for line in block.splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = name if name.endswith("/") else ""
            paths.add(name.rstrip("/"))
        else:
            paths.add((folder + name).rstrip("/"))
    return paths


def test_everything_in_the_tree_is_there_and_no_part_of_the_engine_is_missing() -> None:
    assert {path for path in tree() if not (ROOT / path).exists()} == set()
    parts = (ROOT / "engine").glob("[!_]*")
    there = {f"engine/{part.name}" for part in parts if part.suffix == ".py" or part.is_dir()}
    assert there - tree() == set()


def test_what_the_architecture_names_is_there_and_a_question_takes_eight_modules() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:engine|pages)/[\w/.]*)`", text)
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []
    path = text.partition("## The path of one question")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\d\. ", path, re.MULTILINE)) <= 8


def test_the_example_of_eight_lines_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```python\n(from engine import .*?)```", README, re.DOTALL)
    assert len(example.splitlines()) <= 8
    monkeypatch.chdir(ROOT)
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "tide-mill.md" in printed
    assert "Voss" in printed


def test_every_variable_is_explained_and_no_other() -> None:
    _, _, section = README.partition("## Configuration")
    explained = re.findall(r"`([A-Z_]+)`", section.partition("\n## ")[0])
    assert explained == [name.upper() for name in Config.__dataclass_fields__]
    assert explained == list(dotenv_values(ROOT / ".env.example"))


def test_every_picture_and_file_that_is_linked_is_there_and_pictures_are_small() -> None:
    targets = re.findall(r"\]\(((?!http|#)[^)#]+)", README)
    assert len(targets) > 5
    assert [target for target in targets if not (ROOT / target).is_file()] == []
    pictures = [ROOT / target for target in targets if target.endswith(".png")]
    assert max(picture.stat().st_size for picture in pictures) < LARGEST
