"""The Walkthrough's cells: the code that is shown is the code that runs, in the app and outside."""

import ast
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine import Filters, ResponseSynthesizer, RetrieverQueryEngine
from engine.config import load_config
from engine.llm.base import ContextFormat
from engine.measuring import Lane, Mode, Setup
from engine.workspace import AskSettings, Turn, Workspace
from pages.cells.behind import code_of_comparison, code_of_task, code_of_turn
from pages.cells.export import NAME, Place, as_notebook, as_script
from pages.cells.lessons import LESSONS, MEASURE_SPEED
from pages.cells.notebook import Cell, Notebook, State
from pages.cells.output import Output
from pages.parts.only import behind_filters
from pages.parts.samples import load_samples
from pages.parts.walkthrough_state import VALUES, may_edit
from tests.browser import ROOT
from tests.scripted import ScriptedLLM, ScriptedRetriever, words

SECONDS = 60.0  # a loaded machine; what hangs for ever still fails
SAMPLES = {
    **VALUES,
    "folder": str(ROOT / "samples"),
    "question": "Who built the tide mill?",
    "task": "Who built the tide mill, and what is 2026 - 1684?",
    "length": 48,  # tokens: long enough to stream
}
QUESTION_CELL = next(cell for cell in LESSONS if cell.name == "print_the_stream")

HERE = Place.here(load_config().data_dir)

# Cells for these tests

FIRST = Cell("first", "First", "", "a = $letter", makes=("a",))
SECOND = Cell("second", "Second", "", "both = a + 'b'", needs=("a",), makes=("both",))
ASIDE = Cell("aside", "Aside", "", "print('aside')")
THIRD = Cell("third", "Third", "", "print(both)", needs=("both",))
FAILS = Cell(
    "fails",
    "Fails",
    "",
    """
    from engine.errors import LLMError
    print("before")
    raise LLMError("It is broken. Repair it.")
    """,
    needs=("a",),
    makes=("result",),
)
AFTER = Cell("after", "After", "", "print(result)", needs=("result",))
WAITS = Cell(
    "waits",
    "Waits for a whole answer",
    "",
    """
    print("begun")
    print(engine.query("Anything?", stream=False))
    """,
)
READS = Cell(
    "reads",
    "Reads a stream and prints nothing",
    "",
    """
    print("begun")
    for _ in engine.query("Anything?", stream=True).response_gen:
        pass
    print("ended")
    """,
)
TICKS = Cell(
    "ticks",
    "Streams beside a clock",
    "",
    """
    import asyncio

    async def tick():
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
    """,
)
PRINTS = Cell(
    "prints",
    "Prints without end",
    "",
    """
    import time

    while True:
        print("begun")
        time.sleep(0.005)
    """,
)


def chain() -> Notebook:
    return Notebook([FIRST, SECOND, ASIDE, THIRD], {"letter": "a"})



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


@pytest.mark.parametrize("cell", [*LESSONS, MEASURE_SPEED], ids=lambda cell: cell.name)
def test_every_value_is_filled_in_and_a_cell_declares_the_results_it_needs_and_makes(
    cell: Cell,
) -> None:
    tree = ast.parse(cell.code(SAMPLES))
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    loaded = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    stored = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    results = {name for each in LESSONS for name in each.makes}
    assert (loaded - stored) & results == set(cell.needs)
    assert set(cell.makes) <= stored
    assert "$" not in cell.code(SAMPLES)
    if cell in LESSONS:
        before = LESSONS[: LESSONS.index(cell)]
        assert set(cell.needs) <= {name for each in before for name in each.makes}


@pytest.mark.parametrize(
    "question",
    [
        '"); import os  # "',
        "'''",
        "back\\slash",
        "line\nend",
        "\"'",
        "{question}",
        "$question",
        "ü€😀",
    ],
)
def test_a_question_is_a_literal_whatever_is_in_it(question: str) -> None:
    def shape(asked: str) -> str:
        tree = ast.parse(QUESTION_CELL.code({**SAMPLES, "question": asked}))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and node.value == asked:
                node.value = "the question"
        return ast.dump(tree)

    assert shape(question) == shape("plain")


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
    notebook = Notebook([FIRST], {"letter": "a"}, lambda *_: tuple(contents))
    notebook.run_all()
    wait(notebook)
    contents.append("two")
    assert states(notebook) == ["out of date"]


