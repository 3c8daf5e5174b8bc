# ruff: noqa: RET504 - the names that a cell returns are the names it leaves
"""The walkthrough's cells: what is shown is what runs, in the app and out of it."""

import ast
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from engine.config import load_config
from engine.measuring import Setup
from engine.workspace import AskSettings, Turn
from pages.cells.behind import code_of_comparison, code_of_task, code_of_turn
from pages.cells.export import as_notebook, as_script
from pages.cells.lessons import LESSONS
from pages.cells.notebook import Notebook, State
from pages.cells.source import body, cell_of, makers
from pages.parts.walkthrough_state import VALUES
from tests.browser import ROOT
from tests.scripted import ScriptedLLM

SECONDS = 60.0  # a loaded machine; what hangs for ever still fails
SAMPLES = {
    **VALUES,
    "folder": str(ROOT / "samples"),
    "question": "Who built the tide mill?",
    "task": "Who built the tide mill, and what is 2026 - 1684?",
    "length": 48,  # tokens: long enough to stream
}
CELLS = [cell_of(function) for function in LESSONS]


def wait(notebook: Notebook) -> None:
    deadline = time.monotonic() + SECONDS
    while notebook.busy:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def states(notebook: Notebook) -> list[str]:
    return [str(notebook.state(cell)) for cell in notebook.cells]


def printed(notebook: Notebook, name: str) -> str:
    cell = next(each for each in notebook.cells if each.name == name)
    execution = notebook.execution(cell)
    return execution.output.text if execution else ""


@pytest.fixture(scope="module")
def ran() -> Notebook:
    """The whole walkthrough on the samples, with the real model."""
    notebook = Notebook(LESSONS, SAMPLES)
    notebook.run_all()
    wait(notebook)
    return notebook


