"""The Compare page as its script runs: Streamlit's own test harness, a scripted model."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine.config import Config
from engine.errors import GenerationError
from engine.measuring import Experiment, MeasuringJob, Setup
from engine.measuring.asking import measured_engine
from engine.measuring.files import to_jsonl
from engine.measuring.findings import compare, two, verdict
from engine.measuring.record import Session
from engine.measuring.report.race import race
from engine.measuring.schedule import comparison_trials
from engine.settings import Settings
from engine.workspace import Stage, Workspace
from pages.parts import resources
from pages.parts.compare_questions import (
    DEFAULT_QUESTION,
    generated_questions,
    question_about,
    questions_in,
)
from pages.parts.samples import FOLDER as SAMPLES
from pages.parts.samples import load_samples
from tests.scripted import ScriptedLLM

ROOT = Path(__file__).parents[1]
MILL = b"The tide mill of Quernsay was built in 1684 by Hannah Voss. It ground barley for years."
PIECES = ["It ", "was ", "built ", "by ", "Hannah ", "Voss ", "<b>", "![x](http://x/?q)", "."]
QUESTION = "Who built the tide mill?"
SECONDS = 60.0  # a loaded machine; a page that hangs for ever still fails


@pytest.fixture
def llm() -> ScriptedLLM:
    return ScriptedLLM(PIECES, seconds=0.002)


@pytest.fixture
def workspace(
    tmp_path: Path, llm: ScriptedLLM, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    """A workspace of this test's own, which the pages find as theirs."""
    opened = Workspace(tmp_path, Config(data_dir=tmp_path), llm)
    monkeypatch.setattr(resources, "_opened", [opened])
    yield opened
    opened.close()


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    upload = workspace.ingestor.add("default", "mill.txt", MILL)
    wait_for(lambda: upload.stage.ended)
    assert upload.stage is Stage.READY, upload.message
    workspace.ingestor.dismiss(upload)
    return workspace


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.01)
    assert condition()  # type: ignore[operator]


def finished(job: MeasuringJob) -> Session:
    wait_for(lambda: not job.running)
    return job.session


def compared(workspace: Workspace, pairs: int = 2) -> Session:
    setup = Setup((QUESTION,), "default", passages=3)
    start = workspace.measurements.start
    return finished(start(Experiment.COMPARISON, setup, comparison_trials(setup, pairs)))


def open_page() -> AppTest:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=SECONDS).run()
    return app.switch_page("pages/compare.py").run()


def button(app: AppTest, label: str) -> object:
    return next(each for each in app.button if label in each.label)


def press(app: AppTest, label: str) -> AppTest:
    return button(app, label).click().run()  # type: ignore[attr-defined, no-any-return]


def texts(app: AppTest) -> str:
    shown = [*app.markdown, *app.caption, *app.error, *app.info, *app.warning, *app.subheader]
    return "\n".join(str(element.value) for element in shown).replace("\\", "")  # escaped


def charts(app: AppTest) -> str:
    """The HTML of the page's charts."""
    return "\n".join(each.proto.body for each in app.get("html"))


def test_an_empty_collection_invites_to_add_something(workspace: Workspace) -> None:
    app = open_page()
    assert not app.exception
    assert "no documents yet" in texts(app)
    assert any("sample documents" in each.label for each in app.button)
    assert not any("Run the comparison" in each.label for each in app.button)


def test_one_click_measures_and_shows_what_came_out(filled: Workspace) -> None:
    app = open_page()
    app.text_area[0].set_value(QUESTION).run()
    press(app, "Run the comparison")
    job = filled.measurements.job
    assert job and job.session.setup.questions == (QUESTION,)
    assert len(finished(job).pairs) == 6
    app.run()
    shown = texts(app)
    assert not app.exception
    assert "The race" in shown
    labels = [each.label for each in app.expander]
    for section in ("Every run", "Where the time goes", "Token by token", "The metrics"):
        assert any(section in label for label in labels)
    comparison = compare(job.session)
    assert comparison and verdict(job.session.setup, comparison) in shown
    words = comparison.words
    drawn = charts(app)
    assert (
        f"First words: streaming {two(words.first)} s, non-streaming {two(words.second)} s" in drawn
    )
    assert any("is unaccounted for" in label for label in labels)
    assert "median time between two tokens" in shown
    assert "Hodges–Lehmann" in shown
    assert "Out of date" not in shown


def test_an_empty_question_is_asked_for(filled: Workspace) -> None:
    app = open_page()
    app.text_area[0].set_value(" ").run()
    press(app, "Run the comparison")
    assert "The question is empty" in texts(app)
    assert filled.measurements.job is None


