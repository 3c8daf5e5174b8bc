"""Kept states on disk, so that a restart does not forget what has been read ahead.

One file a state. A folder for each key: model file, chat template, llama.cpp and processor, and
everything else on which the cells depend. Files of other keys are not read. A damaged file is
deleted: it is read again from the documents. Only states of prompts read ahead come here, so
questions do not.

    file = MAGIC, CRC-32 of the rest, number of tokens, tokens, cells
"""

import hashlib
import logging
import queue
import shutil
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.durable import write_whole

log = logging.getLogger(__name__)

_MAGIC = b"FTSTATE1"
_HEADER = struct.Struct("<8sII")

Tokens = NDArray[np.int32]
Cells = NDArray[np.uint8]


class StateFiles:
    """The files of one key in `folder`, which has at most `limit` bytes, those of other keys
    included. Writing happens on a thread of its own. Errors are logged: everything works without
    these files, only slower."""

    def __init__(self, folder: Path, key: Sequence[object], limit: int) -> None:
        self._folder, self._limit = folder, limit
        digest = hashlib.sha256("\n".join(map(str, key)).encode()).hexdigest()
        self._own = folder / digest[:32]
        self._generation = 0  # increased when everything is deleted
        self._lock = threading.Lock()
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="state-files", daemon=True)
        self._thread.start()

    def load(self) -> Iterator[tuple[Tokens, Cells]]:
        """The states of this key, the latest first."""
        for file in sorted(_files(self._own), key=_age):
            try:
                content = file.read_bytes()
            except OSError:
                continue  # deleted in the meantime
            if state := _state(content):
                yield state
            else:
                log.warning("%s is damaged, and is deleted.", file)
                _delete(file)

    def save(self, tokens: Tokens, cells: Cells) -> None:
        """Write a state, in the background. The oldest files give way."""
        generation = self._generation
        self._tasks.put(lambda: self._write(tokens, cells, generation))

    def delete(self, tokens: Tokens) -> None:
        """Delete a state's file, in the background."""
        self._tasks.put(lambda: _delete(self._file(tokens)))

    def clear(self) -> None:
        """Delete everything, of other keys too: a document that is in it may have been deleted."""
        with self._lock:
            self._generation += 1
            for each in self._folder.iterdir() if self._folder.is_dir() else ():
                shutil.rmtree(each, ignore_errors=True)

    def close(self) -> None:
        """Finish writing."""
        self._tasks.put(None)
        self._thread.join(10)

    def _work(self) -> None:
        while task := self._tasks.get():
            try:
                task()
            except OSError:
                log.warning("What was read ahead could not be kept on disk.", exc_info=True)

    def _write(self, tokens: Tokens, cells: Cells, generation: int) -> None:
        rest = tokens.tobytes() + cells.tobytes()
        content = _HEADER.pack(_MAGIC, zlib.crc32(rest), len(tokens)) + rest
        with self._lock:
            if generation != self._generation or len(content) > self._limit:
                return
            self._own.mkdir(parents=True, exist_ok=True)
            files = sorted((f for own in self._folder.iterdir() for f in _files(own)), key=_age)
            size = sum(file.stat().st_size for file in files)
            while files and size + len(content) > self._limit:
                oldest = files.pop()
                size -= oldest.stat().st_size
                _delete(oldest)
            write_whole(self._file(tokens), content)

    def _file(self, tokens: Tokens) -> Path:
        return self._own / f"{hashlib.sha256(tokens.tobytes()).hexdigest()[:32]}.state"


def _state(content: bytes) -> tuple[Tokens, Cells] | None:
    """The tokens and cells of a file; None if it is damaged."""
    if len(content) < _HEADER.size:
        return None
    magic, checksum, count = _HEADER.unpack_from(content)
    rest = memoryview(content)[_HEADER.size :]
    if magic != _MAGIC or zlib.crc32(rest) != checksum or len(rest) < 4 * count:
        return None
    return np.frombuffer(rest[: 4 * count], np.int32), np.frombuffer(rest[4 * count :], np.uint8)


def _files(folder: Path) -> list[Path]:
    return list(folder.glob("*.state"))


def _age(file: Path) -> float:
    try:
        return -file.stat().st_mtime
    except OSError:
        return 0.0


def _delete(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError:
        log.warning("%s could not be deleted.", file, exc_info=True)
