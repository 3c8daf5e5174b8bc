"""The reading process: what hangs, crashes or eats memory is ended, and costs nothing else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import Cancelled, DocumentError, LimitExceededError
from engine.reading import FileText, ReadingProcess, read_file
from engine.reading.limits import Limits
from engine.run import Run
from tests.making import pdf, pdf_lines, pdf_nested, pdf_stream, put, zipped

ROOT = Path(__file__).parents[1]
FIRST_AND_THIRD = ["The first page is fine.", "The third page is fine."]
# 60 million letters, packed into 130 KB.
GREEDY = pdf_stream(b"BT /F 12 Tf " + (b"(%s) Tj " % (b"a" * 1_000)) * 60_000 + b"ET", packed=True)


def texts(read: FileText) -> list[str]:
    return [document.text for document in read.documents]


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_page_that_never_ends_loses_only_itself(tmp_path: Path) -> None:
    path = put(tmp_path / "endless.pdf", pdf_nested(levels=9, width=10))
    with ReadingProcess(Limits(seconds_per_step=1)) as process:
        read = read_file(path, process=process)
    assert texts(read) == FIRST_AND_THIRD
    assert read.notices == ("Page 2 has been left out: reading took more than 1 s.",)


def test_a_page_that_eats_memory_loses_only_itself(tmp_path: Path) -> None:
    pages = pdf(pdf_lines(FIRST_AND_THIRD[0]), GREEDY, pdf_lines(FIRST_AND_THIRD[1]))
    path = put(tmp_path / "greedy.pdf", pages)
    with ReadingProcess(Limits(memory=200_000_000)) as process:
        read = read_file(path, process=process)
    assert texts(read) == FIRST_AND_THIRD
    assert read.notices == ("Page 2 has been left out: reading took more than 200 MB of memory.",)


def test_a_page_that_crashes_the_reader_loses_only_itself(tmp_path: Path) -> None:
    path = put(tmp_path / "crash.pdf", pdf_nested(levels=9, width=10))
    with ReadingProcess() as process:

        def crash(done: int, total: int) -> None:
            if done == 1 and process.pid:
                os.kill(process.pid, signal.SIGSEGV)

        read = read_file(path, process=process, on_progress=crash)
    assert texts(read) == FIRST_AND_THIRD
    assert read.notices == ("Page 2 has been left out: reading crashed the program that reads.",)


def test_a_pdf_of_nothing_else_is_told_with_its_limit(tmp_path: Path) -> None:
    path = put(tmp_path / "greedy.pdf", pdf(GREEDY))
    with (
        ReadingProcess(Limits(memory=200_000_000)) as process,
        pytest.raises(LimitExceededError, match=r"^greedy.pdf .* more than 200 MB of memory"),
    ):
        read_file(path, process=process)


def test_after_too_many_lost_pages_the_rest_is_given_up_and_named(tmp_path: Path) -> None:
    pages = pdf(pdf_lines("Fine."), *[GREEDY] * 3, *[pdf_lines("Never reached.")] * 2)
    path = put(tmp_path / "many.pdf", pages)
    with ReadingProcess(Limits(memory=150_000_000, lost_pages=2)) as process:
        read = read_file(path, process=process)
    assert texts(read) == ["Fine."]
    assert read.notices[0].startswith("Pages 2–3 have been left out: reading took more than 150 MB")
    assert read.notices[1].startswith("Pages 4–6 have been left out: too much time was lost")


def test_a_document_that_unpacks_to_more_than_the_memory_is_told(tmp_path: Path) -> None:
    bomb = zipped({"word/document.xml": b"<w:document>" + b" " * 250_000_000})
    path = put(tmp_path / "bomb.docx", bomb)
    assert path.stat().st_size < 1_000_000
    with (
        ReadingProcess(Limits(memory=150_000_000)) as process,
        pytest.raises(DocumentError, match=r"^bomb.docx cannot be read"),
    ):
        read_file(path, process=process)


def test_entities_that_multiply_are_stopped(tmp_path: Path) -> None:
    names = "abcdefghij"
    entities = "".join(
        f'<!ENTITY {name} "{f"&{names[place - 1]};" * 10 if place else "ha" * 99}">'
        for place, name in enumerate(names)
    )
    laughs = f"<!DOCTYPE x [{entities}]><w:document>&j;</w:document>"
    path = put(tmp_path / "laughs.docx", zipped({"word/document.xml": laughs}))
    with (
        ReadingProcess(Limits(memory=200_000_000, seconds_per_step=5)) as process,
        pytest.raises(DocumentError, match=r"^laughs.docx cannot be read"),
    ):
        read_file(path, process=process)


def test_the_next_file_is_read_after_a_death(tmp_path: Path) -> None:
    greedy = put(tmp_path / "greedy.pdf", pdf(GREEDY))
    good = put(tmp_path / "good.txt", "All is well.")
    with ReadingProcess(Limits(memory=200_000_000)) as process:
        with pytest.raises(LimitExceededError):
            read_file(greedy, process=process)
        assert texts(read_file(good, process=process)) == ["All is well."]


def test_one_process_reads_many_files_and_ends_with_its_block(tmp_path: Path) -> None:
    path = put(tmp_path / "a.txt", "One.")
    with ReadingProcess() as process:
        read_file(path, process=process)
        first = process.pid
        read_file(path, process=process)
        assert process.pid == first
    assert first and has_ended(first)


def test_stopping_ends_the_work_in_the_middle_of_a_page(tmp_path: Path) -> None:
    path = put(tmp_path / "endless.pdf", pdf_nested(levels=9, width=10))
    run, seen = Run(), []
    with ReadingProcess() as process:

        def stop_at_the_second_page(done: int, total: int) -> None:
            if done == 1:
                seen.append(process.pid)
                run.cancel()

        with pytest.raises(Cancelled):
            read_file(path, process=process, run=run, on_progress=stop_at_the_second_page)
        assert seen[0] and has_ended(seen[0])


def test_the_process_ends_when_the_app_has_gone(tmp_path: Path) -> None:
    path = put(tmp_path / "a.txt", "One.")
    script = (
        "import os, sys; from engine.reading import ReadingProcess, read_file\n"
        "process = ReadingProcess(); read_file(sys.argv[1], process=process)\n"
        "print(process.pid, flush=True); os._exit(0)"
    )
    app = subprocess.run(
        [sys.executable, "-c", script, str(path)], cwd=ROOT, capture_output=True, text=True
    )
    reader = int(app.stdout)
    deadline = time.monotonic() + 30
    while not has_ended(reader) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert has_ended(reader)


def test_the_process_loads_nothing_but_what_it_needs_to_start() -> None:
    heavy = {"numpy", "pypdf", "pypdfium2", "lxml", "PIL", "mammoth", "qdrant_client", "llama_cpp"}
    script = "import sys, engine.reading.worker; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not heavy & set(loaded.stdout.split())
