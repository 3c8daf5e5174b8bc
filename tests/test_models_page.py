"""The Models page: what it says is what runs, and its measurement really measures."""

import re
import time
from dataclasses import replace
from pathlib import Path

from streamlit.testing.v1 import AppTest

from engine.config import Config
from engine.llm import LLMMetadata
from engine.settings import Settings
from engine.workspace import Workspace
from pages.parts.models_facts import layout, models_in_use
from pages.parts.walkthrough_state import speed_notebook
from tests.browser import ROOT
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


def test_a_server_is_named_and_its_settings_are_not_invented() -> None:
    server = ScriptedLLM()
    config = replace(Config(), openai_base_url="http://localhost:8080/v1")
    (chat, *_) = models_in_use(server, config)
    assert chat.name == "scripted"
    assert "on http://localhost:8080/v1" in chat.facts
    assert layout(server) == []


def test_of_another_file_no_licence_and_no_language_is_claimed(tmp_path: Path) -> None:
    file = tmp_path / "other.gguf"
    file.write_bytes(b"x" * 3_000_000)
    llm = ScriptedLLM()
    llm._metadata = LLMMetadata("Other", 1000, model_file=file)
    (chat, *_) = models_in_use(llm, Config())
    assert "other.gguf, 3 MB" in chat.facts
    assert not {"Apache-2.0", "135 million parameters, English"} & set(chat.facts)
