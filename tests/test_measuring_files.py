"""Sessions as files: everything comes back, and a damaged or foreign file is refused."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import MeasuringError
from engine.llm.base import ContextFormat
from engine.measuring import (
    Chunk,
    Experiment,
    Lane,
    Measurement,
    Measurements,
    Mode,
    Role,
    Session,
    Setup,
    Trial,
)
from engine.measuring.files import from_jsonl, to_csv, to_jsonl
from engine.measuring.measurements import MOST_BYTES
from engine.measuring.record import Outcome
from engine.schema import new_id
from engine.timing import Span, Trace
from tests.scripted import ScriptedLLM
from tests.test_measuring_runs import means

AWKWARD = 'He said "1887", \n then left;\u2028 naïve 🦊, =1+1'


SETUP = Setup(("When?",), "c")
S, B = 0, 1  # the lanes: streaming and non-streaming


def measured(run: int, lane: int, pair: int | None, **trial: Any) -> Measurement:
    """A run of three tokens that did not take equally long."""
    trace = Trace()
    call = trace.begin_call("answer")
    call.prompt_tokens, call.reused_tokens, call.output_tokens = 100, 40, 3
    call.token_times = [0.5 + run / 7, 0.6 + run / 7, 0.9 + run / 7]
    call.finish_reason = "stop"
    trace.spans = [Span("search", 0.0, 0.1), Span("prefill", 0.2, 0.5 + run / 7, call=0)]
    texts = ["It ", AWKWARD, "."] if lane == S else [f"It {AWKWARD}."]
    chunks = tuple(
        Chunk(text, time, time + 0.001)
        for text, time in zip(texts, call.token_times[-len(texts) :], strict=True)
    )
    trace.chunk_times = [chunk.handed for chunk in chunks]
    trace.ended = 1.0 + run / 7
    return Measurement(run, Trial(lane, pair=pair, **trial), trace, chunks)


@pytest.fixture
def session() -> Session:
    lanes = (Lane(warm=True), Lane(Mode.BLOCKING, warm=True))
    setup = Setup((AWKWARD,), "default", 3, ContextFormat.PASSAGES, 128, lanes=lanes)
    machine = {"model": "m", "cores": "2 of 2"}
    one = Session(new_id(), Experiment.COMPARISON, 1.7e9, setup, machine, 5)
    one.measurements = [
        measured(0, S, None, role=Role.WARM_UP),
        measured(1, S, 0),
        measured(2, B, 0),
    ]
    one.outcome = Outcome.STOPPED
    return one


@pytest.fixture
def measurements(tmp_path: Path) -> Measurements:
    return Measurements(tmp_path, means(ScriptedLLM()))


def as_read(session: Session) -> dict[str, Any]:
    """All that must come back."""
    return {
        "setup": session.setup,
        "fingerprint": session.fingerprint,
        "experiment": session.experiment,
        "trials": [each.trial for each in session.measurements],
        "metrics": [each.metrics for each in session.measurements],
        "seen": [(each.seen_first, each.seen_last) for each in session.measurements],
    }


def test_jsonl_gives_everything_back(session: Session) -> None:
    read = from_jsonl(to_jsonl(session).encode())
    assert as_read(read) == as_read(session)
    assert read.outcome is Outcome.STOPPED
    assert [each.text for each in read.measurements] == [each.text for each in session.measurements]
    assert [each.trace.to_dict() for each in read.measurements] == [
        each.trace.to_dict() for each in session.measurements
    ]


def test_csv_has_a_row_for_every_run_with_its_metrics_and_settings(session: Session) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(session))))
    assert [row["mode"] for row in rows] == ["streaming", "streaming", "non-streaming"]
    assert [float(row["ttft"]) for row in rows] == [e.metrics.ttft for e in session.measurements]
    assert [row["itl_median"] for row in rows] == [
        str(each.metrics.itl_median) for each in session.measurements
    ]
    assert {(row["question"], row["warm"], row["on model"]) for row in rows} == {
        (AWKWARD, "True", "m")
    }


def test_jsonl_has_a_line_for_every_token(session: Session) -> None:
    lines = [json.loads(line) for line in to_jsonl(session).splitlines()]
    tokens = [line for line in lines if line["kind"] == "token"]
    assert len(tokens) == 9
    assert tokens[0] == {
        "kind": "token",
        "run": 0,
        "reader": 0,
        "call": 0,
        "token": 0,
        "time_s": 0.5,
    }


def test_an_import_is_kept_and_is_the_same_after_a_restart(
    measurements: Measurements, session: Session, tmp_path: Path
) -> None:
    imported = measurements.import_file("x.jsonl", to_jsonl(session).encode())
    assert imported.imported
    again = Measurements(tmp_path, means(ScriptedLLM())).session(session.id)
    assert again and again.imported
    assert as_read(again) == as_read(session)
    assert [each.id for each in measurements.sessions(Experiment.COMPARISON)] == [session.id]
    assert measurements.sessions(Experiment.LOAD) == []


def test_a_map_of_the_first_version_is_not_shown_and_not_called_damaged(
    session: Session, tmp_path: Path
) -> None:
    text = to_jsonl(session).replace('"what":"comparison"', '"what":"map"')
    file = tmp_path / f"{session.id}.jsonl"
    file.write_text(text)
    measurements = Measurements(tmp_path, means(ScriptedLLM()))
    assert measurements.sessions() == [] and measurements.session(session.id) is None
    assert measurements.notices == []
    assert file.read_text() == text
    with pytest.raises(MeasuringError, match="latency map"):
        from_jsonl(text.encode())


FIRST_VERSION = """\
{"kind":"session","format":1,"id":"00000000-0000-4000-8000-000000000001","what":"comparison",\
"started":1.7e9,"planned":3,"imported":false,"setup":{"question":"When?","collection":"default",\
"passages":2,"packing":"sentences","length":64,"warm":true,"first_token_budget":0.0},\
"fingerprint":{"model":"m"}}
{"kind":"run","run":1,"reader":0,"step":{"mode":"non-streaming","passages":2,"length":64,\
"readers":1,"pair":0,"role":"measured","exact":false},"outcome":"finished","error":"","trace":\
{"submitted_at":1.7e9,"spans":[],"calls":[{"purpose":"answer","prompt_tokens":9,"reused_tokens":0,\
"output_tokens":1,"finish_reason":"stop","settings":{"threads":[2]}}],"ended":2.0},"follow":2}
{"kind":"token","run":1,"reader":0,"call":0,"token":0,"time_s":1.5}
{"kind":"chunk","run":1,"reader":0,"chunk":0,"handed_s":1.6,"received_s":1.7,"text":"1887."}
{"kind":"end","outcome":"finished","problem":""}
"""


def test_a_session_of_the_first_version_can_still_be_read() -> None:
    read = from_jsonl(FIRST_VERSION.encode())
    assert read.setup.questions == ("When?",)
    assert read.setup.context_format is ContextFormat.SENTENCES
    assert [(lane.mode, lane.warm) for lane in read.setup.lanes] == [
        (Mode.STREAMING, True),
        (Mode.BLOCKING, True),
    ]
    (run,) = read.of(B)
    assert (run.text, run.trial.pair, run.metrics.e2el) == ("1887.", 0, 1.6)
    assert from_jsonl(to_jsonl(read).encode()).setup == read.setup


def test_readers_of_the_first_version_asked_together_and_are_in_no_pair() -> None:
    old = FIRST_VERSION.replace('"what":"comparison"', '"what":"readers"')
    read = from_jsonl(old.replace('"readers":1', '"readers":4').encode())
    assert read.experiment is Experiment.LOAD
    (run,) = read.of(B)
    assert (run.trial.readers, run.trial.requests, run.trial.pair) == (4, 4, None)


def test_an_import_for_which_there_was_no_room_can_be_repeated(
    measurements: Measurements, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    data = to_jsonl(session).encode()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(MeasuringError, match="Free some disk space"):
            measurements.import_file("x.jsonl", data)
    assert measurements.sessions() == []
    assert measurements.import_file("x.jsonl", data).id == session.id


def test_what_is_here_already_is_not_taken_in_twice(
    measurements: Measurements, session: Session
) -> None:
    measurements.import_file("x.jsonl", to_jsonl(session).encode())
    with pytest.raises(MeasuringError, match="already"):
        measurements.import_file("x.jsonl", to_jsonl(session).encode())


def test_a_deleted_session_is_gone_from_the_disk(
    measurements: Measurements, session: Session, tmp_path: Path
) -> None:
    measurements.import_file("x.jsonl", to_jsonl(session).encode())
    measurements.delete(session.id)
    assert measurements.session(session.id) is None
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_in_the_folder_hides_no_other(
    measurements: Measurements, session: Session, tmp_path: Path
) -> None:
    measurements.import_file("x.jsonl", to_jsonl(session).encode())
    (tmp_path / f"{new_id()}.jsonl").write_text("{")
    (tmp_path / f"{new_id()}.jsonl").write_bytes(b"\xff\xfe\x00")
    (tmp_path / f"{new_id()}.jsonl").write_text("")
    assert [each.id for each in measurements.sessions()] == [session.id]


# ---- From strangers


def changed(session: Session, kind: str, **values: Any) -> bytes:
    """The session's JSONL with values changed in its first line of a kind."""
    lines = [json.loads(line) for line in to_jsonl(session).splitlines()]
    next(line for line in lines if line["kind"] == kind).update(values)
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("session", {"id": "../../../../tmp/evil"}),
        ("session", {"id": 7}),
        ("session", {"format": 3}),
        ("session", {"format": 1}),
        ("session", {"what": "party"}),
        ("session", {"started": "yesterday"}),
        ("session", {"setup": {}}),
        ("session", {"setup": {"questions": [], "collection": "c"}}),
        ("session", {"setup": {"questions": ["?"], "collection": "c", "lanes": []}}),
        ("run", {"question": 1}),
        ("run", {"step": {"lane": 2}}),
        ("run", {"step": {"lane": "left"}}),
        ("session", {"fingerprint": None}),
        ("run", {"run": -1}),
        ("run", {"run": [1]}),
        ("run", {"step": None}),
        ("run", {"trace": {"spans": 3}}),
        ("run", {"outcome": "won"}),
        ("token", {"time_s": float("nan")}),
        ("token", {"time_s": float("inf")}),
        ("token", {"time_s": -1}),
        ("token", {"time_s": 10**400}),
        ("token", {"call": 5}),
        ("chunk", {"handed_s": True}),
        ("end", {"outcome": None}),
    ],
)
def test_a_damaged_file_is_refused_with_a_sentence(
    measurements: Measurements, session: Session, tmp_path: Path, kind: str, values: Any
) -> None:
    with pytest.raises(MeasuringError, match="damaged"):
        measurements.import_file("x.jsonl", changed(session, kind, **values))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv"])