def test_a_failure_is_said_and_what_waits_behind_it_does_not_run() -> None:
    notebook = Notebook([FIRST, FAILS, AFTER], {"letter": "a"})
    notebook.run_all()
    wait(notebook)
    assert states(notebook) == ["finished", "failed", "never run"]
    execution = notebook.execution(notebook.cells[1])
    assert execution and execution.error == "It is broken. Repair it."
    assert printed(notebook, "fails") == "before\n"
    assert "“Fails” failed" in notebook.halted


@pytest.mark.parametrize("cell", [WAITS, READS, TICKS, PRINTS], ids=lambda cell: cell.name)
def test_stop_ends_a_cell_wherever_it_is_and_keeps_what_it_printed(cell: Cell) -> None:
    slow = ScriptedLLM(words(100_000), seconds=0.005)
    notebook = Notebook([cell], {})
    retriever, synthesizer = ScriptedRetriever("A passage."), ResponseSynthesizer(slow)
    notebook.namespace["engine"] = RetrieverQueryEngine(retriever, synthesizer)
    notebook.run(cell.name)
    deadline = time.monotonic() + SECONDS
    while not (printed(notebook, cell.name) and (slow.prompts or cell is PRINTS)):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    notebook.stop()
    wait(notebook)
    assert notebook.state(cell) is State.STOPPED
    assert printed(notebook, cell.name).startswith("begun")
    assert cell is PRINTS or slow.closed.wait(SECONDS)


def test_a_tab_that_is_gone_stops_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.cells.notebook.LEASE", 0.05)
    notebook = Notebook([PRINTS], {})
    notebook.run_all()
    wait(notebook)
    assert states(notebook) == ["stopped"]


def test_two_notebooks_print_at_once_and_neither_sees_the_others_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    notebooks = [Notebook([FIRST, SECOND, THIRD], {"letter": letter}) for letter in "abcd"]
    for notebook in notebooks:
        notebook.run_all()
    print("the terminal's")
    for notebook in notebooks:
        wait(notebook)
    for letter, notebook in zip("abcd", notebooks, strict=True):
        assert printed(notebook, "third") == f"{letter}b\n"
    assert capsys.readouterr().out == "the terminal's\n"


def test_standard_output_is_replaced_only_while_a_cell_prints() -> None:
    before = sys.stdout
    one, other = Output(), Output()
    with one.taking_prints():
        assert sys.stdout is not before
        with other.taking_prints():
            sys.stdout.write("inner")
        sys.stdout.write("outer")
    assert sys.stdout is before
    assert (one.text, other.text) == ("outer", "inner")


def test_a_replacement_of_standard_output_by_somebody_else_survives_a_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = io.StringIO()
    before = sys.stdout
    with Output().taking_prints():
        router, sys.stdout = sys.stdout, theirs
        assert router is not before
    assert sys.stdout is theirs
    sys.stdout = before


# ---- Editing


def test_an_edited_cell_runs_as_edited_puts_later_cells_out_of_date_and_can_be_reset() -> None:
    notebook = chain()
    notebook.run_all()
    wait(notebook)
    notebook.edit("first", "a = 'edited '")
    assert notebook.is_edited(FIRST)
    assert states(notebook) == ["out of date", "out of date", "finished", "out of date"]
    notebook.run("third")
    wait(notebook)
    assert printed(notebook, "third") == "edited b\n"
    notebook.values["letter"] = "z"
    assert states(notebook) == ["finished"] * 4, "the parameters do not change an edited cell"
    notebook.reset("first")
    assert notebook.code(FIRST) == 'a = "z"'
    assert states(notebook)[0] == "out of date"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("a = (", "SyntaxError"),
        ("a = 1\nraise ValueError('no')", "ValueError: no (line 2)"),
        ("import sys\nsys.exit(3)", "SystemExit: 3 (line 2)"),
    ],
)
def test_an_edit_that_fails_says_why_and_where(code: str, message: str) -> None:
    notebook = chain()
    notebook.edit("first", code)
    notebook.run("first")
    wait(notebook)
    execution = notebook.execution(FIRST)
    assert execution and execution.state is State.FAILED
    assert message in execution.error
    assert code in as_script(notebook, HERE), "and it can still be exported"


