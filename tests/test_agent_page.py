"""The Agent page as its script runs: Streamlit's own test harness, the real tools."""

import json
import threading
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.agent import AgentHandler
from engine.errors import ToolError
from engine.run import Phase
from engine.workspace import Workspace
from pages.cells.behind import code_of_task
from tests.scripted import ScriptedLLM
from tests.test_agent import ANSWER, decision
from tests.test_ask_page import MILL, add

ROOT = Path(__file__).parents[1]
SECONDS = 60.0  # a loaded machine; a page that hangs for ever still fails


def scripted(workspace: Workspace, *replies: list[str]) -> ScriptedLLM:
    """From now on, agents' models write these replies."""
    llm = ScriptedLLM(*replies)
    workspace.agents._llm = llm
    return llm


def open_page() -> AppTest:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=SECONDS).run()
    return app.switch_page("pages/agent.py").run()


def give(app: AppTest, task: str) -> AppTest:
    return app.chat_input[0].set_value(task).run()


def shown(app: AppTest) -> str:
    elements = [*app.markdown, *app.caption, *app.error, *app.info, *app.warning, *app.code]
    steps = [status.label for status in app.status]
    return "\n".join([*(str(element.value) for element in elements), *steps])


def button(app: AppTest, label: str) -> None:
    next(each for each in app.button if each.label == label).click()


def latest(workspace: Workspace) -> AgentHandler:
    return workspace.agents.latest()[0].handler


def test_an_empty_page_invites_and_names_its_tools(workspace: Workspace) -> None:
    app = open_page()
    assert not app.exception
    assert "Give it a task" in shown(app)
    assert any("sample documents" in each.label for each in app.button)
    assert "**Web search** · :material/key_off: not available" in shown(app)
    assert "tavily" in shown(app)


def test_a_task_shows_its_choice_its_call_its_sources_and_its_answer(workspace: Workspace) -> None:
    add(workspace, "mill.txt", MILL)
    app = give(open_page(), "Who built the tide mill?")
    assert not app.exception
    text = shown(app)
    assert "Chose **search documents**" in text
    assert "**search documents** Who built the tide mill?" in text
    assert '"query": "Who built the tide mill?"' in text
    assert "built in 1684 by Hannah Voss" in text
    assert "finished after" in text
    assert latest(workspace).phase is Phase.DONE
    exported = json.loads(json.dumps(latest(workspace).to_dict()))
    assert exported["user_msg"] == "Who built the tide mill?"