# ---- The code


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_every_value_is_filled_in_and_only_results_of_earlier_cells_stay_names(cell: Any) -> None:
    made_before = {name for each in CELLS[: CELLS.index(cell)] for name in each.outputs}
    names = {
        node.id
        for node in ast.walk(ast.parse(cell.code(SAMPLES)))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    assert names & set(cell.inputs) <= made_before
    assert set(cell.inputs) - set(makers(CELLS)) <= set(SAMPLES)


@pytest.mark.parametrize(
    "question",
    ['"); import os  # "', "'''", "back\\slash", "line\nend", "\"'", "{question}", "ü€😀"],
)
def test_a_question_is_a_literal_whatever_is_in_it(question: str) -> None:
    def shape(asked: str) -> str:
        tree = ast.parse(CELLS[5].code({**SAMPLES, "question": asked}))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and node.value == asked:
                node.value = "the question"
        return ast.dump(tree)

    assert shape(question) == shape("plain")


def test_comments_and_lines_stay_and_a_last_return_goes_or_becomes_an_assignment() -> None:
    def function(first: int, second: str) -> str:
        """Prose."""
        # A comment about é
        text = "é" * first + f"{second}"  # another
        return text.join(["é", second])

    fill = {"first": "3", "second": '"b"'}
    kept = '# A comment about é\ntext = "é" * 3 + f"{second}"  # another'
    assert body(function, fill) == kept
    assert body(function, fill, "joined") == f'{kept}\njoined = text.join(["é", "b"])'


# ---- Running


def test_every_cell_runs_with_the_real_model_and_says_something(ran: Notebook) -> None:
    errors = {cell.name: ran.execution(cell) for cell in ran.cells}
    assert set(states(ran)) == {"finished"}, {k: v and v.error for k, v in errors.items()}
    assert all(printed(ran, cell.name).strip() for cell in ran.cells)


def test_the_cells_show_what_they_are_about(ran: Notebook) -> None:
    assert "passages can be searched" in printed(ran, "build_index")
    assert "StreamingResponse" in printed(ran, "ask_for_a_stream")
    assert "call 3 (refine) begins now" in printed(ran, "stream_the_last_call")
    assert "[0.1 s]" in printed(ran, "stream_async")
    tokens, chunks = (
        int(word) for word in printed(ran, "count_the_chunks").split() if word.isdigit()
    )
    assert tokens > chunks
    assert "The connection was lost.\nKept: '" in printed(ran, "survive_an_error")
    assert "search_documents" in printed(ran, "watch_an_agent")


def test_a_cell_runs_those_it_needs_first_and_no_others() -> None:
    notebook = chain()
    notebook.run("third")
    wait(notebook)
    assert states(notebook) == ["finished", "finished", "never run", "finished"]
    assert printed(notebook, "third") == "ab\n"
    before = [notebook.execution(cell) for cell in notebook.cells[:2]]
    notebook.run("third")
    wait(notebook)
    assert [notebook.execution(cell) for cell in notebook.cells[:2]] == before


def test_a_changed_value_puts_all_that_depends_on_it_out_of_date_and_keeps_the_output() -> None:
    notebook = chain()
    notebook.run_all()
    wait(notebook)
    notebook.values["letter"] = "z"
    assert states(notebook) == ["out of date", "out of date", "finished", "out of date"]
    assert printed(notebook, "third") == "ab\n"
    notebook.run("third")
    wait(notebook)
    assert states(notebook) == ["finished"] * 4
    assert printed(notebook, "third") == "zb\n"
    notebook.values["letter"] = "a"  # and what was made from another run of a cell is, too
    notebook.run("first")
    wait(notebook)
    assert states(notebook) == ["finished", "out of date", "finished", "out of date"]


def test_other_files_in_the_folder_put_the_reading_of_them_out_of_date() -> None:
    contents = ["one"]
    notebook = Notebook([first], {"letter": "a"}, lambda *_: tuple(contents))
    notebook.run_all()
    wait(notebook)
    contents.append("two")
    assert states(notebook) == ["out of date"]


def test_a_failure_is_said_and_what_waits_behind_it_does_not_run() -> None:
    notebook = Notebook([first, fails, after], {"letter": "a"})
    notebook.run_all()
    wait(notebook)
    assert states(notebook) == ["finished", "failed", "never run"]
    execution = notebook.execution(notebook.cells[1])
    assert execution and execution.error == "It is broken. Mend it."
    assert printed(notebook, "fails") == "before\n"
    assert "“Fails” failed" in notebook.halted


@pytest.mark.parametrize("name", ["waits", "reads", "ticks", "prints"])
def test_stop_ends_a_cell_wherever_it_is_and_keeps_what_it_printed(name: str) -> None:
    slow = ScriptedLLM(["word "] * 100_000, seconds=0.005)
    notebook = Notebook([slow_engine, waits, reads, ticks, prints], {})
    notebook._namespace["slow"] = slow  # as if a cell had made it
    notebook.run(name)
    deadline = time.monotonic() + SECONDS
    while not (printed(notebook, name) and (slow.prompts or name == "prints")):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    notebook.stop()
    wait(notebook)
    cell = next(each for each in notebook.cells if each.name == name)
    assert notebook.state(cell) is State.STOPPED
    assert printed(notebook, name).startswith("begun")
    assert name == "prints" or slow.closed.wait(SECONDS)


def test_a_tab_that_is_gone_stops_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.cells.notebook.LEASE", 0.05)
    notebook = Notebook([prints], {})
    notebook.run_all()
    wait(notebook)
    assert states(notebook) == ["stopped"]


def test_two_notebooks_print_at_once_and_neither_sees_the_others_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    notebooks = [Notebook([first, second, third], {"letter": letter}) for letter in "abcd"]
    for notebook in notebooks:
        notebook.run_all()
    print("the terminal's")
    for notebook in notebooks:
        wait(notebook)
    for letter, notebook in zip("abcd", notebooks, strict=True):
        assert printed(notebook, "third") == f"{letter}b\n"
    assert capsys.readouterr().out == "the terminal's\n"


def test_what_a_library_writes_to_standard_output_lands_in_the_cell(ran: Notebook) -> None:
    assert "Voss" in printed(ran, "print_the_stream")


# ---- Taking it along


def test_the_downloaded_script_and_notebook_run_outside_the_app(
    ran: Notebook, tmp_path: Path
) -> None:
    (tmp_path / "engine").symlink_to(ROOT / "engine")  # all of First Token that is there
    (tmp_path / "walkthrough.py").write_text(as_script(ran))
    (tmp_path / "walkthrough.ipynb").write_text(as_notebook(ran))
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, "walkthrough.py", "walkthrough.ipynb"],
        cwd=tmp_path,
        env={**os.environ, "DATA_DIR": str(load_config().data_dir.resolve())},  # the models
        capture_output=True,
        text=True,
        timeout=4 * SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for output in done.stdout.split("==== notebook ===="):
        assert "call 3 (refine) begins now" in output
        assert "--- End of stream" in output
        assert "The answer, whole:" in output


