"""Reports of wrong answers: a file for each, on this computer, until a person deletes it."""

import json
import logging
import time
from pathlib import Path

from engine.durable import write_whole
from engine.errors import StoreError
from engine.workspace.conversations import Conversation, Turn
from engine.workspace.export import as_json

log = logging.getLogger(__name__)


class Reports:
    """Reports in one folder. A turn has one report at most: a later one replaces it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, conversation: Conversation, turn: Turn, model: str, remark: str = "") -> None:
        """Write down a question, its answer and sources, and what a person says is wrong.

        Raises:
            StoreError: the file could not be written.
        """
        report = {
            "reported": time.time(),  # seconds since 1970
            "remark": remark.strip(),
            "model": model,
            **json.loads(as_json(conversation, [turn])),
        }
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._file(turn), json.dumps(report, ensure_ascii=False).encode())
        except OSError as fault:
            log.exception("A report could not be written")
            raise StoreError(
                f"The report could not be saved ({fault.strerror or fault}). Make room on the "
                "disk, then try again."
            ) from fault

    def has(self, turn: Turn) -> bool:
        return self._file(turn).exists()

    def __len__(self) -> int:
        return len(self._files())

    def as_jsonl(self) -> str:
        """All reports, the oldest first, one JSON object a line."""
        return "".join(f"{file.read_text(encoding='utf-8')}\n" for file in self._files())

    def delete(self, turn: Turn) -> None:
        self._file(turn).unlink(missing_ok=True)

    def delete_all(self) -> None:
        for file in self._files():
            file.unlink(missing_ok=True)

    def _file(self, turn: Turn) -> Path:
        return self.folder / f"{turn.id}.json"

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.json"), key=lambda file: file.stat().st_mtime)
