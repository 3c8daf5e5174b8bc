"""The Compare page as its script runs: Streamlit's own test harness, a scripted model."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import altair as alt
import pytest
from streamlit.testing.v1 import AppTest

from engine.config import Config
from engine.errors import GenerationError
from engine.measuring import Experiment, MeasuringJob, Mode, Setup
from engine.measuring.files import to_jsonl
from engine.measuring.findings import compare, two, verdict
from engine.measuring.record import Session
from engine.measuring.runner import measured_engine
from engine.measuring.schedule import comparison_trials, readers_trials
from engine.settings import Settings
from engine.workspace import Stage, Workspace
from pages.parts import resources
from pages.parts.compare_one_run import race_html
from pages.parts.compare_setup import DEFAULT_QUESTION
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
    setup = Setup(QUESTION, "default", passages=3)
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


def specifications(app: AppTest) -> list[dict[str, object]]:
    """The Vega-Lite specifications of the page's charts."""
    charts = app.get("arrow_vega_lite_chart") or app.get("vega_lite_chart")
    return [json.loads(chart.proto.spec) for chart in charts]


def test_an_empty_collection_invites_to_add_something(workspace: Workspace) -> None:
    app = open_page()
    assert not app.exception
    assert "no documents yet" in texts(app)
    assert any("sample documents" in each.label for each in app.button)
    assert not any("Run the comparison" in each.label for each in app.button)


def test_one_click_measures_and_shows_what_came_out(filled: Workspace) -> None:
    app = open_page()
    app.text_input[0].set_value(QUESTION).run()
    press(app, "Run the comparison")
    job = filled.measurements.job
    assert job and job.session.setup.question == QUESTION
    assert len(finished(job).pairs) == 6
    app.run()
    shown = texts(app)
    assert not app.exception
    for section in ("The race", "Every run", "Where the time goes", "Token by token"):
        assert section in shown
    comparison = compare(job.session)
    assert comparison and verdict(comparison) in shown
    first = comparison.first
    assert f"| First words | {two(first.streaming)} s | {two(first.blocking)} s |" in shown
    assert "is unaccounted for" in shown
    assert "median time between two tokens" in shown
    assert "Hodges–Lehmann" in shown
    assert "Out of date" not in shown


def test_an_empty_question_is_asked_for(filled: Workspace) -> None:
    app = open_page()
    app.text_input[0].set_value(" ").run()
    press(app, "Run the comparison")
    assert "The question is empty" in texts(app)
    assert filled.measurements.job is None


def test_a_measurement_outlives_the_page_and_stop_keeps_what_there_is(
    filled: Workspace, llm: ScriptedLLM
) -> None:
    llm.seconds = 0.03
    app = open_page()
    app.text_input[0].set_value(QUESTION).run()
    press(app, "Run the comparison")
    job = filled.measurements.job
    assert job
    app.switch_page("pages/ask.py").run()
    app.switch_page("pages/compare.py").run()
    assert job.running
    assert app.text_input[0].value == QUESTION
    assert not any("Run the comparison" in each.label for each in app.button)
    assert button(app, "Test with 1, 2 and 4 readers").disabled  # type: ignore[attr-defined]
    wait_for(lambda: len(job.session.counted) >= 2)
    press(app, "Stop")
    measured = len(finished(job).counted)
    app.run()
    assert f"The results so far are kept: {measured} runs" in texts(app)
    assert "Too few runs for a finding" in texts(app)


def test_a_failure_is_told_in_its_own_words(filled: Workspace, llm: ScriptedLLM) -> None:
    llm.replies = [["It ", GenerationError("The model fell over. Ask again.")]]
    app = open_page()
    app.text_input[0].set_value(QUESTION).run()
    press(app, "Run the comparison")
    finished(filled.measurements.job)  # type: ignore[arg-type]
    app.run()
    assert "The model fell over." in texts(app)
    assert "The race" not in texts(app), "nothing was measured"


def test_a_question_that_the_documents_do_not_answer_is_not_measured(filled: Workspace) -> None:
    app = open_page()
    app.text_input[0].set_value("What is the capital of Mongolia?").run()
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
    assert "is unaccounted for" in texts(app)


def test_other_inputs_mark_the_results_as_out_of_date(filled: Workspace) -> None:
    compared(filled)
    app = open_page()
    app.text_input[0].set_value("When was it built?").run()
    assert "Out of date" in texts(app)
    app.text_input[0].set_value(QUESTION).run()
    assert "Out of date" not in texts(app)