def test_a_measurement_outlives_the_page_and_stop_keeps_what_there_is(
    filled: Workspace, llm: ScriptedLLM
) -> None:
    llm.seconds = 0.03
    app = open_page()
    app.text_area[0].set_value(QUESTION).run()
    press(app, "Run the comparison")
    job = filled.measurements.job
    assert job
    app.switch_page("pages/ask.py").run()
    app.switch_page("pages/compare.py").run()
    assert job.running
    assert app.text_area[0].value == QUESTION
    assert not any("Run the comparison" in each.label for each in app.button)
    wait_for(lambda: len(job.session.counted) >= 2)
    press(app, "Stop")
    measured = len(finished(job).counted)
    app.run()
    assert f"The results so far are kept: {measured} runs" in texts(app)
    assert "Too few runs for a finding" in texts(app)


def test_a_failure_is_told_in_its_own_words(filled: Workspace, llm: ScriptedLLM) -> None:
    llm.replies = [["It ", GenerationError("The model fell over. Ask again.")]]
    app = open_page()
    app.text_area[0].set_value(QUESTION).run()
    press(app, "Run the comparison")
    finished(filled.measurements.job)  # type: ignore[arg-type]
    app.run()
    assert "The model fell over." in texts(app)
    assert "The race" not in texts(app), "nothing was measured"


def test_a_question_that_the_documents_do_not_answer_is_not_measured(filled: Workspace) -> None:
    app = open_page()
    app.text_area[0].set_value("What is the capital of Mongolia?").run()
    press(app, "Run the comparison")
    finished(filled.measurements.job)  # type: ignore[arg-type]
    app.run()
    assert "nothing was found for this question" in texts(app)
    assert "No measurement is kept yet" in texts(app)


def test_a_failure_leaves_the_earlier_results_on_the_page(
    filled: Workspace, llm: ScriptedLLM
) -> None:
    compared(filled)
    llm.replies = [[GenerationError("The model fell over. Ask again.")]]
    compared(filled)
    app = open_page()
    assert "The model fell over." in texts(app)
    assert any("is unaccounted for" in each.label for each in app.expander)


def test_other_inputs_mark_the_results_as_out_of_date(filled: Workspace) -> None:
    compared(filled)
    app = open_page()
    app.text_area[0].set_value("When was it built?").run()
    assert "Out of date" in texts(app)
    app.text_area[0].set_value(QUESTION).run()
    assert "Out of date" not in texts(app)


def test_every_chart_is_described_and_has_its_caption_and_table(filled: Workspace) -> None:
    compared(filled)
    app = open_page()
    assert not app.exception
    described = re.findall(r'role="img" aria-label="([^"]*)"', charts(app))
    assert len(described) == 8 and all(len(text) > 20 for text in described)
    assert len(app.get("arrow_data_frame") or app.dataframe) >= 4
    assert texts(app).count("prompt tokens") >= 3


def test_no_chart_has_a_third_hue(filled: Workspace) -> None:
    compared(filled)
    drawn = re.sub(r"<style>.*?</style>", "", charts(open_page()), flags=re.DOTALL)
    assert set(re.findall(r"#[0-9A-Fa-f]{3,8}\b", drawn)) == {"#0072B2", "#D55E00"}


def test_several_questions_are_measured_together_and_their_lengths_shown(
    filled: Workspace,
) -> None:
    app = open_page()
    app.text_area[0].set_value(
        f"{QUESTION}\n\nWhen was the tide mill of Quernsay built?\n{QUESTION}"
    ).run()
    press(app, "Run the comparison")
    session = finished(filled.measurements.job)  # type: ignore[arg-type]
    assert session.setup.questions == (QUESTION, "When was the tide mill of Quernsay built?")
    app.run()
    assert not app.exception
    counts = "12 answers to 2 questions, 6 streaming and 6 non-streaming, in turn"
    assert f"Measured: {counts}" in texts(app), texts(app)
    table = next(f.value for f in app.dataframe if "question" in f.value.columns)
    assert list(table["question"]) == list(session.setup.questions)
    assert all(table["prompt tokens"]) and all(table["answer tokens"])


