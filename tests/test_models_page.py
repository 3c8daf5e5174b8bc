"""The Models page: what it says is what runs, and its measurement really measures."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from engine.config import Config
from engine.diagnostics import diagnostics
from engine.llm import LlamaCpp, LLMMetadata, OpenAICompatible
from engine.settings import Settings
from engine.workspace import Workspace
from pages.parts.models_facts import layout, models_in_use
from pages.parts.privacy import what_leaves
from pages.parts.walkthrough_state import speed_notebook
from tests.browser import ROOT, RunningApp, open_page
from tests.scripted import ScriptedLLM

SECONDS = 60.0


def test_the_page_shows_the_models_in_use_and_measures_them(workspace: Workspace) -> None:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=SECONDS).run()
    app.switch_page("pages/models.py").run()
    assert not app.exception
    shown = " ".join(str(each.value) for each in [*app.markdown, *app.caption])
    for name in ("SmolLM2", "bge", "MiniLM", "Apache", "MIT", "145 MB"):
        assert name in shown, name
    next(button for button in app.button if button.label == "Run").click().run()
    notebook = speed_notebook()
    deadline = time.monotonic() + SECONDS
    while notebook.busy and time.monotonic() < deadline:
        time.sleep(0.01)
    execution = notebook.execution(notebook.cells[0])
    assert execution and not execution.error
    rates = re.findall(r"(\d+) (?:passages |sentences )?a second", execution.output.text)
    assert len(rates) == 4 and all(int(rate) > 0 for rate in rates), execution.output.text


def test_the_layout_shown_is_the_one_that_runs() -> None:
    rows = {row["Setting"]: row["Here"] for row in layout(Settings.llm)}
    assert rows["Window"] == f"{Settings.llm.metadata.context_window:,} tokens"
    assert isinstance(Settings.llm, LlamaCpp)
    now = Settings.llm.settings
    assert rows["Slices"] == f"{now['smallest_slice']} to {now['largest_slice']} tokens"
    assert rows["Answers in a step"].endswith(str(now["decode_batch"]))


def test_a_server_is_named_and_its_settings_are_not_invented() -> None:
    server = ScriptedLLM()
    config = replace(Config(), openai_base_url="http://localhost:8080/v1")
    (chat, *_) = models_in_use(server, config)
    assert chat.name == "scripted"
    assert "on http://localhost:8080/v1" in chat.facts
    assert layout(server) == []


def test_what_is_sent_to_a_server_that_was_added_here_is_said(workspace: Workspace) -> None:
    assert what_leaves(workspace) == []
    kept = workspace.llm
    workspace.llm = OpenAICompatible("http://me:secret@example.org/v1", "m", "secret")
    (said,) = what_leaves(workspace)
    workspace.llm.close()
    workspace.llm = kept
    assert "sent to http://example.org/v1" in said
    assert "secret" not in said


def test_of_another_file_no_licence_and_no_language_is_claimed(tmp_path: Path) -> None:
    file = tmp_path / "other.gguf"
    file.write_bytes(b"x" * 3_000_000)
    llm = ScriptedLLM()
    llm._metadata = LLMMetadata("Other", 1000, model_file=file)
    (chat, *_) = models_in_use(llm, Config())
    assert "other.gguf, 3 MB" in chat.facts
    assert not {"Apache-2.0", "135 million parameters, English"} & set(chat.facts)


def test_diagnostics_have_the_facts_and_no_secrets(tmp_path: Path) -> None:
    config = Config(
        data_dir=tmp_path,
        openai_base_url="http://user:hunter2pass@host/v1?key=k-9f8e7d",
        openai_api_key="letmein42",
        chat_model=tmp_path / "models" / "m.gguf",
    )
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "first-token.log").write_text(
        "2026-11-21 10:00:00,000 INFO engine: Question 1a: done\n"
        "2026-11-21 10:00:01,000 ERROR engine.x: It failed with letmein42\n"
        f'  File "{ROOT}/engine/x.py", line 3, in f\n'
        f'  File "{tmp_path}/y.py", line 3, in f\n'
        "OSError: [Errno 28] No space left on device\n"
    )
    text = diagnostics(ScriptedLLM(), config)
    for fact in (
        "streamlit: ",
        "processor: ",
        "OPENAI_BASE_URL: http://host/v1",
        "OPENAI_API_KEY: set",
        "TAVILY_API_KEY: not set",
        "CHAT_MODEL: m.gguf",
        'File "./engine/x.py", line 3',
        'File "DATA_DIR/y.py"',
        "No space left on device",
    ):
        assert fact in text, fact
    assert "Question 1a" not in text
    for secret in ("hunter2pass", "k-9f8e7d", "letmein42", str(tmp_path), str(ROOT)):
        assert secret not in text, secret


def test_diagnostics_of_a_local_model_have_its_layout() -> None:
    text = diagnostics(Settings.llm, Settings.config)
    assert f"window: {Settings.llm.metadata.context_window}" in text
    assert "Last errors" in text


@pytest.mark.browser
def test_diagnostics_are_copied_with_one_click(browser: Browser, app: RunningApp) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    tab = context.new_page()
    tab.set_default_timeout(SECONDS * 1000)
    open_page(tab, f"{app.url}/models")
    button = tab.get_by_role("button", name="Copy diagnostics")
    button.click()
    expect(tab.get_by_role("button", name="Copied")).to_be_visible()
    copied = tab.evaluate("navigator.clipboard.readText()")
    context.close()
    assert copied.startswith("Machine and versions\n")
    assert "DATA_DIR: " in copied
    assert copied.rstrip().endswith("none")
