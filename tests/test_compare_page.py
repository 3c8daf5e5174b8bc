"""The Compare page as its script runs: Streamlit's own test harness, a scripted model."""

import csv
import io
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
from engine.measuring import Job, Kind, Mode, Setup
from engine.measuring.findings import compare, verdict
from engine.measuring.jsonl import to_jsonl
from engine.measuring.record import Session
from engine.measuring.schedule import comparison_steps, map_steps, readers_steps
from engine.measuring.table import to_csv
from engine.workspace import Stage, Workspace
from pages.parts import resources
from pages.parts.compare_race import race_html
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


def finished(job: Job) -> Session:
    wait_for(lambda: not job.running)
    return job.session


def compared(workspace: Workspace, pairs: int = 2) -> Session:
    setup = Setup(QUESTION, "default", passages=3)
    start = workspace.measurements.start
    return finished(start(Kind.COMPARISON, setup, comparison_steps(setup, pairs)))


def open_page() -> AppTest:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=SECONDS).run()
    return app.switch_page("pages/compare.py").run()


def button(app: AppTest, label: str) -> object:
    return next(each for each in app.button if label in each.label)


def press(app: AppTest, label: str) -> AppTest:
    return button(app, label).click().run()  # type: ignore[attr-defined, no-any-return]


def texts(app: AppTest) -> str:
    shown = [*app.markdown, *app.caption, *app.error, *app.info, *app.warning, *app.subheader]
    return "\n".join(str(element.value) for element in shown)


def specifications(app: AppTest) -> list[dict[str, object]]:
    """The Vega-Lite specifications of the page's charts."""
    charts = app.get("arrow_vega_lite_chart") or app.get("vega_lite_chart")
    return [json.loads(chart.proto.spec) for chart in charts]


def test_an_empty_collection_invites_to_add_something(workspace: Workspace) -> None:
    app = open_page()
    assert not app.exception
    assert "nothing to ask yet" in texts(app)
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
    assert "has no name" in shown
    assert "the longest stall is" in shown
    assert "Hodges–Lehmann" in shown
    assert "Out of date" not in shown


def test_an_empty_question_is_asked_for(filled: Workspace) -> None:
    app = press(open_page(), "Run the comparison")
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
    assert button(app, "Run the comparison").disabled  # type: ignore[attr-defined]
    wait_for(lambda: len(job.session.counted) >= 2)
    press(app, "Stop")
    measured = len(finished(job).counted)
    app.run()
    assert f"kept: {measured} runs" in texts(app)
    assert "Too few runs to tell" in texts(app)


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
    assert "Nothing is kept yet" in texts(app)


def test_a_failure_leaves_the_earlier_results_on_the_page(
    filled: Workspace, llm: ScriptedLLM
) -> None:
    compared(filled)
    llm.replies = [[GenerationError("The model fell over. Ask again.")]]
    compared(filled)
    app = open_page()
    assert "The model fell over." in texts(app)
    assert "has no name" in texts(app)


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
    finished(filled.measurements.start(Kind.MAP, setup, map_steps(1)))
    finished(filled.measurements.start(Kind.READERS, setup, readers_steps(setup)))
    app = open_page()
    assert not app.exception
    charts = app.get("arrow_vega_lite_chart") or app.get("vega_lite_chart")
    assert len(charts) == 7
    for chart, specification in zip(charts, specifications(app), strict=True):
        alt.LayerChart.from_dict(specification)  # validates it
        assert len(chart.proto.alt) > 20
    assert len(app.get("arrow_data_frame") or app.dataframe) >= 5
    assert texts(app).count("prompt tokens") >= 6


def test_no_chart_has_a_third_hue(filled: Workspace) -> None:
    compared(filled)
    inks = {"#0C151C", "#E3E9ED", "#52606B", "#A9B4BC", "#0072B2", "#D55E00"}
    used = set()
    for specification in specifications(open_page()):
        used |= {word for word in json.dumps(specification).split('"') if word.startswith("#")}
    assert used <= inks


