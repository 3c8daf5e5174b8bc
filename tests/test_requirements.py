"""The requirement files: what the code imports is named, with one version everywhere."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Part of a required package's own API, so that its pin is theirs.
COME_WITH = {
    "streamlit": {"altair", "pandas", "starlette"},
    "fastembed": {"py-rust-stemmers"},
    "mcp": {"mcp-types", "httpx2"},
    "pydantic": {"pydantic-core"},
    "tavily-python": {"requests"},
}


def pins(name: str) -> dict[str, str]:
    """Package → version. Names in the spelling that pip compares."""
    found = re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", (ROOT / name).read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in found}


def with_companions(name: str) -> set[str]:
    named = set(pins(name))
    return named.union(*(COME_WITH.get(package, set()) for package in named))


def imported(folders: list[str]) -> set[str]:
    """The packages that the modules in these folders import, by their names on PyPI."""
    modules = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                modules.add(node.module.partition(".")[0])
    ours = {"engine", "pages", "scripts", "tests", "benchmarks", "streamlit_app"}
    known = packages_distributions()
    found = {known.get(module, [module])[0] for module in modules - ours - sys.stdlib_module_names}
    return {re.sub(r"[-_.]+", "-", package).lower() for package in found}


def test_every_package_that_the_app_imports_is_required() -> None:
    assert imported(["engine", "pages"]) - with_companions("requirements.txt") == set()


def test_every_package_that_the_tests_import_is_required() -> None:
    named = with_companions("requirements.txt") | with_companions("requirements-dev.txt")
    assert imported(["tests", "scripts"]) - named == set()


def test_the_lock_agrees_with_every_requirement() -> None:
    locked = pins("constraints.txt")
    assert locked.items() >= pins("requirements.txt").items()
    assert locked.items() >= pins("requirements-dev.txt").items()