def test_every_chart_is_valid_described_and_has_its_caption_and_table(filled: Workspace) -> None:
    compared(filled)
    setup = Setup(QUESTION, "default")
    finished(filled.measurements.start(Experiment.READERS, setup, readers_trials(setup)))
    app = open_page()
    assert not app.exception
    charts = app.get("arrow_vega_lite_chart") or app.get("vega_lite_chart")
    assert len(charts) == 6
    for chart, specification in zip(charts, specifications(app), strict=True):
        alt.LayerChart.from_dict(specification)  # validates it
        assert len(chart.proto.alt) > 20
    assert len(app.get("arrow_data_frame") or app.dataframe) >= 4
    assert texts(app).count("prompt tokens") >= 5


def test_no_chart_has_a_third_hue(filled: Workspace) -> None:
    compared(filled)
    inks = {"#0C151C", "#E3E9ED", "#52606B", "#A9B4BC", "#0072B2", "#D55E00"}
    used = set()
    for specification in specifications(open_page()):
        used |= {word for word in json.dumps(specification).split('"') if word.startswith("#")}
    assert used <= inks


def test_a_waiting_budget_says_which_answers_came_in_time_also_those_kept(
    filled: Workspace,
) -> None:
    compared(filled)
    setup = Setup(QUESTION, "default", passages=1)
    finished(filled.measurements.start(Experiment.COMPARISON, setup, comparison_trials(setup, 1)))
    app = open_page()
    assert "streaming in 1 of 1, non-streaming in 1 of 1" in texts(app)
    limit = next(each for each in app.number_input if "Whole answer" in each.label)
    limit.set_value(0.001).run()
    assert "streaming in 0 of 1, non-streaming in 0 of 1" in texts(app)
    app.session_state["budgets"] = True
    app.run()
    (table,) = (f.value for f in app.dataframe if "streaming in time" in f.value.columns)
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
    monkeypatch.setattr("pages.parts.compare_one_run.time", clock)
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
    other = Setup(QUESTION, "default", warm=True)
    trials = comparison_trials(other, 1)
    finished(filled.measurements.start(Experiment.COMPARISON, other, trials))
    app = open_page()
    assert "These settings differ" in texts(app)
    rows = [frame.value for frame in app.dataframe if "the other" in frame.value.columns]
    assert any("cache" in list(frame["what"]) for frame in rows if "what" in frame.columns)


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
    "all in one mode": lambda line: line.get("step", {}).update(mode="non-streaming"),
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
    median = slow.typical_run(Mode.STREAMING)
    assert median and median.run == slow.of(Mode.STREAMING)[1].run == 4
    app = press(open_page(), "Show above")
    assert not app.exception
    (race,) = (each.proto.body for each in app.get("html") if "ft-race" in each.proto.body)
    assert f'data-turn="{median.run}-0"' in race
    table = next(f.value for f in app.dataframe if "computed after, s" in f.value.columns)
    assert list(table["computed after, s"]) == median.trace.calls[-1].token_times
    assert texts(app).count("the closest to the medians: first words") == 3


def test_the_race_carries_every_piece_of_text_as_text(filled: Workspace) -> None:
    session = compared(filled)
    record = session.of(Mode.STREAMING)[0]
    page = race_html(record, 0.5, turn=0)
    assert "&lt;b&gt;" in page and "<b>" not in page
    assert page.count("<span style") == len(PIECES) + 1
    assert "--ft-speed: 0.5" in page
    assert page != race_html(record, 0.5, turn=1), "another turn begins again"


# ---- The default question


def test_the_default_question_is_answered_rightly_and_at_length_by_the_real_model(
    workspace: Workspace,
) -> None:
    load_samples(workspace, "default")
    wait_for(lambda: all(each.stage.ended for each in workspace.ingestor.uploads("default")))
    app = open_page()
    question = app.text_input[0].value
    assert question == DEFAULT_QUESTION[1]
    setup, trial = Setup(question, "default"), comparison_trials(Setup(question, "default"), 1)[0]
    engine = measured_engine(workspace.library.index, Settings.llm, setup, trial)
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
    question = app.text_input[0].value
    assert question and "A hive swarms in May" in question
    press(app, "Run the comparison")
    assert finished(workspace.measurements.job).counted  # type: ignore[arg-type]
