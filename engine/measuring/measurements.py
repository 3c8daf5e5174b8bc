"""Measurements: the sessions kept in a folder, and the session that is being measured.

Sessions are measured in the background, one at a time, because two would slow each other down.
"""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from engine.durable import set_aside, write_whole
from engine.errors import MeasuringError
from engine.measuring.asking import Means
from engine.measuring.files import from_jsonl, header, is_session_id, to_jsonl
from engine.measuring.job import MeasuringJob
from engine.measuring.record import Session
from engine.measuring.schedule import Experiment, Setup, Trial
from engine.schema import new_id

log = logging.getLogger(__name__)

MOST_BYTES = 50_000_000  # of a file to import; a session of 40 runs of 256 tokens takes 2 MB


class Measurements:
    """All sessions in `folder`. Safe to use from any thread.

    means: what sessions ask with, unless `start` is told otherwise. Files that cannot be read are
    set aside at opening, and `notices` reports them.
    """

    def __init__(self, folder: Path, means: Means) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._means = folder, means
        self._job: MeasuringJob | None = None
        self._thread: threading.Thread | None = None
        self._read: dict[str, Session] = {}
        self._headers: dict[str, Session] = {}  # by file name; headers never change
        self._lock = threading.Lock()
        self.notices: list[str] = []
        self._set_damaged_aside()

    def _set_damaged_aside(self) -> None:
        aside: list[Path] = []
        for file in sorted(self._folder.iterdir()):
            ours = file.suffix == ".jsonl" and is_session_id(file.stem)
            if not ours or (file.is_file() and not file.stat().st_size):
                continue  # an empty file: First Token ended before the first line was written
            try:
                _read_header(file)
            except (OSError, MeasuringError):
                log.exception("A file of measurements cannot be read")
                with suppress(OSError):  # on a full or read-only disk, the file stays
                    aside.append(set_aside(file, self._folder.parent))
        if aside:
            files = "1 file" if len(aside) == 1 else f"{len(aside)} files"
            self.notices.append(
                f"{files} of measurements could not be read. The damaged part is kept in "
                f"{aside[0].parent}; the other measurements are there."
            )

    def start(
        self,
        experiment: Experiment,
        setup: Setup,
        trials: Sequence[Trial],
        means: Means | None = None,
    ) -> MeasuringJob:
        """Run these trials in the background.

        Raises:
            MeasuringError: there is no question, or another session is being measured.
        """
        if not any(question.strip() for question in setup.questions):
            raise MeasuringError("The question is empty. Write one, then run it.")
        with self._lock:
            if self._job and self._job.running:
                raise MeasuringError("A measurement is running already. Stop it, or wait for it.")
            session = Session(new_id(), experiment, time.time(), setup, {}, len(trials))
            file = self._path(session.id)
            self._job = MeasuringJob(session, trials, means or self._means, file)
            self._read[session.id] = session
            self._thread = threading.Thread(target=self._job.work, name="measuring", daemon=True)
            self._thread.start()
            return self._job

    @property
    def job(self) -> MeasuringJob | None:
        """The job that is running, or the last one since First Token was started."""
        return self._job

    @property
    def busy(self) -> bool:
        return self._job is not None and self._job.running

    def sessions(self, experiment: Experiment | None = None) -> list[Session]:
        """The sessions that have ended, the latest first, without their runs (see `session`)."""
        found = [self._header(file) for file in self._folder.glob("*.jsonl")]
        ended = [
            each
            for each in found
            if each
            and (experiment is None or each.experiment is experiment)
            and not self._is_measured(each.id)
        ]
        return sorted(ended, key=lambda each: -each.started)

    def session(self, session_id: str) -> Session | None:
        """One session with its runs; None where it does not exist or cannot be read."""
        if session_id not in self._read and (file := self._file(session_id)):
            try:
                self._read[session_id] = from_jsonl(file.read_bytes())
            except (OSError, MeasuringError):
                log.warning("The session %s could not be read", session_id, exc_info=True)
        return self._read.get(session_id)

    def delete(self, session_id: str) -> None:
        if not self._is_measured(session_id):
            self._read.pop(session_id, None)
            if file := self._file(session_id):
                file.unlink(missing_ok=True)

    def import_file(self, name: str, data: bytes) -> Session:
        """Add a session from a JSONL file that was exported here or on another computer.

        Raises:
            MeasuringError: the file is no such file, is too large, or has been added already.
        """
        if len(data) > MOST_BYTES:
            raise MeasuringError(f"{name} is larger than {MOST_BYTES // 1_000_000} MB.")
        session = from_jsonl(data)
        if self._file(session.id):
            raise MeasuringError(f"{name} has been added already. Choose it in the list.")
        session.imported = True
        self.keep(session)
        return session

    def keep(self, session: Session) -> None:
        """Add a session that was measured elsewhere, such as in a browser.

        Raises:
            MeasuringError: it could not be saved.
        """
        try:
            write_whole(self._path(session.id), to_jsonl(session).encode())
        except OSError as error:
            raise MeasuringError(
                f"The measurement could not be saved ({error.strerror}). Free some disk space, and "
                "try again."
            ) from error

    def close(self) -> None:
        if self._job and self._thread:
            self._job.stop()
            self._thread.join(10)

    def _is_measured(self, session_id: str) -> bool:
        return self._job is not None and self._job.running and self._job.session.id == session_id

    def _path(self, session_id: str) -> Path:
        return self._folder / f"{session_id}.jsonl"

    def _file(self, session_id: str) -> Path | None:
        there = is_session_id(session_id) and self._path(session_id).is_file()
        return self._path(session_id) if there else None

    def _header(self, file: Path) -> Session | None:
        if file.name not in self._headers:
            try:
                if read := _read_header(file):
                    self._headers[file.name] = read
            except (OSError, MeasuringError):
                log.debug("%s is not a session", file.name, exc_info=True)
        return self._headers.get(file.name)


def _read_header(file: Path) -> Session | None:
    with file.open("rb") as lines:
        return header(lines.readline())
