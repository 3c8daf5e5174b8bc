"""A start of the app: what it imports, and what a page says where there can be no workspace."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from engine.config import Config
from engine.settings import Settings
from pages.parts import resources
from tests.browser import ROOT, frame_around, open_page, running_app
from tests.scripted import ScriptedLLM


def test_the_server_answers_before_anything_heavy_is_imported() -> None:
    heavy = {"qdrant_client", "fastembed", "onnxruntime", "llama_cpp", "pandas", "altair"}
    program = f"import streamlit_app, sys; print(*sorted({heavy} & sys.modules.keys()))"
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []


def test_a_data_folder_that_cannot_be_used_is_told_in_the_frame_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page_errors: list[logging.LogRecord]
) -> None:
    monkeypatch.setattr(resources, "_opened", [])
    monkeypatch.setitem(vars(Settings), "config", Config(data_dir=tmp_path))
    monkeypatch.setitem(Settings._parts, "llm", ScriptedLLM())
    (tmp_path / "app").touch()  # a file where the folder should be
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
    (error,) = app.error
    assert f"Nothing can be saved in {tmp_path}" in error.value
    assert page_errors  # it is logged with its traceback
    assert "DATA_DIR" in error.value
    assert not app.exception
    (tmp_path / "app").unlink()
    app.run()
    assert not app.error
    assert app.chat_input
    resources._opened[0].close()


PAGE = """
import streamlit as st
from engine.errors import StoreError
from pages.parts import resources

def fail(kind):
    raise {"ours": StoreError("The store is down. Start it."),
           "full": OSError(28, "No space left on device", "/secret/place"),
           "bug": ValueError("could not parse 'the vicar'")}[kind]

resources.show_problems(next(iter(resources._opened), None))
st.title("Still here")
for kind in ("ours", "full", "bug"):
    st.button(kind, on_click=resources.safely(fail), args=(kind,))
    if st.button(f"page {kind}"):
        with resources.shown_errors():
            fail(kind)
"""


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("ours", "The store is down. Start it."),
        ("full", "No space left on device. Make room on the disk"),
        ("bug", "Something went wrong ("),
    ],
)
def test_an_error_reaches_the_person_as_a_sentence(
    kind: str, sentence: str, page_errors: list[logging.LogRecord]
) -> None:
    app = AppTest.from_string(PAGE, default_timeout=60).run()
    for label in (kind, f"page {kind}"):
        next(each for each in app.button if each.label == label).click()
        app.run()
        (error,) = app.error
        assert sentence in error.value
        assert app.title[0].value == "Still here"
        assert not app.exception
        assert "vicar" not in error.value
        assert "/secret" not in error.value
    app.run()
    assert not app.error
    assert len(page_errors) == (0 if kind == "ours" else 2)
    assert all(record.exc_info for record in page_errors)


def test_what_was_repaired_is_said_until_somebody_dismisses_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Opened:
        notices: ClassVar = ["The file of your conversations was damaged."]
        unsaved: ClassVar[list[str]] = []

    monkeypatch.setattr(resources, "_opened", [Opened()])
    app = AppTest.from_string(PAGE, default_timeout=60).run()
    assert app.run().warning[0].value == "The file of your conversations was damaged."
    another = AppTest.from_string(PAGE, default_timeout=60).run()
    assert another.warning
    app.button[0].click().run()
    assert not app.warning
    assert not another.run().warning


def test_answers_that_are_not_saved_are_said_above_every_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Opened:
        notices: ClassVar[list[str]] = []
        unsaved: ClassVar = ["a turn"]

    monkeypatch.setattr(resources, "_opened", [Opened()])
    app = AppTest.from_string(PAGE, default_timeout=60).run()
    assert "not saved yet" in app.warning[0].value
    Opened.unsaved.clear()
    assert not app.run().warning


UNWRAPPED = """
import streamlit as st

def fail():
    raise ValueError("the vic" + "ar")  # not in the source line of the traceback

st.title("A page")
st.button("Callback", on_click=fail)

@st.fragment
def part():
    if st.button("Fragment"):
        fail()

part()
"""


@pytest.mark.browser
def test_an_error_that_nothing_catches_is_a_sentence_too(browser: Browser, tmp_path: Path) -> None:
    folder = frame_around(UNWRAPPED, tmp_path / "app")
    with running_app(tmp_path / "data", folder) as app:
        tab = browser.new_page()
        tab.set_default_timeout(60_000)
        for label in ("Callback", "Fragment"):
            open_page(tab, app.url)
            tab.get_by_role("button", name=label).click()
            error = tab.get_by_test_id("stAlert")
            expect(error).to_contain_text("Something went wrong (")
            expect(error).not_to_contain_text("vicar")
            error_id = error.inner_text().split("(")[1][:8]
            log = (tmp_path / "data" / "logs" / "first-token.log").read_text()
            assert f"Error {error_id} on a page" in log
            assert "vicar" not in log
        tab.close()