@pytest.mark.parametrize(
    ("setting", "address", "origin", "host", "allowed"),
    [
        (True, "localhost", "http://localhost:8501", "localhost:8501", True),
        (True, "127.0.0.1", "http://127.0.0.1:8501", "127.0.0.1:8501", True),
        (True, "::1", "http://[::1]:8501", "[::1]:8501", True),
        (False, "localhost", "http://localhost:8501", "localhost:8501", False),
        (True, "0.0.0.0", "http://localhost:8501", "localhost:8501", False),
        (True, "None", "http://localhost:8501", "localhost:8501", False),
        (True, "localhost", "http://evil.example", "localhost:8501", False),
        (True, "localhost", "http://localhost:9999", "localhost:8501", False),
        (True, "localhost", "https://app.example", "app.example", False),
        (True, "localhost", "", "localhost:8501", False),
        (True, "localhost", "", "", False),
    ],
)
def test_code_can_be_edited_only_on_this_computer_from_the_apps_own_page(
    setting: bool, address: str, origin: str, host: str, allowed: bool
) -> None:
    assert may_edit(setting, address, origin, host) is allowed


# ---- What the cells print


def test_what_a_library_writes_to_standard_output_lands_in_the_cell(ran: Notebook) -> None:
    assert "Voss" in printed(ran, "print_the_stream")


# ---- Export


def test_the_exported_script_runs_in_another_folder_with_the_command_of_its_header(
    ran: Notebook, tmp_path: Path
) -> None:
    script = as_script(ran, HERE)
    (tmp_path / f"{NAME}.py").write_text(script, encoding="utf-8")
    (command,) = (line[6:] for line in script.splitlines() if line.startswith("#     "))
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},  # nothing of this process's environment
        capture_output=True,
        text=True,
        timeout=4 * SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for number, cell in enumerate(LESSONS, start=1):
        title = f"{number}. {cell.title}".replace("`", "")
        assert f"\n{title}\n{'-' * len(title)}\n" in done.stdout
    check_printed(done.stdout)


def test_the_exported_notebook_runs_outside_the_app(ran: Notebook, tmp_path: Path) -> None:
    (tmp_path / "engine").symlink_to(ROOT / "engine")  # nothing else of First Token
    (tmp_path / "walkthrough.ipynb").write_text(as_notebook(ran, HERE), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, "walkthrough.ipynb"],
        cwd=tmp_path,
        env={**os.environ, "DATA_DIR": str(HERE.data)},
        capture_output=True,
        text=True,
        timeout=4 * SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    check_printed(done.stdout)


def check_printed(output: str) -> None:
    assert "call 3 (refine) begins now" in output
    assert "--- End of stream" in output
    assert "The answer, whole:" in output


def test_the_header_of_the_notebook_has_the_command_that_opens_it(ran: Notebook) -> None:
    (how_to, *_) = json.loads(as_notebook(ran, HERE))["cells"]
    text = "".join(how_to["source"])
    assert f"PYTHONPATH={ROOT}" in text and f"-m jupyter lab {NAME}.ipynb" in text


def test_the_notebook_has_every_cell_with_its_prose_code_and_output(ran: Notebook) -> None:
    document = json.loads(as_notebook(ran, HERE))
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert ["".join(cell["source"]) for cell in code] == [ran.code(cell) for cell in ran.cells]
    assert all(cell["outputs"] for cell in code)
    prose = "".join(line for cell in document["cells"] for line in cell["source"])
    assert all(cell.prose in prose for cell in ran.cells)
    assert len({cell["id"] for cell in document["cells"]}) == len(document["cells"])