def test_a_run_of_one_token_has_no_gaps_and_breaks_nothing(
    filled: Workspace, llm: ScriptedLLM
) -> None:
    llm.replies = [["Yes"]]
    compared(filled)
    app = open_page()
    assert not app.exception
    assert "No streamed run with more than one token" in texts(app)


def test_the_reading_speed_changes_how_long_somebody_waits(filled: Workspace) -> None:
    compared(filled)
    app = open_page()
    slider = next(each for each in app.slider if "words a minute" in each.label)
    assert slider.value == 238
    before = texts(app)
    slider.set_value(1000).run()
    assert texts(app) != before


def test_a_calibration_times_the_readers_own_pace(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared(filled)
    app = open_page()
    now = time.monotonic()
    press(app, "Begin")
    words = next(len(each.value.split()) for each in app.markdown if "lighthouse" in each.value)
    monkeypatch.setattr("pages.parts.compare_reading.time.monotonic", lambda: now + 30)
    press(app, "Finished")
    timed = next(each.value for each in app.slider if "words a minute" in each.label)
    assert timed == pytest.approx(words * 2, rel=0.05)


def test_who_presses_finished_at_once_is_not_believed(filled: Workspace) -> None:
    compared(filled)
    app = press(press(open_page(), "Begin"), "Finished")
    assert next(each.value for each in app.slider if "words a minute" in each.label) == 238
    assert "which is not reading" in texts(app)


def test_two_kept_sessions_are_compared_with_what_was_not_alike(filled: Workspace) -> None:
    compared(filled)
    other = Setup(QUESTION, "default", warm=True)
    steps = comparison_steps(other, 1)
    finished(filled.measurements.start(Kind.COMPARISON, other, steps))
    app = open_page()
    assert "What was not alike" in texts(app)
    rows = [frame.value for frame in app.dataframe if "the other" in frame.value.columns]
    assert any("cache" in list(frame["what"]) for frame in rows if "what" in frame.columns)


def test_deleting_a_session_takes_it_from_the_list_and_the_disk(filled: Workspace) -> None:
    compared(filled)
    app = press(open_page(), "Delete")
    assert filled.measurements.sessions() == []
    assert "Nothing is kept yet" in texts(app)


def test_a_table_is_imported_and_says_what_it_lacks(filled: Workspace) -> None:
    session = compared(filled)
    table, lines = to_csv(session), to_jsonl(session)
    filled.measurements.delete(session.id)
    filled.measurements.import_file("runs.csv", table.encode())
    app = open_page()
    press(app, "Show above")
    assert not app.exception
    assert "nothing to replay" in texts(app)
    assert "without the times of their stages" in texts(app)
    filled.measurements.delete(session.id)
    filled.measurements.import_file("tokens.jsonl", lines.encode())
    app = press(open_page(), "Show above")
    assert "has no name" in texts(app)


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


@pytest.mark.parametrize("kind", [Kind.COMPARISON, Kind.MAP, Kind.READERS])
def test_a_table_without_times_breaks_no_page(filled: Workspace, kind: Kind) -> None:
    table = to_csv(compared(filled)).replace("comparison", kind).splitlines()
    names = table[0].split(",")
    rows = [dict(zip(names, row, strict=True)) for row in csv.reader(table[1:])]
    blank = [{**row, "e2el": "", "ttft": "0"} for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(blank)
    filled.measurements.delete(rows[0]["session"])
    filled.measurements.import_file("odd.csv", text.getvalue().encode())
    app = press(open_page(), "Show above")
    assert not app.exception
    assert "Kept measurements" in texts(app)


def test_the_race_carries_every_piece_of_text_as_text(filled: Workspace) -> None:
    session = compared(filled)
    record = session.of(Mode.STREAMING)[0]
    page = race_html(record, 0.5, turn=0)
    assert "&lt;b&gt;" in page and "<b>" not in page
    assert page.count("<span style") == len(PIECES) + 1
    assert "--ft-speed: 0.5" in page
    assert page != race_html(record, 0.5, turn=1), "another turn begins again"