def test_the_code_behind_a_run_does_the_same_outside_the_app(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mill.txt").write_bytes(MILL)
    exec(compile(code_of_task("Who built the tide mill?", str(tmp_path)), "code", "exec"), {})
    printed = capsys.readouterr().out
    assert "search_documents({'query': 'Who built the tide mill?'})" in printed
    assert "Voss" in printed.splitlines()[-1]


def test_a_failed_call_says_why_and_what_came_of_it(workspace: Workspace) -> None:
    scripted(workspace, decision("calculator", expression="1 / 0"), ANSWER, ["It has no answer."])
    app = give(open_page(), "What is 1 / 0?")
    text = shown(app)
    assert "failed after" in text
    assert "That divides by zero." in text
    assert "It has no answer." in text


def waiting_page(workspace: Workspace) -> AppTest:
    """A page whose agent wants to use the calculator, and waits."""
    workspace.agents.ask_first("calculator", wanted=True)
    scripted(workspace, decision("calculator", expression="2 + 2"), ANSWER, ["There."])
    app = give(open_page(), "What is 2 + 2?")
    assert "waits for you" in shown(app)
    assert app.text_input[0].value == "2 + 2"
    assert app.chat_input[0].disabled
    return app


def test_a_call_is_allowed_with_other_arguments(workspace: Workspace) -> None:
    app = waiting_page(workspace)
    app.text_input[0].set_value("2 + 3")
    button(app, "Allow once")
    text = shown(app.run())
    assert "2 + 3 = 5" in text
    assert "with other arguments" in text
    assert "There." in text
    assert "calculator" in workspace.agents.asks_first


def test_arguments_that_do_not_fit_are_refused_on_the_card(workspace: Workspace) -> None:
    workspace.agents.ask_first("calculator", wanted=True)
    scripted(workspace, decision("calculator", expression="2 + 2"), ANSWER, ["There."])
    app = give(open_page(), "What is 2 + 2?")
    latest(workspace)._waiting[1].check = _refuse  # type: ignore[index, method-assign]
    button(app, "Allow once")
    app.run()
    assert "That does not fit" in shown(app)
    assert "waits for you" in shown(app)


def _refuse(arguments: object) -> dict[str, object]:
    raise ToolError("That does not fit.")


def test_always_allow_asks_no_more_in_later_runs(workspace: Workspace) -> None:
    app = waiting_page(workspace)
    button(app, "Always allow")
    app.run()
    assert latest(workspace).phase is Phase.DONE
    assert "calculator" not in workspace.agents.asks_first


def test_a_denial_reaches_the_agent_with_its_reason(workspace: Workspace) -> None:
    app = waiting_page(workspace)
    app.text_input[1].set_value("Do it in your head.")
    button(app, "Deny")
    text = shown(app.run())
    assert "you refused it" in text
    assert "Do it in your head" in text
    assert "There." in text


def test_a_rerun_and_another_session_find_the_waiting_call_again(workspace: Workspace) -> None:
    app = waiting_page(workspace).run()
    assert "waits for you" in shown(app)
    other = open_page()
    other.query_params["run"] = latest(workspace).id
    other.run()
    assert "waits for you" in shown(other)
    button(other, "Allow once")
    assert "2 + 2 = 4" in shown(other.run())


def test_stop_ends_a_waiting_run(workspace: Workspace) -> None:
    app = waiting_page(workspace)
    button(app, "Stop")
    text = shown(app.run())
    assert "stopped after" in text
    assert "· stopped" in text
    assert not app.chat_input[0].disabled


def test_a_run_goes_on_while_its_page_is_left(workspace: Workspace) -> None:
    released = threading.Event()
    llm = scripted(workspace, ["Hello ", "there."])
    llm.before_piece = lambda number: number == 1 and released.wait(10)  # type: ignore[assignment]
    workspace.agents.tools = lambda collection: []  # type: ignore[method-assign]
    run = workspace.agents.start("default", "Hello?")
    app = open_page()  # another visit; the run is in the list, and is not stopped
    assert "Hello?" in [each.label for each in app.button]
    released.set()
    assert str(run.result()) == "Hello there."


def test_a_run_that_is_gone_says_so(workspace: Workspace) -> None:
    app = open_page()
    app.query_params["run"] = "nonsense"
    assert "That run is gone" in shown(app.run())


def test_no_more_runs_are_kept_than_are_wanted(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.workspace.agent_runs.KEPT", 3)
    scripted(workspace, ["Hello."])
    workspace.agents.tools = lambda collection: []  # type: ignore[method-assign]
    for number in range(5):
        workspace.agents.start("default", f"Task {number}").result()
        time.sleep(0)
    assert [run.handler.user_msg for run in workspace.agents.latest()] == [
        "Task 4",
        "Task 3",
        "Task 2",
    ]


def test_what_a_tool_returns_cannot_become_markup(workspace: Workspace) -> None:
    poison = "![x](http://evil.example/?q=1) <script>alert(1)</script>"
    add(workspace, "poison.txt", f"The password of the mill is swordfish. {poison}".encode())
    scripted(
        workspace, decision("search_documents", query="password of the mill"), ANSWER, [poison]
    )
    app = give(open_page(), "What is the password of the mill?")
    assert "\\!\\[x\\]" in shown(app) or "!\\[x\\]" in shown(app)
    for element in (*app.markdown, *app.caption):
        assert "![x](" not in str(element.value)
        assert "<script>" not in str(element.value).replace("\\<script\\>", "")