def test_questions_are_taken_from_lines_and_from_the_documents(filled: Workspace) -> None:
    assert questions_in(" One?\n\n Two \t words?\nOne?\n") == ("One?", "Two words?")
    assert question_about("Fare: Adult; Price: 14 crowns; Note: one crossing on a Sunday") == ""
    over_lines = "We came over a low rise and saw open water where none should be: a lake about\n"
    about = question_about(f"{over_lines}two kilometres long, steaming in the cold.")
    assert about.endswith("a lake about two kilometres long, steaming in the cold”?")
    app = open_page()
    press(app, "Ask about the documents")
    asked = app.text_area[0].value
    assert asked == "\n".join(generated_questions(filled, "default", 10))
    assert "Quernsay was built in 1684" in asked


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("Streaming and non-streaming", ["streaming", "non-streaming"]),
        ("In process and over HTTP", ["in process", "over HTTP"]),
        ("With and without kept states", ["kept states", "nothing kept"]),
    ],
)
def test_what_is_compared_can_be_chosen(filled: Workspace, what: str, names: list[str]) -> None:
    app = open_page()
    next(e for e in app.selectbox if e.label == "What to compare").set_value(what).run()
    press(app, "Run the comparison")
    job = filled.measurements.job
    assert job and job.session.setup.names == names
    finished(job)
    app.run()
    assert not app.exception
    if "over HTTP" in names:  # no server runs in this test
        assert "First Token at" in texts(app) and "broke off" in texts(app)
    else:
        assert len(job.session.pairs) == 6


def test_any_two_ways_can_be_compared_and_streaming_comes_first(filled: Workspace) -> None:
    app = open_page()
    next(e for e in app.selectbox if e.label == "What to compare").set_value("Any two ways").run()
    first, second = (e for e in app.selectbox if e.label == "Mode")
    first.set_value("non-streaming")
    second.set_value("streaming")
    next(e for e in app.selectbox if e.label == "States").set_value("Kept states").run()
    press(app, "Run the comparison")
    job = filled.measurements.job
    assert job and job.session.setup.names == [
        "streaming, nothing kept",
        "non-streaming, kept states",
    ]
    finished(job)


def test_a_waiting_budget_says_which_answers_came_in_time_also_those_kept(
    filled: Workspace,
) -> None:
    compared(filled)
    setup = Setup((QUESTION,), "default", passages=1)
    finished(filled.measurements.start(Experiment.COMPARISON, setup, comparison_trials(setup, 1)))
    app = open_page()
    labels = [each.label for each in app.expander]
    assert any("streaming in 1 of 1, non\\-streaming in 1 of 1" in label for label in labels)
    limit = next(each for each in app.number_input if "Whole answer" in each.label)
    limit.set_value(0.001).run()
    labels = [each.label for each in app.expander]
    assert any("streaming in 0 of 1, non\\-streaming in 0 of 1" in label for label in labels)
    app.toggle[0].set_value(True).run()
    (table,) = (f.value for f in app.dataframe if "first in time" in f.value.columns)
    assert sorted(table["passages"]) == ["1", "3"] and list(table["answers"]) == [2, 4]
    assert "longest answer" not in table.columns, "it is the same in all"


def test_a_run_of_one_token_has_no_gaps_and_breaks_nothing(
    filled: Workspace, llm: ScriptedLLM
) -> None:
    llm.replies = [["Yes"]]
    compared(filled)
    app = open_page()
    assert not app.exception
    assert "a single token" in texts(app)


def test_the_reading_speed_changes_how_long_somebody_waits(filled: Workspace) -> None:
    compared(filled)
    app = open_page()
    slider = next(each for each in app.slider if "words per minute" in each.label)
    assert slider.value == 238
    before = texts(app)
    slider.set_value(1000).run()
    assert texts(app) != before


