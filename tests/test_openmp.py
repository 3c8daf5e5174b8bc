"""OpenMP's variables are set before llama.cpp is loaded, whichever module is imported first."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Imports each module in a fork of one process that has loaded neither llama.cpp nor the engine.
# Prints for each whether the variables were set when llama.cpp was about to be loaded, or null.
PROGRAM = """
import json, os, sys, importlib
import fastembed, httpx, numpy, pydantic, qdrant_client  # shared by the forks, to save time
from engine.llm.openmp import SETTINGS
for name in [name for name in sys.modules if name.startswith("engine")]:
    del sys.modules[name]
for name in SETTINGS:
    del os.environ[name]

def child(module):
    def watch(event, arguments):
        loading = event == "ctypes.dlopen" and "gomp" in str(arguments[0])
        if loading or event == "import" and arguments[0] == "llama_cpp":
            end(all(name in os.environ for name in SETTINGS))  # llama.cpp need not be loaded
    sys.addaudithook(watch)
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:  # benchmarks may need packages of their own
        if str(error.name).startswith(("engine", "benchmarks", "llama_cpp")):
            end("error")
    end(None)

for module in sys.argv[1:]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        def end(answer):
            os.write(writing, json.dumps(answer).encode())
            os._exit(0)
        child(module)
    os.close(writing)
    with os.fdopen(reading) as answer:
        print(json.dumps([module, json.loads(answer.read() or '"error"')]), flush=True)
    os.waitpid(pid, 0)
"""


def modules(folder: str) -> list[str]:
    files = sorted((ROOT / folder).rglob("*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    return [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]


@pytest.mark.parametrize("step", [20, pytest.param(1, marks=pytest.mark.soak)])
def test_openmp_is_set_up_before_llama_cpp_whatever_is_imported_first(step: int) -> None:
    first = ["engine", "engine.llm.binding", "engine.llm.local", "benchmarks.bare_loop"]
    others = [*modules("engine"), *modules("benchmarks")][::step]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *first, *others],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(json.loads(line) for line in done.stdout.splitlines())
    loading = {module for module, answer in found.items() if answer is not None}
    assert loading >= {"engine.llm.binding", "engine.llm.local", "benchmarks.bare_loop"}
    assert {module for module in loading if found[module] is not True} == set(), done.stderr[-2000:]


def test_only_the_engines_llm_package_imports_llama_cpp() -> None:
    """Importing that package sets OpenMP up. A peer in a process of its own is not ours."""
    importers = set()
    for folder in ("engine", "benchmarks", "pages", "scripts"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                if any(name.partition(".")[0] == "llama_cpp" for name in names):
                    importers.add(path.relative_to(ROOT).parent.as_posix())
    assert importers == {"engine/llm"}
