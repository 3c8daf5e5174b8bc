"""The structure that the docstrings promise, read from the imports themselves."""

import ast
import importlib
from pathlib import Path

import pytest

import engine

ROOT = Path(__file__).parents[1]
ENGINE = sorted((ROOT / "engine").rglob("*.py"))


def imports(file: Path) -> set[str]:
    """Every module a file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def importers(package: str) -> set[str]:
    return {
        str(file.relative_to(ROOT))
        for file in ENGINE
        if any(name == package or name.startswith(f"{package}.") for name in imports(file))
    }


def files_in(folder: str) -> set[str]:
    return {str(file.relative_to(ROOT)) for file in (ROOT / "engine" / folder).glob("*.py")}


def test_the_engine_never_imports_streamlit_or_a_page() -> None:
    assert importers("streamlit") == importers("pages") == set()


@pytest.mark.parametrize(
    ("package", "home"),
    [
        ("qdrant_client", files_in("store")),
        ("llama_cpp", files_in("llm")),
        ("huggingface_hub", {"engine/models/hub.py"}),
        ("py3langid", {"engine/languages.py"}),
        ("sqlite3", files_in("store") | files_in("workspace")),
    ],
)
def test_each_library_has_one_home(package: str, home: set[str]) -> None:
    assert importers(package) <= home


def test_the_path_of_a_question_reads_no_defaults_of_the_process() -> None:
    """Public functions resolve their optional arguments with Settings; no module below does."""
    resolving = {"engine/__init__.py", "engine/index.py", "engine/synthesis.py"}
    above = ("engine/agent/", "engine/models/", "engine/workspace/", "engine/api/")
    readers = {file for file in importers("engine.settings") if not file.startswith(above)}
    assert readers <= resolving


@pytest.mark.parametrize("pure", ["splitting", "prompting", "timing", "schema", "errors"])
def test_pure_modules_import_no_heavy_library(pure: str) -> None:
    heavy = {"qdrant_client", "llama_cpp", "fastembed", "streamlit", "numpy", "onnxruntime"}
    roots = {name.split(".")[0] for name in imports(ROOT / "engine" / f"{pure}.py")}
    assert not roots & heavy


def test_every_public_name_can_be_had_and_is_documented() -> None:
    for name in engine.__all__:
        public = getattr(engine, name)
        assert public.__doc__, f"{name} has no docstring"


def test_the_public_names_are_those_that_type_checkers_see() -> None:
    tree = ast.parse((ROOT / "engine" / "__init__.py").read_text())
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        name.asname
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert seen == set(engine.__all__)
    with pytest.raises(AttributeError, match="Nonsense"):
        importlib.import_module("engine").Nonsense  # noqa: B018 - the access is the test
