"""The Agent page in Streamlit's own test harness, with the real tools."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.agent import AgentHandler, FunctionTool
from engine.errors import StoreError
from engine.run import Phase
from engine.schema import Filters
from engine.settings import Settings
from engine.workspace import Workspace
from engine.workspace.agent_runs import AgentRun, AgentRuns
from pages.cells.behind import code_of_task
from tests.scripted import ScriptedLLM
from tests.test_agent import ANSWER, decision
from tests.test_ask_page import MILL, add

ROOT = Path(__file__).parents[1]
SECONDS = 60.0  # a loaded machine; a page that hangs for ever still fails


def scripted(workspace: Workspace, *replies: list[str]) -> ScriptedLLM:
    """From now on, the agents' model writes these replies."""
    llm = ScriptedLLM(*replies)
    asks_first = workspace.agents.asks_first
    workspace.agents = AgentRuns(workspace.library, lambda: llm)
    workspace.agents.asks_first = asks_first
    return llm


def open_page() -> AppTest:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=SECONDS).run()
    return app.switch_page("pages/agent.py").run()


def give(app: AppTest, task: str, workspace: Workspace) -> AppTest:
    """Give a task and wait until it has ended or waits for approval."""
    return settle(app.chat_input[0].set_value(task).run(), workspace)


def settle(app: AppTest, workspace: Workspace) -> AppTest:
    """A browser draws a run again while it works; the harness has to be asked."""
    handler = latest(workspace)
    deadline = time.monotonic() + SECONDS
    while not (handler.phase.ended or handler.pending) and time.monotonic() < deadline:
        handler.wait_for(0.1)
    return app.run()


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
    assert "Give the agent a task" in shown(app)
    assert any("sample documents" in each.label for each in app.button)
    assert "**Web search** · :material/key_off: not available" in shown(app)
    assert "tavily" in shown(app)


def test_a_task_shows_its_choice_its_call_its_sources_and_its_answer(workspace: Workspace) -> None:
    add(workspace, "mill.txt", MILL)
    app = give(open_page(), "Who built the tide mill?", workspace)
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
    app = give(open_page(), "What is 1 / 0?", workspace)
    text = shown(app)
    assert "failed after" in text
    assert "Division by zero has no result." in text
    assert "It has no answer." in text


def waiting_page(workspace: Workspace) -> AppTest:
    """A page whose agent wants to use the calculator, and waits."""
    workspace.agents.ask_first("calculator", wanted=True)
    scripted(workspace, decision("calculator", expression="2 + 2"), ANSWER, ["There."])
    app = give(open_page(), "What is 2 + 2?", workspace)
    assert "waits for your approval" in shown(app)
    assert [status.state for status in app.status] == ["complete", "running"]
    assert app.text_input[0].value == "2 + 2"
    return app


def test_a_call_is_allowed_with_other_arguments(workspace: Workspace) -> None:
    app = waiting_page(workspace)
    app.text_input[0].set_value("2 + 3")
    button(app, "Allow once")
    text = shown(settle(app.run(), workspace))
    assert "2 + 3 = 5" in text
    assert "with changed arguments" in text
    assert "There." in text
    assert "calculator" in workspace.agents.asks_first


def test_arguments_that_do_not_fit_are_refused_on_the_card(workspace: Workspace) -> None:
    def ring(hours: list[int]) -> str:
        """Ring a bell."""
        return f"Rang at {hours}."

    scripted(workspace, decision("ring", hours=[1, 2]), ANSWER, ["There."])
    tools = [FunctionTool(ring, requires_approval=True)]
    workspace.agents.tools = lambda collection, filters=Filters(): tools  # type: ignore[method-assign]
    app = give(open_page(), "Ring.", workspace)
    app.text_area[0].set_value("noon")
    button(app, "Allow once")
    app.run()
    assert "Wrong arguments for ring: hours" in shown(app).replace("\\", "")
    assert "waits for your approval" in shown(app)
    app.text_area[0].set_value("[3]")
    button(app, "Allow once")
    assert "Rang at [3]." in shown(settle(app.run(), workspace))


def test_always_allow_asks_no_more_in_later_runs(workspace: Workspace) -> None:
    app = waiting_page(workspace)
    button(app, "Always allow")
    settle(app.run(), workspace)
    assert latest(workspace).phase is Phase.DONE
    assert "calculator" not in workspace.agents.asks_first


def test_a_denial_reaches_the_agent_with_its_reason(workspace: Workspace) -> None:
    app = waiting_page(workspace)
    app.text_input[1].set_value("Do it in your head.")
    button(app, "Deny")
    text = shown(settle(app.run(), workspace))
    assert "denied by you" in text
    assert "You denied this call" in text
    assert "Do it in your head" in text
    assert "There." in text


def test_a_rerun_and_another_session_find_the_waiting_call_again(workspace: Workspace) -> None:
    app = waiting_page(workspace).run()
    assert "waits for your approval" in shown(app)
    other = open_page()
    other.query_params["run"] = latest(workspace).id
    other.run()
    assert "waits for your approval" in shown(other)
    button(other, "Allow once")
    assert "2 + 2 = 4" in shown(settle(other.run(), workspace))


def test_another_collection_leaves_the_open_run(workspace: Workspace) -> None:
    workspace.library.create("boats")
    app = waiting_page(workspace)
    button(app, "Stop")
    settle(app.run(), workspace)
    app.selectbox(key="agent-collection-default").select("boats").run()
    assert not app.exception
    assert "stopped after" not in shown(app)
    assert app.chat_input[0].placeholder == "Give the agent a task about boats"


