"""Switching the model while answers are written, with the real model under two names."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.config import Config
from engine.llm import LlamaCpp
from engine.models.background import Step
from engine.models.catalogue import catalogue
from engine.models.choosing import Choice, load_choice, open_chosen, save_choice
from engine.models.estimates import Measured, available_memory, estimate, measured_here
from engine.models.files import parts_of
from engine.models.switching import Switch
from engine.run import Phase
from engine.settings import Settings
from engine.weights import RECORD
from engine.workspace import Stage, Workspace
from tests.scripted import ScriptedLLM

SECONDS = 120.0


@pytest.fixture
def config(tmp_path: Path, chat_model_path: Path) -> Config:
    """With the findings on the default model, so that it need not be proven again."""
    assert Settings.llm  # it is loaded, so there are findings
    weights = tmp_path / "data" / "weights"
    weights.mkdir(parents=True)
    shutil.copy(chat_model_path.parent / RECORD, weights / RECORD)
    return Config(data_dir=tmp_path / "data")


@pytest.fixture
def opened(tmp_path: Path, config: Config, chat_model_path: Path) -> Iterator[Workspace]:
    kept = Settings.llm
    workspace = Workspace(tmp_path / "app", config, LlamaCpp(chat_model_path, config=config))
    yield workspace
    workspace.close()
    workspace.llm.close() if isinstance(workspace.llm, LlamaCpp) else None
    Settings.llm = kept


def until(reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(switch: Switch) -> Switch:
    until(lambda: not switch.step.at_work)
    return switch


def test_an_answer_ends_with_the_model_it_began_with(
    opened: Workspace, chat_model_path: Path
) -> None:
    name = "tide.txt"
    upload = opened.ingestor.add("default", name, b"The tide mill was built by Ana Lund in 1887.")
    until(lambda: upload.stage.ended)
    assert upload.stage is Stage.READY
    opened.settings = replace(opened.settings, length=1024)
    old = opened.llm
    assert isinstance(old, LlamaCpp)
    going_on = opened.chat_model.hold()  # as an answer does: the switch may be quicker than it
    conversation = opened.conversations.create("default")
    response = opened.ask(conversation, "Who built the tide mill?")
    opened.switch.begin(Choice(path=str(chat_model_path)), "the same again")
    assert ended(opened.switch).step is Step.DONE, opened.switch.message
    assert opened.llm is not old
    assert opened.chat_model.retiring == [old]
    assert old.count_tokens([]) > 0  # it is not closed
    until(lambda: response.phase.ended)
    assert response.phase is Phase.DONE
    assert "Ana Lund" in response.text
    going_on.release()
    until(lambda: not opened.chat_model.retiring)
    second = opened.ask(opened.conversations.create("default"), "Who built the tide mill?")
    until(lambda: second.phase.ended)
    assert second.text == response.text
    # the new model has read the question itself: it knows no more than what it has read ahead
    call = second.trace.calls[-1]
    assert call.reused_tokens < call.prompt_tokens / 2
    assert Settings.llm is opened.llm


def test_a_model_that_fails_leaves_the_old_one_in_place(opened: Workspace, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 100)
    old = opened.llm
    opened.switch.begin(Choice(path=str(broken)), "broken")
    assert ended(opened.switch).step is Step.FAILED
    assert "broken.gguf" in opened.switch.message
    assert "goes on answering" in opened.switch.message
    assert opened.llm is old
    opened.switch.begin(Choice(path=str(tmp_path / "gone.gguf")), "gone")
    assert "no longer there" in ended(opened.switch).message
    assert opened.llm is old


def test_a_switch_can_be_stopped_while_the_model_is_proven(
    opened: Workspace, chat_model_path: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.gguf"
    copy.symlink_to(chat_model_path)
    record = opened.switch._config.weights_dir / RECORD
    record.write_text("{}")
    old = opened.llm
    opened.switch.begin(Choice(path=str(copy)), "copy")
    until(lambda: opened.switch.step is Step.PROVING)
    opened.switch.stop()
    assert ended(opened.switch).step is Step.IDLE
    assert opened.llm is old
    assert record.read_text() == "{}"


def test_the_choice_survives_a_restart_until_the_configuration_changes(
    tmp_path: Path, config: Config, chat_model_path: Path
) -> None:
    assert load_choice(tmp_path, config) == Choice()
    save_choice(tmp_path, config, Choice(path=str(chat_model_path)))
    llm, problem = open_chosen(tmp_path, config)
    assert isinstance(llm, LlamaCpp) and not problem
    llm.close()
    changed = replace(config, openai_base_url="http://localhost:1/v1", openai_model="m")
    assert load_choice(tmp_path, changed) == Choice()
    save_choice(tmp_path, config, Choice(path=str(tmp_path / "gone.gguf")))
    llm, problem = open_chosen(tmp_path, config)
    assert llm is None
    assert "no longer there" in problem


def test_a_measurement_is_never_made_with_two_models(opened: Workspace) -> None:
    class Busy:
        busy = True

        def close(self) -> None:
            pass

    real, opened.measurements = opened.measurements, Busy()  # type: ignore[assignment]
    old = opened.llm
    with pytest.raises(Exception, match="measurement is running"):
        opened._install(ScriptedLLM())
    assert opened.llm is old
    opened.measurements = real


def test_what_needs_more_memory_than_is_free_is_not_loaded(
    opened: Workspace, chat_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.models.switching.available_memory", lambda: 300_000_000)
    opened.switch.begin(Choice(path=str(chat_model_path)), "default")
    assert "0.3 GB are free" in ended(opened.switch).message


def test_estimates_are_scaled_from_the_nearest_measured_model(chat_model_path: Path) -> None:
    small, large = Measured("s", 10**8, 1000, 100), Measured("l", 10**9, 100, 10)
    guess = estimate(2 * 10**9, 3e9, [small, large])
    assert guess and (guess.of, guess.rate) == ("l", 5)
    assert guess.first_token == pytest.approx(500 / 50 + 1 / 5)
    assert estimate(10**9, 1e9, []) is None
    assert measured_here(chat_model_path.parent / RECORD)
    assert (available_memory() or 1) > 0


def test_each_statement_of_the_catalogue_has_a_source() -> None:
    models = catalogue()
    assert len({each.maker for each in models}) >= 4
    assert min(each.parameters for each in models) >= 0.3
    assert max(each.parameters for each in models) <= 8
    for each in models:
        stated = {"parameters", "licence"} | ({"languages"} if each.languages else set())
        assert each.sources.keys() == stated, each.name
        assert each.file.endswith(".gguf")


def test_the_parts_of_a_split_model_are_found_from_one() -> None:
    names = [each.name for each in parts_of(Path("/m/x-00002-of-00003.gguf"))]
    assert names == [f"x-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert parts_of(Path("/m/x.gguf")) == [Path("/m/x.gguf")]
