"""A start of the app: what it imports, and what a page says where there can be no workspace."""

import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.config import Config
from engine.settings import Settings
from pages.parts import resources
from tests.browser import ROOT
from tests.scripted import ScriptedLLM


def test_the_server_answers_before_anything_heavy_is_imported() -> None:
    heavy = {"qdrant_client", "fastembed", "onnxruntime", "llama_cpp", "pandas", "altair"}
    program = f"import streamlit_app, sys; print(*sorted({heavy} & sys.modules.keys()))"
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []


def test_a_data_folder_that_cannot_be_used_is_told_in_the_frame_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_opened", [])
    monkeypatch.setitem(vars(Settings), "config", Config(data_dir=tmp_path))
    monkeypatch.setitem(Settings._parts, "llm", ScriptedLLM())
    (tmp_path / "app").touch()  # a file where the folder should be
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
    (error,) = app.error
    assert f"Nothing can be kept in {tmp_path}" in error.value
    assert "DATA_DIR" in error.value
    assert not app.exception
    (tmp_path / "app").unlink()
    app.run()
    assert not app.error
    assert app.chat_input
    resources._opened[0].close()