class Clock:
    """Stands still until a test lets time pass."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_a_calibration_times_the_readers_own_pace(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared(filled)
    app = open_page()
    clock = Clock()
    monkeypatch.setattr("pages.parts.compare_reading.time", clock)
    press(app, "Begin")
    words = next(len(each.value.split()) for each in app.markdown if "lighthouse" in each.value)
    clock.now += 30
    press(app, "Finished")
    timed = next(each.value for each in app.slider if "words per minute" in each.label)
    assert timed == words * 2


def test_an_impossible_reading_speed_is_refused(filled: Workspace) -> None:
    compared(filled)
    app = press(press(open_page(), "Begin"), "Finished")
    assert next(each.value for each in app.slider if "words per minute" in each.label) == 238
    assert "not a reading speed" in texts(app)


def test_two_kept_sessions_are_compared_with_the_settings_that_differ(filled: Workspace) -> None:
    compared(filled)
    other = Setup((QUESTION,), "default", passages=1)
    trials = comparison_trials(other, 1)
    finished(filled.measurements.start(Experiment.COMPARISON, other, trials))
    app = open_page()
    assert "These settings differ" in texts(app)
    rows = [frame.value for frame in app.dataframe if "the other" in frame.value.columns]
    assert any("passages" in list(frame["what"]) for frame in rows if "what" in frame.columns)


def test_deleting_a_session_takes_it_from_the_list_and_the_disk(filled: Workspace) -> None:
    compared(filled)
    app = press(open_page(), "Delete")
    assert filled.measurements.sessions() == []
    assert "No measurement is kept yet" in texts(app)


ODD: dict[str, Callable[[dict[str, Any]], object]] = {
    "every time is zero": lambda line: line.update(
        {name: 0 for name in line if name.endswith("_s")}
    ),
    "everything took 300 years": lambda line: line.update(
        {name: 1e10 for name in line if name.endswith("_s")}
    ),
    "billions of tokens": lambda line: [
        call.update(output_tokens=10**10) for call in line.get("trace", {}).get("calls", [])
    ],
    "no stages": lambda line: line.get("trace", {}).update(spans=[]),
    "markup for words": lambda line: line.update(text="<b>![x](http://x/?q) $a$ :red[b]"),
    "every run in one pair": lambda line: line.get("step", {}).update(pair=0, role="measured"),
    "all in one mode": lambda line: line.get("step", {}).update(lane=1),
}


@pytest.mark.parametrize("odd", ODD)
def test_somebody_elses_odd_file_breaks_no_page(filled: Workspace, odd: str) -> None:
    session = compared(filled)
    filled.measurements.delete(session.id)
    lines = [json.loads(line) for line in to_jsonl(session).splitlines()]
    for line in lines:
        ODD[odd](line)
    filled.measurements.import_file(
        "odd.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode()
    )
    app = press(open_page(), "Show above")
    assert not app.exception
    assert "Kept measurements" in texts(app), "the page was drawn to its end"


def test_race_timeline_and_waterfall_show_the_run_closest_to_the_medians(filled: Workspace) -> None:
    """The first run is the slowest: it must not be the one that is shown."""
    session = compared(filled, pairs=3)
    filled.measurements.delete(session.id)
    lines = [json.loads(line) for line in to_jsonl(session).splitlines()]
    for line in lines:
        for name in line:
            if name.endswith("_s"):  # run n lasts about 20 - n seconds
                line[name] += 20.0 - line["run"]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    slow = filled.measurements.import_file("slow.jsonl", text.encode())
    median = slow.typical_run(0)
    assert median and median.run == slow.of(0)[1].run == 4
    app = press(open_page(), "Show above")
    assert not app.exception
    assert f'data-turn="{median.run}-0"' in charts(app)
    table = next(f.value for f in app.dataframe if "computed after, s" in f.value.columns)
    assert list(table["computed after, s"]) == median.trace.calls[-1].token_times
    assert texts(app).count("the closest to the medians: first words") == 5


def test_the_race_carries_every_piece_of_text_as_text(filled: Workspace) -> None:
    session = compared(filled)
    record = session.of(0)[0]
    page = race(session, [record], 0.5, turn=0)
    assert "&lt;b&gt;" in page and "<b>" not in page
    assert page.count("<span style") == len(PIECES) + 1
    assert "--ft-speed: 0.5" in page
    assert page != race(session, [record], 0.5, turn=1), "another turn begins again"


# ---- The default question


def test_the_default_question_is_answered_rightly_and_at_length_by_the_real_model(
    workspace: Workspace,
) -> None:
    load_samples(workspace, "default")
    wait_for(lambda: all(each.stage.ended for each in workspace.ingestor.uploads("default")))
    app = open_page()
    question = app.text_area[0].value
    assert question == DEFAULT_QUESTION[1]
    setup = Setup((question,), "default")
    engine = measured_engine(workspace.library.index, Settings.llm, setup, setup.lanes[0])
    response = engine.query(question, stream=True)
    answer = " ".join(str(response).split())
    assert {each.node.file_name for each in response.source_nodes[:1]} == {DEFAULT_QUESTION[0]}
    for fact in ("waits until the creek has fallen", "opens the sluice"):
        assert fact in answer, answer
        assert fact in " ".join((SAMPLES / DEFAULT_QUESTION[0]).read_text().split())
    assert answer.endswith("."), "it is not cut off"
    assert len(answer.split()) >= 15, "there is something to watch"


def test_for_own_documents_a_question_about_them_is_proposed_and_finds_them(
    workspace: Workspace,
) -> None:
    text = b"# Bees\n\n## Swarming\n\nA hive swarms in May, when the old queen leaves with half."
    workspace.ingestor.add("default", "bees.md", text)
    wait_for(lambda: all(each.stage.ended for each in workspace.ingestor.uploads("default")))
    app = open_page()
    question = app.text_area[0].value
    assert question and "A hive swarms in May" in question
    press(app, "Run the comparison")
    assert finished(workspace.measurements.job).counted  # type: ignore[arg-type]