@pytest.mark.parametrize(
    "data", [b"", b"\n", b"hello", b"\xff\xfe\x00\x01", b"[1]\n", b"a,b\n1,2\n", b"{" * 100_000]
)
def test_any_other_file_is_refused_with_a_sentence(
    measurements: Measurements, name: str, data: bytes
) -> None:
    with pytest.raises(MeasuringError):
        measurements.import_file(name, data)


def test_a_file_beyond_the_limit_is_refused_unread(measurements: Measurements) -> None:
    with pytest.raises(MeasuringError, match="larger than 50 MB"):
        measurements.import_file("x.jsonl", b" " * (MOST_BYTES + 1))


@pytest.mark.parametrize("session_id", ["", "../outside", "..", "a" * 36])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, session: Session, session_id: str) -> None:
    outside = tmp_path / "outside.jsonl"
    outside.write_text(to_jsonl(session))
    measurements = Measurements(tmp_path / "kept", means(ScriptedLLM()))
    assert measurements.session(session_id) is None
    measurements.delete(session_id)
    assert outside.exists()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_whatever_one_value_becomes_reading_ends_in_a_session_or_a_sentence(
    data: st.DataObject,
) -> None:
    one = Session(new_id(), Experiment.COMPARISON, 1.7e9, SETUP, {"model": "m"}, 2)
    one.measurements = [measured(0, S, 0), measured(1, B, 0)]
    lines = [json.loads(line) for line in to_jsonl(one).splitlines()]
    line = data.draw(st.sampled_from(lines))
    place: Any = line
    key = data.draw(st.sampled_from(sorted(place)))
    while isinstance(place[key], dict) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place)))
    place[key] = data.draw(JSON)
    try:
        read = from_jsonl("".join(json.dumps(each) + "\n" for each in lines).encode())
    except MeasuringError:
        return
    to_csv(read)
    to_jsonl(read)