def test_the_notebook_has_every_cell_with_its_prose_code_and_output(ran: Notebook) -> None:
    document = json.loads(as_notebook(ran))
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert ["".join(cell["source"]) for cell in code] == [ran.code(cell) for cell in ran.cells]
    assert all(cell["outputs"] for cell in code)
    prose = "".join(line for cell in document["cells"] for line in cell["source"])
    assert all(cell.prose in prose for cell in ran.cells)
    assert len({cell["id"] for cell in document["cells"]}) == len(document["cells"])


# The script, as Python runs it; the notebook, as a kernel does: one namespace, and `await` at
# the top of a cell. In one process, so that the model is loaded once.
EXECUTE = """
import ast, asyncio, inspect, json, runpy, sys
runpy.run_path(sys.argv[1], run_name="__main__")
print("==== notebook ====")
names = {"__name__": "__main__"}
for cell in json.load(open(sys.argv[2]))["cells"]:
    if cell["cell_type"] == "code":
        code = compile("".join(cell["source"]), "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(eval(code, names))
        else:
            exec(code, names)
assert not {"streamlit", "pages"} & sys.modules.keys()
"""


# ---- Behind other pages


@pytest.mark.parametrize("streaming", [True, False])
def test_the_code_behind_an_answer_has_its_settings_and_gives_that_answer(
    streaming: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = AskSettings(streaming=streaming, passages=2, length=40)
    turn = Turn("1", 'Who "built" the tide mill?', settings=asdict(settings))
    code = code_of_turn(turn, str(ROOT / "samples"))
    for written in ("similarity_top_k=2", "max_tokens=40", f"streaming={streaming}", '"compact"'):
        assert written in code
    assert not {"self", "settings", "collection"} & names_in(code)
    exec(compile(code, "code", "exec"), {})
    assert "Hannah Voss" in capsys.readouterr().out


def test_the_code_behind_a_comparison_runs_both_modes_with_its_setup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    setup = Setup("Who built the tide mill?", "default", passages=1, length=24, warm=True)
    code = code_of_comparison(setup, str(ROOT / "samples"))
    assert "max_tokens=24" in code and "reuse=True" in code and "similarity_top_k=1" in code
    assert not {"setup", "step", "index_of", "llm"} & names_in(code)
    exec(compile(code, "code", "exec"), {})
    printed = capsys.readouterr().out
    assert "streaming=True" in printed and "streaming=False" in printed


def test_the_code_behind_a_task_is_whole() -> None:
    code = code_of_task("What is 7 * 6?", "samples")
    assert "What is 7 * 6?" in code
    assert not {"task", "folder", "llm"} & names_in(code)


def names_in(code: str) -> set[str]:
    tree = ast.parse(code)
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


# ---- Cells for these tests


def first(letter: str) -> str:
    """First"""
    a = letter
    return a


def second(a: str) -> str:
    """Second"""
    both = a + "b"
    return both


def aside() -> None:
    """Aside"""
    print("aside")


def third(both: str) -> None:
    """Third"""
    print(both)


def chain() -> Notebook:
    return Notebook([first, second, aside, third], {"letter": "a"})


def fails(a: str) -> str:
    """Fails"""
    from engine.errors import LLMError

    print("before")
    result = a
    if a:
        raise LLMError("It is broken. Mend it.")
    return result


def after(result: str) -> None:
    """After"""
    print(result)


def slow_engine(slow: Any) -> Any:
    """An engine over a slow model"""
    from engine import ResponseSynthesizer, RetrieverQueryEngine
    from tests.scripted import ScriptedRetriever

    synthesizer = ResponseSynthesizer(slow)
    engine = RetrieverQueryEngine(ScriptedRetriever("A passage."), synthesizer)
    return engine


def waits(engine: Any) -> None:
    """Waits for a whole answer"""
    print("begun")
    print(engine.query("Anything?", stream=False))


def reads(engine: Any) -> None:
    """Reads a stream and prints nothing"""
    print("begun")
    for _ in engine.query("Anything?", stream=True).response_gen:
        pass
    print("ended")


async def ticks(engine: Any) -> None:
    """Streams beside a clock"""
    import asyncio

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.01)
            print("tick")

    print("begun")
    clock = asyncio.create_task(tick())
    response = await engine.query("Anything?", stream=True)
    async for _ in response.async_response_gen():
        pass
    clock.cancel()
    print("ended")


def prints() -> None:
    """Prints without end"""
    import time

    while True:
        print("begun")
        time.sleep(0.005)
