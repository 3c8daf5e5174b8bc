"""Measurements: the sessions kept in a folder, and the one being measured now.

A session is measured in the background, one at a time, since two would disturb each other.
"""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from engine.durable import set_aside, write_whole
from engine.errors import MeasuringError
from engine.measuring.job import Describe, Job
from engine.measuring.jsonl import DAMAGE, from_jsonl, header, is_session_id, to_jsonl
from engine.measuring.record import Session
from engine.measuring.runner import EngineFor, Runner
from engine.measuring.schedule import Kind, Setup, Step
from engine.measuring.table import from_csv, to_csv
from engine.schema import new_id

log = logging.getLogger(__name__)

MOST_BYTES = 50_000_000  # of a file to import; a session of 40 runs with 256 tokens has 2 MB


class Measurements:
    """Everything measured, in `folder`. Safe to use from any thread.

    Files that cannot be read are set aside at opening, and `notices` says so.
    """

    def __init__(self, folder: Path, engine_for: EngineFor, describe: Describe) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._engine_for, self._describe = folder, engine_for, describe
        self._job: Job | None = None
        self._thread: threading.Thread | None = None
        self._read: dict[str, Session] = {}
        self._headers: dict[str, Session] = {}  # by file name; a header never changes
        self._lock = threading.Lock()
        self.notices: list[str] = []
        self._set_damaged_aside()

    def _set_damaged_aside(self) -> None:
        aside: list[Path] = []
        for file in sorted(self._folder.iterdir()):
            ours = file.suffix in (".jsonl", ".csv") and is_session_id(file.stem)
            if not ours or (file.is_file() and not file.stat().st_size):
                continue  # an empty file holds nothing: a crash came before the first line
            try:
                _read_header(file)
            except (OSError, UnicodeDecodeError, MeasuringError, RecursionError, *DAMAGE):
                log.exception("A file of measurements cannot be read")
                with suppress(OSError):  # on a disk that is full or read-only it stays
                    aside.append(set_aside(file, self._folder.parent))
        if aside:
            files = "1 file" if len(aside) == 1 else f"{len(aside)} files"
            self.notices.append(
                f"{files} of measurements could not be read. The damaged part is kept in "
                f"{aside[0].parent}; the other measurements are there."
            )

    def start(self, kind: Kind, setup: Setup, steps: Sequence[Step]) -> Job:
        """Measure these steps, in the background.

        Raises:
            MeasuringError: the question is empty, or something is being measured.
        """
        setup = replace(setup, question=setup.question.strip())
        if not setup.question:
            raise MeasuringError("The question is empty. Write one.")
        with self._lock:
            if self._job and self._job.running:
                raise MeasuringError("Something is being measured already. Stop it, or wait.")
            session = Session(new_id(), kind, time.time(), setup, {}, len(steps))
            runner = Runner(self._engine_for, setup)
            self._job = Job(session, steps, runner, self._folder / f"{session.id}.jsonl")
            self._read[session.id] = session
            self._thread = threading.Thread(
                target=self._job.work, args=(self._describe,), name="measuring", daemon=True
            )
            self._thread.start()
            return self._job

    @property
    def job(self) -> Job | None:
        """What is being measured, or was last, since First Token was started."""
        return self._job

    @property
    def busy(self) -> bool:
        return self._job is not None and self._job.running

    def sessions(self, kind: Kind | None = None) -> list[Session]:
        """Every session that has ended, the latest first, without its runs: see `session`."""
        there = [self._header(file) for file in self._folder.iterdir()]
        found = [each for each in there if each and (kind is None or each.kind is kind)]
        ended = [each for each in found if not self._is_measured(each.id)]
        return sorted(ended, key=lambda each: -each.started)

    def session(self, session_id: str) -> Session | None:
        """One session, whole; None where it is not there or cannot be read."""
        if session_id not in self._read:
            for file in self._files(session_id):
                with suppress(OSError, UnicodeDecodeError, MeasuringError):
                    self._read[session_id] = _read(file)
        return self._read.get(session_id)

    def delete(self, session_id: str) -> None:
        if not self._is_measured(session_id):
            self._read.pop(session_id, None)
            for file in self._files(session_id):
                file.unlink(missing_ok=True)

    def import_file(self, name: str, data: bytes) -> Session:
        """Take in a session that was exported, here or elsewhere.

        Raises:
            MeasuringError: it is none, is too large, or is here already.
        """
        if len(data) > MOST_BYTES:
            raise MeasuringError(f"{name} is larger than {MOST_BYTES // 1_000_000} MB.")
        kind = ".csv" if name.lower().endswith(".csv") else ".jsonl"
        session = _parsed(data, kind)
        if self._files(session.id):
            raise MeasuringError(f"{name} is here already: choose it in the list.")
        session.imported = True
        text = to_csv(session) if kind == ".csv" else to_jsonl(session)
        try:
            write_whole(self._folder / f"{session.id}{kind}", text.encode())
        except OSError as error:
            raise MeasuringError(
                f"{name} could not be kept ({error.strerror}). Make room, and try again."
            ) from error
        return session

    def close(self) -> None:
        if self._job and self._thread:
            self._job.stop()
            self._thread.join(10)

    def _is_measured(self, session_id: str) -> bool:
        """It is being measured just now."""
        return self._job is not None and self._job.running and self._job.session.id == session_id

    def _files(self, session_id: str) -> list[Path]:
        kinds = (self._folder / f"{session_id}{kind}" for kind in (".jsonl", ".csv"))
        return [file for file in kinds if is_session_id(session_id) and file.is_file()]

    def _header(self, file: Path) -> Session | None:
        if file.name not in self._headers:
            with suppress(OSError, UnicodeDecodeError, MeasuringError, *DAMAGE):
                self._headers[file.name] = _read_header(file)
        return self._headers.get(file.name)


def _read_header(file: Path) -> Session:
    if file.suffix == ".csv":
        return _read(file)
    with file.open(encoding="utf-8") as lines:
        return header(lines.readline())


def _read(file: Path) -> Session:
    return _parsed(file.read_bytes(), file.suffix)


def _parsed(data: bytes, kind: str) -> Session:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MeasuringError("This file is no text. Choose one that was exported here.") from error
    return from_csv(text) if kind == ".csv" else from_jsonl(text)