def test_stop_ends_a_waiting_run(workspace: Workspace) -> None:
    app = waiting_page(workspace)
    button(app, "Stop")
    text = shown(settle(app.run(), workspace))
    assert "stopped after" in text
    assert "· stopped" in text
    assert "Stop" not in [each.label for each in app.button]
    assert not app.chat_input[0].disabled


def test_a_run_goes_on_while_its_page_is_left(workspace: Workspace) -> None:
    released = threading.Event()
    llm = scripted(workspace, ["Hello ", "there."])
    llm.before_piece = lambda number: number == 1 and released.wait(60)  # type: ignore[assignment]
    workspace.agents.tools = lambda collection, filters=Filters(): []  # type: ignore[method-assign]
    run = workspace.agents.start("default", "Hello?")
    app = open_page()  # another visit; the run is in the list, and is not stopped
    assert "Hello?" in [each.label for each in app.button]
    released.set()
    assert str(run.result()) == "Hello there."


def test_an_address_of_an_unknown_run_says_so(workspace: Workspace) -> None:
    app = open_page()
    app.query_params["run"] = "nonsense"
    assert "This run no longer exists" in shown(app.run())


def test_no_more_runs_are_kept_than_are_wanted(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.workspace.agent_runs.KEPT", 3)
    scripted(workspace, ["Hello."])
    workspace.agents.tools = lambda collection, filters=Filters(): []  # type: ignore[method-assign]
    for number in range(5):
        workspace.agents.start("default", f"Task {number}").result()
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
    app = give(open_page(), "What is the password of the mill?", workspace)
    assert "\\!\\[x\\]" in shown(app) or "!\\[x\\]" in shown(app)
    for element in (*app.markdown, *app.caption):
        assert "![x](" not in str(element.value)
        assert "<script>" not in str(element.value).replace("\\<script\\>", "")


def test_a_task_of_markup_is_text_in_the_sidebar(workspace: Workspace) -> None:
    scripted(workspace, ["Hello."])
    workspace.agents.tools = lambda collection, filters=Filters(): []  # type: ignore[method-assign]
    give(open_page(), "![x](http://evil.example/x.png) **bold**", workspace)
    (label,) = [each.label for each in open_page().button if "evil" in each.label]
    assert "![x](" not in label
    assert "\\*\\*bold" in label


def test_a_task_while_the_store_is_down_gets_a_sentence(workspace: Workspace) -> None:
    app = open_page()
    faults = {"The store is down.": StoreError("The store is down."), "KeyError": KeyError("x")}
    for said, fault in faults.items():
        workspace.agents.start = _raiser(fault)  # type: ignore[method-assign]
        app.chat_input[0].set_value("What is 2 + 2?").run()
        assert not app.exception
        assert said in shown(app)


def _raiser(fault: Exception) -> Callable[..., AgentHandler]:
    def fail(*_: object) -> AgentHandler:
        raise fault

    return fail


def test_the_page_knows_once_whether_the_run_is_live(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that ends while the page is drawn must not leave the page of a live run behind."""
    llm = scripted(workspace, ["Hello."])
    workspace.agents.tools = lambda collection, filters=Filters(): []  # type: ignore[method-assign]
    released = threading.Event()
    llm.before_piece = lambda number: released.wait(60)  # type: ignore[assignment]
    run = workspace.agents.start("default", "Hello?")
    latest_runs = workspace.agents.latest

    def ends_meanwhile() -> list[AgentRun]:  # called after the page has looked
        released.set()
        run.result()
        return latest_runs()

    app = open_page()
    monkeypatch.setattr(workspace.agents, "latest", ends_meanwhile)
    app.query_params["run"] = run.id
    app.run()
    assert "finished after" in shown(app)
    assert "Stop" not in [each.label for each in app.button]


def test_a_screen_reader_hears_how_a_run_stands(workspace: Workspace) -> None:
    app = waiting_page(workspace)
    assert "waits for your approval to use calculator" in region(app)
    button(app, "Allow once")
    assert "The agent has finished. There." in region(settle(app.run(), workspace))


def region(app: AppTest) -> str:
    (text,) = [str(e.proto.body) for e in app.get("html") if 'role="status"' in str(e.proto.body)]
    return text


SAMPLES = Path(ROOT / "samples")
RIGHT = {
    "How old is the tide mill in 2026?": ("342 years", "2026 - 1684 = 342", "built in 1684"),
    "What do 3 bicycles and a small car cost on the ferry together?": ("60 crowns", "3 * 4 + 48"),
    "Why did the sledge party turn back?": ("clock has stopped",),
    "Add 17 and 25, then double it": ("(17 + 25) * 2 = 84",),
    "Convert 84 kilometres to miles": ("52.1952 miles",),
    "How many days are left until 31 December?": ("31 December", "day"),
}


def test_every_suggested_task_comes_out_right_with_the_real_model(workspace: Workspace) -> None:
    for name in ("tide-mill.md", "ferry-fares.csv", "ice-log.txt"):
        add(workspace, name, (SAMPLES / name).read_bytes())
    app = open_page()
    suggested = app.get("button_group")[0].options  # type: ignore[union-attr]
    assert [getattr(each, "content", each) for each in suggested] == list(RIGHT)
    for task, expected in RIGHT.items():
        answer = str(workspace.agents.start("default", task).result())
        assert all(part in answer for part in expected), (task, answer)


def test_web_search_is_suggested_only_with_a_key(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "weather" not in str(open_page().get("button_group")[0].options)  # type: ignore[union-attr]
    monkeypatch.setattr(Settings, "config", replace(Settings.config, tavily_api_key="x"))
    assert "weather" in str(open_page().get("button_group")[0].options)  # type: ignore[union-attr]