# Runs a notebook as a kernel does: one namespace, and `await` outside functions.
EXECUTE = """
import ast, asyncio, inspect, json, sys
names = {"__name__": "__main__"}
for cell in json.load(open(sys.argv[1]))["cells"]:
    if cell["cell_type"] == "code":
        code = compile("".join(cell["source"]), "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(eval(code, names))
        else:
            exec(code, names)
assert not {"streamlit", "pages"} & sys.modules.keys()
"""


# ---- The code behind other pages


def executed(code: str, capsys: pytest.CaptureFixture[str]) -> str:
    exec(compile(code, "code", "exec"), {})
    return capsys.readouterr().out


@pytest.mark.parametrize("streaming", [True, False])
def test_the_code_behind_an_answer_gives_the_answer_that_the_app_gave(
    workspace: Workspace, streaming: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    load_samples(workspace, "default")
    deadline = time.monotonic() + SECONDS
    while not all(each.stage.ended for each in workspace.ingestor.uploads("default")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    workspace.settings = AskSettings(streaming=streaming, passages=2, length=40)
    conversation = workspace.conversations.create("default")
    answer = str(workspace.ask(conversation, "Who “built” the tide mill?"))
    (turn,) = workspace.turns(conversation.id)
    code = code_of_turn(turn, str(ROOT / "samples"))
    for written in ("similarity_top_k=2", "max_tokens=40", f"streaming={streaming}", '"compact"'):
        assert written in code
    shown = executed(code, capsys)
    assert "Hannah Voss" in answer and answer.strip() in shown
    assert all(source.node.label in shown for source in turn.sources)


def test_the_code_behind_an_answer_about_one_document_asks_only_that(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    load_samples(workspace, "default")
    deadline = time.monotonic() + SECONDS
    while not all(each.stage.ended for each in workspace.ingestor.uploads("default")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    documents = workspace.library.documents("default")
    log = next(each for each in documents if each.file_name == "ice-log.txt")
    conversation = workspace.conversations.create("default")
    filters = Filters(source_ids=(log.source_id,))
    str(workspace.ask(conversation, "Why did the sledge party turn back?", filters=filters))
    (turn,) = workspace.turns(conversation.id)
    _, only = behind_filters(workspace, "default", turn.filters)
    assert only == [log.source_id]
    code = code_of_turn(turn, str(ROOT / "samples"), only=only)
    assert code.count("filters=only, also=others)") == 2, "the search, and the kinds of question"
    shown = executed(code, capsys)
    assert {source.node.label for source in turn.sources} == {"ice-log.txt"}
    assert "ice-log.txt" in shown and "tide-mill.md" not in shown


def test_the_code_behind_an_old_turn_has_the_defaults_for_settings_it_lacks() -> None:
    code = code_of_turn(Turn("1", "Who?", settings={"passages": 9}), "samples")
    assert "similarity_top_k=9" in code and f"max_tokens={AskSettings().length}" in code
    ast.parse(code)


@pytest.mark.parametrize("context_format", [None, ContextFormat.PASSAGES])
def test_the_code_behind_a_comparison_runs_both_modes_with_its_setup(
    context_format: ContextFormat | None, capsys: pytest.CaptureFixture[str]
) -> None:
    lanes = (Lane(warm=True), Lane(Mode.BLOCKING, warm=True))
    setup = Setup(
        ("Who built the tide mill?",), "default", 1, context_format, length=24, lanes=lanes
    )
    code = code_of_comparison(setup, str(ROOT / "samples"))
    assert "max_tokens=24" in code and "reuse=True" in code and "similarity_top_k=1" in code
    assert ("ContextFormat.PASSAGES" in code) is (context_format is not None)
    shown = executed(code, capsys)
    assert "streaming=True" in shown and "streaming=False" in shown


def test_the_code_behind_a_task_runs_the_agent(capsys: pytest.CaptureFixture[str]) -> None:
    shown = executed(code_of_task("What is 7 * 6?", str(ROOT / "samples")), capsys)
    assert "calculator(" in shown and "42" in shown
    code = code_of_task("Who?", "papers", "letters")
    assert "document_search(index, filters=only, also=others)" in code
